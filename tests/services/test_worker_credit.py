"""When credits end: the VM is off by the end of its hold, the wallet is never below zero, nothing else is stopped."""

from datetime import timedelta

import pytest

from tests.services.people import acting, events_of
from zentry_web.adapters.compute.base import PowerState
from zentry_web.domain.credits.billing import CreditStop
from zentry_web.domain.vms.operation import OperationKind, OperationState
from zentry_web.domain.vms.state import VMState
from zentry_web.services.errors import ConflictError

pytestmark = pytest.mark.integration

LARGE = 200_000  # micro-credits an hour


@pytest.fixture
def project(cloud, alice):
    return cloud.project(alice)


def seconds_run(cloud, vm):
    return [(end - start).total_seconds() for start, end in cloud.run_seconds(vm)]


def live_until_stopped(cloud, vm, *, at_most=3 * 3600):
    """Rounds of 5 s when it matters (else of two minutes), each looking that nothing runs past its hold."""
    until = cloud.clock.now() + timedelta(seconds=at_most)
    while cloud.vm(vm).state != VMState.STOPPED:
        assert cloud.clock.now() < until, "it was never stopped"
        hold = cloud.hold(vm)
        if hold is not None and hold.paid_until is not None:
            machine = cloud.driver.machine(vm.id)
            assert machine.power is PowerState.OFF or cloud.clock.now() <= hold.paid_until
        calm = hold is not None and hold.paid_until - cloud.clock.now() > timedelta(seconds=300)
        cloud.round(120 if calm else 5)
        cloud.worker.work()


def launched_with(cloud, alice, project, micro, size="size_large"):
    """A running VM of a person who has ``micro`` in all, its hold included."""
    cloud.set_wallet(alice, micro)
    return cloud.launch(alice, project, size=size)


def test_a_hold_is_renewed_when_half_of_it_is_left(cloud, alice, project, clock):
    vm = cloud.launch(alice, project)
    first = cloud.hold(vm).paid_until
    cloud.live(1700, step=340)
    assert cloud.hold(vm).paid_until == first
    cloud.live(200, step=100)
    assert cloud.hold(vm).paid_until > first + timedelta(minutes=25)
    assert cloud.vm(vm).state == VMState.RUNNING
    cloud.assert_sound()


@pytest.mark.parametrize("micro", [200_000, 210_000, 265_432])
def test_a_vm_is_off_by_the_end_of_what_can_be_paid(cloud, alice, project, micro):
    vm = launched_with(cloud, alice, project, micro)
    live_until_stopped(cloud, vm)
    (ran,) = seconds_run(cloud, vm)
    affordable = micro * 3600 / LARGE
    assert affordable - 70 <= ran <= affordable, (ran, affordable)
    assert "credits" in cloud.vm(vm).state_reason
    assert cloud.wallet(alice) >= 0
    assert cloud.written_off() == 0
    stop = [one for one in cloud.operations(vm) if one.kind == OperationKind.STOP]
    assert [(one.state, one.reason) for one in stop] == [(OperationState.SUCCEEDED, "credit")]
    left = cloud.wallet(alice)
    cloud.live(7200, step=600)
    assert cloud.wallet(alice) == left, "the disk of a VM that credits stopped is kept without a charge"
    assert cloud.written_off() == 0
    cloud.assert_sound()


@pytest.mark.error
def test_a_guest_that_ignores_the_credit_stop_is_forced_off_in_time(cloud, alice, project):
    vm = launched_with(cloud, alice, project, 205_000)
    cloud.control.fault("shutdown", "ignore", times=None)
    live_until_stopped(cloud, vm)
    (ran,) = seconds_run(cloud, vm)
    assert 205_000 * 3600 / LARGE - 12 <= ran <= 205_000 * 3600 / LARGE
    assert cloud.written_off() == 0
    cloud.assert_sound()


