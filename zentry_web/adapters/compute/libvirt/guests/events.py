"""libvirt's events as hints for Zentry: translated, debounced, told from a thread of our own."""

import logging
import queue
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import libvirt

from zentry_web.adapters.compute.base import ComputeUnavailable, MachineEvent
from zentry_web.adapters.compute.libvirt.connection import LibvirtConnection
from zentry_web.adapters.compute.listeners import Listeners

logger = logging.getLogger(__name__)

DEBOUNCE_SECONDS = 1.0
RECONNECT_SECONDS = 2.0
# What the guest's own "I am done" (SHUTDOWN) tells is told again by STOPPED.
_KINDS = {
    libvirt.VIR_DOMAIN_EVENT_STARTED: "started",
    libvirt.VIR_DOMAIN_EVENT_SUSPENDED: "paused",
    libvirt.VIR_DOMAIN_EVENT_PMSUSPENDED: "paused",
    libvirt.VIR_DOMAIN_EVENT_RESUMED: "resumed",
    libvirt.VIR_DOMAIN_EVENT_STOPPED: "stopped",
    libvirt.VIR_DOMAIN_EVENT_CRASHED: "stopped",
    libvirt.VIR_DOMAIN_EVENT_UNDEFINED: "deleted",
}


class LibvirtEvents:
    """Registers with each new connection; one thread tells the listeners and reconnects when the connection is lost.

    ``identify`` gives the vm_id of a domain (name, uuid), None if it is ours but unknown, or raises LookupError for
    a domain that is not ours.
    """

    def __init__(self, identify: Callable[[str, str], str | None]) -> None:
        self._identify = identify
        self._queue: queue.SimpleQueue[tuple[str, str, str] | None] = queue.SimpleQueue()
        self._listeners = Listeners()
        self._told: dict[str, tuple[str, float]] = {}
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._opened = 0

    def register(self, connection: Any) -> None:
        """Listen on a connection that was just opened."""
        lifecycle, reboot = libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, libvirt.VIR_DOMAIN_EVENT_ID_REBOOT
        connection.domainEventRegisterAny(None, lifecycle, self._on_lifecycle, None)
        connection.domainEventRegisterAny(None, reboot, self._on_reboot, None)
        self._opened += 1

    def subscribe(self, callback: Callable[[MachineEvent], None], connection: LibvirtConnection) -> None:
        """Add a listener; the first one starts the thread, which also keeps the connection open from now on."""
        self._listeners.add(callback)
        if self._thread is None:
            self._thread = threading.Thread(target=self._follow, args=(connection,), name="libvirt-tell", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Stop the thread."""
        self._closing.set()
        self._queue.put(None)
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout=5)

    # These two run in libvirt's event loop, where calling libvirt could wait for itself: only note it.

    def _on_lifecycle(self, _connection: Any, domain: Any, event: int, detail: int, _opaque: Any) -> None:
        kind = _KINDS.get(event)
        if (event, detail) == (libvirt.VIR_DOMAIN_EVENT_STARTED, libvirt.VIR_DOMAIN_EVENT_STARTED_WAKEUP):
            kind = "resumed"
        if kind is not None:
            self._queue.put((domain.name(), domain.UUIDString(), kind))

    def _on_reboot(self, _connection: Any, domain: Any, _opaque: Any) -> None:
        self._queue.put((domain.name(), domain.UUIDString(), "rebooted"))

    def _follow(self, connection: LibvirtConnection) -> None:
        seen, was_away = 0, False
        while not self._closing.is_set():
            try:
                connection.ensure()
                if was_away or (seen and self._opened > seen):
                    self._listeners.tell(MachineEvent(None, "reconnected", datetime.now(UTC)))
                seen, was_away = self._opened, False
            except ComputeUnavailable as error:
                was_away = True
                logger.info("libvirt is away: %s", error)
            try:
                noted = self._queue.get(timeout=RECONNECT_SECONDS)
            except queue.Empty:
                continue
            if noted is not None:
                self._pass_on(*noted)

    def _pass_on(self, name: str, uuid: str, kind: str) -> None:
        # A restart is told three times by libvirt; only a repetition of the last thing told is left out.
        now = time.monotonic()
        last_kind, last_at = self._told.get(uuid, ("", 0.0))
        if last_kind == kind and now - last_at < DEBOUNCE_SECONDS:
            return
        try:
            vm_id = self._identify(name, uuid)
        except LookupError:
            return
        self._told = {key: told for key, told in self._told.items() if now - told[1] < DEBOUNCE_SECONDS}
        self._told[uuid] = (kind, now)
        self._listeners.tell(MachineEvent(vm_id, kind, datetime.now(UTC)))
