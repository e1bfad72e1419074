"""A fresh disk: asked for, done by the worker, taken back, billed as what the machine is."""

from datetime import timedelta

import pytest

from tests.services.people import acting, events_of, join
from zentry_web.domain.event import Outcome
from zentry_web.domain.vms.operation import OperationKind, OperationState
from zentry_web.domain.vms.state import VMState
from zentry_web.models import DbDiskAside, DbImage, DbImageVersion
from zentry_web.services.billing.usage.price_versions import Origin, add_image_version
from zentry_web.services.errors import ConflictError, NotFoundError, PermissionDeniedError, ValidationError
from zentry_web.services.vms.operations import LEASE

pytestmark = pytest.mark.integration

TINY = "img_tiny"
STEPS = ("claimed", "asked", "off", "recorded", "changed", "boot", "running")


@pytest.fixture
def vm(cloud, alice, project):
    """It runs and has answered, for a while now."""
    vm = cloud.launch(alice, project)
    cloud.round(300)
    return vm


@pytest.fixture
def off(cloud, alice, vm):
    cloud.vms.stop_vm(vm.id, actor=acting(alice))
    cloud.worker.work()
    cloud.clock.advance(60)
    return vm


def rebuild(cloud, user, vm, **data):
    wanted = {"image_id": TINY, "confirm_name": vm.name, "access": "new", "user_data": "#!/bin/sh\ntrue\n"} | data
    return cloud.vms.rebuilding.request(vm.id, wanted, user, actor=acting(user))


def back(cloud, user, vm):
    return cloud.vms.rebuilding.request_back(vm.id, actor=acting(user))


def has_script(cloud, vm):
    """What record and machine agree on: whether it was made with a script."""
    in_record, in_machine = bool(cloud.row(vm).user_data), bool(cloud.store.find(vm.id).script)
    assert in_record == in_machine
    return in_machine


def rows(core):
    with core.database.reading() as session:
        return session.query(DbDiskAside).all()


def spans(cloud, vm):
    return [(row.state, row.rate_micro_per_hour, row.start_at, row.end_at) for row in cloud.intervals(vm)]


def test_one_that_runs_gets_another_disk_and_keeps_all_else(cloud, core, alice, vm):
    before = cloud.row(vm)
    operation = rebuild(cloud, alice, vm)
    assert (operation.kind, operation.restarts) == (OperationKind.REBUILD, True)
    assert (cloud.vm(vm).state, cloud.row(vm).user_data) == (VMState.REBUILDING, "")
    cloud.worker.work()
    after = cloud.row(vm)
    assert (after.state, has_script(cloud, vm)) == (VMState.RUNNING, True)
    assert after.run_id != before.run_id
    cloud.round(3)
    now = cloud.vm(vm)
    assert now.answered_at
    assert (now.name, now.address, now.rates) == (vm.name, before.address, vm.rates)
    assert [event.outcome for event in events_of(core, "vm.rebuild")] == [Outcome.ACCEPTED, Outcome.SUCCEEDED]
    assert "true" not in str([event.details for event in events_of(core, "vm.rebuild")])
    assert {step.status for step in cloud.vms.get_vm_page(vm.id).steps} == {"done"}
    cloud.assert_sound()


def test_its_bill_goes_on_without_a_gap_or_a_minimum(cloud, alice, vm):
    rebuild(cloud, alice, vm)
    cloud.worker.work()
    first, between, last = spans(cloud, vm)
    assert (first[0], between[0], last[0]) == ("running", "stopped", "running")
    assert (first[3], between[3], first[1]) == (between[2], last[2], last[1])
    assert cloud.intervals(vm)[-1].minimum_seconds == 0
    assert cloud.hold(vm).interval_id == cloud.intervals(vm)[-1].id
    cloud.live(7200, step=60)
    assert cloud.vm(vm).state == VMState.RUNNING
    cloud.assert_sound()


def test_one_that_is_off_stays_off_and_its_bill_stays_one_interval(cloud, alice, off):
    intervals = len(cloud.intervals(off))
    assert not rebuild(cloud, alice, off).restarts
    cloud.worker.work()
    assert (cloud.vm(off).state, has_script(cloud, off)) == (VMState.STOPPED, True)
    assert len(cloud.intervals(off)) == intervals
    cloud.vms.start_vm(off.id, actor=acting(alice))
    cloud.worker.work()
    assert cloud.vm(off).state == VMState.RUNNING
    cloud.assert_sound()


