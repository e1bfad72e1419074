"""The twin of proofs: rows of the simulator's file. A guest is up after a time; one that ignores the order to boot (the
fault ``ignore``) says that its disk is broken."""

from collections.abc import Callable

from zentry_web.adapters.compute.base import ComputeRefused
from zentry_web.adapters.compute.proofs import ProofLook, ProofOrder, ProofSign
from zentry_web.adapters.compute.simulator.faults import SimulatorFaults
from zentry_web.adapters.compute.simulator.store import SimulatorStore
from zentry_web.adapters.compute.words import NO_SUCH_BACKUP

PROOF_SECONDS = 3.0
_BROKEN = "data: /dev/vda could not be mounted; /data is in memory and will be lost\n"


class SimulatorProofs:
    """See BackupProofs."""

    def __init__(
        self,
        store: SimulatorStore,
        faults: SimulatorFaults,
        names: Callable[[], tuple[str, ...]],
        now: Callable[[], float],
    ) -> None:
        self._store, self._faults, self._names, self._now = store, faults, names, now

    def begin(self, order: ProofOrder) -> None:
        """See BackupProofs.begin."""
        late = self._faults.before(order.vm_id, "prove")
        if order.image not in self._names():
            raise ComputeRefused(f"The image “{order.image}” is not on this host.")
        seconds = self._faults.phase(order.vm_id, "proof", PROOF_SECONDS)
        with self._store.write() as connection:
            whole = "SELECT 1 FROM backup WHERE backup_id = ? AND begun_at + seconds <= ?"
            if not connection.execute(whole, (order.backup_id, self._now())).fetchone():
                raise ComputeRefused(NO_SUCH_BACKUP)
            connection.execute(
                "INSERT OR IGNORE INTO proof (backup_id, vm_id, begun_at, seconds) VALUES (?, ?, ?, ?)",
                (order.backup_id, order.vm_id, self._now(), -seconds if "ignore" in late else seconds),
            )
        self._faults.after(late)

    def look(self, backup_id: str) -> ProofLook | None:
        """See BackupProofs.look."""
        with self._store.read() as connection:
            query = "SELECT vm_id, begun_at, seconds FROM proof WHERE backup_id = ?"
            row = connection.execute(query, (backup_id,)).fetchone()
        if row is None:
            return None
        vm_id, begun_at, seconds = row
        self._faults.before(vm_id, "prove_look")
        passed = self._now() - begun_at
        text = "Linux 6.1.0-simulated\n"
        if passed < abs(seconds):
            return ProofLook(passed, ProofSign.OUTPUT, text)
        if seconds < 0:
            return ProofLook(passed, ProofSign.BROKEN, text + _BROKEN)
        return ProofLook(passed, ProofSign.UP, f"{text}ZENTRY-READY {vm_id} {seconds:.2f} at={int(begun_at)}\n")

    def end(self, backup_id: str) -> None:
        """See BackupProofs.end."""
        with self._store.write() as connection:
            connection.execute("DELETE FROM proof WHERE backup_id = ?", (backup_id,))

    def stored(self) -> tuple[str, ...]:
        """See BackupProofs.stored."""
        with self._store.read() as connection:
            return tuple(row[0] for row in connection.execute("SELECT backup_id FROM proof ORDER BY backup_id"))
