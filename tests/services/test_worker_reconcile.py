"""What happens without Zentry, and what the bill makes of it."""

from datetime import timedelta

import pytest

from tests.services.people import acting, events_of
from zentry_web.adapters.compute.base import MachineSpec, PowerState
from zentry_web.domain.vms.operation import OperationKind, OperationState
from zentry_web.domain.vms.state import VMState
from zentry_web.worker.reconcile import FACTS_EVERY_SECONDS

pytestmark = pytest.mark.integration


@pytest.fixture
def project(cloud, alice):
    return cloud.project(alice)


@pytest.fixture
def vm(cloud, alice, project):
    """A VM that has answered and runs for ten minutes, reconciled to the second."""
    launched = cloud.launch(alice, project)
    cloud.round(600)
    return launched


def second(moment):
    return moment.replace(microsecond=0)


def test_a_power_off_from_inside_closes_at_the_moment_it_went(cloud, core, alice, vm, clock):
    clock.advance(1)
    went = clock.now()
    cloud.control.stop(vm.id)
    cloud.round(2)
    stopped = cloud.vm(vm)
    assert (stopped.state, stopped.stopped_at) == (VMState.STOPPED, went)
    assert "inside the guest" in stopped.state_reason
    assert cloud.run_seconds(vm)[0][1] == second(went)
    assert cloud.intervals(vm)[1].start_at == second(went)
    assert (cloud.held(alice), stopped.address) == (0, "")
    assert [event.actor_id for event in events_of(core, "vm.off_seen")] == ["system"]
    cloud.assert_sound()


def test_without_an_event_it_closes_at_the_last_confirmed_second(cloud, vm, clock):
    confirmed = cloud.vms.get_compute_status().answered_at
    clock.advance(1)
    cloud.control.stop(vm.id)
    cloud.restart_worker()
    cloud.round(2)
    assert cloud.run_seconds(vm)[0][1] == second(confirmed)
    cloud.assert_sound()


def test_a_machine_destroyed_and_undefined(cloud, core, alice, vm, clock):
    clock.advance(1)
    went = clock.now()
    cloud.control.destroy(vm.id)
    cloud.round(2)
    gone = cloud.vm(vm)
    assert gone.state == VMState.ERROR
    assert "no longer has this machine" in gone.state_reason
    assert [(row.state, row.end_at) for row in cloud.intervals(vm)] == [("running", second(went))]
    assert cloud.held(alice) == 0
    assert len(events_of(core, "vm.gone_seen")) == 1
    cloud.round()
    assert len(events_of(core, "vm.gone_seen")) == 1
    # Starting makes it anew; deleting works as well.
    cloud.vms.start_vm(vm.id, actor=acting(alice))
    cloud.worker.work()
    assert cloud.vm(vm).state == VMState.RUNNING
    cloud.control.destroy(vm.id)
    cloud.round()
    cloud.vms.delete_vm(vm.id, vm.name, actor=acting(alice))
    cloud.worker.work()
    assert cloud.row(vm).state == VMState.DELETED
    cloud.assert_sound()


def test_a_stopped_machine_that_is_gone_costs_nothing_more(cloud, alice, vm):
    cloud.vms.stop_vm(vm.id, actor=acting(alice))
    cloud.worker.work()
    cloud.round()
    cloud.control.destroy(vm.id)
    cloud.round()
    assert cloud.vm(vm).state == VMState.ERROR
    assert all(row.end_at for row in cloud.intervals(vm))
    cloud.assert_sound()


def test_a_machine_that_failed_tells_why(cloud, alice, vm):
    cloud.control.fail(vm.id, "The host’s disk failed or is full.")
    cloud.round()
    assert (cloud.vm(vm).state, cloud.vm(vm).state_reason) == (VMState.STOPPED, "The host’s disk failed or is full.")
    assert cloud.held(alice) == 0
    cloud.vms.start_vm(vm.id, actor=acting(alice))
    cloud.worker.work()
    assert cloud.vm(vm).state == VMState.RUNNING
    cloud.assert_sound()


