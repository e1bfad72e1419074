"""MonitoringService: metrics of VMs in a store of their own, console logs, and the health of Zentry's parts."""

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from zentry_web.adapters.database import Database
from zentry_web.domain.metrics_math import Performance, mock_samples, performance
from zentry_web.domain.monitoring import ComputeStatus, ConsoleTail, Heartbeat, MetricSeries, Sample, ServiceHealth
from zentry_web.domain.project import ProjectAction
from zentry_web.domain.user import SYSTEM, Actor, Role
from zentry_web.models import DbLatest
from zentry_web.services.access import find_vm_owners, require_vm
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.errors import ValidationError
from zentry_web.services.metrics_store import BASE_STEP_SECONDS, COLUMNS, MetricsStore
from zentry_web.services.processes import Processes

WORKER_LATE_SECONDS = 30
_VM_ID = re.compile(r"vm_[a-z0-9]{1,36}")
_AHEAD = timedelta(seconds=60)  # how far a sender's clock may be ahead of ours
_CHUNK = 250  # samples per transaction: a short one, and few enough parameters for every database


class MonitoringService(BaseService):
    """Samples in, series and figures out. ``processes`` holds heartbeats and the hypervisor's last word."""

    name = "monitoring"

    def __init__(
        self, core: Core, metrics: Database, *, keep_hours: int, compute_driver: str, compute_simulated: bool
    ) -> None:
        super().__init__(core)
        self._store = MetricsStore(Core(metrics, core.clock))
        self._keep = timedelta(hours=keep_hours)
        self.processes = Processes(core, compute_driver=compute_driver, compute_simulated=compute_simulated)

    # -- metrics in -----------------------------------------------------------------------------

    def record_vm_metrics(
        self, vm_id: str, metrics_data: dict[str, Any], user_id: str, *, actor: Actor = SYSTEM
    ) -> Sample:
        """Store one sample of a VM that ``user_id`` owns: cpu_percent, memory_used_bytes, memory_total_bytes and the
        four *_bytes_per_s rates, for now or ``at``. Raises NotFoundError, ValidationError."""
        if actor is SYSTEM:
            actor = Actor(user_id, SYSTEM.role) if user_id == SYSTEM.id else Actor(user_id, Role.USER)
        with self.reading() as session:
            owner_id = require_vm(session, actor, vm_id).owner_id
        sample = _parse_sample(vm_id, metrics_data, self.now())
        self.record_samples([(owner_id, sample)])
        return sample

    def ingest_metrics(self, samples: object) -> int:
        """Store what another process hands in: up to 250 samples, each a dict with ``vm_id``, ``at`` (ISO 8601 with
        its zone; default: now) and the figures of ``record_vm_metrics``. All or none. Raises ValidationError."""
        if not isinstance(samples, list) or not 0 < len(samples) <= _CHUNK:
            raise ValidationError("These metrics cannot be stored.", details={"samples": f"Must be 1 to {_CHUNK}."})
        now, parsed, errors = self.now(), list[Sample](), dict[str, str]()
        for number, data in enumerate(samples):
            try:
                parsed.append(_parse_handed_in(data, now))
            except ValidationError as error:
                errors |= {f"samples.{number}.{field}": text for field, text in error.details.items()}
        with self.reading() as session:
            owners = find_vm_owners(session, {sample.vm_id for sample in parsed})
        errors |= {f"vm.{each.vm_id}": "There is no such machine." for each in parsed if each.vm_id not in owners}
        if errors:
            raise ValidationError("These metrics cannot be stored.", details=errors)
        self.record_samples([(owners[sample.vm_id], sample) for sample in parsed])
        return len(parsed)

    def record_samples(self, samples: Iterable[tuple[str, Sample]], *, latest: bool = True) -> None:
        """Store many (owner id, sample) pairs at once; a sample that is there already stays as it is.

        ``latest=False`` leaves the headline figures alone (history that is filled in afterwards).
        """
        pairs = list(samples)
        for start in range(0, len(pairs), _CHUNK):
            self._store.insert(pairs[start : start + _CHUNK], latest=latest)

    def generate_mock_metrics(
        self,
        vm_id: str,
        start: datetime,
        end: datetime,
        *,
        owner_id: str,
        seed: int = 1,
        step_seconds: int = BASE_STEP_SECONDS,
        memory_total_bytes: int = 512 * 1024 * 1024,
    ) -> int:
        """Fill [start, end) with made-up samples (demos and tests only) and return how many."""
        made = list(mock_samples(vm_id, start, end, step_seconds, seed=seed, memory_total_bytes=memory_total_bytes))
        self.record_samples([(owner_id, sample) for sample in made], latest=False)
        return len(made)

    def prune(self) -> int:
        """Delete samples past their time, and consoles of VMs not seen since; returns how many samples."""
        return self._store.prune(self.now() - self._keep)

    def rows_of_machines(self, table: Any, vm_ids: Sequence[str]) -> Iterator[dict[str, Any]]:
        """What a table of the metrics store has of these machines: for the export of a person's data."""
        return self._store.rows_of(table, vm_ids)

    def forget_machines(self, tables: Sequence[Any], vm_ids: Sequence[str]) -> None:
        """Delete what these tables of the metrics store have of these machines: their owner is being erased."""
        self._store.forget(tables, vm_ids)

    # -- metrics out ----------------------------------------------------------------------------

    def get_vm_metrics(
        self,
        vm_id: str,
        *,
        actor: Actor = SYSTEM,
        start: datetime | None = None,
        end: datetime | None = None,
        after: datetime | None = None,
        max_points: int = 400,
    ) -> MetricSeries:
        """A VM's series from ``start`` (default: an hour ago) to ``end`` (default: now), averaged into steps so that
        there are at most ``max_points``. ``after`` asks only for points later than that. Raises NotFoundError."""
        with self.reading() as session:
            require_vm(session, actor, vm_id, ProjectAction.VIEW)
        end = end or self.now()
        start = start or end - timedelta(hours=1)
        if end <= start:
            raise ValidationError("The period is empty.", details={"start": "Must be before the end."})
        step = _step_seconds(start, end, max_points)
        return self._store.series(vm_id, max(start, after) if after else start, start, end, step, after)

    def get_performance(
        self, vm_id: str, *, actor: Actor = SYSTEM, start: datetime | None = None, end: datetime | None = None
    ) -> dict[str, Performance]:
        """Average, 95th percentile, peak and trend per day of each column over a period. Raises NotFoundError."""
        series = self.get_vm_metrics(vm_id, actor=actor, start=start, end=end, max_points=5000)
        found = {}
        for name, column in series.columns.items():
            points = [(time, value) for time, value in zip(series.times, column, strict=True) if value is not None]
            if (figures := performance(points)) is not None:
                found[name] = figures
        return found

    def get_latest(self, vm_ids: Sequence[str]) -> dict[str, Sample]:
        """The newest headline figures (CPU, memory) of these VMs, where any are younger than a minute."""
        return self._store.latest(DbLatest.vm_id.in_(vm_ids), since=self.now() - timedelta(minutes=1))

    def get_busiest(self, owner_id: str, limit: int = 5, *, others: Collection[str] = ()) -> list[Sample]:
        """Of the VMs a person pays for, and the ``others``, those with the highest CPU use in the last minute."""
        mine = DbLatest.owner_id == owner_id
        which = mine | DbLatest.vm_id.in_(others) if others else mine
        found = self._store.latest(which, since=self.now() - timedelta(minutes=1), limit=limit)
        return sorted(found.values(), key=lambda sample: -sample.cpu_percent)

    def get_sparklines(self, vm_ids: Sequence[str], minutes: int = 60) -> dict[str, tuple[float, ...]]:
        """CPU use of the last hour in 5-minute means per VM, oldest first. One statement for all."""
        return self._store.sparklines(vm_ids, self.now() - timedelta(minutes=minutes))

    # -- console --------------------------------------------------------------------------------

    def record_console(self, vm_id: str, content: str, size: int, *, changed: bool = True) -> None:
        """Keep the tail of a serial console as collected now; unchanged, only its time is kept."""
        self._store.put_console(vm_id, content if changed else None, size)

    def console_sizes(self) -> dict[str, int]:
        """How far each console had been collected, by VM."""
        return self._store.console_sizes()

    def get_console(self, vm_id: str, *, actor: Actor = SYSTEM) -> ConsoleTail:
        """The console of a VM as last collected. Raises NotFoundError, PermissionDeniedError (viewers)."""
        with self.reading() as session:
            require_vm(session, actor, vm_id, ProjectAction.CONSOLE)
        return self._store.console(vm_id)

    # -- health ---------------------------------------------------------------------------------

    def get_compute_status(self) -> ComputeStatus:
        """What the worker last learned of the hypervisor; not ok when that was too long ago to count on."""
        status = self.processes.get_compute()
        if status.ok and status.checked_at and self.now() - status.checked_at > timedelta(seconds=WORKER_LATE_SECONDS):
            return replace(status, ok=False, detail="The worker has not asked it for a while.")
        return status

    def list_heartbeats(self) -> list[Heartbeat]:
        """Every loop of every worker."""
        return self.processes.list_heartbeats()

    def list_service_health(self) -> list[ServiceHealth]:
        """Database, metrics store, worker and compute, each named; never raises."""
        database = self.health_check()
        parts = [ServiceHealth("database", database.ok, database.detail), self._store.health_check()]
        if not database.ok:
            missing = "unknown while the database does not answer"
            return [*parts, ServiceHealth("worker", False, missing), ServiceHealth("compute", False, missing)]
        return [*parts, self._worker_health(), self._compute_health()]

    def _worker_health(self) -> ServiceHealth:
        beats = [beat.at for beat in self.list_heartbeats()]
        if not beats:
            return ServiceHealth("worker", False, "no worker has ever reported")
        age = max(0, int((self.now() - max(beats)).total_seconds()))
        ok = age <= WORKER_LATE_SECONDS
        return ServiceHealth("worker", ok, "ok" if ok else f"last heard of {age} s ago", age)

    def _compute_health(self) -> ServiceHealth:
        status = self.get_compute_status()
        if status.checked_at is None:
            return ServiceHealth("compute", False, status.detail)
        age = max(0, int((self.now() - status.checked_at).total_seconds()))
        if age > WORKER_LATE_SECONDS:
            return ServiceHealth("compute", False, f"not checked for {age} s", age)
        return ServiceHealth("compute", status.ok, status.detail, age)


