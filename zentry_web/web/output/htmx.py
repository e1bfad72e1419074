"""What a request from htmx needs. A boosted request counts as an ordinary one: it wants a whole page."""

from flask import Flask, Response, redirect, request
from werkzeug.wrappers import Response as BaseResponse


def is_htmx() -> bool:
    """Whether the answer will be put into a part of the page."""
    return request.headers.get("HX-Request") == "true" and request.headers.get("HX-Boosted") != "true"


def go_to(url: str) -> BaseResponse:
    """Send the browser on after a successful POST: 303, or HX-Redirect when htmx asked."""
    if is_htmx():
        return Response(status=204, headers={"HX-Redirect": url})
    return redirect(url, 303)


def is_for_programs() -> bool:
    """Whether the address is one that only programs call: the API, and what processes tell each other."""
    return request.path.startswith(("/api/", "/internal/"))


def wants_json() -> bool:
    """Whether the caller asked for JSON rather than a page."""
    best = request.accept_mimetypes.best_match(["text/html", "application/json", "application/problem+json"])
    if is_for_programs() or request.path.endswith(".json"):
        return True
    return (best or "text/html").endswith("json")


def init_htmx(app: Flask) -> None:
    """Let layouts ask whether a whole page is wanted or a part of one."""
    app.jinja_env.globals["is_htmx"] = is_htmx