def test_off_and_on_again_behind_the_back_is_a_new_run(cloud, core, alice, vm, clock):
    before = cloud.row(vm).run_id
    clock.advance(1)
    went = clock.now()
    cloud.control.stop(vm.id)
    cloud.pump()
    clock.advance(20)
    cloud.driver.start(vm.id)
    cloud.round(2)
    row = cloud.row(vm)
    assert row.state == VMState.RUNNING
    assert row.run_id != before
    spans = [(one.state, one.start_at, one.end_at, one.minimum_seconds) for one in cloud.intervals(vm)]
    assert [span[0] for span in spans] == ["running", "stopped", "running"]
    assert spans[0][2] == second(went)
    assert spans[2][1:] == (second(clock.now()), None, 0)
    assert cloud.hold(vm) is not None
    assert len(events_of(core, "vm.new_run_seen")) == 1
    cloud.round()
    assert cloud.vm(vm).answered_at is not None, "the new run answers for itself"
    cloud.assert_sound()


@pytest.mark.error
def test_a_new_run_that_nobody_can_pay_for_is_stopped(cloud, alice, vm, clock):
    cloud.control.stop(vm.id)
    cloud.pump()
    cloud.driver.start(vm.id)
    cloud.set_wallet(alice, 0)
    # What is left of the hold does not make a new one.
    cloud.round(1)
    assert cloud.vm(vm).state == VMState.STOPPED
    cloud.worker.work()
    assert cloud.driver.machine(vm.id).power is PowerState.OFF
    assert len(cloud.run_seconds(vm)) == 1
    assert cloud.written_off() == 0
    cloud.assert_sound()


def stopped_vm(cloud, alice, vm):
    cloud.vms.stop_vm(vm.id, actor=acting(alice))
    cloud.worker.work()
    cloud.round()


def test_a_start_behind_the_back_is_taken_on_the_bill(cloud, core, alice, vm, clock):
    stopped_vm(cloud, alice, vm)
    cloud.driver.start(vm.id)
    cloud.round()
    running = cloud.vm(vm)
    assert running.state == VMState.RUNNING
    assert cloud.held(alice) == 5_000
    assert cloud.intervals(vm)[-1].start_at == second(clock.now())
    assert cloud.intervals(vm)[-1].minimum_seconds == 0
    assert len(events_of(core, "vm.run_seen")) == 1
    cloud.assert_sound()


@pytest.mark.error
def test_a_start_behind_the_back_without_credits_is_forced_off(cloud, alice, vm):
    stopped_vm(cloud, alice, vm)
    cloud.set_wallet(alice, 4_000)
    cloud.driver.start(vm.id)
    cloud.round()
    (operation,) = [one for one in cloud.operations(vm) if one.kind == OperationKind.FORCE_OFF]
    assert (operation.state, operation.requested_by) == (OperationState.QUEUED, "system")
    cloud.round()
    assert len([one for one in cloud.operations(vm) if one.kind == OperationKind.FORCE_OFF]) == 1
    cloud.control.fault("force_off", "refuse")
    cloud.live(15)
    assert cloud.driver.machine(vm.id).power is PowerState.OFF
    stopped = cloud.vm(vm)
    assert stopped.state == VMState.STOPPED
    assert "not enough credits" in stopped.state_reason
    assert len(cloud.run_seconds(vm)) == 1
    cloud.assert_sound()


# -- the host is away ---------------------------------------------------------------------------


def test_an_hour_without_the_host_posts_nothing_then_the_gap(cloud, alice, vm, clock):
    confirmed = cloud.vms.get_compute_status().answered_at
    cloud.control.fault("*", "unavailable", times=None)
    cloud.live(3 * 3600, step=600)
    assert not cloud.vms.get_compute_status().ok
    assert cloud.vms.get_compute_status().answered_at == confirmed
    assert all(charge.to_at <= confirmed for charge in cloud.charges(vm))
    assert cloud.vm(vm).state == VMState.RUNNING
    cloud.control.clear()
    cloud.round()
    assert cloud.vms.get_compute_status().ok
    cloud.round()
    assert cloud.charges(vm)[-1].to_at > confirmed
    assert len(cloud.run_seconds(vm)) == 1
    assert cloud.hold(vm).paid_until > clock.now()
    cloud.assert_sound()


