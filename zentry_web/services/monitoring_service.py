"""MonitoringService: metrics of VMs in a store of their own, console logs, and the health of Zentry's parts."""

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from zentry_web.adapters.clock import clock_ahead
from zentry_web.adapters.compute.host import GIB, MIB, disk_bytes
from zentry_web.adapters.database import Database
from zentry_web.domain.language import _
from zentry_web.domain.metrics_math import Performance, mock_samples, performance
from zentry_web.domain.monitoring import ComputeStatus, ConsoleTail, Heartbeat, MetricSeries, Sample, ServiceHealth
from zentry_web.domain.package_settings import MonitoringSettings
from zentry_web.domain.projects.project import ProjectAction
from zentry_web.domain.projects.quota import format_memory
from zentry_web.domain.user import SYSTEM, Actor, Role
from zentry_web.domain.vms.vm import VM
from zentry_web.models import DbLatest
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.errors import PermissionDeniedError, ValidationError
from zentry_web.services.monitoring.availability import Availability
from zentry_web.services.monitoring.processes import Processes
from zentry_web.services.monitoring.store import AHEAD, BASE_STEP_SECONDS, COLUMNS, MetricsStore
from zentry_web.services.shared.access import find_vm_owners, require_vm
from zentry_web.services.shared.rounds import each_batch

WORKER_LATE_SECONDS = 30
_VM_ID = re.compile(r"vm_[a-z0-9]{1,36}")
_CHUNK = 250  # samples per transaction: a short one, and few enough parameters for every database


