"""The worker process: loops in threads, each leading its job by a lease, and a pool that does operations."""

import os
import secrets
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import structlog
from prometheus_client import Counter, Histogram

from zentry_web.adapters.clock import clock_ahead
from zentry_web.adapters.compute.base import ComputeDriver, ComputeError
from zentry_web.adapters.mailer import Mailer, NullMailer
from zentry_web.domain.availability import WatchedPart
from zentry_web.domain.monitoring import Heartbeat
from zentry_web.services.monitoring_service import leap_text
from zentry_web.services.service_container import ServiceContainer
from zentry_web.services.shared.rounds import ROUND_SECONDS, Loop, each_alone, steps
from zentry_web.services.shared.storage import tell_failure
from zentry_web.worker.backups import BackupKeeper
from zentry_web.worker.copies import CopyKeeper
from zentry_web.worker.dispatch import OPERATION_THREADS, Dispatcher
from zentry_web.worker.door import Door
from zentry_web.worker.due import RestartKeeper, TimerKeeper
from zentry_web.worker.images import ImageMaker
from zentry_web.worker.lifeline import Lifeline
from zentry_web.worker.machine_events import MachineEvents
from zentry_web.worker.operations import OperationRunner, snapshots
from zentry_web.worker.paying import Cashier
from zentry_web.worker.proofs import ProofKeeper
from zentry_web.worker.reconcile import Reconciler
from zentry_web.worker.sampling import ConsoleCollector, Sampler
from zentry_web.worker.telling import LandingTeller, Postman

log = structlog.get_logger(__name__)

HEARTBEAT_SECONDS = 5
MIN_LEASE_SECONDS = 30
MAIL_HELD = timedelta(minutes=5)  # a mail that waits longer, with an error: mail does not work
SLEEPERS = ("console", "mail", "images", "proofs", "copies", "restarts", "timers")  # woken by the bell
LATE_SECONDS = 30  # beyond three rounds, before a loop counts as stuck

_rounds = Counter("zentry_worker_rounds_total", "Rounds of a worker's loop", ["loop", "outcome"])
_round_seconds = Histogram("zentry_worker_round_seconds", "Time of one round of a worker's loop", ["loop"])


@dataclass(frozen=True, slots=True)
class Pace:
    """How often the loops go round, in seconds."""

    reconcile: float = 3.0
    sample: float = 10.0
    console: float = 2.0
    bill: float = 5.0
    land: float = 10.0
    snapshots: float = 15.0
    backups: float = 15.0
    mail: float = 10.0  # a mail that is put into a queue wakes it
    verify: float = 60.0  # looks whether this hour's checks have been
    prices: float = 10.0
    pay: float = 5.0
    purge: float = 5.0
    housekeeping: float = 60.0
    trail: float = 2.0
    images: float = 2.0
    copies: float = 5.0
    proofs: float = 2.0
    restarts: float = 1.0
    timers: float = 2.0
    backup: float = 300.0  # looks whether this day's has been


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """``folder`` is the data folder, where workers tell each other that they live; ``port`` that of the door on
    loopback (0: none); ``logs_events``: the trail goes into the logs. ``operation_threads`` is how many calls of the
    hypervisor go on at once; those of stops for lack of credit come on top. ``silent_seconds``: see Reconciler."""

    folder: Path
    stop_timeout_seconds: int
    pace: Pace = field(default_factory=Pace)
    port: int = 0
    logs_events: bool = False
    operation_threads: int = OPERATION_THREADS
    silent_seconds: int | None = None


