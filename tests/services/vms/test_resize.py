"""Another size: asked for, done by the worker, billed to the second."""

from datetime import timedelta

import pytest

from tests.services.people import acting, events_of
from zentry_web.domain.event import Outcome
from zentry_web.domain.vms.operation import OperationKind, OperationState
from zentry_web.domain.vms.state import VMState
from zentry_web.services.errors import ConflictError, InsufficientCreditsError, NotFoundError, ValidationError
from zentry_web.services.vms.operations import LEASE

pytestmark = pytest.mark.integration

NANO, MICRO, SMALL = "size_nano", "size_micro", "size_small"
STEPS = ("claimed", "asked", "off", "recorded", "changed", "boot", "running")


@pytest.fixture
def vm(cloud, alice, project):
    """It runs and has answered, for a while now."""
    vm = cloud.launch(alice, project, size=MICRO)
    cloud.round(300)
    return vm


@pytest.fixture
def off(cloud, alice, vm):
    cloud.vms.stop_vm(vm.id, actor=acting(alice))
    cloud.worker.work()
    cloud.clock.advance(60)
    return vm


def resize(cloud, user, vm, size, key=None):
    return cloud.vms.resize_vm(vm.id, size, actor=acting(user), idempotency_key=key)


def machine_of(cloud, vm):
    return cloud.store.find(vm.id)


def size_of(cloud, vm):
    """Of the record and of the machine: they are the same."""
    row, machine = cloud.row(vm), machine_of(cloud, vm)
    assert (row.vcpus, row.memory_mib) == (machine.vcpus, machine.memory_mib)
    assert row.disk_gib <= machine.disk_gib
    return row.size_id


def spans(cloud, vm):
    return [(row.state, row.rate_micro_per_hour, row.start_at, row.end_at) for row in cloud.intervals(vm)]


def test_a_running_vm_is_stopped_changed_and_started_again(cloud, core, alice, vm):
    before = cloud.row(vm)
    seen = []
    cloud.worker.checkpoint = lambda step: seen.append((step, cloud.vm(vm).state, cloud.row(vm).size_id))
    operation = resize(cloud, alice, vm, SMALL)
    assert (operation.kind, operation.restarts) == (OperationKind.RESIZE, True)
    assert cloud.vm(vm).state == VMState.RESIZING
    cloud.worker.work()
    assert {step for step, _, _ in seen} == {f"resize.{step}" for step in STEPS}
    assert {(state, size) for _, state, size in seen} == {(VMState.RESIZING, MICRO)}
    after = cloud.row(vm)
    assert (after.state, size_of(cloud, vm)) == (VMState.RUNNING, SMALL)
    assert after.run_id != before.run_id
    assert after.price_version_id == "price_small_1"
    (_, last) = cloud.operations(vm)
    assert last.state == OperationState.SUCCEEDED
    cloud.round(3)
    assert cloud.vm(vm).answered_at
    assert [event.outcome for event in events_of(core, "vm.resize")] == [Outcome.ACCEPTED, Outcome.SUCCEEDED]
    assert len(events_of(core, "vm.resize_off")) == 1
    assert {step.status for step in cloud.vms.get_vm_page(vm.id).steps} == {"done"}
    cloud.assert_sound()


def test_its_bill_has_no_gap_no_overlap_and_no_second_minimum(cloud, alice, vm):
    resize(cloud, alice, vm, SMALL)
    cloud.worker.work()
    first, between, last = spans(cloud, vm)
    assert (first[0], between[0], last[0]) == ("running", "stopped", "running")
    assert (first[3], between[3]) == (between[2], last[2])
    row = cloud.row(vm)
    assert (between[1], last[1]) == (500, row.running_micro_per_hour)
    assert cloud.intervals(vm)[-1].minimum_seconds == 0
    assert not [charge for charge in cloud.charges(vm) if charge.kind == "minimum"]
    hold = cloud.hold(vm)
    assert hold.interval_id == cloud.intervals(vm)[-1].id
    assert hold.rate_micro_per_hour == row.running_micro_per_hour
    assert hold.remaining <= row.running_micro_per_hour + 1
    cloud.live(7200, step=60)
    assert cloud.vm(vm).state == VMState.RUNNING
    cloud.assert_sound()


