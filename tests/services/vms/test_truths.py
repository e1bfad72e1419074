"""What the hypervisor says, what Zentry says and what is billed, side by side; and when they were not one."""

import pytest

from tests.services.people import Statements, acting
from zentry_web.domain.vms.state import VMState
from zentry_web.services.errors import NotFoundError

pytestmark = pytest.mark.integration


@pytest.fixture
def vm(cloud, vm):
    cloud.round(600)
    return vm


def truths(cloud, alice, vm):
    return cloud.vms.truths.get(vm.id, actor=acting(alice))


def test_all_three_of_a_machine_that_runs_and_is_stopped(cloud, alice, vm, clock):
    cloud.round(3)
    now = truths(cloud, alice, vm)
    assert (now.seen, now.state, now.billed, now.agree, now.is_busy) == ("running", "running", "running", True, False)
    assert now.asked_at == clock.now()
    assert now.rate_micro_per_hour == cloud.row(vm).running_micro_per_hour
    assert now.billed_since == now.state_since.replace(microsecond=0)
    assert now.history == ()
    since = now.seen_since
    cloud.round(60)
    assert truths(cloud, alice, vm).seen_since == since, "it has said so all the time"
    cloud.vms.stop_vm(vm.id, actor=acting(alice))
    assert truths(cloud, alice, vm).is_busy
    cloud.worker.work()
    cloud.round(3)
    off = truths(cloud, alice, vm)
    assert (off.seen, off.state, off.billed, off.agree) == ("off", "stopped", "stopped", True)
    assert off.seen_since > since


def test_they_differ_until_the_next_look_and_that_is_remembered(cloud, alice, vm, clock):
    listed = clock.now()
    clock.advance(7)
    cloud.control.cut(vm.id)
    cloud.restart_worker()  # it hears of nothing that was before
    before = truths(cloud, alice, vm)
    assert (before.seen, before.asked_at) == ("running", listed), "its last word, and that has an age"
    cloud.round(3)
    after = truths(cloud, alice, vm)
    assert (after.seen, after.state, after.billed, after.agree) == ("off", VMState.STOPPED, "stopped", True)
    (seen,) = after.history
    assert (seen.action, seen.cause, seen.at) == ("vm.off_seen", "hand", clock.now())
    assert seen.charged_until == listed.replace(microsecond=0), "what nobody confirmed is not charged"
    assert seen.seen_after == 10
    cloud.assert_sound()


def test_a_machine_that_is_gone_and_a_host_that_does_not_answer(cloud, alice, vm):
    cloud.control.destroy(vm.id)
    cloud.round(3)
    gone = truths(cloud, alice, vm)
    assert (gone.seen, gone.state, gone.billed, gone.agree) == ("missing", "error", None, True)
    cloud.control.fault("machines", "unavailable", times=None)
    cloud.round(3)
    assert not truths(cloud, alice, vm).answers


def test_of_others_nothing_and_few_statements(cloud, core, alice, bob, vm):
    with pytest.raises(NotFoundError):
        cloud.vms.truths.get(vm.id, actor=acting(bob))
    for _ in range(5):
        cloud.control.pause(vm.id)
        cloud.round(3)
        cloud.control.pause(vm.id, "")
        cloud.round(3)
    with Statements(core.database) as statements:
        assert len(truths(cloud, alice, vm).history) == 10
    assert len([text for text in statements.texts if text.startswith("SELECT")]) <= 4


def test_nothing_is_written_of_what_says_the_same(cloud, core, vm):
    cloud.round(3)
    with Statements(core.database) as statements:
        cloud.worker.reconciler.run()
    assert [text for text in statements.texts if text.startswith("UPDATE vm")] == []
