"""The worker process: loops in threads, each leading its job by a lease, and a pool that does operations."""

import os
import secrets
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import structlog
from prometheus_client import Counter, Histogram

from zentry_web.adapters.compute.base import ComputeDriver, ComputeError
from zentry_web.adapters.mailer import Mailer, NullMailer
from zentry_web.services.service_container import ServiceContainer
from zentry_web.services.vm_operations import Claim
from zentry_web.worker.door import Door
from zentry_web.worker.lifeline import Lifeline
from zentry_web.worker.machine_events import MachineEvents
from zentry_web.worker.operations import OperationRunner
from zentry_web.worker.paying import Cashier
from zentry_web.worker.reconcile import Reconciler
from zentry_web.worker.sampling import ConsoleCollector, Sampler
from zentry_web.worker.telling import Lander, Postman

log = structlog.get_logger(__name__)

CLAIM_SECONDS = 0.2
OPERATION_THREADS = 16  # they wait more than they work
HEARTBEAT_SECONDS = 5
MIN_LEASE_SECONDS = 15
LATE_SECONDS = 30  # beyond three rounds, before a loop counts as stuck

_rounds = Counter("zentry_worker_rounds_total", "Rounds of a worker's loop", ["loop", "outcome"])
_round_seconds = Histogram("zentry_worker_round_seconds", "Time of one round of a worker's loop", ["loop"])
_operations = Counter("zentry_operations_total", "Operations taken up", ["kind"])


@dataclass(frozen=True, slots=True)
class Pace:
    """How often the loops go round, in seconds."""

    reconcile: float = 3.0
    sample: float = 10.0
    console: float = 2.0
    bill: float = 5.0
    land: float = 10.0
    mail: float = 2.0
    verify: float = 60.0  # looks whether this hour's checks have been
    prices: float = 10.0
    pay: float = 5.0
    purge: float = 5.0
    housekeeping: float = 60.0


