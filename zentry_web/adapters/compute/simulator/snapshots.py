"""Snapshots of simulated machines: what of a machine's row would come back."""

import secrets

from zentry_web.adapters.compute.base import ComputeRefused, MachineMissing
from zentry_web.adapters.compute.simulator.part import MachinePart
from zentry_web.adapters.compute.snapshots import MachineSnapshot
from zentry_web.adapters.compute.words import NO_SUCH_SNAPSHOT, SAVED_FIRST, SNAPSHOT
from zentry_web.domain.vms.outage import Cause

MIB = 1 << 20
HELD_BYTES = 32 * MIB  # what every simulated disk holds
FOREIGN = MachineSnapshot("by-hand", has_memory=False, is_current=False)


class SimulatorSnapshots(MachinePart):
    """See Snapshots."""

    def create(self, vm_id: str, name: str) -> None:
        """See Snapshots.create."""
        late = self._faults.before(vm_id, "snapshot")
        machine, now = self._get(vm_id), self._now()
        if machine.saved:
            raise ComputeRefused(SAVED_FIRST)
        if machine.snapshot:
            raise ComputeRefused(SNAPSHOT)
        memory = machine.memory_mib * MIB if machine.is_on(now) else 0
        left = max(0.0, machine.answer_at - now) if machine.answer_at is not None else 0.0  # seconds until it answers
        with self._store.write() as connection:
            known = connection.execute("SELECT 1 FROM snapshot WHERE vm_id = ? AND name = ?", (vm_id, name)).fetchone()
            if not known:
                connection.execute("UPDATE snapshot SET current = 0 WHERE vm_id = ?", (vm_id,))
                connection.execute(
                    "INSERT INTO snapshot (vm_id, name, memory, held, boot_left, current) VALUES (?, ?, ?, ?, ?, 1)",
                    (vm_id, name, memory, HELD_BYTES, left),
                )
        self._faults.after(late)

    def list(self, vm_id: str) -> list[MachineSnapshot]:
        """See Snapshots.list."""
        self._faults.before(vm_id, "snapshots")
        machine = self._get(vm_id)
        with self._store.read() as connection:
            rows = connection.execute(
                "SELECT name, memory, held, current FROM snapshot WHERE vm_id = ? ORDER BY rowid", (vm_id,)
            ).fetchall()
        mine = [
            MachineSnapshot(name, bool(memory), bool(current), memory + held) for name, memory, held, current in rows
        ]
        return [FOREIGN, *mine] if machine.snapshot else mine

    def revert(self, vm_id: str, name: str) -> None:
        """See Snapshots.revert."""
        late = self._faults.before(vm_id, "revert")
        self._get(vm_id)
        now = self._now()
        with self._store.write() as connection:
            query = "SELECT memory, boot_left FROM snapshot WHERE vm_id = ? AND name = ?"
            row = connection.execute(query, (vm_id, name)).fetchone()
            if row is None:
                raise ComputeRefused(NO_SUCH_SNAPSHOT)
            values: dict[str, object] = {"stop_at": now, "fault": "", "pause": "", "saved": 0}
            values["ended"] = "" if row[0] else Cause.HAND
            if row[0]:
                values |= {"run_id": secrets.token_hex(6), "run_from": now, "boot_from": now, "stop_at": None}
                values |= {"boot_seconds": row[1], "answer_at": now + row[1]}
            self._store.update(connection, vm_id, **values)
            connection.execute("UPDATE snapshot SET current = (name = ?) WHERE vm_id = ?", (name, vm_id))
            self._store.add_event(connection, vm_id, "started" if row[0] else "stopped", now)
        self._faults.after(late)

    def delete(self, vm_id: str, name: str) -> None:
        """See Snapshots.delete."""
        late = self._faults.before(vm_id, "discard")
        try:
            self._get(vm_id)
        except MachineMissing:
            return
        with self._store.write() as connection:
            connection.execute("DELETE FROM snapshot WHERE vm_id = ? AND name = ?", (vm_id, name))
        self._faults.after(late)
