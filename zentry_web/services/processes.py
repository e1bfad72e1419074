"""What workers tell about themselves: heartbeats per loop, who leads which job, and the hypervisor's last word."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import Table, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite

from zentry_web.domain.monitoring import ComputeStatus, Heartbeat
from zentry_web.models import DbComputeStatus, DbHeartbeat, DbLeader, DbVM
from zentry_web.services.base_service import BaseService, Core

_VM = cast(Table, DbVM.__table__)
HEARTBEAT_KEPT = timedelta(days=1)


class Processes(BaseService):
    """Rows by which web processes know how the worker and the hypervisor are."""

    name = "processes"

    def __init__(self, core: Core, *, compute_driver: str, compute_simulated: bool) -> None:
        super().__init__(core)
        self._driver = compute_driver
        self._simulated = compute_simulated

    def record_heartbeat(self, worker: str, loop: str, milliseconds: int, error: str = "") -> None:
        """A worker's loop went round once, in so many milliseconds, well or with ``error``."""
        values = {"worker": worker, "loop": loop, "at": self.now(), "milliseconds": milliseconds, "error": error[:500]}
        with self.transaction() as session:
            session.execute(self._upsert(DbHeartbeat, values, ["worker", "loop"]))

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
            session.execute(
                self._insert(DbLeader)
                .values(job=job, worker=worker, lease_until=now)
                .on_conflict_do_nothing(index_elements=["job"])
            )
            result: Any = session.execute(
                update(DbLeader)
                .where(DbLeader.job == job, (DbLeader.worker == worker) | (DbLeader.lease_until <= now))
                .values(worker=worker, lease_until=until)
            )
            return bool(result.rowcount == 1)

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
    ) -> None:
        """What was just learned of the hypervisor; what is None stays as it was."""
        values: dict[str, Any] = {
            "driver": self._driver,
            "simulated": self._simulated,
            "ok": ok,
            "detail": detail,
            "checked_at": self.now(),
            "answered_at": answered_at,
            "images": list(images or ()),
            "capacity": capacity or {},
        }
        kept = {"answered_at": answered_at, "images": images, "capacity": capacity}
        unchanged = {name for name, value in kept.items() if value is None}
        with self.transaction() as session:
            session.execute(self._upsert(DbComputeStatus, values, ["driver"], skip=unchanged))

    def record_answer(self, confirmed: datetime, unclear: Mapping[str, datetime]) -> None:
        """Everything was listed: running seconds are confirmed up to ``confirmed``.

        ``unclear``: the VMs whose records the listing did not bear out, each with its last confirmed moment. Theirs are
        confirmed up to that one only, until a listing is clear again.
        """
        values: dict[str, Any] = {"ok": True, "checked_at": self.now(), "answered_at": confirmed}
        with self.transaction() as session:
            known = set(session.scalars(select(DbVM.id).where(DbVM.confirmed_until.is_not(None))))
            for vm_id in sorted(known ^ unclear.keys()):  # the row's version stays: the VM itself has not changed
                session.execute(update(_VM).where(_VM.c.id == vm_id).values(confirmed_until=unclear.get(vm_id)))
            session.execute(update(DbComputeStatus).where(DbComputeStatus.driver == self._driver).values(**values))

    def get_confirmed(self, vm_id: str) -> datetime | None:
        """Up to when this VM's running seconds are confirmed; None: never yet."""
        with self.reading() as session:
            unclear = session.scalar(select(DbVM.confirmed_until).where(DbVM.id == vm_id))
            return unclear or self.get_compute().answered_at

    def get_compute(self) -> ComputeStatus:
        """The hypervisor as last heard of; not ok when no worker has reported yet."""
        with self.reading() as session:
            row = session.get(DbComputeStatus, self._driver)
            if row is None:
                return ComputeStatus(
                    self._driver, self._simulated, False, "No worker has reported yet.", None, None, (), {}
                )
            return ComputeStatus(
                row.driver,
                row.simulated,
                row.ok,
                row.detail,
                row.answered_at,
                row.checked_at,
                tuple(row.images),
                dict(row.capacity),
            )

    def _insert(self, table: Any) -> Any:
        return sqlite.insert(table) if self._database.is_sqlite else postgresql.insert(table)

    def _upsert(self, table: Any, values: dict[str, Any], key: list[str], skip: set[str] | None = None) -> Any:
        changed = {name: value for name, value in values.items() if name not in key and name not in (skip or set())}
        return self._insert(table).values(**values).on_conflict_do_update(index_elements=key, set_=changed)
