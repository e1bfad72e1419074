"""The gunicorn worker that serves Zentry: threads with a front door, where whoever is slow waits without a thread.

gunicorn's own threaded worker hands a connection to a thread with its first byte, so some hundred senders of a byte now
and then hold all of them. Here the main loop gathers a request until it is whole (request_bytes.py), under a deadline
for its head and one for its body, and a thread never waits for a sender. When connections run out, the one that has
kept its request back the longest goes. A thread that waits for a slow reader is bounded, too: of those the slowest go
as soon as they hold a quarter of all threads. Live streams hold at most half (web/stream_board.py), so there are always
threads left for pages.
"""

import contextlib
import errno
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from selectors import EVENT_READ
from typing import Any

from gunicorn import http
from gunicorn.workers.gthread import STOP_KEEPALIVE_LINGER, TConn, ThreadWorker

from zentry_web.request_bytes import RequestBytes, Stage

HEAD_SECONDS = 10.0  # from its first byte
BODY_SECONDS = 30.0  # from the end of the head
CLOSE_SECONDS = 2.0  # for the other side to close, so that it reads our last bytes
READER_SECONDS = 20.0  # that a reader may keep us waiting,
READER_BYTES_PER_SECOND = 8 * 1024  # and longer the more it has read
MOST_HELD = 64 * 1024 * 1024  # bytes of unfinished requests, together
CHUNK = 64 * 1024
LOOK_SECONDS = 0.5
_NOTHING_THERE = (errno.EAGAIN, errno.ECONNABORTED, errno.EWOULDBLOCK, errno.EINTR)
_NO_FILES_LEFT = (errno.EMFILE, errno.ENFILE)


class Readers:
    """The sockets that keep a thread waiting at this moment, because the other side does not read."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._waiting: set[PatientSocket] = set()

    def begin(self, reader: "PatientSocket") -> None:
        """One more waits; above the limit, the one that has kept us waiting the longest is cut off."""
        with self._lock:
            self._waiting.add(reader)
            if len(self._waiting) <= self._most:
                return
            slowest = max(self._waiting, key=lambda each: each.waited())
            self._waiting.discard(slowest)
        with contextlib.suppress(OSError):
            slowest.shutdown(socket.SHUT_RDWR)

    def end(self, reader: "PatientSocket") -> None:
        with self._lock:
            self._waiting.discard(reader)


class PatientSocket(socket.socket):
    """A connection whose reader may be slow for a while, but not for good."""

    readers: Readers
    is_handed_over = False  # another process has it now, and closes it
    _sent = 0
    _blocked = 0.0
    _since: float | None = None

    def waited(self) -> float:
        """Seconds that this answer's reader has kept a thread waiting."""
        return self._blocked + (time.monotonic() - self._since if self._since else 0.0)

    def begin_answer(self) -> None:
        """Count anew."""
        self._sent, self._blocked = 0, 0.0

    def sendall(self, data: Any, flags: int = 0) -> None:
        """Send all of ``data``. BrokenPipeError when the reader was too slow for too long."""
        view = memoryview(data).cast("B")
        self.setblocking(False)
        sent = 0
        with contextlib.suppress(BlockingIOError):
            sent = self.send(view, flags)
        self._sent += sent
        if sent < len(view):
            self._wait_for_reader(view[sent:], flags)

    def _wait_for_reader(self, rest: memoryview, flags: int) -> None:
        self._since = time.monotonic()
        self.readers.begin(self)
        try:
            patience = READER_SECONDS + self._sent / READER_BYTES_PER_SECOND - self._blocked
            self.settimeout(max(0.1, patience))
            super().sendall(rest, flags)
            self._sent += len(rest)
        except TimeoutError:
            raise BrokenPipeError(errno.EPIPE, "the reader is too slow") from None
        finally:
            self.readers.end(self)
            self._blocked, self._since = self.waited(), None


class Visit(TConn):  # type: ignore[misc]  # gunicorn has no types
    """One connection, and what has arrived on it."""

    def __init__(self, cfg: Any, sock: PatientSocket, client: Any, server: Any) -> None:
        super().__init__(cfg, sock, client, server)
        self.request = RequestBytes()
        self.initialized = True  # begin() does what gunicorn's init() would
        self.is_known = False  # at least one request was answered on it
        self.is_last = False
        self.is_closing = False
        self.in_body = False

    def begin(self) -> None:
        """Hand the whole request to a parser of its own, which therefore never reads from the socket."""
        self.is_last = self.request.is_cut
        self.in_body = False
        self.sock.begin_answer()
        self.parser = http.get_parser(self.cfg, iter([self.request.take()]), self.client)

    def ended_as_announced(self) -> bool:
        """Whether the parser saw the request end where we did. If not, what comes next cannot be trusted."""
        unreader = self.parser.unreader
        return unreader.iter is not None and not unreader.buf.getvalue()


