"""The twin of disks' copies: rows of the simulator's file, whole after a time. Nothing is copied."""

from zentry_web.adapters.compute.base import ComputeRefused
from zentry_web.adapters.compute.copies import CopyProgress, DiskSource
from zentry_web.adapters.compute.simulator.part import MachinePart
from zentry_web.adapters.compute.words import NO_SUCH_BACKUP, NO_SUCH_COPY, NO_SUCH_SNAPSHOT, SAVED_FIRST, SNAPSHOT

COPY_SECONDS = 2.0


class SimulatorCopies(MachinePart):
    """See DiskCopies."""

    def begin(self, key: str, source: DiskSource, *, disk_gib: int = 0) -> None:
        """See DiskCopies.begin."""
        late = self._faults.before(source.vm_id, "copy_disk")
        seconds = self._faults.phase(source.vm_id, "copy", COPY_SECONDS)
        size = self._size_in_backup(source.backup) if source.backup else self._size_of_disk(source)
        with self._store.write() as connection:
            connection.execute(
                "INSERT OR IGNORE INTO disk_copy (key, vm_id, disk_gib, begun_at, seconds) VALUES (?, ?, ?, ?, ?)",
                (key, source.vm_id, size, self._now(), seconds),
            )
        self._faults.after(late)

    def progress(self, key: str) -> CopyProgress | None:
        """See DiskCopies.progress."""
        row = self._row(key)
        if row is None:
            return None
        vm_id, _disk_gib, begun_at, seconds = row
        self._faults.before(vm_id, "copy_progress")
        passed = self._now() - begun_at
        return CopyProgress(1.0, whole=True) if passed >= seconds else CopyProgress(passed / seconds)

    def drop(self, key: str) -> None:
        """See DiskCopies.drop."""
        row = self._row(key)
        if row is None:
            return
        late = self._faults.before(row[0], "drop_copy")
        with self._store.write() as connection:
            connection.execute("DELETE FROM disk_copy WHERE key = ?", (key,))
        self._faults.after(late)

    def stored(self) -> tuple[str, ...]:
        """See DiskCopies.stored."""
        with self._store.read() as connection:
            return tuple(row[0] for row in connection.execute("SELECT key FROM disk_copy ORDER BY key"))

    def whole(self, key: str) -> int:
        """The GiB of the disk in a whole copy. Raises ComputeRefused when it is not there."""
        row = self._row(key)
        if row is None or self._now() - row[2] < row[3]:
            raise ComputeRefused(NO_SUCH_COPY)
        return int(row[1])

    def _size_in_backup(self, backup_id: str) -> int:
        query = "SELECT disk_gib FROM backup WHERE backup_id = ? AND begun_at + seconds <= ?"
        with self._store.read() as connection:
            row = connection.execute(query, (backup_id, self._now())).fetchone()
        if row is None:
            raise ComputeRefused(NO_SUCH_BACKUP)
        return int(row[0])

    def _size_of_disk(self, source: DiskSource) -> int:
        machine = self._get(source.vm_id)
        if source.snapshot:
            query = "SELECT 1 FROM snapshot WHERE vm_id = ? AND name = ?"
            with self._store.read() as connection:
                if not connection.execute(query, (source.vm_id, source.snapshot)).fetchone():
                    raise ComputeRefused(NO_SUCH_SNAPSHOT)
        elif machine.saved or machine.snapshot:
            raise ComputeRefused(SAVED_FIRST if machine.saved else SNAPSHOT)
        return machine.disk_gib

    def _row(self, key: str) -> tuple[str, int, float, float] | None:
        with self._store.read() as connection:
            query = "SELECT vm_id, disk_gib, begun_at, seconds FROM disk_copy WHERE key = ?"
            row = connection.execute(query, (key,)).fetchone()
        return tuple(row) if row else None
