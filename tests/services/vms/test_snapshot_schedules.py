"""Snapshots by schedule: taken when due, missed ones once, the oldest forgotten, what is left over tidied away."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.services.people import acting
from zentry_web.domain.vms.schedule import Every, next_run
from zentry_web.domain.vms.snapshot import SnapshotState
from zentry_web.models import DbSnapshot

pytestmark = pytest.mark.integration
DAILY = {"every": "day", "hour": "3", "keep": "2"}


@pytest.fixture
def vm(cloud, alice):
    return cloud.launch(alice, cloud.project(alice))


def go_round(cloud, **time):
    cloud.clock.advance(**time)
    look(cloud)
    cloud.round()
    look(cloud)


def look(cloud):
    cloud.vms.snapshot_schedules.run()
    cloud.vms.snapshots.tidy()
    cloud.worker.work()


def names(cloud, alice, vm):
    return [each.name for each in cloud.vms.snapshots.list(vm.id, actor=acting(alice))]


@pytest.mark.parametrize(
    ("every", "after", "due"),
    [
        (Every.HOUR, "2026-11-23T10:00", "2026-11-23T11:00"),
        (Every.HOUR, "2026-11-23T10:59", "2026-11-23T11:00"),
        (Every.DAY, "2026-11-23T01:59", "2026-11-23T02:00"),  # three o'clock in Berlin
        (Every.DAY, "2026-11-23T02:00", "2026-11-24T02:00"),
        (Every.WEEK, "2026-11-23T10:00", "2026-11-30T02:00"),
        (Every.MONTH, "2026-11-23T10:00", "2026-12-01T02:00"),
        (Every.DAY, "2026-03-28T10:00", "2026-03-29T01:00"),  # the clocks go forward
    ],
)
def test_the_next_run_is_in_the_accounts_time(every, after, due):
    moment = datetime.fromisoformat(after).replace(tzinfo=UTC)
    assert next_run(every, 3, "Europe/Berlin", moment) == datetime.fromisoformat(due).replace(tzinfo=UTC)


def test_due_it_is_taken_once_and_the_oldest_goes(cloud, alice, vm):
    schedule = cloud.vms.snapshot_schedules.set(vm.id, DAILY, actor=acting(alice))
    assert schedule.next_at == datetime(2026, 11, 24, 3, tzinfo=UTC)
    go_round(cloud, minutes=5)
    assert names(cloud, alice, vm) == []
    for _ in range(4):
        go_round(cloud, days=1)
        go_round(cloud, seconds=15)
    found = cloud.vms.snapshots.list(vm.id, actor=acting(alice))
    assert len(found) == 2
    assert all(each.is_scheduled and each.is_ready for each in found)
    cloud.assert_sound()


def test_what_was_missed_is_taken_once(cloud, alice, vm):
    cloud.vms.snapshot_schedules.set(vm.id, DAILY, actor=acting(alice))
    cloud.clock.advance(days=9)
    cloud.round()
    cloud.worker.work()
    go_round(cloud, seconds=1)
    assert len(names(cloud, alice, vm)) == 1
    assert cloud.vms.snapshot_schedules.find(vm.id, actor=acting(alice)).next_at > cloud.clock.now()


def test_those_taken_by_hand_stay(cloud, alice, vm):
    cloud.vms.snapshots.take(vm.id, {"name": "mine", "note": ""}, actor=acting(alice))
    cloud.worker.work()
    cloud.vms.snapshot_schedules.set(vm.id, DAILY | {"keep": "1"}, actor=acting(alice))
    for _ in range(3):
        go_round(cloud, days=1)
        go_round(cloud, seconds=15)
    assert len(names(cloud, alice, vm)) == 2
    assert "mine" in names(cloud, alice, vm)


def test_a_machine_that_is_busy_is_waited_for(cloud, alice, vm):
    cloud.vms.snapshot_schedules.set(vm.id, DAILY, actor=acting(alice))
    cloud.clock.advance(hours=17, minutes=5)  # five past three
    cloud.vms.reboot_vm(vm.id, actor=acting(alice))
    cloud.vms.snapshot_schedules.run()
    assert names(cloud, alice, vm) == []
    cloud.worker.work()
    go_round(cloud, seconds=15)
    assert len(names(cloud, alice, vm)) == 1


def test_why_one_was_not_taken_is_said_and_the_next_comes(cloud, alice, vm):
    cloud.vms.snapshot_schedules.set(vm.id, DAILY, actor=acting(alice))
    cloud.vms.quotas.set_limits(alice.id, {"stored_gib": "1"})
    go_round(cloud, days=1)
    schedule = cloud.vms.snapshot_schedules.find(vm.id, actor=acting(alice))
    assert "GiB stored" in schedule.last_error
    assert schedule.next_at > cloud.clock.now()
    cloud.vms.quotas.set_limits(alice.id, {})
    go_round(cloud, days=1)
    assert cloud.vms.snapshot_schedules.find(vm.id, actor=acting(alice)).last_error == ""
    assert len(names(cloud, alice, vm)) == 1


def test_what_an_overtaken_operation_left_is_tidied_away(cloud, alice, vm):
    cloud.vms.snapshots.take(vm.id, {"name": "half", "note": ""}, actor=acting(alice))
    cloud.worker.work()
    with cloud.vms.transaction() as session:
        (row,) = session.query(DbSnapshot).all()
        row.state = SnapshotState.MAKING  # as a deletion leaves it that came between
    go_round(cloud, seconds=15)
    assert names(cloud, alice, vm) == []
    assert cloud.driver.snapshots.list(vm.id) == []
    cloud.assert_sound()


def test_one_that_nobody_pays_for_goes_after_its_grace_and_a_notice(cloud, alice, vm):
    cloud.vms.snapshots.take(vm.id, {"name": "mine", "note": ""}, actor=acting(alice))
    cloud.worker.work()
    cloud.vms.force_off_vm(vm.id, actor=acting(alice))
    cloud.worker.work()
    cloud.set_wallet(alice, 0)
    cloud.clock.advance(hours=1)
    cloud.round()
    cloud.land()
    (kept,) = cloud.vms.snapshots.list(vm.id, actor=acting(alice))
    assert kept.kept_until is not None
    cloud.clock.advance(days=13, hours=1)
    cloud.land()
    titles = [notice.title for notice in cloud.billing.notices.list_notices(alice.id, limit=50)]
    assert any("“mine” of web will be deleted" in title for title in titles)
    go_round(cloud, hours=1)
    assert names(cloud, alice, vm) == ["mine"]
    with cloud.vms.transaction() as session:  # its machine's disk is paid by somebody: that is another story
        session.get(type(cloud.row(vm)), vm.id).disk_until = cloud.clock.now() + timedelta(days=30)
    go_round(cloud, days=1, minutes=5)
    assert names(cloud, alice, vm) == []
    cloud.assert_sound()
