"""A small cloud on the simulator and a manual clock, driven step by step: no threads, no waiting."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from tests.services.people import acting
from zentry_web.adapters.compute.base import MachineEvent
from zentry_web.adapters.compute.simulator.control import SimulatorControl
from zentry_web.adapters.compute.simulator.store import SimulatorStore
from zentry_web.domain.credits.billing import AccountKind
from zentry_web.domain.credits.usage import UsageState
from zentry_web.domain.setting import SettingKey
from zentry_web.models import DbAccount, DbCharge, DbHold, DbOperation, DbUsageInterval, DbVM
from zentry_web.services.shared.rounds import Loop
from zentry_web.worker.machine_events import MachineEvents
from zentry_web.worker.operations import OperationRunner
from zentry_web.worker.reconcile import Reconciler
from zentry_web.worker.telling import LandingTeller
from zentry_web.worker.worker import Worker, WorkerSettings

RUNNING, STOPPED = UsageState.RUNNING, UsageState.STOPPED


class Killed(BaseException):
    """SIGKILL, as far as one thread can show it: nothing is caught, nothing is recorded."""


class SteppingStop:
    """Stands in for the worker's stop event: waiting moves the clock and lets the world's ``meanwhile`` happen."""

    def __init__(self, cloud):
        self._cloud = cloud
        self.is_stopping = False

    def wait(self, seconds):
        self._cloud.clock.advance(seconds)
        self._cloud.pump()
        self._cloud.meanwhile()
        return self.is_stopping


class OneWorker:
    """A worker's parts without its threads."""

    def __init__(self, cloud, name, stop_timeout_seconds):
        self.cloud, self.name = cloud, name
        self.events = MachineEvents()
        self.stop = SteppingStop(cloud)
        self.checkpoint = lambda step: None
        self.runner = OperationRunner(
            cloud.vms,
            cloud.driver,
            self.events,
            self.stop,
            worker=name,
            stop_timeout_seconds=stop_timeout_seconds,
            checkpoint=lambda step: self.checkpoint(step),
        )
        self.reconciler = Reconciler(cloud.vms, cloud.monitoring, cloud.driver, self.events, cloud.clock)
        self._heard = cloud.store.last_event_id()

    def pump(self):
        """Tell the events that the driver's thread would have told by now."""
        now = self.cloud.clock.now()
        for number, vm_id, kind, at in self.cloud.store.events_after(self._heard):
            moment = datetime.fromtimestamp(at, UTC)
            if moment > now:
                break
            self._heard = number
            self.events.hear(MachineEvent(vm_id, kind, moment))

    def work(self, *, most=50):
        """Do the operations that are due, one after the other; returns the claims."""
        done = []
        while len(done) < most and (claim := self.runner.claim()) is not None:
            done.append(claim)
            self.runner.run(claim)
        return done