def test_an_hour_without_the_host_and_then_the_machine_is_off(cloud, alice, vm):
    confirmed = cloud.vms.get_compute_status().answered_at
    cloud.control.fault("*", "unavailable", times=None)
    cloud.live(1800, step=300)
    cloud.control.stop(vm.id)
    cloud.restart_worker()
    cloud.live(1800, step=300)
    cloud.control.clear()
    cloud.round()
    assert cloud.vm(vm).state == VMState.STOPPED
    assert cloud.run_seconds(vm)[0][1] == second(confirmed)
    cloud.assert_sound()


@pytest.mark.error
def test_a_stop_asked_for_while_the_host_is_away_is_not_billed_beyond_what_is_known(cloud, alice, vm):
    confirmed = cloud.vms.get_compute_status().answered_at
    cloud.control.fault("*", "unavailable", times=None)
    cloud.vms.stop_vm(vm.id, actor=acting(alice))
    cloud.live(600, step=60)
    cloud.control.stop(vm.id)
    cloud.restart_worker()
    cloud.live(600, step=60)
    cloud.control.clear()
    cloud.live(180, step=30)
    assert cloud.vm(vm).state == VMState.STOPPED
    assert cloud.run_seconds(vm)[0][1] == second(confirmed)
    cloud.assert_sound()


def test_a_stop_given_up_while_the_host_is_away_says_so_and_the_bill_waits(cloud, alice, vm):
    cloud.control.fault("*", "unavailable", times=None)
    cloud.vms.stop_vm(vm.id, actor=acting(alice))
    cloud.live(2000, step=100)
    running = cloud.vm(vm)
    assert running.state == VMState.RUNNING
    assert "does not answer" in running.state_reason
    assert cloud.run_seconds(vm)[0][1] is None
    cloud.control.clear()
    cloud.round()
    cloud.assert_sound()


def test_a_worker_that_was_away_for_a_day(cloud, alice, vm, clock):
    confirmed = cloud.vms.get_compute_status().answered_at
    other = cloud.ask(alice, cloud.project(alice, "other"), "gone")
    cloud.worker.work()
    clock.advance(1)
    cloud.round()
    confirmed = cloud.vms.get_compute_status().answered_at
    clock.advance(hours=12)
    cloud.control.destroy(other.id)
    clock.advance(hours=12)
    cloud.restart_worker()
    cloud.bill()
    assert all(charge.to_at <= confirmed for charge in cloud.charges(vm))
    cloud.live(30)
    assert cloud.vm(vm).state == VMState.RUNNING
    assert len(cloud.run_seconds(vm)) == 1
    seconds = sum(charge.seconds for charge in cloud.charges(vm) if charge.kind == "usage")
    assert seconds >= 24 * 3600 - 3600
    assert cloud.vm(other).state == VMState.ERROR
    assert cloud.run_seconds(other)[0][1] == second(confirmed)
    assert cloud.written_off() == 0
    cloud.assert_sound()


def test_a_machine_whose_host_does_not_answer_is_not_gone(cloud, core, vm, clock):
    confirmed = cloud.vms.get_compute_status().answered_at
    cloud.control.lose(vm.id)
    cloud.live(120)
    assert cloud.vm(vm).state == VMState.RUNNING
    assert cloud.vms.get_confirmed(vm.id) == confirmed
    assert cloud.vms.get_compute_status().answered_at > clock.now() - timedelta(seconds=10)
    assert cloud.monitoring.list_service_health()[-1].ok
    cloud.control.lose(vm.id, lost=False)
    cloud.round()
    assert cloud.vms.get_confirmed(vm.id) == clock.now()
    assert events_of(core, "vm.gone_seen") == events_of(core, "vm.off_seen") == []
    cloud.assert_sound()


def charged_until(cloud, vm):
    return cloud.intervals(vm)[-1].settled_until