@pytest.mark.parametrize("runs", [True, False])
def test_the_disk_that_was_comes_back_within_an_hour(cloud, core, alice, request, runs):
    vm = request.getfixturevalue("vm" if runs else "off")
    rebuild(cloud, alice, vm)
    cloud.worker.work()
    aside = cloud.vms.rebuilding.find_aside(vm.id, actor=acting(alice))
    assert aside.until == cloud.clock.now() + timedelta(hours=1) or runs
    cloud.live(600, step=60)
    assert back(cloud, alice, vm).kind == OperationKind.BRING_BACK
    cloud.worker.work()
    assert (cloud.vm(vm).state, has_script(cloud, vm)) == (VMState.RUNNING if runs else VMState.STOPPED, False)
    assert cloud.intervals(vm)[-1].minimum_seconds == 0 or not runs
    assert (rows(core), cloud.store.find(vm.id).aside) == ([], "")
    with pytest.raises(ConflictError, match="not kept any more"):
        back(cloud, alice, vm)
    cloud.assert_sound()


def test_an_hour_later_it_is_gone(cloud, core, alice, vm):
    rebuild(cloud, alice, vm)
    cloud.worker.work()
    assert cloud.store.find(vm.id).aside
    cloud.clock.advance(3601)
    with pytest.raises(ConflictError, match="not kept any more"):
        back(cloud, alice, vm)
    for vm_id, name in cloud.vms.rebuilding.list_due():
        cloud.driver.rebuilds.drop(vm_id, name)
        cloud.vms.rebuilding.forget(name)
    assert (rows(core), cloud.store.find(vm.id).aside) == ([], "")


def test_another_image_costs_what_it_adds_and_the_old_one_again_after_an_undo(cloud, core, alice, vm):
    with cloud.vms.transaction() as session:
        tiny = session.get(DbImage, TINY)
        fields = {name: getattr(tiny, name) for name in ("description", "position", "active")}
        session.add(DbImage(id="image_big", name="Big", driver_name="big", min_memory_mib=1, **fields))
        session.flush()
        now = cloud.clock.now()
        numbers = dict.fromkeys(("size_bytes", "disk_bytes", "done_bytes", "total_bytes"), 0)
        texts = dict.fromkeys(("reference", "expected_sha256", "sha256", "step", "reason"), "")
        version = {"id": "imv_big", "image_id": "image_big", "number": 1, "driver_name": "big", "state": "ready"}
        made = {"source": "build", "cancelling": False, "created_by": "usr_system", "created_at": now}
        session.add(DbImageVersion(**version, **made, **numbers, **texts))
        add_image_version(session, "image_big", 7_000, Origin(now, now, "usr_system"))
    with cloud.store.write() as connection:
        connection.execute("INSERT INTO image (name) VALUES ('big')")
    cloud.round(31)  # what the host has is asked twice a minute
    before = cloud.row(vm).running_micro_per_hour
    choices = cloud.vms.rebuilding.list_choices(vm.id, actor=acting(alice))
    tiny, big = sorted(choices, key=lambda choice: not choice.is_current)
    assert (tiny.is_current, tiny.rates.running, big.rates.running) == (True, before, before + 7_000)
    rebuild(cloud, alice, vm, image_id="image_big", access="keep")
    cloud.worker.work()
    row = cloud.row(vm)
    assert (row.image_id, row.running_micro_per_hour, spans(cloud, vm)[-1][1]) == ("image_big", *[before + 7_000] * 2)
    back(cloud, alice, vm)
    cloud.worker.work()
    row = cloud.row(vm)
    assert (row.image_id, row.running_micro_per_hour, spans(cloud, vm)[-1][1]) == (TINY, before, before)
    cloud.assert_sound()


@pytest.mark.error
def test_who_may_and_what_may_be_chosen(cloud, container, alice, bob, charlie, project, vm):
    with pytest.raises(NotFoundError):
        rebuild(cloud, charlie, vm)
    join(container, project, bob, "restricted")
    with pytest.raises(PermissionDeniedError):
        rebuild(cloud, bob, vm)
    for wrong, field in (
        ({"confirm_name": "other"}, "confirm_name"),
        ({"image_id": ""}, "image_id"),
        ({"image_id": "image_none"}, "image_id"),
        ({"user_data": "no script"}, "user_data"),
        ({"ssh_key_ids": ["key_none"]}, "ssh_key_ids"),
    ):
        with pytest.raises(ValidationError) as caught:
            rebuild(cloud, alice, vm, **wrong)
        assert field in caught.value.details
    assert len(cloud.operations(vm)) == 1


