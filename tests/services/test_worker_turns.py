"""The worker's threads go round: what waits for a guest holds none, and nobody's work fills the queues for others."""

import threading
from contextlib import contextmanager
from datetime import timedelta

import pytest
from sqlalchemy import select

from tests.compute_contract import wait_for
from tests.conftest import sign_up
from tests.services.people import acting
from tests.services.vm_world import Killed
from zentry_web.adapters.compute.base import MachineEvent
from zentry_web.adapters.compute.simulator.control import SimulatorControl
from zentry_web.composition import build_container, make_compute
from zentry_web.domain.credits.billing import CreditStop
from zentry_web.domain.vms.operation import OPEN_OPERATION_STATES, OperationKind, OperationState
from zentry_web.domain.vms.state import VMState
from zentry_web.models import DbOperation
from zentry_web.services.vms.operations import LEASE
from zentry_web.worker.machine_events import MachineEvents
from zentry_web.worker.worker import Pace, Worker, WorkerSettings

pytestmark = pytest.mark.integration

SECONDS = 60  # for what takes a moment


class Hanging:
    """A driver whose calls for some machines do not come back until ``release``."""

    def __init__(self, driver):
        self._driver = driver
        self.stuck, self.hanging = set(), set()
        self.release = threading.Event()

    def __getattr__(self, name):
        return getattr(self._driver, name)

    def shutdown(self, vm_id):
        self._hang(vm_id)
        self._driver.shutdown(vm_id)

    def delete(self, vm_id):
        self._hang(vm_id)
        self._driver.delete(vm_id)

    def _hang(self, vm_id):
        if vm_id in self.stuck:
            self.hanging.add(vm_id)
            self.release.wait(4 * SECONDS)


class Site:
    """Services on the machine's own clock, a hypervisor, and people with machines."""

    def __init__(self, config):
        self.config = config
        self.container = build_container(config)
        self.vms = self.container.get_vm_service()
        self.driver = Hanging(make_compute(config))
        self.people, self._projects = {}, {}
        for name in ("alice", "bob"):
            user = self.people[name] = sign_up(self.container, name)
            data = {"name": "main"}
            self._projects[name] = self.container.get_project_service().create_project(data, user, actor=acting(user))

    def close(self):
        self.driver.release.set()
        self.driver.close()
        self.container.close()

    def launch(self, owner, name, **more):
        data = {"project_id": self._projects[owner].id, "name": name, "size_id": "size_nano", "image_id": "img_tiny"}
        user = self.people[owner]
        return self.vms.create_vm(data | more, user, actor=acting(user))

    def act(self, owner, kind, vm):
        getattr(self.vms, f"{kind}_vm")(vm.id, actor=acting(self.people[owner]))

    def stop_for_credit(self, vm, owner):
        """Near the end of what is paid, while the owner's own stop is under way."""
        self.act(owner, "stop", vm)
        self.vms.landing.stop_for_credit(CreditStop(vm.id, self.container.clock.now() + timedelta(seconds=12)))

    def state(self, vm):
        return self.vms.get_vm(vm.id).state

    def operations(self, *vms, kind=None):
        query = select(DbOperation).where(DbOperation.vm_id.in_([vm.id for vm in vms]))
        if kind is not None:
            query = query.where(DbOperation.kind == kind)
        with self.container.database.reading() as session:
            return list(session.scalars(query.order_by(DbOperation.finished_at)))

    def asked(self, *vms):
        """How many of these guests have been asked to power off."""
        return len([row for row in self.operations(*vms, kind=OperationKind.STOP) if "asked_at" in row.details])

    def open_operations(self, *vms):
        return [row for row in self.operations(*vms) if row.state in OPEN_OPERATION_STATES]

    @contextmanager
    def worker(self, *, threads):
        worker = Worker(
            self.container,
            self.driver,
            WorkerSettings(
                self.config.data,
                stop_timeout_seconds=600,
                pace=Pace(reconcile=0.5, sample=60, console=60, bill=60, land=60, mail=60),
                operation_threads=threads,
            ),
        )
        worker._driver.close = lambda: None  # the next worker of the test uses it too
        thread = threading.Thread(target=worker.run)
        thread.start()
        try:
            yield worker
        finally:
            self.driver.release.set()
            worker.stop.set()
            thread.join(2 * SECONDS)
            assert not thread.is_alive()

    def all_running(self, *vms):
        with self.worker(threads=8):
            wait_for(lambda: all(self.state(vm) == VMState.RUNNING for vm in vms), SECONDS, "all machines to run")
        self.driver.release.clear()