def test_one_machine_nobody_can_tell_of_holds_back_its_own_bill_only(cloud, alice, bob, project, vm, clock):
    others = [cloud.launch(alice, project, "other"), cloud.launch(bob, cloud.project(bob), "bobs")]
    cloud.round(10)
    known = cloud.vms.get_confirmed(vm.id)
    cloud.control.lose(vm.id)
    before = charged_until(cloud, vm)
    for _ in range(30):
        cloud.round(300)
    hour = clock.now().replace(minute=0, second=0, microsecond=0)
    assert [charged_until(cloud, other) for other in others] == [hour, hour]
    assert (charged_until(cloud, vm), cloud.vms.get_confirmed(vm.id)) == (before, known)
    assert all(check.ok for check in cloud.billing.verify())
    cloud.control.lose(vm.id, lost=False)
    cloud.round(5)
    cloud.round(5)
    assert charged_until(cloud, vm) == hour  # still the same run: the gap is posted
    assert len(cloud.intervals(vm)) == 1
    cloud.assert_sound()


def test_one_that_is_gone_after_all_ends_at_its_own_last_confirmed_second(cloud, alice, project, vm, clock):
    other = cloud.launch(alice, project, "other")
    cloud.round(10)
    known = cloud.vms.get_confirmed(vm.id)
    cloud.control.lose(vm.id)
    for _ in range(30):
        cloud.round(300)
    assert cloud.vms.get_compute_status().answered_at == cloud.vms.get_confirmed(other.id) == clock.now()
    cloud.control.lose(vm.id, lost=False)
    cloud.control.destroy(vm.id)
    cloud.restart_worker()  # and with it goes what the hypervisor told in the meantime
    cloud.round(5)
    assert cloud.run_seconds(vm)[0][1] == second(known)
    assert cloud.row(vm).confirmed_until is None
    cloud.assert_sound()


def test_deleting_one_that_nobody_can_tell_of_bills_it_to_its_last_confirmed_second(cloud, alice, vm):
    known = cloud.vms.get_confirmed(vm.id)
    cloud.control.lose(vm.id)
    cloud.live(300)
    cloud.vms.delete_vm(vm.id, confirm_name=vm.name, actor=acting(alice))
    assert cloud.run_seconds(vm)[0][1] == second(known)


@pytest.mark.error
@pytest.mark.error
def test_deleting_while_the_host_is_away_bills_to_what_it_confirmed(cloud, alice, vm, clock):
    """However short the time since: it may have been off in it."""
    confirmed = cloud.vms.get_compute_status().answered_at
    cloud.control.fault("*", "unavailable", times=None)
    cloud.round(20)
    clock.advance(20)
    cloud.vms.delete_vm(vm.id, vm.name, actor=acting(alice))
    assert cloud.run_seconds(vm)[0][1] == confirmed.replace(microsecond=0)
    cloud.control.clear()
    cloud.live(90, step=10)
    cloud.assert_sound()


def test_deleting_one_that_is_known_to_be_off_bills_it_to_when_it_last_ran(cloud, alice, vm, clock):
    """An operation is under way, so the listing that shows it off has changed no record yet."""
    cloud.round(300)
    confirmed = cloud.vms.get_compute_status().answered_at
    cloud.vms.reboot_vm(vm.id, actor=acting(alice))
    cloud.control.stop(vm.id)
    for _ in range(6):
        clock.advance(5)
        cloud.worker.reconciler.run()
    assert cloud.vms.get_compute_status().ok
    cloud.vms.delete_vm(vm.id, vm.name, actor=acting(alice))
    assert cloud.run_seconds(vm)[0][1] == confirmed.replace(microsecond=0)
    cloud.worker.work()
    cloud.assert_sound()


def test_a_launch_while_the_host_is_away_waits_for_it(cloud, alice, project):
    cloud.control.fault("*", "unavailable", times=None)
    waiting = cloud.ask(alice, project, "later")
    cloud.live(120, step=10)
    page = cloud.vms.get_vm_page(waiting.id)
    assert (page.vm.state, page.compute.ok) == (VMState.CREATING, False)
    assert "does not answer" in page.operation.error
    cloud.control.clear()
    cloud.live(65)
    assert cloud.vm(waiting).state == VMState.RUNNING
    assert cloud.vms.get_compute_status().ok


