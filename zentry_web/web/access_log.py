"""One JSON line per request, and the request figures of /metrics. No query string, no cookie, no token is written."""

import time

import structlog
from flask import Flask, Response, g, request
from prometheus_client import Counter, Histogram

from zentry_web.web.request_id import request_id
from zentry_web.web.session.actor import known_user

log = structlog.get_logger("zentry.access")
QUIET = frozenset({"static", "health.alive", "health.ready", "health.metrics"})
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

_requests = Counter("zentry_http_requests_total", "Requests answered", ["endpoint", "method", "status"])
_seconds = Histogram(
    "zentry_http_request_seconds",
    "Time to answer a request (streams: until they begin)",
    ["endpoint"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1, 2.5, 10),
)


def shown_path() -> str:
    """The path as it may be written down: where an address carries a secret, the rule stands for it.

    Of an address that fits no rule only the first part: it may be a link with a secret that a mail program broke.
    """
    rule = request.url_rule
    if rule is None:
        first, _, rest = request.path.lstrip("/").partition("/")
        return f"/{first[:30]}" + ("/…" if rest or len(first) > 30 else "")
    return rule.rule if "token" in rule.arguments else request.path[:200]


def init_access_log(app: Flask) -> None:
    """Measure and log every request but the pollers' own (static files, health, metrics)."""

    @app.before_request
    def begin() -> None:
        g.request_started = time.perf_counter()

    @app.after_request
    def finish(response: Response) -> Response:
        endpoint = request.endpoint or "none"
        seconds = time.perf_counter() - g.get("request_started", time.perf_counter())
        method = request.method if request.method in METHODS else "other"  # made-up ones would make series without end
        _requests.labels(endpoint, method, response.status_code).inc()
        _seconds.labels(endpoint).observe(seconds)
        if endpoint not in QUIET:
            user = known_user()
            log.info(
                "request",
                method=request.method,
                path=shown_path(),
                endpoint=endpoint,
                status=response.status_code,
                milliseconds=round(seconds * 1000, 1),
                user=user.account.id if user else None,
                viewing=user.id if user and user.view else None,
                request_id=request_id(),
            )
        return response
