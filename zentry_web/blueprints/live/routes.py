"""The stream of server-sent events that live pages listen to."""

from flask import Blueprint, Response
from flask.typing import ResponseReturnValue

from zentry_web.web.actor import current_actor
from zentry_web.web.live import hub

blueprint = Blueprint("live", __name__)


@blueprint.get("/events")
def events() -> ResponseReturnValue:
    """Topics of what changes for this person. Holds no database session while it is open."""
    actor, found = current_actor(), hub()
    subscriber = found.subscribe(actor.id, actor.is_admin)
    response = Response(found.stream(subscriber), mimetype="text/event-stream")
    response.headers["X-Accel-Buffering"] = "no"  # a proxy must pass each event on at once
    response.call_on_close(lambda: found.unsubscribe(subscriber))  # after the request: no current_app then
    return response