def test_a_smaller_one_gives_the_rest_of_its_hold_back(cloud, alice, project):
    vm = cloud.launch(alice, project, size=SMALL)
    cloud.round(100)
    assert cloud.row(vm).disk_gib > 1
    wallet = cloud.wallet(alice)
    with pytest.raises(ValidationError, match="cannot shrink"):
        resize(cloud, alice, vm, NANO)
    assert (cloud.wallet(alice), cloud.vm(vm).state) == (wallet, VMState.RUNNING)
    cloud.assert_sound()


def test_one_that_is_off_is_changed_in_place(cloud, alice, off):
    wallet = cloud.wallet(alice)
    operation = resize(cloud, alice, off, SMALL)
    assert not operation.restarts
    assert cloud.vm(off).state == VMState.RESIZING
    assert cloud.wallet(alice) == wallet
    cloud.worker.work()
    assert (cloud.vm(off).state, size_of(cloud, off)) == (VMState.STOPPED, SMALL)
    *_, before, after = spans(cloud, off)
    assert (before[0], after[0], before[3]) == ("stopped", "stopped", after[2])
    assert (before[1], after[1]) == (500, cloud.row(off).stopped_micro_per_hour)
    assert cloud.hold(off) is None
    cloud.vms.start_vm(off.id, actor=acting(alice))
    cloud.worker.work()
    assert spans(cloud, off)[-1][1] == cloud.row(off).running_micro_per_hour == 50_000
    cloud.assert_sound()


@pytest.mark.error
def test_who_may_and_what_may_be_chosen(cloud, alice, bob, charlie, vm):
    with pytest.raises(NotFoundError):
        resize(cloud, charlie, vm, SMALL)
    for size in ("", "size_none"):
        with pytest.raises(ValidationError) as caught:
            resize(cloud, alice, vm, size)
        assert "size_id" in caught.value.details
    with pytest.raises(ValidationError, match="has this size now"):
        resize(cloud, alice, vm, MICRO)
    cloud.vms.update_size(SMALL, {"active": False})
    with pytest.raises(ValidationError, match="no longer on offer"):
        resize(cloud, alice, vm, SMALL)
    with pytest.raises(NotFoundError):
        cloud.vms.resizing.list_choices(vm.id, actor=acting(charlie))
    choices = cloud.vms.resizing.list_choices(vm.id, actor=acting(alice))
    assert [choice.size.id for choice in choices if choice.is_current] == [MICRO]
    assert SMALL not in {choice.size.id for choice in choices}
    assert len(cloud.operations(vm)) == 1


@pytest.mark.error
def test_the_difference_must_be_payable(cloud, alice, vm):
    cloud.set_wallet(alice, 34_000)
    with pytest.raises(InsufficientCreditsError) as caught:
        resize(cloud, alice, vm, SMALL)
    assert caught.value.details == {"needed": 35_000, "available": 34_000}
    assert cloud.vm(vm).state == VMState.RUNNING
    cloud.set_wallet(alice, 35_000)
    resize(cloud, alice, vm, SMALL)
    assert cloud.wallet(alice) == 0
    cloud.worker.work()
    assert (cloud.vm(vm).state, size_of(cloud, vm)) == (VMState.RUNNING, SMALL)
    assert cloud.written_off() == 0
    cloud.assert_sound()


@pytest.mark.error
def test_a_larger_disk_must_be_payable_when_it_is_off(cloud, alice, off):
    cloud.set_wallet(alice, 100)
    with pytest.raises(InsufficientCreditsError):
        resize(cloud, alice, off, SMALL)
    assert cloud.vm(off).state == VMState.STOPPED


@pytest.mark.error
def test_one_key_has_one_effect(cloud, alice, vm):
    first = resize(cloud, alice, vm, SMALL, "key")
    assert resize(cloud, alice, vm, SMALL, "key").id == first.id
    with pytest.raises(ConflictError):
        resize(cloud, alice, vm, "size_medium", "key")
    cloud.worker.work()
    assert resize(cloud, alice, vm, SMALL, "key").id == first.id
    assert len(cloud.operations(vm)) == 2
    cloud.assert_sound()


