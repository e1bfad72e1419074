"""The rescue system: asked for, booted, left; its password is kept nowhere."""

import json

import pytest
from sqlalchemy import select
from structlog.testing import capture_logs

from tests.services.people import acting, events_of, is_kept
from zentry_web.domain.event import Outcome
from zentry_web.domain.sha512_crypt import sha512_crypt
from zentry_web.domain.vms.operation import OperationState
from zentry_web.domain.vms.state import VMState
from zentry_web.models import DbOperation
from zentry_web.services.errors import ConflictError, NotFoundError
from zentry_web.services.vms.operations import LEASE

pytestmark = pytest.mark.integration
STEPS = ("claimed", "asked", "off", "recorded", "changed", "boot", "running")


@pytest.fixture
def vm(cloud, alice):
    """It runs and has answered, for a while now."""
    vm = cloud.launch(alice, cloud.project(alice))
    cloud.round(300)
    return vm


def enter(cloud, user, vm):
    return cloud.vms.rescuing.request(vm.id, user, actor=acting(user))


def leave(cloud, user, vm):
    cloud.vms.rescuing.leave(vm.id, actor=acting(user))


def is_in_rescue(cloud, vm):
    """What record and machine agree on."""
    in_record, in_machine = cloud.row(vm).rescued_at is not None, bool(cloud.store.find(vm.id).rescue)
    assert in_record == in_machine
    return in_machine


def secrets_of(cloud, vm):
    with cloud.vms.reading() as session:
        return [row.secret for row in session.scalars(select(DbOperation).where(DbOperation.vm_id == vm.id))]


def test_it_boots_the_rescue_system_and_its_own_again(cloud, core, alice, vm):
    before = cloud.row(vm)
    enter(cloud, alice, vm)
    assert cloud.vm(vm).state == VMState.RESCUING
    cloud.worker.work()
    cloud.round(3)
    now = cloud.row(vm)
    assert (now.state, is_in_rescue(cloud, vm), now.address) == (VMState.RUNNING, True, before.address)
    with pytest.raises(ConflictError, match="in rescue already"):
        enter(cloud, alice, vm)
    # A stop, a start and a reboot are those of the rescue system.
    cloud.vms.stop_vm(vm.id, actor=acting(alice))
    cloud.worker.work()
    cloud.vms.start_vm(vm.id, actor=acting(alice))
    cloud.worker.work()
    assert (cloud.vm(vm).state, is_in_rescue(cloud, vm)) == (VMState.RUNNING, True)
    leave(cloud, alice, vm)
    cloud.worker.work()
    assert (cloud.vm(vm).state, is_in_rescue(cloud, vm)) == (VMState.RUNNING, False)
    with pytest.raises(ConflictError, match="not in rescue"):
        leave(cloud, alice, vm)
    assert [event.outcome for event in events_of(core, "vm.unrescue")] == [Outcome.ACCEPTED, Outcome.SUCCEEDED]
    assert [interval.minimum_seconds for interval in cloud.intervals(vm) if interval.state == "running"][-1] == 0
    cloud.assert_sound()


def test_one_that_is_off_stays_off_and_boots_it_when_it_is_started(cloud, alice, vm):
    cloud.vms.stop_vm(vm.id, actor=acting(alice))
    cloud.worker.work()
    enter(cloud, alice, vm)
    cloud.worker.work()
    assert (cloud.vm(vm).state, is_in_rescue(cloud, vm)) == (VMState.STOPPED, True)
    leave(cloud, alice, vm)
    cloud.worker.work()
    assert (cloud.vm(vm).state, is_in_rescue(cloud, vm)) == (VMState.STOPPED, False)
    cloud.assert_sound()


def test_the_password_is_kept_nowhere_and_its_hash_only_until_it_is_done(cloud, core, alice, vm, config):
    password = enter(cloud, alice, vm)
    kept = json.loads(secrets_of(cloud, vm)[-1])["password_hash"]
    assert sha512_crypt(password, kept.split("$")[2]) == kept
    cloud.worker.work()
    assert set(secrets_of(cloud, vm)) == {""}
    assert not is_kept(core, password)
    assert not is_kept(core, kept)


@pytest.mark.error
def test_strangers_find_nothing_and_what_is_in_rescue_is_not_rebuilt(cloud, alice, charlie, vm):
    with pytest.raises(NotFoundError):
        enter(cloud, charlie, vm)
    enter(cloud, alice, vm)
    cloud.worker.work()
    wanted = {"image_id": "img_tiny", "confirm_name": vm.name}
    with pytest.raises(ConflictError, match="in rescue"):
        cloud.vms.rebuilding.request(vm.id, wanted, alice, actor=acting(alice))


@pytest.mark.error
@pytest.mark.parametrize("action", ["rescue", "start"])
def test_a_host_that_refuses_leaves_it_running_as_it_was(cloud, alice, vm, action):
    cloud.control.fault(action, "refuse", message="No room.")
    enter(cloud, alice, vm)
    cloud.worker.work()
    row = cloud.row(vm)
    assert (row.state, row.state_reason, is_in_rescue(cloud, vm)) == (VMState.RUNNING, "No room.", False)
    assert cloud.operations(vm)[-1].state == OperationState.FAILED
    assert set(secrets_of(cloud, vm)) == {""}
    cloud.assert_sound()


@pytest.mark.error
@pytest.mark.parametrize("order", [enter, leave])
@pytest.mark.parametrize("step", STEPS)
def test_a_worker_killed_at_any_step_is_taken_over(cloud, alice, vm, step, order):
    if order is leave:
        enter(cloud, alice, vm)
        cloud.worker.work()
        cloud.round(60)
    name = "unrescue" if order is leave else "rescue"

    order(cloud, alice, vm)
    cloud.kill_at(f"{name}.{step}")
    cloud.restart_worker()
    cloud.assert_sound()
    cloud.clock.advance(LEASE.total_seconds() + 1)
    cloud.worker.work()
    assert (cloud.vm(vm).state, is_in_rescue(cloud, vm)) == (VMState.RUNNING, order is enter)
    cloud.live(30)
    cloud.assert_sound()


def test_a_deletion_that_overtakes_it_is_no_crash(cloud, alice, vm):
    enter(cloud, alice, vm)

    def delete(reached):
        if reached == "rescue.recorded":
            cloud.vms.delete_vm(vm.id, vm.name, actor=acting(alice))

    cloud.worker.checkpoint = delete
    with capture_logs() as logs:
        cloud.worker.work()
    assert [line for line in logs if line["log_level"] == "error"] == []
    assert cloud.row(vm).state == VMState.DELETED
    assert cloud.driver.machine(vm.id) is None
