"""Accepting a launch: what is checked, what is held, what is made, and only once."""

import threading

import pytest
from sqlalchemy import func, select

from tests.services.people import Statements, acting, events_of, personal_of
from zentry_web.domain.event import Outcome
from zentry_web.domain.vms.operation import OperationKind, OperationState
from zentry_web.domain.vms.state import VMState
from zentry_web.models import DbHold, DbOperation, DbVM
from zentry_web.services.errors import (
    ConflictError,
    InsufficientCreditsError,
    NotFoundError,
    PermissionDeniedError,
    ValidationError,
)

pytestmark = pytest.mark.integration

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl alice@laptop"


def nothing_made(cloud):
    with cloud.container.database.reading() as session:
        tables = (DbVM, DbOperation, DbHold)
        return [session.scalar(select(func.count()).select_from(table)) for table in tables] == [0, 0, 0]


def test_a_launch_holds_an_hour_queues_the_work_and_says_so(cloud, core, alice, project):
    before = cloud.wallet(alice)
    vm = cloud.ask(alice, project, "Web-1", ssh_key=f" {KEY} ", user_data="#!/bin/sh\r\necho hi\r\n")
    assert (vm.name, vm.state, vm.owner_id, vm.project_name) == ("web-1", VMState.CREATING, alice.id, "main")
    assert (vm.vcpus, vm.memory_mib, vm.disk_gib) == (1, 128, 1)
    assert (vm.running_micro_per_hour, vm.stopped_micro_per_hour) == (5_000, 100)
    assert (before - cloud.wallet(alice), cloud.held(alice)) == (5_000, 5_000)
    row = cloud.row(vm)
    assert (row.ssh_key, row.user_data) == (KEY, "#!/bin/sh\necho hi\n")
    (operation,) = cloud.operations(vm)
    assert (operation.kind, operation.state, operation.reason) == (OperationKind.CREATE, OperationState.QUEUED, "owner")
    (event,) = events_of(core, "vm.create")
    assert (event.actor_id, event.outcome, event.operation_id) == (alice.id, Outcome.ACCEPTED, operation.id)
    assert (event.owner_id, event.project_id, event.vm_id) == (alice.id, project.id, vm.id)
    assert event.details == {"reason": "owner", "size": "nano", "image": "Zentry Tiny Linux"}
    assert personal_of(core, event.id)["address"] == acting(alice).address
    assert cloud.intervals(vm) == []
    cloud.assert_sound()


@pytest.mark.error
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("name", "-web"),
        ("name", "web-"),
        ("name", "we_b"),
        ("name", "wéb"),
        ("name", "a" * 64),
        ("name", "a.b"),
        ("name", None),
        ("name", 7),
        ("project_id", ""),
        ("size_id", ""),
        ("image_id", None),
        ("ssh_key", "ssh-ed25519 nonsense"),
        ("ssh_key", "-----BEGIN OPENSSH PRIVATE KEY-----"),
        ("ssh_key", KEY + "\n" + KEY),
        ("ssh_key", "ssh-rsa " + "A" * 20_000),
        ("user_data", "echo no interpreter"),
        ("user_data", "#!/bin/sh\n" + "x" * 65_536),
        ("user_data", "#!/bin/sh\n\x00"),
    ],
)
def test_what_is_wrong_is_told_on_its_field(cloud, alice, project, field, value):
    data = {"project_id": project.id, "name": "web", "size_id": "size_nano", "image_id": "img_tiny"}
    with pytest.raises(ValidationError) as caught:
        cloud.vms.create_vm(data | {field: value}, alice, actor=acting(alice))
    assert set(caught.value.details) == {field}
    assert nothing_made(cloud)


@pytest.mark.error
def test_all_wrong_fields_are_told_at_once(cloud, alice):
    with pytest.raises(ValidationError) as caught:
        cloud.vms.create_vm({}, alice, actor=acting(alice))
    assert set(caught.value.details) == {"name", "project_id", "size_id", "image_id"}


def test_the_limits_themselves_are_allowed(cloud, alice, project):
    assert cloud.ask(alice, project, "a" * 63, user_data="#!" + "x" * (65_536 - 2)).name == "a" * 63
    assert cloud.ask(alice, project, "7", user_data="   ").name == "7"