class MonitoringService(BaseService):
    """Samples in, series and figures out. ``processes`` holds heartbeats and the hypervisor's last word."""

    name = "monitoring"

    def __init__(
        self,
        core: Core,
        metrics: Database,
        settings: MonitoringSettings,
    ) -> None:
        super().__init__(core)
        self._folder = settings.data
        self.availability = Availability(core)
        self._store = MetricsStore(Core(metrics, core.clock))
        self._keep = timedelta(hours=settings.metrics_hours)
        self.processes = Processes(
            core, compute_driver=settings.compute_driver, compute_simulated=settings.compute_simulated
        )

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
            raise ValidationError(
                _("These metrics cannot be stored."), details={"samples": _("Must be 1 to %(most)s.", most=_CHUNK)}
            )
        now, parsed, errors = self.now(), list[Sample](), dict[str, str]()
        for number, data in enumerate(samples):
            try:
                parsed.append(_parse_handed_in(data, now))
            except ValidationError as error:
                errors |= {f"samples.{number}.{field}": text for field, text in error.details.items()}
        with self.reading() as session:
            owners = find_vm_owners(session, {sample.vm_id for sample in parsed})
        errors |= {f"vm.{each.vm_id}": _("There is no such machine.") for each in parsed if each.vm_id not in owners}
        if errors:
            raise ValidationError(_("These metrics cannot be stored."), details=errors)
        self.record_samples([(owners[sample.vm_id], sample) for sample in parsed])
        return len(parsed)

    def record_samples(self, samples: Iterable[tuple[str, Sample]], *, latest: bool = True) -> None:
        """Store many (owner id, sample) pairs at once; a sample that is there already stays as it is, one from
        more than a minute ahead of the clock is dropped.

        ``latest=False`` leaves the headline figures alone (history that is filled in afterwards).
        """
        ahead = self.now() + AHEAD
        pairs = [(owner_id, sample) for owner_id, sample in samples if sample.at <= ahead]
        chunks = [pairs[start : start + _CHUNK] for start in range(0, len(pairs), _CHUNK)]
        insert = partial(self._store.insert, latest=latest)
        each_batch("store sample", chunks, insert, lambda pair: pair[1].vm_id)

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
        """Delete samples past their time or ahead of the clock, and consoles of VMs not seen since; returns how many
        samples."""
        return self._store.prune(self.now() - self._keep, self.now() + AHEAD)

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
        return self.read_metrics(vm_id, start or end - timedelta(hours=1), end, after=after, max_points=max_points)

    def read_metrics(
        self, vm_id: str, start: datetime, end: datetime, *, after: datetime | None = None, max_points: int = 400
    ) -> MetricSeries:
        """The same of a VM that was just loaded for whoever looks: nobody is asked again. Raises ValidationError."""
        if end <= start:
            raise ValidationError(_("The period is empty."), details={"start": _("Must be before the end.")})
        step = _step_seconds(start, end, max_points)
        return self._store.series(vm_id, max(start, after) if after else start, start, end, step, after)

    def read_at_a_glance(
        self, vm: VM, start: datetime, end: datetime, *, max_points: int, with_console: bool
    ) -> tuple[MetricSeries, str]:
        """The headline figures (CPU, memory) of a VM that was just loaded for whoever looks, and what its console said
        last; '' without. One statement. Raises PermissionDeniedError (viewers, for the console)."""
        if not with_console:
            return self.read_metrics(vm.id, start, end, max_points=max_points), ""
        self._require_console(vm)
        return self._store.glance(vm.id, start, end, _step_seconds(start, end, max_points))

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

    def get_busiest(
        self, owner_id: str, limit: int = 5, *, others: Collection[str] = (), minutes: int = 60
    ) -> list[tuple[Sample, tuple[float, ...]]]:
        """Of the VMs a person pays for, and the ``others``, those with the highest CPU use in the last minute, each
        with its use in the last ``minutes`` as 5-minute means in percent, oldest first. One statement for all."""
        now = self.now()
        since, lines_since = now - timedelta(minutes=1), now - timedelta(minutes=minutes)
        return self._store.busiest(owner_id, others, since=since, limit=limit, lines_since=lines_since)

    # -- console --------------------------------------------------------------------------------

    def record_console(self, vm_id: str, content: str, size: int, *, changed: bool = True) -> None:
        """Keep the tail of a serial console as collected now; unchanged, only its time is kept."""
        if changed:
            self._store.put_console(vm_id, content, size)
        else:
            self.record_same_consoles([vm_id])

    def record_same_consoles(self, vm_ids: Sequence[str]) -> None:
        """These consoles were read now and had not grown. One statement."""
        self._store.touch_consoles(vm_ids)

    def console_sizes(self, vm_ids: Sequence[str] | None = None) -> dict[str, int]:
        """How far each console had been collected, by VM; or only those of some VMs."""
        return self._store.console_sizes(vm_ids)

    def get_console(self, vm_id: str, *, actor: Actor = SYSTEM) -> ConsoleTail:
        """The console of a VM as last collected. Raises NotFoundError, PermissionDeniedError (viewers)."""
        with self.reading() as session:
            require_vm(session, actor, vm_id, ProjectAction.CONSOLE)
        return self._store.console(vm_id)

    def read_console(self, vm: VM) -> ConsoleTail:
        """The same of a VM that was just loaded for whoever looks. Raises PermissionDeniedError (viewers)."""
        self._require_console(vm)
        return self._store.console(vm.id)

    def _require_console(self, vm: VM) -> None:
        if not vm.allows(ProjectAction.CONSOLE):
            raise PermissionDeniedError(_("Your role in this project does not show its machines' consoles."))

    # -- health ---------------------------------------------------------------------------------

    def get_compute_status(self) -> ComputeStatus:
        """What the worker last learned of the hypervisor; not ok when that was too long ago to count on. Whether the
        worker or the hypervisor is to blame, the worker's other rounds tell."""
        status = self.processes.get_compute()
        return self.judged(status, self._newest_beat()) if self._is_late(status.checked_at) else status

    def judged(self, status: ComputeStatus, newest_beat: datetime | None) -> ComputeStatus:
        """Of what a worker has reported, and when its last round was: not ok when that was too long ago to count on."""
        if not self._is_late(status.checked_at):
            return status
        if newest_beat is None or self._is_late(newest_beat):
            return replace(status, ok=False, worker_ok=False, detail="The worker has not asked it for a while.")
        return replace(status, ok=False, detail="It has not answered for a while.")

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
        return [*parts, self.worker_health(), self._compute_health()]

    def clock_health(self) -> list[ServiceHealth]:
        """The host's clock, where it leapt: a thing for admins, pages go on."""
        ahead = clock_ahead(self.clock)
        return [ServiceHealth("clock", False, leap_text(ahead))] if ahead else []

    def disk_health(self) -> list[ServiceHealth]:
        """The data folder's disk, where little room is left: a thing for admins, before nothing can be saved."""
        try:
            size, free = disk_bytes(self._folder)
        except OSError:
            return []
        return [ServiceHealth("disk", False, disk_text(free))] if free < least_free(size) else []

    def worker_health(self) -> ServiceHealth:
        """Whether a worker goes its rounds: without one nothing is launched, stopped, measured or billed."""
        newest = self._newest_beat()
        if newest is None:
            return ServiceHealth("worker", False, "no worker has ever reported")
        age = max(0, int((self.now() - newest).total_seconds()))
        ok = age <= WORKER_LATE_SECONDS
        return ServiceHealth("worker", ok, "ok" if ok else f"last heard of {age} s ago", age)

    def _is_late(self, at: datetime | None) -> bool:
        return at is not None and self.now() - at > timedelta(seconds=WORKER_LATE_SECONDS)

    def _newest_beat(self) -> datetime | None:
        return max((beat.at for beat in self.list_heartbeats()), default=None)

    def _compute_health(self) -> ServiceHealth:
        status = self.get_compute_status()
        if status.checked_at is None:
            return ServiceHealth("compute", False, status.detail)
        age = max(0, int((self.now() - status.checked_at).total_seconds()))
        if age > WORKER_LATE_SECONDS:
            return ServiceHealth("compute", False, f"not checked for {age} s", age)
        return ServiceHealth("compute", status.ok, status.detail, age)