@pytest.mark.error
@pytest.mark.parametrize("when", [100, 75, 66, 61])
def test_an_owners_stop_that_the_guest_ignores_does_not_outlast_the_credits(cloud, alice, project, when):
    vm = launched_with(cloud, alice, project, 205_000)
    cloud.control.fault("shutdown", "ignore", times=None)
    ends_at = cloud.run_seconds(vm)[0][0] + timedelta(seconds=205_000 * 3600 // LARGE)
    asked = []

    def every_five_seconds():
        if not asked and cloud.clock.now() >= ends_at - timedelta(seconds=when):
            asked.append(cloud.clock.now())
            try:
                cloud.vms.stop_vm(vm.id, actor=acting(alice))
            except ConflictError:
                asked.append("overtaken already")

    ticks = [cloud.clock.now()]

    def meanwhile():
        """The other threads of the worker go on while an operation waits."""
        if cloud.clock.now() >= ticks[-1] + timedelta(seconds=5):
            ticks.append(cloud.clock.now())
            cloud.bill()

    cloud.meanwhile = meanwhile
    while cloud.vm(vm).state != VMState.STOPPED:
        assert cloud.clock.now() < ends_at + timedelta(seconds=60)
        cloud.round(5 if cloud.clock.now() > ends_at - timedelta(seconds=150) else 60)
        every_five_seconds()
        cloud.worker.work(most=1)
    assert asked
    assert cloud.run_seconds(vm)[0][1] <= ends_at
    assert cloud.written_off() == 0
    cloud.assert_sound()


@pytest.mark.error
def test_a_restart_does_not_outlast_the_credits(cloud, alice, project):
    vm = launched_with(cloud, alice, project, 205_000)
    ends_at = cloud.run_seconds(vm)[0][0] + timedelta(seconds=205_000 * 3600 // LARGE)
    while cloud.clock.now() < ends_at - timedelta(seconds=65):
        cloud.round(5 if cloud.clock.now() > ends_at - timedelta(seconds=150) else 60)
    cloud.vms.reboot_vm(vm.id, actor=acting(alice))
    assert cloud.worker.runner.claim().kind == OperationKind.REBOOT, "and it hangs"
    cloud.round(5)
    cloud.round(5)
    states = [(one.kind, one.state) for one in cloud.operations(vm)][-2:]
    assert states == [
        (OperationKind.REBOOT, OperationState.CANCELLED),
        (OperationKind.STOP, OperationState.QUEUED),
    ]
    cloud.vms.operations.release_worker("one")
    live_until_stopped(cloud, vm)
    assert cloud.run_seconds(vm)[0][1] <= ends_at
    cloud.assert_sound()


def test_a_top_up_in_time_keeps_it_running(cloud, alice, project):
    vm = launched_with(cloud, alice, project, 205_000)
    cloud.live(3000, step=300)
    cloud.billing.add_credits(alice.id, 400_000, "top-up")
    cloud.live(3600, step=300)
    assert cloud.vm(vm).state == VMState.RUNNING
    assert [one.kind for one in cloud.operations(vm)] == [OperationKind.CREATE]
    cloud.assert_sound()


def test_only_what_cannot_be_paid_is_stopped(cloud, alice, bob, project):
    poor = launched_with(cloud, alice, project, 205_000)
    rich = cloud.launch(bob, cloud.project(bob), size="size_large")
    live_until_stopped(cloud, poor)
    assert cloud.vm(rich).state == VMState.RUNNING
    cloud.assert_sound()


def test_of_two_machines_on_one_wallet_both_end_paid(cloud, alice, project):
    cloud.set_wallet(alice, 450_000)
    first = cloud.launch(alice, project, "one", "size_large")
    cloud.live(600, step=300)
    second = cloud.launch(alice, project, "two", "size_large")
    for vm in (first, second):
        live_until_stopped(cloud, vm)
    assert cloud.written_off() <= 2 * 600_000, "disks only"
    for vm in (first, second):
        for interval in cloud.intervals(vm):
            if interval.state == "running":
                assert interval.end_at is not None
    running = sum(charge.amount for vm in (first, second) for charge in cloud.charges(vm))
    assert running <= 450_000 + cloud.written_off()
    cloud.assert_sound()


@pytest.mark.error
def test_a_worker_away_past_the_end_of_a_hold_stops_it_at_once_on_return(cloud, alice, project, clock):
    vm = launched_with(cloud, alice, project, 205_000)
    clock.advance(hours=3)
    cloud.restart_worker()
    cloud.live(60)
    assert cloud.vm(vm).state == VMState.STOPPED
    assert cloud.wallet(alice) == 0
    assert cloud.written_off() > 0, "what neither hold nor wallet could pay"
    cloud.assert_sound()


def test_a_worker_away_past_the_end_of_a_hold_stops_nothing_that_can_be_paid(cloud, alice, project, clock):
    vm = cloud.launch(alice, project, size="size_large")
    clock.advance(hours=3)
    cloud.restart_worker()
    cloud.live(60)
    assert cloud.vm(vm).state == VMState.RUNNING
    assert cloud.written_off() == 0
    cloud.assert_sound()


def test_a_credit_stop_is_asked_for_once_and_not_too_early(cloud, core, alice, project, clock):
    vm = launched_with(cloud, alice, project, 205_000)
    ends_at = cloud.hold(vm).paid_until
    stop = CreditStop(vm.id, ends_at)
    clock.set(ends_at - timedelta(seconds=61))
    cloud.vms.landing.stop_for_credit(stop)
    assert cloud.vm(vm).state == VMState.RUNNING
    clock.set(ends_at - timedelta(seconds=60))
    cloud.vms.landing.stop_for_credit(stop)
    cloud.vms.landing.stop_for_credit(stop)
    assert len(events_of(core, "vm.stop")) == 1
    cloud.vms.landing.stop_for_credit(CreditStop("vm_none", ends_at))
    cloud.worker.work()
    cloud.vms.landing.stop_for_credit(stop)
    cloud.vms.delete_vm(vm.id, vm.name, actor=acting(alice))
    cloud.worker.work()
    cloud.vms.landing.stop_for_credit(stop)
    assert len(cloud.operations(vm)) == 3


@pytest.mark.error
def test_one_stop_that_fails_does_not_hold_up_the_others(cloud, alice, project, monkeypatch):
    cloud.set_wallet(alice, 410_000)
    vms = [cloud.launch(alice, project, name, "size_large") for name in ("one", "two")]
    stop_for_credit = cloud.vms.landing.stop_for_credit

    def stumble(stop):
        if stop.vm_id == vms[0].id:
            raise ConflictError("just changed")
        stop_for_credit(stop)

    monkeypatch.setattr(cloud.vms.landing, "stop_for_credit", stumble)
    cloud.live(3700, step=50)
    assert cloud.vm(vms[1]).state == VMState.STOPPED


@pytest.mark.error
def test_a_settlement_that_fails_does_not_keep_unpaid_machines_running(cloud, alice, project, monkeypatch):
    vm = launched_with(cloud, alice, project, 205_000)

    def broken(_confirmed):
        raise OSError("disk I/O error")

    monkeypatch.setattr(cloud.billing.runs, "settle", broken)
    while cloud.vm(vm).state == VMState.RUNNING:
        cloud.clock.advance(20)
        cloud.pump()
        cloud.worker.reconciler.run()
        with pytest.raises(OSError, match="disk"):
            cloud.bill()
        assert cloud.clock.now() < cloud.run_seconds(vm)[0][0] + timedelta(hours=2)
    assert cloud.operations(vm)[-1].reason == "credit"
