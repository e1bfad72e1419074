"""What other processes hand in. No session and no address counts here: only a service token meant for the web."""

from flask import Blueprint, request
from flask.typing import ResponseReturnValue

from zentry_web.domain.people.token import Party
from zentry_web.services.errors import ValidationError
from zentry_web.web.services import services
from zentry_web.web.session.actor import public

blueprint = Blueprint("internal", __name__, url_prefix="/internal/v1")

MAX_BYTES = 256 * 1024
SENDERS = (Party.WORKER, Party.AGENT)


@blueprint.before_request
def require_service() -> None:
    """Before anything is read of what was sent."""
    services().service_tokens.require(request.headers.get("Authorization", ""), Party.WEB, SENDERS)


@blueprint.post("/metrics")
@public
def take_metrics() -> ResponseReturnValue:
    """Samples of machines: ``{"samples": [{"vm_id": …, "at": …, "cpu_percent": …, …}]}``, all stored or none."""
    request.max_content_length = MAX_BYTES
    body = _body()
    if not isinstance(body, dict):
        raise ValidationError("Send a JSON object.", details={"samples": "Must be a list."})
    return {"stored": services().monitoring.ingest_metrics(body.get("samples"))}, 202


def _body() -> object:
    """What was sent; None when it is no JSON, or nested too deeply for it."""
    try:
        return request.get_json(silent=True)
    except RecursionError:
        return None
