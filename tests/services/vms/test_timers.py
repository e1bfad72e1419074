"""Scheduled actions: done when they are due, once; left out with the reason; deletions told of beforehand."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import select

from tests.services.people import acting, events_of, join
from zentry_web.domain.vms.operation import OperationState
from zentry_web.domain.vms.state import VMState
from zentry_web.models import DbTimer
from zentry_web.services.errors import ConflictError, NotFoundError, PermissionDeniedError, ValidationError
from zentry_web.worker.due import CALM_SECONDS, TimerKeeper

pytestmark = pytest.mark.integration


@pytest.fixture
def keeper(cloud):
    return TimerKeeper(cloud.vms, cloud.clock)


def add(cloud, user, vm, action="stop", repeat="once", *, ahead=timedelta(hours=1), catches_up=True):
    first = (cloud.clock.now() + ahead).replace(tzinfo=None)
    data = {"action": action, "repeat": repeat, "first": first, "catches_up": catches_up}
    return cloud.vms.timers.add(vm.id, data, actor=acting(user))


def row(cloud, timer):
    found = cloud._all(select(DbTimer).where(DbTimer.id == timer.id))
    return found[0] if found else None


def go(cloud, keeper, ahead):
    cloud.clock.advance(ahead.total_seconds())
    cloud.round(1)
    keeper.run()
    cloud.worker.work()


def test_a_stop_every_day_is_done_once_each_day(cloud, alice, vm, keeper):
    timer = add(cloud, alice, vm, "stop", "daily")
    keeper.run()
    assert cloud.vm(vm).state == VMState.RUNNING
    go(cloud, keeper, timedelta(hours=1))
    keeper.run()
    assert cloud.vm(vm).state == VMState.STOPPED
    (operation,) = [each for each in cloud.operations(vm) if each.kind == "stop"]
    assert (operation.requested_by, operation.reason) == ("system", "schedule")
    kept = row(cloud, timer)
    assert kept.next_at == timer.next_at + timedelta(days=1)
    assert (kept.last_at, kept.last_error) == (timer.next_at, "")
    go(cloud, keeper, timedelta(days=1))
    assert len(cloud.operations(vm)) == 2, "off already: nothing to do, and nothing to say"
    assert cloud.told(alice, "timer") == []
    cloud.assert_sound()


def test_a_start_needs_credits_and_says_so(cloud, alice, vm, keeper):
    cloud.vms.force_off_vm(vm.id, actor=acting(alice))
    cloud.worker.work()
    timer = add(cloud, alice, vm, "start", "daily")
    cloud.set_wallet(alice, 100)
    go(cloud, keeper, timedelta(hours=1))
    assert cloud.vm(vm).state == VMState.STOPPED
    (notice,) = cloud.told(alice, "timer")
    assert "did not run" in notice.title
    assert row(cloud, timer).last_error
    cloud.set_wallet(alice, 10**9)
    go(cloud, keeper, timedelta(days=1))
    assert cloud.vm(vm).state == VMState.RUNNING
    assert row(cloud, timer).last_error == ""
    cloud.assert_sound()


@pytest.mark.parametrize(("catches_up", "is_off"), [(True, True), (False, False)])
def test_what_was_missed(cloud, core, alice, vm, keeper, catches_up, is_off):
    timer = add(cloud, alice, vm, "stop", "daily", catches_up=catches_up)
    go(cloud, keeper, timedelta(days=3, hours=2))
    assert cloud.vm(vm).state == (VMState.STOPPED if is_off else VMState.RUNNING)
    assert len([each for each in cloud.operations(vm) if each.kind == "stop"]) == int(is_off), "once, not three times"
    assert row(cloud, timer).next_at == timer.next_at + timedelta(days=4)
    assert len(cloud.told(alice, "timer")) == len(events_of(core, "vm.timer_left")) == int(not is_off)


def test_a_machine_that_is_busy_is_waited_for(cloud, alice, vm, keeper):
    timer = add(cloud, alice, vm, "stop")
    cloud.clock.advance(3600)
    cloud.round(1)
    cloud.vms.reboot_vm(vm.id, actor=acting(alice))
    keeper.run()
    assert row(cloud, timer).next_at == timer.next_at
    cloud.worker.work()
    cloud.round(3)
    keeper.run()
    cloud.worker.work()
    assert cloud.vm(vm).state == VMState.STOPPED
    assert row(cloud, timer).next_at is None
    assert keeper.run() == CALM_SECONDS


def test_a_stop_that_the_guest_ignores_is_told(cloud, alice, vm, keeper):
    add(cloud, alice, vm, "stop")
    cloud.control.fault("shutdown", "ignore", times=None)
    go(cloud, keeper, timedelta(hours=1))
    (stop,) = [each for each in cloud.operations(vm) if each.kind == "stop"]
    assert stop.state == OperationState.FAILED
    assert len(cloud.told(alice, "failed")) == 1


def test_a_deletion_is_told_of_and_can_be_put_off(cloud, alice, vm, keeper):
    timer = add(cloud, alice, vm, "delete", ahead=timedelta(days=8))
    keeper.run()
    assert cloud.told(alice, "lease") == []
    for ahead, count in ((timedelta(days=1), 1), (timedelta(days=6), 2), (timedelta(hours=23), 3)):
        cloud.clock.advance(ahead.total_seconds())
        for _ in range(2):
            keeper.run()
        assert len(cloud.told(alice, "lease")) == count
    later = cloud.vms.timers.extend(vm.id, timer.id, actor=acting(alice))
    assert later == timer.next_at + timedelta(days=7)
    go(cloud, keeper, timedelta(hours=2))
    assert cloud.vm(vm).state == VMState.RUNNING
    go(cloud, keeper, timedelta(days=7))
    assert cloud.row(vm).state in (VMState.BINNED, VMState.DELETED)
    with pytest.raises(NotFoundError):
        cloud.vms.timers.list(vm.id, actor=acting(alice))


def test_a_protected_machine_is_not_deleted(cloud, alice, vm, keeper):
    add(cloud, alice, vm, "delete", ahead=timedelta(hours=2))
    cloud.vms.bin.set_protection(vm.id, True, actor=acting(alice))
    with pytest.raises(ValidationError):
        add(cloud, alice, vm, "delete")
    go(cloud, keeper, timedelta(hours=2))
    assert cloud.vm(vm).state == VMState.RUNNING
    assert "protected" in cloud.told(alice, "timer")[0].body


def test_who_may_schedule_what(cloud, container, alice, bob, project, vm):
    with pytest.raises(NotFoundError):
        add(cloud, bob, vm)
    join(container, project, bob, "viewer")
    with pytest.raises(PermissionDeniedError):
        add(cloud, bob, vm)
    timer = add(cloud, alice, vm, "delete", ahead=timedelta(days=1))
    assert [each.id for each in cloud.vms.timers.list(vm.id, actor=acting(bob))] == [timer.id]
    for order in (cloud.vms.timers.remove, cloud.vms.timers.extend, cloud.vms.timers.get):
        with pytest.raises(PermissionDeniedError):
            order(vm.id, timer.id, actor=acting(bob))
    cloud.vms.timers.remove(vm.id, timer.id, actor=acting(alice))
    assert row(cloud, timer) is None
    other = cloud.launch(alice, project, "other")
    again = add(cloud, alice, other)
    with pytest.raises(NotFoundError):
        cloud.vms.timers.remove(vm.id, again.id, actor=acting(alice))
    with pytest.raises(ConflictError):
        cloud.vms.timers.extend(other.id, again.id, actor=acting(alice))


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"action": "dance"}, "action"),
        ({"repeat": "sometimes"}, "repeat"),
        ({"first": None}, "first"),
        ({"first": datetime.fromisoformat("2020-01-01T00:00")}, "first"),
        ({"first": datetime.fromisoformat("9999-01-01T00:00")}, "first"),
        ({"action": "delete", "repeat": "daily"}, "repeat"),
    ],
)
def test_what_cannot_be_scheduled(cloud, alice, vm, wrong, field):
    good = {"action": "stop", "repeat": "once", "first": datetime.fromisoformat("2027-01-01T12:00"), "catches_up": True}
    with pytest.raises(ValidationError) as refused:
        cloud.vms.timers.add(vm.id, good | wrong, actor=acting(alice))
    assert list(refused.value.details) == [field]


def test_there_are_not_too_many(cloud, alice, vm):
    for _ in range(20):
        add(cloud, alice, vm)
    with pytest.raises(ConflictError):
        add(cloud, alice, vm)


def test_by_the_clock_of_whoever_schedules_it(cloud, container, alice, bob, project, vm):
    """A member's, where that is not the owner's; the same for schedules of snapshots."""
    join(container, project, bob, "member")
    cloud.container.auth.update_profile(bob.id, {"time_zone": "America/New_York"}, actor=acting(bob))
    first = datetime.fromisoformat("2026-12-01T19:00")
    data = {"action": "stop", "repeat": "daily", "first": first, "catches_up": True}
    for user, zone, due in ((bob, "America/New_York", "02 00:00"), (alice, "UTC", "01 19:00")):
        timer = cloud.vms.timers.add(vm.id, data, actor=acting(user))
        assert (timer.zone, f"{timer.next_at:%d %H:%M}") == (zone, due)
        schedule = {"every": "day", "hour": "3", "keep": "1"}
        assert cloud.vms.snapshot_schedules.set(vm.id, schedule, actor=acting(user)).zone == zone


def test_a_worker_that_is_killed_does_it_once(cloud, alice, vm, keeper):
    add(cloud, alice, vm, "reboot")
    cloud.clock.advance(3600)
    cloud.round(1)
    keeper.run()
    TimerKeeper(cloud.vms, cloud.clock).run()
    cloud.worker.work()
    cloud.round(3)
    keeper.run()
    assert len([each for each in cloud.operations(vm) if each.kind == "reboot"]) == 1
