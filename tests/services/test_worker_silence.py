"""A machine that runs and gives no sign of life: said after a time, once, and taken back when it answers."""

import pytest

from tests.services.people import acting, events_of
from zentry_web.domain.vms.silence import SECONDS, SILENT, TRANSLATED_SECONDS, patience
from zentry_web.domain.vms.state import VMState

pytestmark = pytest.mark.integration

NEVER = 10.0**6  # seconds a boot takes


@pytest.fixture
def project(cloud, alice):
    return cloud.project(alice)


@pytest.fixture
def vm(cloud, alice, project):
    """Its image does not boot."""
    cloud.control.delay("boot", NEVER)
    return cloud.launch(alice, project, answered=False)


def silences(core):
    return len(events_of(core, "vm.silent"))


def test_it_is_said_after_the_time_and_once(cloud, core, vm):
    cloud.round(SECONDS - 10)
    assert (cloud.vm(vm).state_reason, silences(core)) == ("", 0)
    cloud.round(20)
    cloud.round()
    seen = cloud.vm(vm)
    assert (seen.state, seen.is_silent, silences(core)) == (VMState.RUNNING, True, 1)
    assert [row.state for row in cloud.intervals(vm)] == ["running"], "it is paid for as what it is"
    assert [event.actor_id for event in events_of(core, "vm.silent")] == ["system"]
    cloud.assert_sound()


def test_an_answer_takes_it_back(cloud, alice, project, core):
    cloud.control.delay("boot", SECONDS + 60)
    vm = cloud.launch(alice, project, answered=False)
    cloud.round(SECONDS + 10)
    assert cloud.vm(vm).is_silent
    cloud.round(60)
    seen = cloud.vm(vm)
    assert (seen.state_reason, seen.is_silent) == ("", False)
    assert seen.answered_at
    assert len(events_of(core, "vm.answered")) == 1


def test_a_reset_gives_it_the_whole_time_again(cloud, alice, vm, core):
    cloud.round(SECONDS + 10)
    cloud.control.delay("boot", NEVER)
    cloud.vms.reset_vm(vm.id, actor=acting(alice))
    cloud.worker.work()
    cloud.round(SECONDS - 10)
    assert not cloud.vm(vm).is_silent
    cloud.round(20)
    assert cloud.vm(vm).is_silent
    assert silences(core) == 2


def test_one_that_stands_still_or_is_off_is_not_called_silent(cloud, alice, vm, core):
    cloud.control.pause(vm.id)
    cloud.round(SECONDS + 10)
    assert cloud.vm(vm).state == VMState.PAUSED
    cloud.vms.force_off_vm(vm.id, actor=acting(alice))
    cloud.worker.work()
    cloud.round(SECONDS + 10)
    assert cloud.vm(vm).state == VMState.STOPPED
    assert silences(core) == 0


def test_one_that_answered_before_is_not_called_silent(cloud, alice, project, core):
    vm = cloud.launch(alice, project)
    cloud.round(SECONDS * 10)
    assert (cloud.vm(vm).state_reason, silences(core)) == ("", 0)


def test_what_is_silent_is_not_off_once_it_is_stopped(cloud, alice, vm):
    cloud.round(SECONDS + 10)
    cloud.vms.force_off_vm(vm.id, actor=acting(alice))
    cloud.worker.work()
    assert cloud.vm(vm).state_reason != SILENT


@pytest.mark.parametrize(
    ("accelerator", "given", "seconds"),
    [("kvm", None, SECONDS), ("none", None, SECONDS), ("tcg", None, TRANSLATED_SECONDS),
     ("not tried", None, TRANSLATED_SECONDS), ("kvm", 20, 20), ("tcg", 20, 20)],
)  # fmt: skip
def test_the_time_goes_by_what_runs_guests_unless_it_is_set(accelerator, given, seconds):
    assert patience(accelerator, given) == seconds