# -- stale looks --------------------------------------------------------------------------------


def test_a_listing_older_than_the_record_concludes_nothing(cloud, core, alice, project, monkeypatch):
    vm = cloud.ask(alice, project)
    listing = cloud.driver.machines

    def slow_listing():
        machines = listing()
        cloud.worker.work()  # while the listing is under way, the VM is made, started and recorded as running
        return machines

    with monkeypatch.context() as patch:
        patch.setattr(cloud.driver, "machines", slow_listing)
        cloud.worker.reconciler.run()
    assert cloud.vm(vm).state == VMState.RUNNING
    assert events_of(core, "vm.gone_seen") == events_of(core, "vm.off_seen") == []
    assert len(cloud.run_seconds(vm)) == 1


def test_an_action_accepted_while_the_listing_is_under_way_is_left_to_its_operation(
    cloud, core, alice, vm, monkeypatch, clock
):
    listing = cloud.driver.machines
    confirmed = cloud.vms.get_compute_status().answered_at

    def slow_listing():
        cloud.control.stop(vm.id)
        machines = listing()
        cloud.vms.stop_vm(vm.id, actor=acting(alice))
        return machines

    clock.advance(3)
    with monkeypatch.context() as patch:
        patch.setattr(cloud.driver, "machines", slow_listing)
        cloud.worker.reconciler.run()
    assert cloud.vm(vm).state == VMState.STOPPING
    assert cloud.vms.get_confirmed(vm.id) == confirmed, "it was off: nothing more is confirmed"
    assert events_of(core, "vm.off_seen") == []
    cloud.worker.work()
    assert cloud.vm(vm).state == VMState.STOPPED
    cloud.assert_sound()


def test_two_reconcilers_record_a_surprise_once(cloud, core, vm):
    cloud.control.stop(vm.id)
    known = next(one for one in cloud.vms.sightings.list_known() if one.vm_id == vm.id)
    cloud.round()
    assert not cloud.vms.sightings.saw_off(known, cloud.clock.now())
    assert not cloud.vms.sightings.saw_gone(known, cloud.clock.now())
    assert len(events_of(core, "vm.off_seen")) == 1


# -- leftovers and strangers --------------------------------------------------------------------


def test_a_machine_of_a_deleted_vm_is_removed(cloud, alice, vm):
    spec = cloud.vms.records.spec(vm.id)
    cloud.vms.delete_vm(vm.id, vm.name, actor=acting(alice))
    cloud.worker.work()
    cloud.driver.create(spec)
    cloud.driver.start(vm.id)
    cloud.control.fault("delete", "unavailable")
    cloud.round()
    assert len(cloud.driver.machines()) == 1
    cloud.round()
    assert cloud.driver.machines() == []
    cloud.assert_sound()


def test_a_machine_that_this_database_never_had_is_left_alone(cloud, vm):
    stranger = MachineSpec("vm_stranger", "other", 1, 128, 1, "tiny")
    cloud.driver.create(stranger)
    cloud.driver.start(stranger.vm_id)
    cloud.live(60)
    assert cloud.driver.machine(stranger.vm_id).power is PowerState.RUNNING
    assert [each.vm_id for each in cloud.vms.strays.list_strays()] == [stranger.vm_id]


def test_the_host_s_facts_are_asked_for_now_and_then(cloud, vm, monkeypatch):
    asked = []
    capacity = cloud.driver.capacity
    monkeypatch.setattr(cloud.driver, "capacity", lambda: asked.append(1) or capacity())
    cloud.live(2 * FACTS_EVERY_SECONDS)
    assert len(asked) in (2, 3)
    status = cloud.vms.get_compute_status()
    assert (status.ok, status.images, status.simulated) == (True, ("tiny",), True)
    assert status.capacity["vcpus"] == 512
