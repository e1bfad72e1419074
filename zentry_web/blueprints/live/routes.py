"""The stream of server-sent events that live pages listen to."""

import socket

from flask import Blueprint, Response, request
from flask.typing import ResponseReturnValue

from zentry_web.domain.text import whole_number
from zentry_web.services.shared.rate_limits import network_of
from zentry_web.web.live import hub
from zentry_web.web.session.actor import current_actor, here

blueprint = Blueprint("live", __name__)


@blueprint.get("/events")
def events() -> ResponseReturnValue:
    """Topics of what changes for this person after the event ``after``. Holds no database session while it is open."""
    actor, found = current_actor(), hub()
    subscriber = found.subscribe(
        actor.id,
        actor.is_admin,
        session=here().session_token,
        network=network_of(request.remote_addr),
        after=_after(),
    )
    connection = request.environ.get("gunicorn.socket")
    response = Response(found.stream(subscriber, lambda: _has_left(connection)), mimetype="text/event-stream")
    response.headers["X-Accel-Buffering"] = "no"  # a proxy must pass each event on at once
    response.call_on_close(lambda: found.unsubscribe(subscriber))  # after the request: no current_app then
    return response


def _after() -> int | None:
    """The last event this browser was told of (it says so when it connects again), else the one its page names."""
    given = [request.headers.get("Last-Event-ID", ""), request.args.get("after", "")]
    numbers = [number for text in given if (number := whole_number(text)) is not None and number >= 0]
    return max(numbers, default=None)


def _has_left(connection: socket.socket | None) -> bool:
    """Whether the browser has closed its connection: noticed without sending it anything."""
    if connection is None:
        return False
    try:
        return connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True