class Worker:
    """Runs until ``stop`` is set. Several may run against one PostgreSQL; each job has one leader at a time."""

    def __init__(
        self,
        container: ServiceContainer,
        driver: ComputeDriver,
        settings: WorkerSettings,
        *,
        mailer: Mailer | None = None,
        backup: Callable[[], None] | None = None,
    ) -> None:
        """``backup`` makes one when its time has come."""
        self.name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(2)}"[:60]
        self.stop = threading.Event()
        self._container = container
        self._driver = driver
        self._events = MachineEvents()
        # Loops that rest for longer while there is nothing to do, and are woken when there is.
        self._sleepers = {job: threading.Event() for job in SLEEPERS}
        self._billing = container.billing
        self._monitoring = container.monitoring
        self._vms = container.vms
        self._settings, self._pace = settings, settings.pace
        self._mailer = mailer or NullMailer()
        self._backup = backup
        self._due: dict[str, float] = {}  # by when each loop has to have gone round
        self._rests: dict[str, float] = {}  # by job, seconds to its next round
        self._memories: dict[str, Loop] = {}
        self._led_until: dict[str, float] = {}  # by job, monotonic: until then its lease need not be renewed
        self._beats: dict[str, Heartbeat] = {}  # by loop, not written yet
        self._beats_lock, self._beaten = threading.Lock(), 0.0
        self._begun: set[str] = set()  # loops whose first round is written
        self._settling = Loop("settle", ROUND_SECONDS / 2)
        self._door = Door(settings.port, container.service_tokens, self._late) if settings.port else None
        runner = OperationRunner(
            self._vms,
            driver,
            self._events,
            self.stop,
            worker=self.name,
            stop_timeout_seconds=settings.stop_timeout_seconds,
            checkpoint=container.parts.core.checkpoint,
        )
        self._image_maker = ImageMaker(self._vms, self._monitoring, driver, self.stop, container.parts.core.checkpoint)
        self._dispatcher = Dispatcher(
            runner, self._vms, self._events, self.stop, worker=self.name, threads=settings.operation_threads
        )

    def run(self) -> None:
        """Start the loops and do operations until ``stop`` is set; then let go of everything and return."""
        lifeline = Lifeline(self._settings.folder, self.name)
        self._take_over(lifeline)
        self._driver.subscribe(self._events.hear)
        self._events.wake(self._sleepers["console"])
        loops = self.loops()
        threads = [threading.Thread(target=self._loop, args=loop, name=loop[0]) for loop in loops]
        listen = self._container.parts.core.bell.listen
        threads.append(threading.Thread(target=listen, args=(self._hear, self.stop), name="bell"))
        self._due = {job: time.monotonic() + LATE_SECONDS + 3 * seconds for job, _, seconds in loops}
        for thread in threads:
            thread.start()
        if self._door is not None:
            self._door.open()
        try:
            self._dispatcher.run()
        finally:
            self.stop.set()
            self._events.something.set()
            self._wake()
            for thread in threads:
                thread.join()
            self._image_maker.join()
            if self._door is not None:
                self._door.close()
            self._quietly(lambda: self._monitoring.processes.step_down(self.name))
            self._driver.close()
            lifeline.cut()

    def loops(self) -> list[tuple[str, Callable[[], float | None], float]]:
        """What goes round besides the operations: name, one round, and how often in seconds. A round may give after
        how many seconds the next one is early enough, while there is nothing to do."""
        vms, monitoring, driver = self._vms, self._monitoring, self._driver
        patience = self._settings.silent_seconds
        reconciler = Reconciler(vms, monitoring, driver, self._events, self._container.clock, patience)
        sources = self._container.mail_queues()
        found: list[tuple[str, Callable[[], float | None], float]] = [
            ("reconcile", reconciler.run, self._pace.reconcile),
            ("sample", Sampler(vms, monitoring, driver).run, self._pace.sample),
            ("console", ConsoleCollector(vms, monitoring, driver).run, self._pace.console),
            ("bill", self._bill, self._pace.bill),
            ("land", LandingTeller(self._billing, vms).run, self._pace.land),
            ("mail", Postman(sources, self._mailer, self.stop).run, self._pace.mail),
            ("prices", self._tell_prices, self._pace.prices),
            ("pay", Cashier(self._billing).run, self._pace.pay),
            ("snapshots", self._tend_snapshots, self._pace.snapshots),
            ("backups", BackupKeeper(vms, driver, self._container.parts.core.checkpoint).run, self._pace.backups),
            ("proofs", ProofKeeper(vms, driver, self._container.parts.core.checkpoint).run, self._pace.proofs),
            ("restarts", RestartKeeper(vms, self._container.clock).run, self._pace.restarts),
            ("timers", TimerKeeper(vms, self._container.clock).run, self._pace.timers),
            ("purge", self._purge, self._pace.purge),
            ("verify", self._verify, self._pace.verify),
            ("images", self._image_maker.run, self._pace.images),
            ("copies", CopyKeeper(vms, driver).run, self._pace.copies),
            ("housekeeping", self._keep_house, self._pace.housekeeping),
        ]
        if self._backup is not None:
            found.append(("backup", self._backup, self._pace.backup))
        if self._settings.logs_events:
            found.append(("trail", self._container.users.event_export.run, self._pace.trail))
        return found

    def _take_over(self, lifeline: Lifeline) -> None:
        """Drop the leases of workers that were killed, so that their work goes on now."""
        for name in lifeline.list_dead():
            log.info("dead_worker_found", worker=name)
            self._monitoring.processes.step_down(name)
            self._vms.operations.release_worker(name)
            lifeline.bury(name)

    # -- loops ----------------------------------------------------------------------------------

    def _loop(self, job: str, round_once: Callable[[], float | None], seconds: float) -> None:
        while not self.stop.is_set():
            started = time.monotonic()
            self._rests[job] = seconds
            error = self._round(job, round_once, seconds)
            took = time.monotonic() - started
            rest = self._rests[job]
            self._due[job] = time.monotonic() + LATE_SECONDS + 3 * rest
            self._beat(job, took, error)
            self._rest(job, max(0.05, rest - took))

    def _round(self, job: str, round_once: Callable[[], float | None], seconds: float) -> str:
        error, outcome = "", "failed"
        try:
            if not self._lead(job, max(MIN_LEASE_SECONDS, seconds * 3)):
                return ""
            with self._memories.setdefault(job, Loop(job)).round() as present, _round_seconds.labels(job).time():
                self._rests[job] = round_once() or seconds
            error = present.told()
            outcome = "partly" if error else "ok"
        except ComputeError as problem:
            error = str(problem)
        except Exception as problem:  # a loop that dies would stop billing for everyone: log, report, go on
            error = tell_failure("round_failed", problem, loop=job)
        _rounds.labels(job, outcome).inc()
        return error

    def _lead(self, job: str, seconds: float) -> bool:
        """Whether this worker leads the job. A lease is renewed when half of it is over."""
        now = time.monotonic()
        if now < self._led_until.get(job, 0.0):
            return True
        leads = self._monitoring.processes.lead(job, self.name, seconds)
        self._led_until[job] = now + seconds / 2 if leads else 0.0
        return leads

    def _beat(self, job: str, took: float, error: str) -> None:
        """Remember that a loop went round. What all have done is written together, errors and first rounds at once."""
        now = time.monotonic()
        with self._beats_lock:
            self._beats[job] = Heartbeat(self.name, job, self._container.clock.now(), round(took * 1000), error)
            if not error and job in self._begun and now < self._beaten + HEARTBEAT_SECONDS:
                return
            self._begun.add(job)
            beats, self._beats, self._beaten = list(self._beats.values()), {}, now
        self._quietly(lambda: self._monitoring.processes.record_heartbeats(beats))

    def _late(self) -> dict[str, int]:
        now = time.monotonic()
        return {job: int(now - due) for job, due in list(self._due.items()) if due < now}

    def _rest(self, job: str, seconds: float) -> None:
        """Wait for the next round; the reconciler also wakes on the hypervisor's events, some on the bell."""
        woken = self._events.something if job == "reconcile" else self._sleepers.get(job)
        if woken is None:
            self.stop.wait(seconds)
        elif woken.wait(seconds):
            woken.clear()

    def _hear(self) -> None:
        """The bell: something was asked for, or is to be mailed."""
        self._dispatcher.wake()
        self._wake()

    def _wake(self) -> None:
        for sleeper in self._sleepers.values():
            sleeper.set()

    def _bill(self) -> None:
        try:
            confirmed = self._monitoring.processes.get_compute().answered_at
            if confirmed is not None:
                with self._settling.round():  # a time of its own: however much is behind, holds have theirs
                    self._billing.promotions.expire(confirmed)  # first: what ended pays nothing used after its end
                    self._billing.runs.settle(confirmed)
        finally:  # whatever is wrong with the past, nothing may run on unpaid
            stops = self._billing.runs.renew_holds()
            each_alone("stop", stops, self._vms.landing.stop_for_credit, lambda stop: stop.vm_id)

    def _tell_prices(self) -> None:
        self._billing.price_telling.run()

    def _tend_snapshots(self) -> None:
        steps("snapshots", [("schedules", self._vms.snapshot_schedules.run), ("left over", self._vms.snapshots.tidy)])

    def _purge(self) -> None:
        projects = self._container.projects.bin
        steps(
            "bin",
            [
                ("projects on their way", projects.go_on),
                ("machines", self._vms.bin.purge_due),
                ("projects", projects.purge_due),
                ("undo", self._vms.undo.go_on),
                ("disks aside", self._drop_asides),
                ("snapshots left", self._drop_snapshots),
            ],
        )

    def _drop_asides(self) -> None:
        """What rebuilds and reverts have put aside, once it was kept long enough."""

        def drop(due: tuple[str, str]) -> None:
            self._driver.rebuilds.drop(*due)
            self._vms.rebuilding.forget(due[1])

        def drop_reverted(due: tuple[str, str]) -> None:
            snapshots.drop(self._vms, self._driver, due)

        each_alone("disk aside", self._vms.rebuilding.list_due(), drop, lambda due: due[1])
        each_alone("revert aside", self._vms.revert_asides.list_due(), drop_reverted, lambda due: due[1])

    def _drop_snapshots(self) -> None:
        """Snapshots that were being taken or deleted when something else came before."""
        records = self._vms.snapshot_records

        def drop(left: tuple[str, str]) -> None:
            self._driver.snapshots.delete(*left)
            records.drop_left(*left)

        each_alone("snapshot left", records.list_left(), drop, lambda left: left[1])

    def _verify(self) -> None:
        run = self._billing.books.verification.run_hourly()
        if run is not None and not run.ok:
            log.error("verify_breach", lines=[check.id for check in run.lines if not check.ok])

    def _keep_house(self) -> None:
        monitoring, billing, users = self._monitoring, self._billing, self._container.users
        statements, closure = billing.statements, users.closure
        steps(
            "house",
            [
                ("parts", self._watch_parts),
                ("clock", self._tell_leap),
                ("disk", self._tell_disk),
                ("zones", billing.notices.tell_unknown_zones),
                ("promotions", billing.promotions.tell),
                ("metrics", monitoring.prune),
                ("heartbeats", monitoring.processes.forget_old),
                ("log-ins", self._container.auth.prune),
                ("consoles", self._vms.consoles.end_lost),
                ("old consoles", self._vms.consoles.prune),
                ("months", lambda: each_alone("close month", statements.list_due(), statements.close_month)),
                ("accounts", lambda: each_alone("close account", closure.list_due(), users.close_account)),
                ("views", users.views.expire),
                ("notices", billing.notices.prune),
                ("invitations", self._container.projects.invitations.prune),
                ("approvals", billing.books.approvals.expire),
                ("days", billing.books.totals.close_days),
                ("undone", self._vms.undo.forget_old),
            ],
        )

    def _watch_parts(self) -> None:
        """What /status tells of now: recorded by whoever leads this loop, so the worker and the database work."""
        core, now = self._container.parts.core, self._container.clock.now()
        seen = {
            WatchedPart.WORKER: True,
            WatchedPart.DATABASE: True,
            WatchedPart.COMPUTE: self._monitoring.get_compute_status().ok,
        }
        if core.mail.enabled:
            waiting = self._container.waiting_mails()
            is_held = bool(waiting.error) and waiting.since is not None and now - waiting.since > MAIL_HELD
            seen[WatchedPart.MAIL] = not is_held
        if self._container.parts.provider is not None:
            beats = [beat for beat in self._monitoring.list_heartbeats() if beat.loop == "pay"]
            newest = max(beats, key=lambda beat: beat.at, default=None)
            seen[WatchedPart.PAYMENTS] = newest is None or not newest.error
        self._monitoring.availability.record(seen)

    def _tell_leap(self) -> None:
        if ahead := clock_ahead(self._container.clock):
            self._billing.notices.tell_admins("clock", leap_text(ahead))

    def _tell_disk(self) -> None:
        for part in self._monitoring.disk_health():
            log.warning("disk_nearly_full", detail=part.detail)
            self._billing.notices.tell_admins("disk_full", part.detail)

    def _quietly(self, action: Callable[[], object]) -> None:
        try:
            action()
        except Exception as problem:
            tell_failure("bookkeeping_failed", problem)