def leap_text(ahead: timedelta) -> str:
    """What admins are told of a clock that leapt."""
    hours = abs(ahead).total_seconds() / 3600
    long, forward = hours >= 48, ahead > timedelta(0)
    how = {  # each as domain/stored_texts.py has it
        (True, True): "days ahead of the time that has gone by. Zentry goes on by its own",
        (True, False): "days behind the time that has gone by. Zentry goes on by its own",
        (False, True): "hours ahead of the time that has gone by. Zentry goes on by its own",
        (False, False): "hours behind the time that has gone by. Zentry goes on by its own",
    }[long, forward]
    span = f"{hours / 24 if long else hours:.1f}"
    return f"The host's clock leapt: it is {span} {how} until the clock is right again, or has stayed there for a day."


def least_free(size: int) -> int:
    """How much of a disk of ``size`` bytes should be free: 5 %, at least 1 GiB and at most 10."""
    return max(GIB, min(size // 20, 10 * GIB)) if size else 0


def disk_text(free: int) -> str:
    """What admins are told of a disk that is nearly full."""
    return (
        f"{format_memory(free // MIB)} are free on the disk of the data folder. Once it is full nothing can be saved: "
        "no log-ins, no launches, and what is used is billed when there is room again."
    )


def _step_seconds(start: datetime, end: datetime, max_points: int) -> int:
    wanted = (end - start).total_seconds() / max(1, max_points)
    return max(BASE_STEP_SECONDS, -int(-wanted // BASE_STEP_SECONDS) * BASE_STEP_SECONDS)


def _parse_handed_in(data: object, now: datetime) -> Sample:
    vm_id = data.get("vm_id") if isinstance(data, dict) else None
    if not isinstance(data, dict) or not isinstance(vm_id, str) or not _VM_ID.fullmatch(vm_id):
        raise ValidationError(_("These metrics cannot be stored."), details={"vm_id": _("Must be a machine's id.")})
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
            errors[name] = _("Must be a number that is not negative.")
        elif name == "cpu_percent" and value is not None and value > 100:
            errors[name] = _("Must be at most 100: it counts all vCPUs together.")
        values[name] = int(value) if value is not None and valid and name.startswith("memory_") else value
    at = data.get("at", now)
    if not isinstance(at, datetime) or at.tzinfo is None:
        errors["at"] = _("Must be a time with its zone.")
    elif at > now + AHEAD:
        errors["at"] = _("Must not lie in the future.")
    if errors:
        raise ValidationError(_("These metrics cannot be stored."), details=errors)
    return Sample(vm_id=vm_id, at=at, **values)