@pytest.fixture
def site(config):
    built = Site(config)
    yield built
    built.close()


def test_guests_that_ignore_the_button_hold_no_thread(site):
    """Five stops wait for their guests for ten minutes; one thread does another person's beside them."""
    deaf = [site.launch("alice", f"deaf-{number}") for number in range(5)]
    web = site.launch("bob", "web")
    site.all_running(*deaf, web)
    control = SimulatorControl(site.config.data / "simulator.sqlite")
    for vm in deaf:
        control.fault("shutdown", "ignore", vm.id, times=None)
        site.act("alice", "stop", vm)
    control.close()
    with site.worker(threads=1):
        wait_for(lambda: site.asked(*deaf) == 5, SECONDS, "all five to be asked")
        site.act("bob", "stop", web)
        wait_for(lambda: site.state(web) == VMState.STOPPED, SECONDS, "the other's stop")
        more = site.launch("bob", "more")
        wait_for(lambda: site.state(more) == VMState.RUNNING, SECONDS, "the other's launch")
        assert len(site.open_operations(*deaf)) == 5, "none of the five has ended meanwhile"
        site.act("alice", "force_off", deaf[0])
        wait_for(lambda: site.state(deaf[0]) == VMState.STOPPED, SECONDS, "what overtakes a stop that waits")
    assert all(check.ok for check in site.container.get_billing_service().verify())


def test_calls_that_hang_fill_neither_queue_for_others(site):
    """More calls of one person hang in the hypervisor than there are threads, in both queues."""
    hung = [site.launch("alice", f"hung-{number}") for number in range(6)]
    unpaid = [site.launch("alice", f"unpaid-{number}") for number in range(6)]
    web, poor = site.launch("bob", "web"), site.launch("bob", "poor")
    site.all_running(*hung, *unpaid, web, poor)
    site.driver.stuck = {vm.id for vm in (*hung, *unpaid)}
    for number, vm in enumerate(hung):
        if number % 2:
            site.act("alice", "stop", vm)
        else:
            site.vms.delete_vm(vm.id, vm.name, actor=acting(site.people["alice"]))
    for vm in unpaid:
        site.stop_for_credit(vm, "alice")
    with site.worker(threads=4):
        wait_for(lambda: len(site.driver.hanging) >= 4, SECONDS, "calls to hang in both queues")
        site.stop_for_credit(poor, "bob")
        site.act("bob", "stop", web)
        wait_for(lambda: site.state(poor) == VMState.STOPPED, SECONDS, "the other's stop for lack of credit")
        wait_for(lambda: site.state(web) == VMState.STOPPED, SECONDS, "the other's own stop")
        assert len(site.open_operations(*hung, *unpaid)) == 12, "nothing of the first one's came through before"
    assert {row.reason for row in site.operations(poor, kind=OperationKind.STOP)} == {"owner", "credit"}


def test_a_full_queue_of_everybodys_does_not_hold_up_a_stop_for_credit(site):
    """The only thread for everything else hangs."""
    hung, poor = site.launch("alice", "hung"), site.launch("bob", "poor")
    site.all_running(hung, poor)
    site.driver.stuck = {hung.id}
    site.act("alice", "stop", hung)
    with site.worker(threads=1):
        wait_for(lambda: site.driver.hanging, SECONDS, "the only thread to hang")
        site.stop_for_credit(poor, "bob")
        wait_for(lambda: site.state(poor) == VMState.STOPPED, SECONDS, "the stop for lack of credit")
        assert site.state(hung) == VMState.STOPPING


def test_turns_go_round_by_payer(site):
    many = [site.launch("alice", f"many-{number}") for number in range(10)]
    one = site.launch("bob", "one")
    with site.worker(threads=1):
        wait_for(lambda: not site.open_operations(*many, one), SECONDS, "all launches")
    ended = [row.vm_id for row in site.operations(*many, one)]
    assert ended.index(one.id) <= 2, "who asks for one thing does not wait for ten of another"


