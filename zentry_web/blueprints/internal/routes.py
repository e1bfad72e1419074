"""What other processes hand in. No session and no address counts here: only a service token meant for the web."""

from flask import Blueprint, request
from flask.typing import ResponseReturnValue

from zentry_web.domain.token import Party
from zentry_web.services.errors import ValidationError
from zentry_web.web.actor import public
from zentry_web.web.services import services

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
    body = request.get_json(silent=True)
    if not isinstance(body, dict):
        raise ValidationError("Send a JSON object.", details={"samples": "Must be a list."})
    return {"stored": services().get_monitoring_service().ingest_metrics(body.get("samples"))}, 202