class FrontDoorWorker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """gthread, but requests are gathered in the main loop. Everything below ``handle`` runs in that loop."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._waiting: dict[Visit, None] = {}  # that no thread works for, those that came first in front
        self._held = 0
        self._next_look = 0.0
        self._readers = Readers(max(1, self.cfg.threads // 4))

    # -- in a thread ---------------------------------------------------------------------------

    def _keepalive_after(self, conn: Visit, keepalive: bool) -> bool:
        return super()._keepalive_after(conn, keepalive) and not conn.is_last and conn.ended_as_announced()

    # -- in the main loop ----------------------------------------------------------------------

    def accept(self, listener: socket.socket) -> None:
        """Take a connection and wait for its request."""
        try:
            plain, client = listener.accept()
        except OSError as error:
            if error.errno in _NO_FILES_LEFT:
                self._make_room()
            elif error.errno not in _NOTHING_THERE:
                raise
            return
        sock = PatientSocket(plain.family, plain.type, plain.proto, fileno=plain.detach())
        sock.readers = self._readers
        self.nr_conns += 1
        if self.nr_conns >= self.worker_connections:
            self._make_room()
        # Proxies open connections ahead of need: one that has said nothing yet waits as long as one between requests.
        self._wait_for(Visit(self.cfg, sock, client, listener.getsockname()), self.cfg.keepalive)

    def finish_request(self, conn: Visit, fs: "Future[Any]") -> None:
        """A thread is done with this connection: wait for its next request, or close it."""
        keeps = not fs.cancelled() and fs.exception() is None and fs.result() is True
        conn.is_known = True
        if conn.sock.is_handed_over:
            self._close(conn)  # our copy: nothing is said on it any more
            return
        conn.sock.setblocking(False)
        if not keeps:
            self._say_goodbye(conn)
            return
        self._wait_for(conn, self.cfg.keepalive if self.alive else STOP_KEEPALIVE_LINGER)
        if len(conn.request):
            self._go_on(conn)

    def _wait_for(self, conn: Visit, seconds: float, then: Callable[[Visit, Any], None] | None = None) -> None:
        conn.timeout = time.monotonic() + seconds
        self._waiting[conn] = None
        self.poller.register(conn.sock, EVENT_READ, partial(then or self._read, conn))

    def _leave_poller(self, conn: Visit) -> None:
        del self._waiting[conn]
        self.poller.unregister(conn.sock)

    def _read(self, conn: Visit, _sock: Any) -> None:
        data = _received(conn)
        if data is None:
            return
        if not data:
            self._drop(conn)
            return
        if not len(conn.request):
            conn.timeout = min(conn.timeout, time.monotonic() + HEAD_SECONDS)
        conn.request.add(data)
        self._held += len(data)
        self._go_on(conn)
        largest = (
            max(self._waiting, key=lambda each: len(each.request), default=None) if self._held > MOST_HELD else None
        )
        if largest is not None:
            self._drop(largest)

    def _go_on(self, conn: Visit) -> None:
        """Look how far the request has come."""
        stage = conn.request.stage()
        if stage is Stage.WHOLE:
            self._leave_poller(conn)
            before = len(conn.request)
            conn.begin()
            self._held -= before - len(conn.request)
            self.enqueue_req(conn)
        elif stage is Stage.BODY:
            if not conn.in_body:
                conn.in_body = True
                conn.timeout = time.monotonic() + BODY_SECONDS
                if conn.request.asks_first:
                    _send(conn, b"HTTP/1.1 100 Continue\r\n\r\n")
        elif stage is not Stage.HEAD:
            self._refuse(conn, stage.value)

    def _refuse(self, conn: Visit, status: str) -> None:
        _send(conn, f"HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".encode())
        self._leave_poller(conn)
        self._say_goodbye(conn)

    def _say_goodbye(self, conn: Visit) -> None:
        """Close once the other side has (RFC 9112, 9.6); what it still sends is thrown away."""
        self._forget_bytes(conn)
        conn.is_closing = True
        try:
            conn.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self._close(conn)
            return
        self._wait_for(conn, CLOSE_SECONDS, self._throw_away)

    def _throw_away(self, conn: Visit, _sock: Any) -> None:
        if _received(conn) == b"":
            self._drop(conn)

    def _drop(self, conn: Visit) -> None:
        self._leave_poller(conn)
        self._forget_bytes(conn)
        self._close(conn)

    def _forget_bytes(self, conn: Visit) -> None:
        self._held -= len(conn.request)
        conn.request = RequestBytes()

    def _close(self, conn: Visit) -> None:
        self.nr_conns -= 1
        conn.close()

    def _make_room(self) -> None:
        """Drop the connection that has kept its first request back the longest; failing that, the oldest idle one."""
        unknown = (each for each in self._waiting if not each.is_known)
        oldest = next(unknown, None) or next(iter(self._waiting), None)
        if oldest is not None:
            self._drop(oldest)

    def murder_keepalived(self, force: bool = False) -> None:
        """End every wait that lasted too long; all of them with ``force``."""
        now = time.monotonic()
        if now < self._next_look and not force:
            return
        self._next_look = now + LOOK_SECONDS
        for conn in [each for each in self._waiting if force or each.timeout <= now]:
            if not force and len(conn.request) and not conn.is_closing:
                self._refuse(conn, "408 Request Timeout")
            else:
                self._drop(conn)

    def _cap_keepalive(self, deadline: float) -> None:
        for conn in self._waiting:
            conn.timeout = min(conn.timeout, deadline)


def _received(conn: Visit) -> bytes | None:
    """What arrived; empty when the other side is gone, None when there is nothing after all."""
    try:
        return bytes(conn.sock.recv(CHUNK))
    except BlockingIOError:
        return None
    except OSError:
        return b""


def _send(conn: Visit, data: bytes) -> None:
    """A few bytes of ours, if the other side takes them."""
    with contextlib.suppress(OSError):
        conn.sock.send(data)