class Cloud:
    """Services, simulator and one worker; ``worker`` may be replaced to play a restart."""

    def __init__(self, container, driver, clock, config):
        self.container, self.driver, self.clock, self.config = container, driver, clock, config
        self.vms, self.billing = container.get_vm_service(), container.get_billing_service()
        self.monitoring, self.projects = container.get_monitoring_service(), container.get_project_service()
        self.store = SimulatorStore(config.data / "simulator.sqlite")
        self.control = SimulatorControl(config.data / "simulator.sqlite", clock)
        self.meanwhile = lambda: None
        self.stop_timeout = config.stop_timeout_seconds
        self.worker = self.another_worker("one")
        self._biller = Worker(
            container,
            driver,
            WorkerSettings(config.data, self.stop_timeout),
        )

    def close(self):
        self.store.close()
        self.control.close()

    def keep_deleted(self, days):
        """Whatever is deleted from now on stays in the recycle bin for so long: the settings of tests pin it to 0."""
        self.billing.settings._defaults[SettingKey.BIN_DAYS] = days

    def another_worker(self, name):
        return OneWorker(self, name, self.stop_timeout)

    def kill_at(self, step):
        """The worker works until it is killed at this checkpoint. ``restart_worker`` lets another one take over."""

        def kill(reached):
            if reached == step:
                raise Killed

        self.worker.checkpoint = kill
        with pytest.raises(Killed):
            self.worker.work()

    def restart_worker(self, name="two"):
        """The old one was killed: what it had heard is lost, its leases stay."""
        self.worker = self.another_worker(name)

    def pump(self):
        self.worker.pump()

    # -- people's side --------------------------------------------------------------------------

    def project(self, user, name="main"):
        return self.projects.create_project({"name": name}, user, actor=acting(user))

    def back_up(self, user, vm, name="good"):
        """A backup of a machine, which the worker has made."""
        self.vms.backups.take(vm.id, {"name": name, "note": ""}, actor=acting(user))
        self.worker.work()
        return self.vms.backups.list(vm.id, actor=acting(user))[0]

    def ask(self, user, project, name="web", size="size_nano", **more):
        """A launch that no worker has looked at yet."""
        data = {"project_id": project.id, "name": name, "size_id": size, "image_id": "img_tiny"}
        key = more.pop("idempotency_key", None)
        return self.vms.create_vm(data | more, user, actor=acting(user), idempotency_key=key)

    def launch(self, user, project, name="web", size="size_nano", *, answered=True):
        """A VM that runs, and has answered unless told otherwise."""
        vm = self.ask(user, project, name, size)
        self.worker.work()
        if answered:
            self.round(3)
        return self.vm(vm)

    def set_wallet(self, user, micro):
        """Add or deduct so that the wallet holds ``micro``."""
        have = self.billing.get_user_credits(user.id)
        if micro > have:
            self.billing.add_credits(user.id, micro - have, "for a test")
        elif micro < have:
            self.billing.deduct_credits(user.id, have - micro, "for a test")

    # -- the worker's side ----------------------------------------------------------------------

    def bill(self):
        with Loop("bill").round():  # as the worker goes round: one machine's trouble is its own
            self._biller._bill()

    def purge(self):
        """One round of the loop that tidies up: what was deleted, put aside, left over."""
        with Loop("purge").round():
            self._biller._purge()

    def land(self):
        """One round of the landing loop, and the operations it asked for."""
        LandingTeller(self.billing, self.vms).run()
        self.worker.work()

    def round(self, seconds=3):
        """The time until the next round, and one of each loop."""
        self.clock.advance(seconds)
        self.pump()
        self.worker.reconciler.run()
        self.bill()

    def live(self, seconds, *, step=3):
        """Let ``seconds`` pass in rounds, operations included."""
        until = self.clock.now().timestamp() + seconds
        while self.clock.now().timestamp() < until:
            self.round(step)
            self.worker.work()

    def stride(self, vm, near):
        """Seconds to the next look at a machine whose credits run out: ``near`` at its hold's end, many before."""
        hold = self.hold(vm)
        return 120 if hold and hold.paid_until - self.clock.now() > timedelta(minutes=5) else near

    # -- looks ----------------------------------------------------------------------------------

    def vm(self, vm):
        """The VM as it is now, deleted or not (then: the row)."""
        return self.vms.get_vm(vm.id)

    def row(self, vm):
        return self._all(select(DbVM).where(DbVM.id == vm.id))[0]

    def operations(self, vm):
        return self._all(select(DbOperation).where(DbOperation.vm_id == vm.id).order_by(DbOperation.created_at))

    def intervals(self, vm):
        return self._all(
            select(DbUsageInterval)
            .where(DbUsageInterval.vm_id == vm.id)
            .order_by(DbUsageInterval.start_at, DbUsageInterval.id)
        )

    def run_seconds(self, vm):
        """(start, end) of each running interval."""
        return [(row.start_at, row.end_at) for row in self.intervals(vm) if row.state == RUNNING]

    def charges(self, vm):
        return self._all(select(DbCharge).where(DbCharge.vm_id == vm.id).order_by(DbCharge.from_at, DbCharge.kind))

    def hold(self, vm):
        """The open hold, or None."""
        found = self._all(select(DbHold).where(DbHold.vm_id == vm.id, DbHold.closed_at.is_(None)))
        return found[0] if found else None

    def held(self, user):
        query = select(DbAccount).where(DbAccount.owner_id == user.id, DbAccount.kind == AccountKind.HELD)
        return self._all(query)[0].balance

    def wallet(self, user):
        return self.billing.get_user_credits(user.id)

    def told(self, user, kind):
        """A person's notices of that kind, newest first."""
        return [notice for notice in self.billing.notices.list_notices(user.id) if notice.kind == kind]

    def _all(self, query):
        with self.container.database.reading() as session:
            return list(session.scalars(query))

    def written_off(self):
        return -self.billing.books.ledger.get_system_balances()[AccountKind.WRITE_OFF]

    def assert_sound(self):
        """Every invariant that can be looked at holds."""
        broken = [check for check in self.billing.verify() if not check.ok]
        assert not broken, broken
