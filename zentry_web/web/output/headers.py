"""Security headers, the Content-Security-Policy and caching rules of every answer."""

from collections.abc import Sequence

from flask import Flask, Response, request

from zentry_web.domain.language import language
from zentry_web.web.output.htmx import is_for_programs
from zentry_web.web.session.actor import known_user

_DIRECTIVES = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data: blob:",  # data: icons inside Tabler's CSS, blob: Plotly's picture download
    "font-src": "'self'",
    "connect-src": "'self'",
    "form-action": "'self'",
    "frame-ancestors": "'none'",
    "base-uri": "'none'",
}


def policy(**more: Sequence[str]) -> str:
    """The Content-Security-Policy; ``more`` names hosts that one page may use besides: ``script=[…], frame=[…]``."""
    directives = dict(_DIRECTIVES)
    for name, hosts in more.items():
        directives[f"{name}-src"] = " ".join([directives.get(f"{name}-src", ""), *hosts]).strip()
    return "; ".join(f"{name} {value}" for name, value in directives.items())


POLICY = policy()
FIXED = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}


def secret_page(page: str, status: int = 200) -> Response:
    """A page whose address is a secret: no other site is told where one came from, and no cache keeps it."""
    return Response(page, status, {"Referrer-Policy": "origin", "Cache-Control": "no-store"}, mimetype="text/html")


def init_headers(app: Flask, *, is_https: bool) -> None:
    """Add the headers; ``is_https`` also pins the browser to https for a year."""

    @app.after_request
    def add_headers(response: Response) -> Response:
        for name, value in FIXED.items():
            response.headers.setdefault(name, value)
        response.headers.setdefault("Referrer-Policy", "same-origin")
        if is_https:
            response.headers.setdefault("Strict-Transport-Security", "max-age=31536000")
        if request.endpoint != "static":
            _add_caching(response)
        return response


def _add_caching(response: Response) -> None:
    response.vary.update(["HX-Request", "HX-Boosted", "Cookie", "Accept-Language"])
    if response.mimetype == "text/html":
        response.headers.setdefault("Content-Language", language())
    if known_user() is not None or response.status_code >= 400 or is_for_programs():
        response.headers["Cache-Control"] = "no-store"
    else:
        response.headers.setdefault("Cache-Control", "no-cache")