@pytest.mark.error
def test_a_state_that_does_not_allow_it(cloud, alice, vm):
    resize(cloud, alice, vm, SMALL)
    for order in (cloud.vms.start_vm, cloud.vms.stop_vm, cloud.vms.reboot_vm, cloud.vms.force_off_vm):
        with pytest.raises(ConflictError):
            order(vm.id, actor=acting(alice))
    with pytest.raises(ConflictError, match="resizing"):
        resize(cloud, alice, vm, "size_medium")


@pytest.mark.error
def test_a_guest_that_does_not_power_off_keeps_its_size_and_its_run(cloud, alice, vm):
    cloud.control.fault("shutdown", "ignore", times=None)
    run_id, wallet = cloud.row(vm).run_id, cloud.wallet(alice)
    resize(cloud, alice, vm, SMALL)
    assert cloud.wallet(alice) == wallet - 35_000
    cloud.worker.work()
    row = cloud.row(vm)
    assert (row.state, row.run_id, size_of(cloud, vm)) == (VMState.RUNNING, run_id, MICRO)
    assert "did not power off" in row.state_reason
    assert cloud.wallet(alice) == wallet, "the difference is given back"
    assert len(cloud.intervals(vm)) == 1
    cloud.assert_sound()


@pytest.mark.error
@pytest.mark.parametrize("action", ["resize", "start"])
def test_a_host_that_refuses_leaves_it_running_at_its_old_size(cloud, alice, vm, action):
    cloud.control.fault(action, "refuse", message="No room.")
    resize(cloud, alice, vm, SMALL)
    cloud.worker.work()
    row = cloud.row(vm)
    assert (row.state, row.state_reason, size_of(cloud, vm)) == (VMState.RUNNING, "No room.", MICRO)
    assert [span[:2] for span in spans(cloud, vm)] == [("running", 15_000), ("stopped", 500), ("running", 15_000)]
    assert cloud.intervals(vm)[-1].minimum_seconds == 0
    assert cloud.operations(vm)[-1].state == OperationState.FAILED
    assert cloud.hold(vm).remaining <= 15_000
    assert cloud.vms.get_vm_page(vm.id).steps[0].status == "done"
    cloud.assert_sound()


@pytest.mark.error
def test_a_host_that_starts_neither_size_leaves_it_off_with_nothing_held(cloud, alice, vm):
    cloud.control.fault("start", "refuse", message="No memory.", times=None)
    resize(cloud, alice, vm, SMALL)
    cloud.worker.work()
    row = cloud.row(vm)
    assert (row.state, row.state_reason, size_of(cloud, vm)) == (VMState.STOPPED, "No memory.", MICRO)
    assert (cloud.held(alice), cloud.hold(vm)) == (0, None)
    cloud.control.clear()
    cloud.clock.advance(1)
    cloud.vms.start_vm(vm.id, actor=acting(alice))
    cloud.worker.work()
    assert cloud.vm(vm).state == VMState.RUNNING
    cloud.assert_sound()


@pytest.mark.error
def test_one_that_is_off_and_refused_stays_as_it_was(cloud, alice, off):
    cloud.control.fault("resize", "refuse", message="No room.")
    resize(cloud, alice, off, SMALL)
    cloud.worker.work()
    row = cloud.row(off)
    assert (row.state, row.state_reason, size_of(cloud, off)) == (VMState.STOPPED, "No room.", MICRO)
    assert spans(cloud, off)[-1][1] == 500
    cloud.assert_sound()


@pytest.mark.error
@pytest.mark.parametrize("kind", ["unavailable", "timeout", "timeout-after"])
@pytest.mark.parametrize("action", ["shutdown", "resize", "start", "machine"])
def test_a_host_that_stumbles_is_asked_again(cloud, alice, vm, action, kind):
    cloud.control.fault(action, kind, times=2)
    resize(cloud, alice, vm, SMALL)
    cloud.live(60)
    assert (cloud.vm(vm).state, size_of(cloud, vm)) == (VMState.RUNNING, SMALL)
    assert len(cloud.run_seconds(vm)) == 2
    cloud.assert_sound()


