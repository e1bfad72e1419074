"""The twin of backups: rows of the simulator's file, whole after a time. Nothing is copied."""

import hashlib
import json
from collections.abc import Callable

from zentry_web.adapters.compute.backups import BackupProgress
from zentry_web.adapters.compute.base import ComputeRefused, MachineMissing
from zentry_web.adapters.compute.simulator.faults import SimulatorFaults
from zentry_web.adapters.compute.simulator.rebuilds import MADE_AS
from zentry_web.adapters.compute.simulator.store import SimulatedMachine, SimulatorStore
from zentry_web.adapters.compute.words import NO_SUCH_BACKUP, OFF_FIRST, SAVED_FIRST, SNAPSHOT
from zentry_web.domain.language import kept

COPY_SECONDS = 2.0
PLACE_BYTES = 1 << 42  # make-believe, as the next
BYTES_PER_GIB = 40_000_000  # what a compressed copy of a young disk takes


class SimulatorBackups:
    """A ``BackupDriver`` whose backups are rows of ``store``."""

    def __init__(self, store: SimulatorStore, faults: SimulatorFaults, now: Callable[[], float]) -> None:
        self._store = store
        self._faults = faults
        self._now = now

    def trouble(self) -> str:
        return ""

    def room(self) -> tuple[int, int]:
        return PLACE_BYTES, PLACE_BYTES // 2

    def begin(self, vm_id: str, backup_id: str) -> None:
        late = self._faults.before(vm_id, "backup")
        machine = self._get(vm_id)
        with self._store.write() as connection:
            connection.execute(
                "INSERT OR IGNORE INTO backup (backup_id, vm_id, disk_gib, begun_at, seconds) VALUES (?, ?, ?, ?, ?)",
                (backup_id, vm_id, machine.disk_gib, self._now(), self._faults.phase(vm_id, "copy", COPY_SECONDS)),
            )
        self._faults.after(late)

    def progress(self, backup_id: str) -> BackupProgress | None:
        with self._store.read() as connection:
            row = connection.execute(
                "SELECT vm_id, disk_gib, begun_at, seconds FROM backup WHERE backup_id = ?", (backup_id,)
            ).fetchone()
        if row is None:
            return None
        vm_id, disk_gib, begun_at, seconds = row
        self._faults.before(vm_id, "backup_progress")
        part = _part(self._now() - begun_at, seconds)
        if part < 1:
            return BackupProgress(part)
        digest = hashlib.sha256(backup_id.encode()).hexdigest()
        return BackupProgress(1.0, True, disk_gib * BYTES_PER_GIB, disk_gib, digest)

    def abort(self, vm_id: str, backup_id: str) -> None:
        found = self.progress(backup_id)
        if found is not None and not found.whole:
            self.delete(backup_id)

    def restore(self, vm_id: str, backup_id: str, key: str) -> None:
        late = self._faults.before(vm_id, "restore")
        machine = self._get(vm_id)
        if self.restoring(vm_id, key) is None:
            self._check_restore(machine, self.progress(backup_id))
            with self._store.write() as connection:
                connection.execute(
                    "INSERT INTO restore (key, vm_id, begun_at, seconds) VALUES (?, ?, ?, ?)",
                    (key, vm_id, self._now(), self._faults.phase(vm_id, "copy", COPY_SECONDS)),
                )
        self._faults.after(late)

    def restoring(self, vm_id: str, key: str) -> BackupProgress | None:
        with self._store.read() as connection:
            row = connection.execute("SELECT begun_at, seconds FROM restore WHERE key = ?", (key,)).fetchone()
        if row is None:
            return None
        part = _part(self._now() - row[0], row[1])
        if part == 1:
            self._exchange(vm_id, key)
        return BackupProgress(part, whole=part == 1)

    def abandon(self, vm_id: str, key: str) -> None:
        found = self.restoring(vm_id, key)
        if found is not None and not found.whole:
            with self._store.write() as connection:
                connection.execute("DELETE FROM restore WHERE key = ?", (key,))

    def delete(self, backup_id: str) -> None:
        with self._store.write() as connection:
            connection.execute("DELETE FROM backup WHERE backup_id = ?", (backup_id,))

    def stored(self) -> tuple[str, ...]:
        with self._store.read() as connection:
            rows = connection.execute(
                "SELECT backup_id FROM backup WHERE begun_at + seconds <= ? ORDER BY backup_id", (self._now(),)
            ).fetchall()
        return tuple(row[0] for row in rows)

    def _exchange(self, vm_id: str, key: str) -> None:
        machine = self._store.find(vm_id)
        if machine is not None and machine.replaced != key:
            before = json.dumps({"as": key} | {name: getattr(machine, name) for name in MADE_AS})
            with self._store.write() as connection:
                self._store.update(connection, vm_id, aside=before, replaced=key)

    def _check_restore(self, machine: SimulatedMachine, backup: BackupProgress | None) -> None:
        if backup is None or not backup.whole:
            raise ComputeRefused(NO_SUCH_BACKUP)
        if machine.is_on(self._now()):
            raise ComputeRefused(OFF_FIRST)
        if machine.saved:
            raise ComputeRefused(SAVED_FIRST)
        if machine.snapshot:
            raise ComputeRefused(SNAPSHOT)
        if backup.disk_gib > machine.disk_gib:
            raise ComputeRefused(f"The backup holds a disk of {backup.disk_gib} GiB, and the machine’s is smaller.")

    def _get(self, vm_id: str) -> SimulatedMachine:
        machine = self._store.find(vm_id)
        if machine is None:
            raise MachineMissing(kept("The machine does not exist on the host."))
        return machine


def _part(passed: float, seconds: float) -> float:
    return 1.0 if passed >= seconds else passed / seconds
