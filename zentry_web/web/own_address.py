"""Which address this Zentry has, whether a request is for it, where it came from, and whether its own page sent it.

Behind trusted proxies the address people use is the base URL, whatever became of Host and port on the way.
"""

from collections.abc import Callable, Iterable
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import structlog
from flask import Flask, g, request
from flask_wtf.csrf import CSRFError
from werkzeug.exceptions import SecurityError

from zentry_web.domain.language import _

log = structlog.get_logger(__name__)

HEALTH = frozenset({"/healthz", "/readyz", "/metrics"})  # asked by machines, under whatever name they know
OWN_PAGE = ("same-origin", "none")  # what a browser calls it when our page, or the person, sent the request


class ForeignForm(CSRFError):
    """A form with a good token that another address sent."""


class OwnAddress:
    """WSGI middleware behind ProxyFix: the Host of health checks, and what proxies made of Host and address."""

    def __init__(self, app: Callable[..., Iterable[bytes]], url: str, *, is_proxied: bool) -> None:
        self._app = app
        parts = urlsplit(url)
        self._scheme, self._host, self._name = parts.scheme, parts.netloc, parts.hostname
        self._is_proxied = is_proxied
        self._told = False

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if self._is_proxied:
            environ["REMOTE_ADDR"] = self._address(environ.get("REMOTE_ADDR") or "")
            # Without X-Forwarded-Host the Host may be the visitor's or the proxy's own name for us.
            if "HTTP_X_FORWARDED_HOST" not in environ or _hostname(environ.get("HTTP_HOST", "")) == self._name:
                environ["HTTP_HOST"], environ["wsgi.url_scheme"] = self._host, self._scheme
        if environ.get("PATH_INFO") in HEALTH:
            environ["HTTP_HOST"] = self._host
        return self._app(environ, start_response)

    def _address(self, given: str) -> str:
        """The address alone, without the port that some proxies add; told once when there is none to be read."""
        found = address_only(given)
        try:
            ip_address(found)
        except ValueError:
            if not self._told:
                self._told = True
                log.warning("forwarded_address_unreadable", value=given[:100])
        return found


def address_only(given: str) -> str:
    """``203.0.113.9:5000`` and ``[2001:db8::1]:5000`` without brackets and port; anything else as it is."""
    text = given.strip().strip('"')
    if text.startswith("["):
        return text[1:].partition("]")[0]
    host, _, port = text.rpartition(":")
    return host if port.isdecimal() and "." in host and ":" not in host else text


def init_own_hosts(app: Flask, hosts: Iterable[str]) -> None:
    """Refuse requests for other ``hosts`` than these (lower case, without port)."""
    known = frozenset(hosts)

    @app.before_request
    def require_own_host() -> None:
        if _hostname(request.host) not in known:
            raise SecurityError("This host is not ours.")


def init_own_forms(app: Flask, url: str) -> None:
    """After the token of a form was found good: its page must be ours, too. Called behind CSRFProtect."""

    @app.before_request
    def require_own_page() -> None:
        if not g.get("csrf_valid"):
            return
        own = {url, request.host_url.rstrip("/")}
        sender = _sender()
        if sender is not None and sender not in own:
            raise ForeignForm(
                _(
                    "This form was sent from %(sender)s, but the address of this Zentry is %(url)s. Open it there and "
                    "try again; whoever runs it sets the address with ZENTRY_BASE_URL.",
                    sender=sender,
                    url=url,
                )
            )


def _sender() -> str | None:
    """Which address sent this request, as far as the browser says; None when it says nothing or that it was ours."""
    origin = request.headers.get("Origin")
    if origin and origin != "null":
        return origin[:200].lower()
    fetched = request.headers.get("Sec-Fetch-Site")
    if fetched is not None:
        return None if fetched in OWN_PAGE else "another site"
    if origin:
        return "a page without an address"
    referrer = urlsplit(request.referrer or "")
    return f"{referrer.scheme}://{referrer.netloc}".lower() if referrer.netloc else None


def _hostname(host: str) -> str | None:
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None