class Worker:
    """Runs until ``stop`` is set. Several may run against one PostgreSQL; each job has one leader at a time."""

    def __init__(
        self,
        container: ServiceContainer,
        driver: ComputeDriver,
        *,
        pace: Pace,
        stop_timeout_seconds: int,
        checkpoint: Callable[[str], None],
        folder: Path,
        mailer: Mailer | None = None,
        port: int = 0,
    ) -> None:
        """``folder`` is the data folder, where workers tell each other that they live; ``port`` that of the door on
        loopback (0: none)."""
        self.name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(2)}"[:60]
        self.stop = threading.Event()
        self._container = container
        self._driver = driver
        self._events = MachineEvents()
        self._billing = container.get_billing_service()
        self._monitoring = container.get_monitoring_service()
        self._vms = container.get_vm_service()
        self._pace = pace
        self._folder = folder
        self._mailer = mailer or NullMailer()
        self._due: dict[str, float] = {}  # by when each loop has to have gone round
        self._door = Door(port, container.service_tokens, self._late) if port else None
        self._runner = OperationRunner(
            self._vms,
            driver,
            self._events,
            container.clock,
            self.stop,
            worker=self.name,
            stop_timeout_seconds=stop_timeout_seconds,
            checkpoint=checkpoint,
        )

    def run(self) -> None:
        """Start the loops and do operations until ``stop`` is set; then let go of everything and return."""
        lifeline = Lifeline(self._folder, self.name)
        self._take_over(lifeline)
        self._driver.subscribe(self._events.hear)
        vms, monitoring, driver = self._vms, self._monitoring, self._driver
        reconciler = Reconciler(vms, monitoring, driver, self._events, self._container.clock)
        invitations = self._container.get_project_service().invitations
        auth = self._container.get_auth_service()
        sources = (auth.verification, auth.email_change, invitations, self._billing.notices)
        loops: list[tuple[str, Callable[[], None], float]] = [
            ("reconcile", reconciler.run, self._pace.reconcile),
            ("sample", Sampler(vms, monitoring, driver).run, self._pace.sample),
            ("console", ConsoleCollector(vms, monitoring, driver).run, self._pace.console),
            ("bill", self._bill, self._pace.bill),
            ("land", Lander(self._billing, vms).run, self._pace.land),
            ("mail", Postman(sources, self._mailer, self.stop).run, self._pace.mail),
            ("prices", self._tell_prices, self._pace.prices),
            ("pay", Cashier(self._billing).run, self._pace.pay),
            ("purge", self._purge, self._pace.purge),
            ("verify", self._verify, self._pace.verify),
            ("housekeeping", self._keep_house, self._pace.housekeeping),
        ]
        threads = [threading.Thread(target=self._loop, args=loop, name=loop[0]) for loop in loops]
        self._due = {job: time.monotonic() + LATE_SECONDS + 3 * seconds for job, _, seconds in loops}
        for thread in threads:
            thread.start()
        if self._door is not None:
            self._door.open()
        try:
            self._do_operations()
        finally:
            self.stop.set()
            self._events.something.set()
            for thread in threads:
                thread.join()
            if self._door is not None:
                self._door.close()
            self._quietly(lambda: monitoring.processes.step_down(self.name))
            driver.close()
            lifeline.cut()

    def _take_over(self, lifeline: Lifeline) -> None:
        """Drop the leases of workers that were killed, so that their work goes on now."""
        for name in lifeline.list_dead():
            log.info("dead_worker_found", worker=name)
            self._monitoring.processes.step_down(name)
            self._vms.operations.release_worker(name)
            lifeline.bury(name)

    # -- loops ----------------------------------------------------------------------------------

    def _loop(self, job: str, round_once: Callable[[], None], seconds: float) -> None:
        beaten = 0.0
        while not self.stop.is_set():
            started = time.monotonic()
            error = self._round(job, round_once, seconds)
            took = time.monotonic() - started
            self._due[job] = time.monotonic() + LATE_SECONDS + 3 * seconds
            if error or started - beaten >= HEARTBEAT_SECONDS:
                self._beat(job, took, error)
                beaten = started
            self._rest(job, max(0.05, seconds - took))

    def _round(self, job: str, round_once: Callable[[], None], seconds: float) -> str:
        error = ""
        try:
            if not self._monitoring.processes.lead(job, self.name, max(MIN_LEASE_SECONDS, seconds * 3)):
                return ""
            with _round_seconds.labels(job).time():
                round_once()
        except ComputeError as problem:
            error = str(problem)
        except Exception as problem:  # a loop that dies would stop billing for everyone: log, report, go on
            log.exception("round_failed", loop=job)
            error = f"{type(problem).__name__}: {problem}"
        _rounds.labels(job, "failed" if error else "ok").inc()
        return error

    def _beat(self, job: str, took: float, error: str) -> None:
        processes = self._monitoring.processes
        self._quietly(lambda: processes.record_heartbeat(self.name, job, round(took * 1000), error))

    def _late(self) -> dict[str, int]:
        now = time.monotonic()
        return {job: int(now - due) for job, due in list(self._due.items()) if due < now}

    def _rest(self, job: str, seconds: float) -> None:
        """Wait for the next round; the reconciler also wakes on the hypervisor's events."""
        if job != "reconcile":
            self.stop.wait(seconds)
        elif self._events.something.wait(seconds):
            self._events.something.clear()

    def _bill(self) -> None:
        try:
            confirmed = self._monitoring.get_compute_status().answered_at
            if confirmed is not None:
                self._billing.settle(confirmed)
        finally:  # whatever is wrong with the past, nothing may run on unpaid
            for stop in self._billing.renew_holds():
                self._quietly(partial(self._vms.stop_for_credit, stop))

    def _tell_prices(self) -> None:
        self._billing.price_telling.run()

    def _purge(self) -> None:
        self._container.get_project_service().bin.go_on()
        self._vms.bin.purge_due()
        self._container.get_project_service().bin.purge_due()

    def _verify(self) -> None:
        run = self._billing.books.verification.run_hourly()
        if run is not None and not run.ok:
            log.error("verify_breach", lines=[check.id for check in run.lines if not check.ok])

    def _keep_house(self) -> None:
        self._monitoring.prune()
        self._monitoring.processes.forget_old()
        self._container.get_auth_service().prune()
        for user_id in self._billing.statements.list_due():
            self._quietly(partial(self._billing.statements.close_month, user_id))
        users = self._container.get_user_service()
        for user_id in users.closure.list_due():
            self._quietly(partial(users.close_account, user_id))
        users.views.expire()
        self._billing.notices.prune()
        self._container.get_project_service().invitations.prune()
        self._billing.books.approvals.expire()
        self._billing.books.totals.close_days()

    # -- operations -----------------------------------------------------------------------------

    def _do_operations(self) -> None:
        free = threading.Semaphore(OPERATION_THREADS)
        with ThreadPoolExecutor(OPERATION_THREADS, thread_name_prefix="operation") as pool:
            while not self.stop.is_set():
                if not free.acquire(timeout=CLAIM_SECONDS):
                    continue
                claim = self._claim()
                if claim is None:
                    free.release()
                    self.stop.wait(CLAIM_SECONDS)
                    continue
                _operations.labels(claim.kind).inc()
                pool.submit(self._runner.run, claim).add_done_callback(lambda _done: free.release())

    def _claim(self) -> Claim | None:
        try:
            return self._runner.claim()
        except Exception:
            log.exception("claim_failed")
            self.stop.wait(1)
            return None

    def _quietly(self, action: Callable[[], object]) -> None:
        try:
            action()
        except Exception:
            log.exception("bookkeeping_failed")