@pytest.mark.error
def test_a_name_is_taken_within_its_project_until_the_machine_is_deleted(cloud, alice, project):
    vm = cloud.launch(alice, project, "web")
    with pytest.raises(ValidationError) as caught:
        cloud.ask(alice, project, "WEB")
    assert set(caught.value.details) == {"name"}
    cloud.ask(alice, cloud.project(alice, "other"), "web")
    cloud.vms.delete_vm(vm.id, "web", actor=acting(alice))
    with pytest.raises(ValidationError):
        cloud.ask(alice, project, "web")
    cloud.worker.work()
    assert cloud.ask(alice, project, "web").id != vm.id


@pytest.mark.error
def test_a_size_or_image_withdrawn_between_form_and_submit(cloud, alice, project):
    cloud.vms.update_size("size_nano", {"active": False})
    cloud.vms.update_image("img_tiny", {"active": False})
    with pytest.raises(ValidationError) as caught:
        cloud.ask(alice, project)
    assert set(caught.value.details) == {"size_id", "image_id"}
    assert nothing_made(cloud)
    assert "size_nano" not in [size.id for size in cloud.vms.list_sizes()]
    assert "size_nano" in [size.id for size in cloud.vms.list_sizes(include_inactive=True)]
    assert cloud.vms.list_images() == []
    cloud.vms.update_size("size_nano", {"active": True})
    cloud.vms.update_image("img_tiny", {"active": True})
    cloud.ask(alice, project)


@pytest.mark.error
@pytest.mark.parametrize(("field", "value"), [("size_id", "size_huge"), ("image_id", "img_none")])
def test_a_size_or_image_that_never_was(cloud, alice, project, field, value):
    data = {"project_id": project.id, "name": "web", "size_id": "size_nano", "image_id": "img_tiny"}
    with pytest.raises(ValidationError) as caught:
        cloud.vms.create_vm(data | {field: value}, alice, actor=acting(alice))
    assert set(caught.value.details) == {field}


@pytest.mark.error
def test_an_image_that_is_not_on_the_host(cloud, alice, project):
    cloud.worker.reconciler.run()
    cloud.monitoring.processes.record_compute(ok=True, detail="ok", images=("other",))
    with pytest.raises(ValidationError) as caught:
        cloud.ask(alice, project)
    assert set(caught.value.details) == {"image_id"}
    # While the host does not answer, nobody knows: accepted, and the worker will tell.
    cloud.monitoring.processes.record_compute(ok=False, detail="away")
    cloud.ask(alice, project)


@pytest.mark.error
def test_a_size_that_no_host_could_hold(cloud, alice, project):
    cloud.monitoring.processes.record_compute(
        ok=True, detail="ok", images=("tiny",), capacity={"vcpus": 1, "memory_mib": 127}
    )
    with pytest.raises(ValidationError) as caught:
        cloud.ask(alice, project)
    assert set(caught.value.details) == {"size_id"}
    assert nothing_made(cloud)
    cloud.monitoring.processes.record_compute(
        ok=True, detail="ok", images=("tiny",), capacity={"vcpus": 1, "memory_mib": 128}
    )
    cloud.ask(alice, project)


@pytest.mark.error
def test_too_few_credits_make_nothing_and_name_what_is_missing(cloud, alice, project):
    cloud.set_wallet(alice, 4_999)
    with pytest.raises(InsufficientCreditsError) as caught:
        cloud.ask(alice, project)
    assert caught.value.details == {"needed": 5_000, "available": 4_999}
    assert nothing_made(cloud)
    assert (cloud.wallet(alice), cloud.held(alice)) == (4_999, 0)
    cloud.set_wallet(alice, 5_000)
    cloud.ask(alice, project)
    assert (cloud.wallet(alice), cloud.held(alice)) == (0, 5_000)
    cloud.assert_sound()


@pytest.mark.error
def test_somebody_elses_project_looks_as_if_it_were_not_there(cloud, alice, bob, admin, project):
    with pytest.raises(NotFoundError):
        cloud.ask(bob, project)
    assert nothing_made(cloud)
    vm = cloud.ask(admin, project)
    assert vm.owner_id == alice.id
    assert cloud.held(alice) == 5_000


