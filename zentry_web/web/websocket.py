"""Opening a WebSocket (RFC 6455, 4.2) and handing the connection on to another process."""

import base64
import binascii
import socket
from collections.abc import Callable, Iterable
from typing import Any

from flask import Response, current_app, request
from websockets.utils import accept_key

from zentry_web.domain.language import _
from zentry_web.services.errors import PermissionDeniedError, ValidationError

PROTOCOL = (
    "zentry.console"  # what we speak; the ticket comes as a second "protocol", for a browser sends no other header
)
_TICKET = "ticket."


class Upgrade(Response):
    """The answer to a handshake: says yes, gives the connection to ``take``, and gunicorn forgets it."""

    def __init__(self, accept: str, take: Callable[[socket.socket], None]) -> None:
        super().__init__(status=101)
        self._accept, self._take = accept, take

    def __call__(self, environ: Any, start_response: Any) -> Iterable[bytes]:
        """Called by the server, after everything that looks at answers."""
        connection = environ["gunicorn.socket"]
        lines = (
            "HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade",
            f"Sec-WebSocket-Accept: {self._accept}", f"Sec-WebSocket-Protocol: {PROTOCOL}", "", "",
        )  # fmt: skip
        connection.sendall("\r\n".join(lines).encode())
        connection.is_handed_over = True
        self._take(connection)
        raise StopIteration  # gunicorn's sign for a connection that is none of its business any more


def protocols(ticket: str) -> list[str]:
    """What a page offers as sub-protocols, to bring its ticket."""
    return [PROTOCOL, _TICKET + ticket]


def require_handshake() -> tuple[str, str]:
    """What to answer a browser's handshake, and the ticket in it. Raises ValidationError for what is none,
    PermissionDeniedError for one that a page of another address began."""
    key = request.headers.get("Sec-WebSocket-Key", "")
    offered = [each.strip() for each in request.headers.get("Sec-WebSocket-Protocol", "").split(",")]
    ticket = next((each.removeprefix(_TICKET) for each in offered if each.startswith(_TICKET)), "")
    is_one = (
        request.headers.get("Upgrade", "").lower() == "websocket"
        and request.headers.get("Sec-WebSocket-Version") == "13"
        and _is_key(key)
        and PROTOCOL in offered
        and "gunicorn.socket" in request.environ
    )
    if not is_one:
        raise ValidationError(_("A console is a WebSocket. A proxy in front of Zentry may not pass those on."))
    own = str(current_app.config["ZENTRY_URL"]).lower()
    if request.headers.get("Origin", "").lower() not in {own, request.host_url.rstrip("/")}:
        raise PermissionDeniedError(_("Another site asked for this console."))
    return accept_key(key), ticket


def _is_key(text: str) -> bool:
    try:
        return len(base64.b64decode(text, validate=True)) == 16
    except (binascii.Error, ValueError):
        return False
