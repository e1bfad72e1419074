"""What the driver's events said last: a hint when something happened, and a reason to look now."""

import threading
from datetime import datetime

from zentry_web.adapters.compute.base import MachineEvent


class MachineEvents:
    """Remembers the newest moment per machine and kind, and wakes the reconciler. Give ``hear`` to the driver."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._newest: dict[tuple[str, str], datetime] = {}
        self._stirred: set[str] = set()
        self.something = threading.Event()
        self._woken = [self.something]

    def wake(self, sleeper: threading.Event) -> None:
        """Set this, too, whenever something was heard."""
        self._woken.append(sleeper)

    def hear(self, event: MachineEvent) -> None:
        """The driver's callback."""
        if event.vm_id is not None:
            with self._lock:
                self._newest[event.vm_id, event.kind] = event.at
                self._stirred.add(event.vm_id)
        for sleeper in self._woken:
            sleeper.set()

    def take_stirred(self) -> set[str]:
        """The machines of which something was heard since this was last asked."""
        with self._lock:
            stirred, self._stirred = self._stirred, set()
        return stirred

    def when(self, vm_id: str, kind: str, *, since: datetime, until: datetime) -> datetime | None:
        """The moment of the machine's newest event of this kind, if it lies in [since, until]."""
        with self._lock:
            at = self._newest.get((vm_id, kind))
        return at if at is not None and since <= at <= until else None

    def went(self, vm_id: str, *, since: datetime, until: datetime) -> datetime | None:
        """The moment in [since, until] at which the machine went off, if the driver told. One that is deleted may have
        been off for long."""
        return self.when(vm_id, "stopped", since=since, until=until)

    def forget(self, vm_id: str) -> None:
        """Drop what is known of a deleted machine."""
        with self._lock:
            for key in [key for key in self._newest if key[0] == vm_id]:
                del self._newest[key]