@pytest.mark.error
def test_a_deleted_project_takes_no_machines(cloud, alice, project):
    cloud.projects.delete_project(project.id, actor=acting(alice))
    with pytest.raises(NotFoundError):
        cloud.ask(alice, project)


def test_the_same_key_gives_the_same_machine(cloud, core, alice, project):
    first = cloud.ask(alice, project, idempotency_key="form-1")
    again = cloud.ask(alice, project, idempotency_key="form-1")
    assert again.id == first.id
    assert len(events_of(core, "vm.create")) == 1
    assert cloud.held(alice) == 5_000
    cloud.worker.work()
    assert cloud.ask(alice, project, idempotency_key="form-1").state == VMState.RUNNING


@pytest.mark.error
def test_the_same_key_for_something_else_is_refused(cloud, alice, bob, project):
    cloud.ask(alice, project, idempotency_key="form-1")
    with pytest.raises(ConflictError):
        cloud.ask(alice, project, "other", idempotency_key="form-1")
    with pytest.raises(ConflictError):
        cloud.ask(bob, cloud.project(bob), idempotency_key="form-1")
    for key in ("", "x" * 101):
        with pytest.raises(ValidationError):
            cloud.ask(alice, project, "other", idempotency_key=key)


def in_threads(count, action):
    """Run ``action(number)`` in threads at once; what each returned or raised."""
    gate, outcomes = threading.Barrier(count), []

    def run(number):
        gate.wait(30)
        try:
            outcomes.append(action(number))
        except Exception as error:
            outcomes.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return outcomes


def test_a_double_click_makes_one_machine(cloud, core, alice, project):
    made = in_threads(4, lambda _: cloud.ask(alice, project, idempotency_key="form-1").id)
    assert len(set(made)) == 1, made
    assert len(events_of(core, "vm.create")) == 1
    assert cloud.held(alice) == 5_000


@pytest.mark.error
def test_of_two_launches_with_one_name_one_is_made(cloud, alice, project):
    outcomes = in_threads(4, lambda _: cloud.ask(alice, project, "web"))
    refused = [one for one in outcomes if isinstance(one, (ValidationError, ConflictError))]
    assert len(refused) == 3, outcomes
    assert cloud.held(alice) == 5_000


@pytest.mark.error
def test_the_last_credits_launch_one_machine_only(cloud, alice, project):
    cloud.set_wallet(alice, 7_000)
    outcomes = in_threads(4, lambda number: cloud.ask(alice, project, f"web-{number}"))
    assert sum(isinstance(one, InsufficientCreditsError) for one in outcomes) == 3, outcomes
    assert (cloud.wallet(alice), cloud.held(alice)) == (2_000, 5_000)
    cloud.assert_sound()


def test_a_new_price_counts_for_new_launches_only(cloud, alice, admin, project):
    old = cloud.ask(alice, project, "old")
    cloud.billing.price_list.publish("size_nano", 7_000, 200, actor=acting(admin))
    new = cloud.ask(alice, project, "new")
    assert (cloud.vm(old).running_micro_per_hour, new.running_micro_per_hour) == (5_000, 7_000)
    (size,) = [size for size in cloud.vms.list_sizes() if size.id == "size_nano"]
    assert (size.price_version, size.stopped_micro_per_hour) == (2, 200)


@pytest.mark.error
def test_only_admins_change_the_catalogue(cloud, alice):
    with pytest.raises(PermissionDeniedError):
        cloud.vms.update_size("size_nano", {"active": False}, actor=acting(alice))
    with pytest.raises(PermissionDeniedError):
        cloud.vms.update_image("img_tiny", {"active": False}, actor=acting(alice))
    with pytest.raises(ValidationError):
        cloud.vms.update_size("size_nano", {"active": "no"})
    with pytest.raises(NotFoundError):
        cloud.vms.update_image("img_none", {"active": True})


def test_a_launch_takes_a_bounded_number_of_statements(cloud, alice, project):
    cloud.ask(alice, project, "first")
    with Statements(cloud.container.database) as counted:
        cloud.ask(alice, project, "second")
    assert counted.count <= 30, counted.texts
