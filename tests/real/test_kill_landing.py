"""A worker killed at each commit point of a landing: nobody is told twice, nothing goes early or is lost."""

from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select

from tests.conftest import make_config
from tests.real.test_kill import kill_at_each
from tests.real.worker_process import rig_on
from tests.services.vm_world import Cloud
from zentry_web.adapters.clock import ManualClock
from zentry_web.composition import build_container, make_compute
from zentry_web.domain.vms.operation import OperationKind
from zentry_web.domain.vms.state import VMState
from zentry_web.migrate import migrate
from zentry_web.models import DbHold, DbNotice, DbOperation, DbUsageInterval, DbVM

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]

LARGE = "size_large"


@contextmanager
def a_past(tmp_path, ago):
    """A rig, and the same world as it was ``ago``, driven by a clock of its own until the present's worker starts."""
    config = make_config(tmp_path / "data")
    migrate(config)
    clock = ManualClock(datetime.now(UTC) - ago)
    past = build_container(config, clock=clock)
    driver = make_compute(config, clock=clock)
    cloud = Cloud(past, driver, clock, config)
    with rig_on(config, ZENTRY_LAND_SECONDS="1") as rig:
        yield rig, cloud
        for each in (cloud, driver, past):
            each.close()


def run_dry(cloud, vm):
    """Rounds and landings until credits have stopped it."""
    while cloud.vm(vm).state != VMState.STOPPED:
        hold = cloud.hold(vm)
        far = hold is not None and hold.paid_until - cloud.clock.now() > timedelta(seconds=300)
        cloud.round(120 if far else 5)
        cloud.land()


def told(rig, kind):
    return rig.rows(select(func.count()).select_from(DbNotice).where(DbNotice.kind == kind))[0]


def asked_for(rig, kind):
    return len(rig.rows(select(DbOperation.id).where(DbOperation.kind == kind)))


def row_of(rig, vm):
    return rig.rows(select(DbVM).where(DbVM.id == vm.id))[0]


def test_killed_while_telling_that_credits_end(tmp_path):
    with a_past(tmp_path, timedelta(minutes=35)) as (rig, cloud):
        cloud.set_wallet(rig.alice, 200_000)
        vm = cloud.launch(rig.alice, rig.project, size=LARGE)
        kill_at_each(rig, "landing", ("told", "told"))
        assert told(rig, "credit_stop") == 0, "what was not committed is not told"
        rig.worker.start()
        rig.worker.wait_for(lambda: told(rig, "credit_stop"), 60, "the owner to be told")
        rig.settle()
        assert (told(rig, "credit_stop"), told(rig, "landing")) == (1, 1)
        assert rig.state(vm) == VMState.RUNNING
        assert asked_for(rig, OperationKind.STOP) == 0, "there are 25 minutes left"


def test_killed_while_a_disk_that_nobody_pays_is_kept(tmp_path):
    with a_past(tmp_path, timedelta(hours=5)) as (rig, cloud):
        vm = cloud.launch(rig.alice, rig.project, size=LARGE)
        cloud.vms.stop_vm(vm.id)
        cloud.worker.work()
        cloud.set_wallet(rig.alice, 20_000)  # two hours and a half of its disk
        cloud.monitoring.processes.record_answer(datetime.now(UTC), {})
        kill_at_each(rig, "landing", ("disks_kept", "disks_kept"))
        assert row_of(rig, vm).disk_until is None
        rig.worker.start()
        rig.worker.wait_for(lambda: row_of(rig, vm).disk_until, 60, "the disk to be kept")
        rig.worker.end()
        (span,) = rig.rows(select(DbUsageInterval).where(DbUsageInterval.state == "stopped"))
        assert span.end_at <= datetime.now(UTC)
        assert span.settled_until == span.end_at
        assert row_of(rig, vm).disk_until - datetime.now(UTC) > timedelta(days=13.9)
        assert_sound(rig, vm, VMState.STOPPED)
        assert rig.billing.get_user_credits(rig.alice.id) >= 0


def test_killed_while_starting_again_what_credits_stopped(tmp_path):
    with a_past(tmp_path, timedelta(hours=3)) as (rig, cloud):
        cloud.set_wallet(rig.alice, 205_000)
        vm = cloud.launch(rig.alice, rig.project, size=LARGE)
        run_dry(cloud, vm)
        cloud.billing.add_credits(rig.alice.id, 5_000_000, "top-up")
        kill_at_each(rig, "landing", ("returned", "returned"))
        assert asked_for(rig, OperationKind.START) == 0
        rig.worker.start()
        rig.worker.wait_for(lambda: rig.state(vm) == VMState.RUNNING, 60, "the machine to run again")
        rig.settle()
        assert asked_for(rig, OperationKind.START) == 1
        assert told(rig, "credit_back") == 1
        assert len(rig.rows(select(DbHold).where(DbHold.closed_at.is_(None)))) == 1


def test_killed_while_deleting_what_nobody_paid(tmp_path):
    with a_past(tmp_path, timedelta(days=17)) as (rig, cloud):
        cloud.set_wallet(rig.alice, 205_000)
        vm = cloud.launch(rig.alice, rig.project, size=LARGE)
        run_dry(cloud, vm)
        for _ in range(27):
            cloud.round(43_200)
            cloud.land()
        assert cloud.vm(vm).state == VMState.STOPPED
        assert told(rig, "disk") == 3
        kill_at_each(rig, "landing", ("deleted", "deleted"))
        assert rig.state(vm) == VMState.STOPPED
        assert asked_for(rig, OperationKind.DELETE) == 0
        rig.worker.start()
        rig.worker.wait_for(lambda: rig.state(vm) == VMState.DELETED, 60, "the disk to be deleted")
        rig.settle()
        assert asked_for(rig, OperationKind.DELETE) == 1
        assert told(rig, "disk") == 3
        row = row_of(rig, vm)
        assert row.deleted_at > row.created_at + timedelta(days=14)


def assert_sound(rig, vm, state):
    """As Rig.assert_sound, but a disk that is kept for nothing has no open interval."""
    assert rig.state(vm) == state
    assert [check for check in rig.billing.verify() if not check.ok] == []
    assert rig.differences() == []
    assert rig.rows(select(DbUsageInterval.id).where(DbUsageInterval.end_at.is_(None))) == []
