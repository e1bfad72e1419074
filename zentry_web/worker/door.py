"""The worker's door: its health and figures over HTTP on loopback, for bearers of a service token meant for it."""

import json
import os
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import cast

import structlog
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest, multiprocess

from zentry_web.domain.people.token import Party
from zentry_web.services.errors import AuthenticationRequiredError
from zentry_web.services.shared.service_tokens import ServiceTokens

log = structlog.get_logger(__name__)

LOOPBACK = "127.0.0.1"
CALLERS = (Party.WEB, Party.AGENT, Party.OPERATOR)
QUIET_SECONDS = 5  # a caller who says nothing for so long is let go
Reply = tuple[int, str, bytes]


class Door:
    """``late`` names the loops that have not gone round when they should have, with the seconds since."""

    def __init__(self, port: int, tokens: ServiceTokens, late: Callable[[], Mapping[str, int]]) -> None:
        self._tokens = tokens
        self._late = late
        self._server = _Server(port, self.answer)
        self._thread = threading.Thread(target=self._server.serve_forever, name="door", daemon=True)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    def open(self) -> None:
        """Answer from now on, in threads of its own."""
        self._thread.start()

    def close(self) -> None:
        """Answer no more."""
        if self._thread.is_alive():
            self._server.shutdown()
        self._server.server_close()

    def answer(self, path: str, header: str) -> Reply:
        """Status, content type and body. Without a valid token every path looks the same."""
        try:
            self._tokens.require(header, Party.WORKER, CALLERS)
        except AuthenticationRequiredError as error:
            return _problem(401, "Please log in", error.message)
        if path == "/healthz":
            return _json(200, {"status": "alive"})
        if path == "/readyz":
            late = dict(self._late())
            return _json(503 if late else 200, {"status": "not ready" if late else "ready", "late": late})
        if path == "/metrics":
            return 200, CONTENT_TYPE_LATEST, generate_latest(_registry())
        return _problem(404, "There is nothing here", "The worker serves /healthz, /readyz and /metrics.")


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, port: int, answer: Callable[[str, str], Reply]) -> None:
        super().__init__((LOOPBACK, port), _Handler)
        self.answer = answer


class _Handler(BaseHTTPRequestHandler):
    timeout = QUIET_SECONDS
    server_version, sys_version = "zentry", ""  # no versions for whoever asks

    def do_GET(self) -> None:
        """Answer; the name is the one that http.server asks for."""
        server = cast(_Server, self.server)
        status, kind, body = server.answer(self.path.partition("?")[0], self.headers.get("Authorization", ""))
        if status == 401:
            log.warning("service_call_refused", path=self.path[:200])
        self.send_response_only(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        if status == 401:
            self.send_header("WWW-Authenticate", "Bearer")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: only refusals are worth a line, and they have one."""


def _registry() -> CollectorRegistry:
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return REGISTRY
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return registry


def _json(status: int, values: Mapping[str, object]) -> Reply:
    return status, "application/json", json.dumps(values).encode()


def _problem(status: int, title: str, detail: str) -> Reply:
    values = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    return status, "application/problem+json", json.dumps(values).encode()