def _step_seconds(start: datetime, end: datetime, max_points: int) -> int:
    wanted = (end - start).total_seconds() / max(1, max_points)
    return max(BASE_STEP_SECONDS, -int(-wanted // BASE_STEP_SECONDS) * BASE_STEP_SECONDS)


def _parse_handed_in(data: object, now: datetime) -> Sample:
    vm_id = data.get("vm_id") if isinstance(data, dict) else None
    if not isinstance(data, dict) or not isinstance(vm_id, str) or not _VM_ID.fullmatch(vm_id):
        raise ValidationError("These metrics cannot be stored.", details={"vm_id": "Must be a machine's id."})
    at = data.get("at")
    if isinstance(at, str):
        with suppress(ValueError):  # text that is no time is refused below, with the other fields
            data = data | {"at": datetime.fromisoformat(at)}
    return _parse_sample(vm_id, data, now)


def _parse_sample(vm_id: str, data: dict[str, Any], now: datetime) -> Sample:
    errors = {}
    values: dict[str, Any] = {}
    for name in COLUMNS:
        value = data.get(name, None if name == "memory_used_bytes" else 0)
        valid = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 2**62
        if not valid and not (value is None and name == "memory_used_bytes"):
            errors[name] = "Must be a number that is not negative."
        elif name == "cpu_percent" and value is not None and value > 100:
            errors[name] = "Must be at most 100: it counts all vCPUs together."
        values[name] = int(value) if value is not None and valid and name.startswith("memory_") else value
    at = data.get("at", now)
    if not isinstance(at, datetime) or at.tzinfo is None:
        errors["at"] = "Must be a time with its zone."
    elif at > now + _AHEAD:
        errors["at"] = "Must not lie in the future."
    if errors:
        raise ValidationError("These metrics cannot be stored.", details=errors)
    return Sample(vm_id=vm_id, at=at, **values)
