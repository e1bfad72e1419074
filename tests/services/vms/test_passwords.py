"""A new password by the guest's agent: asked for, set, kept nowhere; and agents that are not as they should be."""

import json

import pytest
from sqlalchemy import select

from tests.services.people import acting, events_of, is_kept
from zentry_web.domain.event import Outcome
from zentry_web.domain.sha512_crypt import sha512_crypt
from zentry_web.domain.vms.obstacles import NO_AGENT, obstacles
from zentry_web.domain.vms.operation import OperationState
from zentry_web.domain.vms.state import VMState
from zentry_web.models import DbOperation
from zentry_web.services.errors import ConflictError, NotFoundError, ValidationError
from zentry_web.services.vms.operations import LEASE

pytestmark = pytest.mark.integration


@pytest.fixture
def vm(cloud, alice):
    """It runs and has answered, for a while now."""
    vm = cloud.launch(alice, cloud.project(alice))
    cloud.round(300)
    return vm


def ask(cloud, user, vm, of="root"):
    return cloud.vms.passwords.request(vm.id, of, actor=acting(user))


def password_is(cloud, vm, password):
    """Whether that is the one of the guest now."""
    kept = cloud.control.password(vm.id)
    return bool(kept) and sha512_crypt(password, kept.split("$")[2]) == kept


def secrets_of(cloud, vm):
    with cloud.vms.reading() as session:
        return [row.secret for row in session.scalars(select(DbOperation).where(DbOperation.vm_id == vm.id))]


def test_the_agent_sets_it_while_the_machine_goes_on(cloud, core, alice, vm):
    before = cloud.row(vm)
    password = ask(cloud, alice, vm)
    assert cloud.vm(vm).state == VMState.PASSWORD
    cloud.worker.work()
    now = cloud.row(vm)
    assert (now.state, now.run_id, now.address) == (VMState.RUNNING, before.run_id, before.address)
    assert password_is(cloud, vm, password)
    assert [event.outcome for event in events_of(core, "vm.password")] == [Outcome.ACCEPTED, Outcome.SUCCEEDED]
    assert [interval.state for interval in cloud.intervals(vm)] == ["running"]
    cloud.assert_sound()


def test_it_is_kept_nowhere_and_its_hash_only_until_it_is_done(cloud, core, alice, vm):
    password = ask(cloud, alice, vm)
    kept = json.loads(secrets_of(cloud, vm)[-1])["password_hash"]
    assert sha512_crypt(password, kept.split("$")[2]) == kept
    cloud.worker.work()
    assert set(secrets_of(cloud, vm)) == {""}
    assert not is_kept(core, password)
    assert not is_kept(core, kept)


def test_whether_an_agent_listens_is_known_from_the_listings(cloud, alice, vm):
    assert cloud.vm(vm).agent
    cloud.control.agent(vm.id, "none")
    cloud.round(5)
    assert not cloud.vm(vm).agent
    assert obstacles(cloud.vms.get_vm(vm.id, actor=acting(alice)))["password"] == NO_AGENT
    with pytest.raises(ConflictError, match="takes rescue"):
        ask(cloud, alice, vm)
    cloud.control.agent(vm.id, "")
    cloud.round(5)
    assert obstacles(cloud.vms.get_vm(vm.id, actor=acting(alice)))["password"] == ""
    cloud.vms.stop_vm(vm.id, actor=acting(alice))
    cloud.worker.work()
    assert not cloud.row(vm).agent, "what is off has none"
    cloud.assert_sound()


@pytest.mark.error
def test_who_may_not_and_what_does_not_fit(cloud, alice, charlie, vm):
    with pytest.raises(NotFoundError):
        ask(cloud, charlie, vm)
    with pytest.raises(ValidationError):
        ask(cloud, alice, vm, of="somebody")
    cloud.vms.rescuing.request(vm.id, alice, actor=acting(alice))
    cloud.worker.work()
    cloud.round(60)
    with pytest.raises(ConflictError, match="in rescue"):
        ask(cloud, alice, vm)


@pytest.mark.error
@pytest.mark.parametrize(("how", "words"), [("silent", "did not answer in time"), ("refuses", "no such user")])
def test_an_agent_that_does_not_do_it_fails_at_once_in_words(cloud, alice, vm, how, words):
    cloud.control.agent(vm.id, how)
    ask(cloud, alice, vm)
    cloud.worker.work()
    row, operation = cloud.row(vm), cloud.operations(vm)[-1]
    assert (row.state, operation.state, operation.attempts) == (VMState.RUNNING, OperationState.FAILED, 1)
    assert words in operation.error
    assert words in row.state_reason
    assert set(secrets_of(cloud, vm)) == {""}
    cloud.assert_sound()


@pytest.mark.error
def test_one_that_went_off_meanwhile_is_off(cloud, alice, vm):
    ask(cloud, alice, vm)
    cloud.control.stop(vm.id)
    cloud.worker.work()
    assert (cloud.row(vm).state, cloud.operations(vm)[-1].state) == (VMState.STOPPED, OperationState.FAILED)
    cloud.assert_sound()


@pytest.mark.error
def test_a_host_that_is_away_is_asked_again_until_it_is_given_up(cloud, alice, vm):
    cloud.control.fault("set_password", "timeout-after")
    password = ask(cloud, alice, vm)
    cloud.worker.work()
    cloud.round(2)
    cloud.worker.work()
    assert cloud.operations(vm)[-1].state == OperationState.SUCCEEDED
    assert password_is(cloud, vm, password)

    cloud.control.fault("set_password", "unavailable", times=None)
    ask(cloud, alice, vm)
    cloud.worker.work()
    cloud.round(121)
    cloud.worker.work()
    assert (cloud.row(vm).state, cloud.operations(vm)[-1].state) == (VMState.RUNNING, OperationState.FAILED)
    assert password_is(cloud, vm, password), "the one from before holds"
    cloud.assert_sound()


@pytest.mark.error
@pytest.mark.parametrize("step", ["claimed", "set"])
def test_a_worker_killed_at_any_step_is_taken_over(cloud, alice, vm, step):
    password = ask(cloud, alice, vm)
    cloud.kill_at(f"password.{step}")
    cloud.restart_worker()
    cloud.assert_sound()
    cloud.clock.advance(LEASE.total_seconds() + 1)
    cloud.worker.work()
    assert cloud.vm(vm).state == VMState.RUNNING
    assert password_is(cloud, vm, password)
    cloud.round(30)
    cloud.assert_sound()


@pytest.mark.error
def test_a_force_off_overtakes_it_and_nothing_is_set(cloud, alice, vm):
    ask(cloud, alice, vm)
    cloud.vms.force_off_vm(vm.id, actor=acting(alice))
    cloud.worker.work()
    assert (cloud.row(vm).state, cloud.control.password(vm.id)) == (VMState.STOPPED, "")
    assert set(secrets_of(cloud, vm)) == {""}
    cloud.assert_sound()