@pytest.mark.error
def test_a_host_that_went_away_in_the_middle_for_good(cloud, alice, vm):
    """Given up with the machine changed and the record not: the next start puts the machine right."""
    cloud.worker.checkpoint = lambda step: (
        step == "resize.changed" and cloud.control.fault("*", "unavailable", times=None)
    )
    resize(cloud, alice, vm, SMALL)
    cloud.live(900, step=30)
    row = cloud.row(vm)
    assert (row.state, row.size_id) == (VMState.STOPPED, MICRO)
    assert cloud.held(alice) == 0
    cloud.control.clear()
    cloud.round()
    cloud.vms.start_vm(vm.id, actor=acting(alice))
    cloud.live(10)
    assert (cloud.vm(vm).state, size_of(cloud, vm)) == (VMState.RUNNING, MICRO)
    cloud.assert_sound()


@pytest.mark.error
@pytest.mark.parametrize("step", STEPS)
def test_a_worker_killed_at_any_step_is_taken_over(cloud, alice, vm, step):
    resize(cloud, alice, vm, SMALL)
    cloud.kill_at(f"resize.{step}")
    cloud.restart_worker()
    cloud.assert_sound()
    cloud.clock.advance(LEASE.total_seconds() + 1)
    cloud.worker.work()
    assert (cloud.vm(vm).state, size_of(cloud, vm)) == (VMState.RUNNING, SMALL)
    assert len(cloud.run_seconds(vm)) == 2
    cloud.live(30)
    cloud.assert_sound()


@pytest.mark.parametrize("step", STEPS)
def test_a_delete_overtakes_it(cloud, alice, vm, step):
    def delete(name):
        if name == f"resize.{step}" and cloud.row(vm).state == VMState.RESIZING:
            cloud.vms.delete_vm(vm.id, vm.name, actor=acting(alice))

    cloud.worker.checkpoint = delete
    resize(cloud, alice, vm, SMALL)
    cloud.live(40)
    assert cloud.row(vm).state == VMState.DELETED
    assert (cloud.held(alice), machine_of(cloud, vm)) == (0, None)
    cloud.assert_sound()


@pytest.mark.error
def test_the_end_of_credits_overtakes_a_guest_that_does_not_power_off(cloud, alice, vm):
    """Nothing runs past its hold, resize or not."""
    cloud.set_wallet(alice, 0)
    while cloud.hold(vm).paid_until - cloud.clock.now() > timedelta(seconds=70):
        step = cloud.stride(vm, 10)
        cloud.live(step, step=step)
    cloud.control.fault("shutdown", "ignore", times=None)
    end = cloud.hold(vm).paid_until
    cloud.billing.price_list.publish(SMALL, 15_000, 250, actor=cloud_admin())
    resize(cloud, alice, vm, SMALL)
    cloud.meanwhile = cloud.bill
    cloud.live(90, step=2)
    assert cloud.vm(vm).state == VMState.STOPPED
    assert cloud.run_seconds(vm)[-1][1] <= end
    assert cloud.written_off() == 0
    assert cloud.row(vm).credit_stopped_at is not None
    cloud.assert_sound()


def cloud_admin():
    from zentry_web.domain.user import SYSTEM

    return SYSTEM


def test_what_credits_stopped_may_be_made_cheaper_and_returns(cloud, alice, project):
    """A size that costs less is a way out: the machine starts again as soon as the wallet allows."""
    cloud.billing.price_list.publish("size_medium", 10_000, 250, actor=cloud_admin())
    cloud.set_wallet(alice, 60_000)
    vm = cloud.launch(alice, project, size=SMALL)
    while cloud.vm(vm).state != VMState.STOPPED:
        step = cloud.stride(vm, 5)
        cloud.live(step, step=step)
    cloud.set_wallet(alice, 25_000)
    cloud.land()
    assert cloud.vm(vm).state == VMState.STOPPED
    resize(cloud, alice, vm, "size_medium")
    cloud.worker.work()
    cloud.land()
    assert (cloud.vm(vm).state, size_of(cloud, vm)) == (VMState.RUNNING, "size_medium")
    cloud.assert_sound()
