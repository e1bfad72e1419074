"""Webhooks of payment providers. No session, no CSRF token: the signature over the body is the proof."""

from flask import Blueprint, request
from flask.typing import ResponseReturnValue

from zentry_web.web.services import services
from zentry_web.web.session.actor import public

blueprint = Blueprint("webhooks", __name__, url_prefix="/payments")

MAX_BYTES = 64 * 1024


@blueprint.post("/webhook/<provider>")
@public
def receive(provider: str) -> ResponseReturnValue:
    """Take one in. 200 also for what means nothing here, so that the provider does not send it again."""
    request.max_content_length = MAX_BYTES
    services().billing.payments.take_event(provider, request.get_data(), dict(request.headers))
    return {"received": True}
