"""One id per request: in the answer's X-Request-ID, the access log, the event log and on error pages."""

import secrets

from flask import Flask, Response, g

HEADER = "X-Request-ID"


def request_id() -> str:
    """This request's id. Always our own: an id from outside could be anything."""
    if "request_id" not in g:
        g.request_id = f"req_{secrets.token_hex(10)}"
    return str(g.request_id)


def init_request_id(app: Flask) -> None:
    """Send the id with every answer."""

    @app.after_request
    def add_header(response: Response) -> Response:
        response.headers[HEADER] = request_id()
        return response