# -- one step at a time -----------------------------------------------------------------------------


@pytest.fixture
def project(cloud, alice):
    return cloud.project(alice)


@pytest.mark.error
def test_a_killed_worker_s_wait_is_gone_on_with(cloud, alice, project):
    """The time for a guest to power off counts from the first asking, whoever asked."""
    vm = cloud.launch(alice, project)
    cloud.control.fault("shutdown", "ignore", times=None)
    cloud.vms.stop_vm(vm.id, actor=acting(alice))
    began = cloud.clock.now()

    def killed_later(step):
        if step == "stop.asked" and cloud.clock.now() > began + timedelta(seconds=45):
            raise Killed

    cloud.worker.checkpoint = killed_later
    with pytest.raises(Killed):
        cloud.worker.work()
    cloud.clock.advance(LEASE.total_seconds())
    cloud.restart_worker()
    cloud.worker.work()
    (operation,) = [row for row in cloud.operations(vm) if row.kind == OperationKind.STOP]
    assert operation.state == OperationState.FAILED
    assert (operation.finished_at - began).total_seconds() < 90, "60 s were over, and are not waited for again"
    cloud.assert_sound()


def test_a_step_gives_its_thread_back_and_looks_less_and_less_often(cloud, alice, project):
    vm = cloud.launch(alice, project)
    cloud.control.fault("shutdown", "ignore", times=None)
    cloud.vms.stop_vm(vm.id, actor=acting(alice))
    claim = cloud.worker.runner.claim()
    steps = cloud.worker.runner.steps(claim)
    pauses = []
    for _ in range(5):
        pauses.append(next(steps))
        cloud.clock.advance(pauses[-1])
    assert pauses[:4] == [0.25, 0.5, 1.0, 2.0]
    assert sum(pauses) == pytest.approx(5, abs=0.3), "then it asks again"
    cloud.vms.force_off_vm(vm.id, actor=acting(alice))
    assert cloud.vms.operations.list_lost([claim]) == [claim]
    assert next(steps, None) is None
    assert [one.kind for one in cloud.worker.work()] == [OperationKind.FORCE_OFF]


def test_whose_turn_it_could_be(cloud, alice, bob, project):
    operations = cloud.vms.operations
    assert operations.list_due() == []
    vm, other = cloud.launch(alice, project), cloud.launch(bob, cloud.project(bob))
    cloud.vms.stop_vm(other.id, actor=acting(bob))
    cloud.clock.advance(1)
    cloud.vms.stop_vm(vm.id, actor=acting(alice))
    cloud.vms.landing.stop_for_credit(CreditStop(vm.id, cloud.clock.now() + timedelta(seconds=10)))
    assert operations.list_due() == [(bob.id, False), (alice.id, True)]
    assert operations.claim("one", owner_id=alice.id, urgent=False) is None
    assert operations.claim("one", owner_id=bob.id, urgent=True) is None
    claim = operations.claim("one", owner_id=alice.id, urgent=True)
    assert (claim.vm_id, claim.owner_id, claim.reason) == (vm.id, alice.id, "credit")
    assert operations.list_due() == [(bob.id, False)]
    operations.let_go(claim)
    assert len(operations.list_due()) == 2


@pytest.mark.error
def test_what_waited_for_the_host_goes_on_at_once_when_it_answers(cloud, alice, project):
    """Whatever the back-off has grown to."""
    cloud.control.fault("*", "unavailable", times=None)
    vm = cloud.ask(alice, project)
    cloud.live(60, step=3)
    (operation,) = cloud.operations(vm)
    assert operation.run_at > cloud.clock.now() + timedelta(seconds=10)
    cloud.control.clear()
    cloud.round(3)
    cloud.worker.work()
    assert cloud.vm(vm).state == VMState.RUNNING
    assert cloud.vms.operations.hurry() == 0
    cloud.assert_sound()


def test_what_a_machine_does_is_heard_once(clock):
    events = MachineEvents()
    events.hear(MachineEvent("vm_1", "stopped", clock.now()))
    events.hear(MachineEvent(None, "reconnected", clock.now()))
    assert events.take_stirred() == {"vm_1"}
    assert events.take_stirred() == set()
