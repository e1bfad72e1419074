"""The connection to libvirt: opened when needed, opened again when dead, never waited for without end."""

import logging
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import libvirt

from zentry_web.adapters.compute.base import ComputeError, ComputeRefused, ComputeTimeout, ComputeUnavailable
from zentry_web.adapters.compute.base import MachineMissing as Missing
from zentry_web.adapters.compute.libvirt.bounded import BoundedCalls, GaveUp, TooManyStuck

logger = logging.getLogger(__name__)

T = TypeVar("T")

OPEN_SECONDS = 10.0
KEEPALIVE_SECONDS, KEEPALIVE_TRIES = 5, 3
_MISSING = {libvirt.VIR_ERR_NO_DOMAIN, libvirt.VIR_ERR_NO_NETWORK}
_AWAY = {
    libvirt.VIR_ERR_NO_CONNECT,
    libvirt.VIR_ERR_INVALID_CONN,
    libvirt.VIR_ERR_RPC,
    libvirt.VIR_ERR_AUTH_FAILED,
    libvirt.VIR_ERR_AUTH_UNAVAILABLE,
}
_CLOSED = "client socket is closed"
_LATER = {libvirt.VIR_ERR_OPERATION_TIMEOUT, libvirt.VIR_ERR_AGENT_UNRESPONSIVE, libvirt.VIR_ERR_RESOURCE_BUSY}

_loop_lock = threading.Lock()
_loop_started = False


def start_event_loop() -> None:
    """libvirt's own event loop in one thread for the process; keep-alive and events need it."""
    global _loop_started
    with _loop_lock:
        if _loop_started:
            return
        libvirt.registerErrorHandler(lambda _context, error: logger.debug("libvirt: %s", error[2]), None)
        libvirt.virEventRegisterDefaultImpl()
        threading.Thread(target=_run_event_loop, name="libvirt-events", daemon=True).start()
        _loop_started = True


def _run_event_loop() -> None:
    while True:
        if libvirt.virEventRunDefaultImpl() < 0:
            logger.warning("libvirt's event loop met an error and goes on")


class _Attempt:
    """Opening a connection, in a thread of its own: it may take as long as the daemon likes."""

    def __init__(self, work: Callable[["_Attempt"], None]) -> None:
        self.done = threading.Event()
        self.connection: Any = None
        self.error: Any = None
        threading.Thread(target=work, args=(self,), name="libvirt-open", daemon=True).start()


class LibvirtConnection:
    """One connection, shared by all threads of the driver."""

    def __init__(self, uri: str, on_open: Callable[[Any], None] | None = None) -> None:
        self.uri = uri
        self._on_open = on_open
        self._calls = BoundedCalls("libvirt-call")
        self._lock = threading.RLock()
        self._attempt: _Attempt | None = None
        self._connection: Any = None
        self._closed = False

    def call(self, function: Callable[[Any], T], seconds: float = 10.0, *, changes: bool = False, about: str = "") -> T:
        """Run ``function(connection)``, within ``seconds``.

        Raises ComputeUnavailable when nothing was done, ComputeTimeout when it may have been, ComputeRefused when
        libvirt said no, MachineMissing. ``changes``: a lost connection leaves the outcome open. ``about``: the machine
        that may make it hang; while such a call hangs no other about the same is begun. A ``libvirtError`` that the
        function wants to treat itself it must catch itself.
        """
        connection = self._open()
        try:
            return self._calls.run(lambda: function(connection), seconds, about)
        except GaveUp:
            self._drop(connection)
            if changes:
                raise ComputeTimeout("libvirt gave no answer in time; it may or may not have done it.") from None
            raise ComputeUnavailable("libvirt gives no answer.") from None
        except TooManyStuck:
            raise ComputeUnavailable("libvirt gives no answer.") from None
        except libvirt.libvirtError as error:
            raise self._translate(connection, error, changes) from error

    def is_alive(self) -> bool:
        """Whether there is an open connection now; opens none."""
        connection = self._connection
        return connection is not None and _is_alive(connection)

    def ensure(self, seconds: float = OPEN_SECONDS) -> None:
        """Open the connection if it is not. Raises ComputeUnavailable."""
        self._open(seconds)

    def close(self) -> None:
        """Close it for good."""
        self._closed = True
        self._drop(self._connection, wait=2.0)

    def _open(self, seconds: float = OPEN_SECONDS) -> Any:
        connection = self._connection
        if connection is not None and _is_alive(connection):
            return connection
        if self._closed:
            raise ComputeUnavailable("The connection to libvirt was closed.")
        with self._lock:
            if self._connection is connection and connection is not None:
                self._drop(connection)
            # One attempt at a time: who comes later, or has waited in vain before, waits for the one under way.
            if self._attempt is None:
                self._attempt = _Attempt(self._open_now)
            attempt = self._attempt
        if not attempt.done.wait(seconds):
            raise ComputeUnavailable("libvirt gives no answer.")
        if attempt.error is not None:
            raise ComputeUnavailable(f"libvirt does not answer: {_message(attempt.error)}.") from attempt.error
        return attempt.connection

    def _open_now(self, attempt: "_Attempt") -> None:
        try:
            start_event_loop()
            connection = libvirt.open(self.uri)
            connection.setKeepAlive(KEEPALIVE_SECONDS, KEEPALIVE_TRIES)
            if self._on_open is not None:
                self._on_open(connection)
            attempt.connection = connection
        except libvirt.libvirtError as error:
            attempt.error = error
        with self._lock:
            self._attempt = None
            if attempt.connection is not None:
                self._connection = attempt.connection
            attempt.done.set()
        if self._closed:
            self._drop(attempt.connection)

    def _drop(self, connection: Any, wait: float = 0.2) -> None:
        if connection is None:
            return
        if self._connection is connection:
            self._connection = None
        # Closing may wait for a peer that hangs; nobody else need wait for that.
        thread = threading.Thread(target=_close, args=(connection,), name="libvirt-close", daemon=True)
        thread.start()
        thread.join(wait)

    def _translate(self, connection: Any, error: Any, changes: bool) -> ComputeError:
        code = error.get_error_code()
        message = _message(error)
        if not _is_alive(connection) or code in _AWAY:
            self._drop(connection)
            if changes:
                return ComputeTimeout("The connection to libvirt broke; it may or may not have done it.")
            return ComputeUnavailable("The connection to libvirt broke.")
        if _CLOSED in message:  # asked of a machine that was looked up by a connection before this one
            lost = "The connection to libvirt broke."
            return ComputeTimeout(lost) if changes else ComputeUnavailable(lost)
        if code in _MISSING:
            return Missing("The machine does not exist on the host.")
        if code in _LATER:
            return ComputeTimeout(f"libvirt is busy: {message}.")
        if "Permission denied" in message:
            return ComputeRefused(f"The hypervisor may not use the machine’s files: {message}.")
        return ComputeRefused(f"libvirt refused: {message}.")


def _close(connection: Any) -> None:
    try:
        connection.close()
    except libvirt.libvirtError as error:
        logger.debug("Closing a dead connection: %s", error)


def _is_alive(connection: Any) -> bool:
    try:
        return bool(connection.isAlive())
    except libvirt.libvirtError:
        return False


def _message(error: Any) -> str:
    return (error.get_error_message() or "no reason given").strip().rstrip(".")