@pytest.mark.error
def test_a_protected_one_refuses_both(cloud, alice, vm):
    rebuild(cloud, alice, vm)
    cloud.worker.work()
    cloud.vms.bin.set_protection(vm.id, True, actor=acting(alice))
    for order in (rebuild, back):
        with pytest.raises(ConflictError, match="protected from deletion and rebuild"):
            order(cloud, alice, vm)
    with pytest.raises(ConflictError, match="protected from deletion and rebuild"):
        cloud.vms.delete_vm(vm.id, vm.name, actor=acting(alice))


@pytest.mark.error
def test_a_guest_that_does_not_power_off_is_cut_off(cloud, alice, vm):
    cloud.control.fault("shutdown", "ignore", times=None)
    rebuild(cloud, alice, vm)
    cloud.worker.work()
    assert (cloud.vm(vm).state, has_script(cloud, vm)) == (VMState.RUNNING, True)
    cloud.assert_sound()


@pytest.mark.error
@pytest.mark.parametrize("action", ["rebuild", "start"])
def test_a_host_that_refuses_leaves_it_running_with_its_old_disk(cloud, core, alice, vm, action):
    cloud.control.fault(action, "refuse", message="No room.")
    rebuild(cloud, alice, vm)
    cloud.worker.work()
    row = cloud.row(vm)
    assert (row.state, row.state_reason, has_script(cloud, vm)) == (VMState.RUNNING, "No room.", False)
    assert cloud.operations(vm)[-1].state == OperationState.FAILED
    assert cloud.intervals(vm)[-1].minimum_seconds == 0
    assert (rows(core), cloud.store.find(vm.id).aside) == ([], "")
    assert cloud.vms.undo.find_offer(vm.id, actor=acting(alice)) == ""
    cloud.assert_sound()


@pytest.mark.error
def test_what_others_count_on_is_refused_before_its_power_goes(cloud, alice, vm):
    cloud.control.snapshot(vm.id)
    run_id = cloud.row(vm).run_id
    rebuild(cloud, alice, vm)
    cloud.worker.work()
    row = cloud.row(vm)
    assert (row.state, row.run_id) == (VMState.RUNNING, run_id)
    assert "made a snapshot" in row.state_reason
    assert len(cloud.intervals(vm)) == 1
    cloud.assert_sound()


@pytest.mark.error
def test_a_host_that_went_away_in_the_middle_for_good(cloud, core, alice, vm):
    """Given up with the disk exchanged and the record not: the next start brings the old one back."""
    cloud.worker.checkpoint = lambda step: (
        step == "rebuild.changed" and cloud.control.fault("*", "unavailable", times=None)
    )
    rebuild(cloud, alice, vm)
    cloud.live(900, step=30)
    assert cloud.row(vm).state == VMState.STOPPED
    cloud.control.clear()
    cloud.round()
    cloud.vms.start_vm(vm.id, actor=acting(alice))
    cloud.live(10)
    assert (cloud.vm(vm).state, has_script(cloud, vm), rows(core)) == (VMState.RUNNING, False, [])
    cloud.assert_sound()


@pytest.mark.error
@pytest.mark.parametrize("order", [rebuild, back])
@pytest.mark.parametrize("step", STEPS)
def test_a_worker_killed_at_any_step_is_taken_over(cloud, alice, vm, step, order):
    if order is back:
        rebuild(cloud, alice, vm)
        cloud.worker.work()
        cloud.round(60)
    runs, name = len(cloud.run_seconds(vm)), "bring_back" if order is back else "rebuild"

    order(cloud, alice, vm)
    cloud.kill_at(f"{name}.{step}")
    cloud.restart_worker()
    cloud.assert_sound()
    cloud.clock.advance(LEASE.total_seconds() + 1)
    cloud.worker.work()
    assert (cloud.vm(vm).state, has_script(cloud, vm)) == (VMState.RUNNING, order is rebuild)
    assert len(cloud.run_seconds(vm)) == runs + 1
    cloud.live(30)
    cloud.assert_sound()


@pytest.mark.parametrize("step", STEPS)
def test_a_delete_overtakes_it_and_what_comes_back_is_as_it_was(cloud, core, alice, vm, step):
    def delete(name):
        if name == f"rebuild.{step}" and cloud.row(vm).state == VMState.REBUILDING:
            cloud.vms.delete_vm(vm.id, vm.name, actor=acting(alice))

    cloud.keep_deleted(7)
    cloud.keep_deleted(7)
    cloud.worker.checkpoint = delete
    rebuild(cloud, alice, vm)
    cloud.live(40)
    assert cloud.row(vm).state == VMState.BINNED
    assert (has_script(cloud, vm), rows(core), cloud.held(alice)) == (False, [], 0)
    cloud.assert_sound()
