"""What workers tell about themselves: heartbeats per loop, who leads which job, and the hypervisor's last word."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import Table, bindparam, delete, select, update
from sqlalchemy.orm import Session

from zentry_web.adapters.database import run, upsert
from zentry_web.domain.monitoring import BackupRoom, ComputeStatus, Heartbeat
from zentry_web.models import DbComputeStatus, DbHeartbeat, DbLeader, DbVM
from zentry_web.services.base_service import BaseService, Core

_VM = cast(Table, DbVM.__table__)
_SAYS = update(_VM).where(_VM.c.id == bindparam("of")).values(seen=bindparam("says"))
HEARTBEAT_KEPT = timedelta(days=1)
LONGEST_LEASE = timedelta(hours=1)
_UNCLEAR = select(DbVM.id).where(DbVM.confirmed_until.is_not(None))


class Processes(BaseService):
    """Rows by which web processes know how the worker and the hypervisor are."""

    name = "processes"

    def __init__(self, core: Core, *, compute_driver: str, compute_simulated: bool) -> None:
        super().__init__(core)
        self.driver = compute_driver
        self._simulated = compute_simulated

    def record_heartbeat(self, worker: str, loop: str, milliseconds: int, error: str = "") -> None:
        """A worker's loop went round once, in so many milliseconds, well or with ``error``."""
        self.record_heartbeats([Heartbeat(worker, loop, self.now(), milliseconds, error)])

    def record_heartbeats(self, beats: Sequence[Heartbeat]) -> None:
        """The last rounds of some loops. One statement."""
        rows = [asdict(beat) | {"error": beat.error[:500]} for beat in beats]
        with self.transaction() as session:
            _keep(session, DbHeartbeat, rows, ["worker", "loop"])

    def list_heartbeats(self) -> list[Heartbeat]:
        """Every loop of every worker seen within a day."""
        with self.reading() as session:
            rows = session.scalars(select(DbHeartbeat).order_by(DbHeartbeat.worker, DbHeartbeat.loop)).all()
            return [Heartbeat(row.worker, row.loop, row.at, row.milliseconds, row.error) for row in rows]

    def forget_old(self) -> None:
        """Drop heartbeats of workers that are long gone."""
        with self.transaction() as session:
            session.execute(delete(DbHeartbeat).where(DbHeartbeat.at < self.now() - HEARTBEAT_KEPT))

    def lead(self, job: str, worker: str, seconds: float) -> bool:
        """Take or keep the lease on a job that only one worker may do at a time. False: another has it."""
        now = self.now()
        until = now + timedelta(seconds=seconds)
        with self.transaction() as session:
            # One that lies far ahead was taken by a clock that did.
            over = (DbLeader.lease_until <= now) | (DbLeader.lease_until > now + LONGEST_LEASE)
            mine = DbLeader.job == job, (DbLeader.worker == worker) | over
            keep = update(DbLeader).where(*mine).values(worker=worker, lease_until=until)
            if run(session, keep) == 1:
                return True
            first = upsert(session, DbLeader).values(job=job, worker=worker, lease_until=now)
            session.execute(first.on_conflict_do_nothing(index_elements=["job"]))
            return run(session, keep) == 1

    def step_down(self, worker: str) -> None:
        """Give up all leases, so that another worker need not wait for them to run out."""
        with self.transaction() as session:
            session.execute(update(DbLeader).where(DbLeader.worker == worker).values(lease_until=self.now()))

    def record_compute(
        self,
        *,
        ok: bool,
        detail: str,
        answered_at: datetime | None = None,
        images: tuple[str, ...] | None = None,
        capacity: dict[str, int] | None = None,
        backups: BackupRoom | None = None,
        boot: str | None = None,
    ) -> None:
        """What was just learned of the hypervisor; what is None stays as it was."""
        values: dict[str, Any] = {
            "driver": self.driver,
            "simulated": self._simulated,
            "ok": ok,
            "detail": detail,
            "checked_at": self.now(),
            "answered_at": answered_at,
            "images": list(images or ()),
            "capacity": capacity or {},
            "backups": asdict(backups) if backups else {},
            "boot": boot or "",
        }
        kept = {"answered_at": answered_at, "images": images, "capacity": capacity, "backups": backups, "boot": boot}
        unchanged = {name for name, value in kept.items() if value is None}
        with self.transaction() as session:
            _keep(session, DbComputeStatus, [values], ["driver"], skip=unchanged)

    def record_answer(
        self, confirmed: datetime, unclear: Mapping[str, datetime], seen: Mapping[str, str] | None = None
    ) -> None:
        """Everything was listed: running seconds are confirmed up to ``confirmed``.

        ``unclear``: the VMs whose records the listing did not bear out, each with its last confirmed moment. Theirs are
        confirmed up to that one only, until a listing is clear again. ``seen``: what the listing says of those VMs of
        which it says something new.
        """
        values: dict[str, Any] = {"ok": True, "checked_at": self.now(), "answered_at": confirmed}
        with self.transaction() as session:
            known = set(session.scalars(_UNCLEAR))
            for vm_id in sorted(known ^ unclear.keys()):  # the row's version stays: the VM itself has not changed
                session.execute(update(_VM).where(_VM.c.id == vm_id).values(confirmed_until=unclear.get(vm_id)))
            if seen:
                rows = [{"of": vm_id, "says": word} for vm_id, word in seen.items()]
                session.connection().execute(_SAYS.values(seen_since=confirmed), rows)
            run(session, update(DbComputeStatus).where(DbComputeStatus.driver == self.driver).values(**values))

    def get_confirmed(self, vm_id: str) -> datetime | None:
        """Up to when this VM's running seconds are confirmed; None: never yet."""
        with self.reading() as session:
            unclear = session.scalar(select(DbVM.confirmed_until).where(DbVM.id == vm_id))
            return unclear or self.get_compute().answered_at

    def get_compute(self) -> ComputeStatus:
        """The hypervisor as last heard of; not ok when no worker has reported yet."""
        with self.reading() as session:
            return self.as_status(session.get(DbComputeStatus, self.driver))

    def as_status(self, row: Any) -> ComputeStatus:
        """What the row of ``driver``, or its columns, say; None: no worker has reported yet."""
        if row is None:
            never = "No worker has reported yet."
            return ComputeStatus(self.driver, self._simulated, False, never, None, None, (), {}, worker_ok=False)
        backups = BackupRoom(**row.backups) if row.backups else None
        seen = (row.answered_at, row.checked_at, tuple(row.images), dict(row.capacity), backups)
        return ComputeStatus(row.driver, row.simulated, row.ok, row.detail, *seen, boot=row.boot)


def _keep(
    session: Session, table: Any, rows: list[dict[str, Any]], key: list[str], *, skip: Iterable[str] = ()
) -> None:
    """Write rows, or of those that are there all but their key and what is skipped."""
    written = upsert(session, table).values(rows)
    changed = {name: written.excluded[name] for name in rows[0] if name not in key and name not in skip}
    session.execute(written.on_conflict_do_update(index_elements=key, set_=changed))
