"""Images of machines' own disks on the simulator: made, launched from, paid for to the second, deleted; and whatever
happens in between, the whole is there or nothing."""

import threading
from datetime import timedelta

import pytest
from sqlalchemy import select

from tests.services.people import acting, join
from tests.services.vm_world import RUNNING
from zentry_web.domain.projects.project import ProjectRole
from zentry_web.domain.projects.quota import Resource
from zentry_web.domain.user import SYSTEM
from zentry_web.domain.vms.image import VersionState
from zentry_web.domain.vms.state import VMState
from zentry_web.models import DbImage, DbImagePriceVersion, DbImageVersion, DbStored, DbUsageInterval
from zentry_web.services.errors import (
    ConflictError,
    InsufficientCreditsError,
    NotFoundError,
    PermissionDeniedError,
    QuotaExceededError,
    ValidationError,
)
from zentry_web.worker.copies import CopyKeeper
from zentry_web.worker.images import ImageMaker

pytestmark = pytest.mark.integration

NAMED = {"name": "Shop, ready", "note": "with nginx"}


@pytest.fixture
def images(cloud, alice, project):
    return lambda: cloud.vms.machine_images.list(project.id, actor=acting(alice))


def ask(cloud, alice, vm, **changes):
    return cloud.vms.machine_images.make(vm.id, NAMED | changes, actor=acting(alice))


def make(cloud, alice, vm, **changes):
    ask(cloud, alice, vm, **changes)
    cloud.worker.work()
    return cloud.vms.machine_images.list(cloud.vm(vm).project_id, actor=acting(alice))[-1]


def launch_from(cloud, alice, project, image):
    data = {"project_id": project.id, "name": "copy", "size_id": "size_nano", "image_id": image.id}
    return cloud.vms.create_vm(data, alice, actor=acting(alice))


def tidy(cloud):
    """What the worker's loops do meanwhile."""
    CopyKeeper(cloud.vms, cloud.driver).run()
    ImageMaker(cloud.vms, cloud.monitoring, cloud.driver, threading.Event()).run()


def names(cloud):
    return [name for name in cloud.driver.images.names() if name.startswith("img-")]


def spans(cloud, image_id):
    columns = DbUsageInterval.start_at, DbUsageInterval.end_at
    query = select(*columns).where(DbUsageInterval.stored_id == image_id).order_by(DbUsageInterval.start_at)
    with cloud.container.database.reading() as session:
        return [tuple(row) for row in session.execute(query)]


def rows(cloud):
    with cloud.container.database.reading() as session:
        return len(session.scalars(select(DbImage).where(DbImage.project_id.is_not(None))).all())


def nothing_is_left(cloud):
    tidy(cloud)
    tidy(cloud)
    assert cloud.driver.copies.stored() == ()
    assert names(cloud) == []
    with cloud.container.database.reading() as session:
        assert session.scalars(select(DbStored)).all() == []
        living = select(DbImage).where(DbImage.project_id.is_not(None), DbImage.deleted_at.is_(None))
        assert session.scalars(living).all() == []
        half = select(DbImageVersion).where(DbImageVersion.state.in_((VersionState.IMPORTING, VersionState.REMOVING)))
        assert session.scalars(half).all() == []


def test_one_of_a_machine_that_runs_is_paid_from_when_it_is_there(cloud, alice, vm, images):
    operation = ask(cloud, alice, vm)
    assert operation.kind == "image"
    assert cloud.vm(vm).state == VMState.COPYING
    assert cloud.vm(vm).is_on
    (waits,) = images()
    assert (waits.is_ready, waits.gib, waits.operation_id) == (False, None, operation.id)
    cloud.worker.work()
    (made,) = images()
    assert (made.name, made.note, made.is_ready, made.vm_name) == (NAMED["name"], "with nginx", True, vm.name)
    assert (made.gib, made.min_disk_gib) == (1, vm.disk_gib)
    assert cloud.vm(vm).state == VMState.RUNNING
    assert cloud.row(vm).run_id == cloud.driver.machine(vm.id).run_id
    assert [span[1] for span in spans(cloud, made.id)] == [None]
    assert cloud.driver.copies.stored() == ()
    cloud.live(60)
    assert len(cloud.run_seconds(vm)) == 1  # the machine's own bill knows nothing of it
    cloud.assert_sound()


def test_machines_of_its_project_are_launched_from_it(cloud, alice, vm, images, project):
    image = make(cloud, alice, vm)
    child = launch_from(cloud, alice, project, image)
    cloud.worker.work()
    cloud.round(3)
    assert cloud.vm(child).state == VMState.RUNNING
    assert cloud.vm(child).image_name == NAMED["name"]
    assert images()[0].machines == 1
    other = cloud.project(alice, "other")
    with pytest.raises(ValidationError) as refused:
        launch_from(cloud, alice, other, image)
    assert "image_id" in refused.value.details
    cloud.assert_sound()


def test_deleted_it_costs_nothing_and_its_file_stays_while_a_machine_needs_it(cloud, alice, vm, images, project):
    image = make(cloud, alice, vm)
    child = launch_from(cloud, alice, project, image)
    cloud.worker.work()
    cloud.round(60)
    cloud.vms.machine_images.delete(project.id, image.id, actor=acting(alice))
    assert images() == []
    ((begun, ended),) = spans(cloud, image.id)
    assert ended - begun >= timedelta(seconds=60)
    with pytest.raises(ValidationError):
        cloud.vms.create_vm(
            {"project_id": project.id, "name": "more", "size_id": "size_nano", "image_id": image.id},
            alice,
            actor=acting(alice),
        )
    tidy(cloud)
    assert len(names(cloud)) == 1, "a machine is based on it"
    assert cloud.vm(child).image_name == NAMED["name"]
    cloud.vms.delete_vm(child.id, "copy", actor=acting(alice))
    cloud.worker.work()
    tidy(cloud)
    assert names(cloud) == []
    make(cloud, alice, vm)  # its name is free again
    cloud.assert_sound()


def test_what_its_machine_s_image_adds_to_the_price_it_adds_too(cloud, alice, vm, images):
    with cloud.vms.transaction() as session:
        now = cloud.clock.now()
        session.add(
            DbImagePriceVersion(
                id="iprice_a", image_id="img_tiny", number=1, micro_per_hour=700, starts_at=now, created_by=SYSTEM.id,
                created_at=now,
            )
        )  # fmt: skip
    paid = cloud.launch(alice, cloud.project(alice, "paid"), "paid")
    image = make(cloud, alice, paid)
    found = next(each for each in cloud.vms.catalogue.list_launch_images([paid.project_id]) if each.id == image.id)
    assert found.surcharge_micro_per_hour == 700
    make(cloud, alice, vm)  # launched before that price: at none
    (other,) = [each for each in cloud.vms.catalogue.list_launch_images([vm.project_id]) if each.project_id]
    assert other.surcharge_micro_per_hour == 0
    cloud.assert_sound()


def test_who_may_what(cloud, alice, bob, admin, vm, project):
    image = make(cloud, alice, vm)
    service = cloud.vms.machine_images
    with pytest.raises(NotFoundError):
        service.list(project.id, actor=acting(bob))
    with pytest.raises(NotFoundError):
        service.make(vm.id, NAMED, actor=acting(bob))
    with pytest.raises(NotFoundError):
        service.delete(project.id, image.id, actor=acting(bob))
    assert [each.id for each in service.list(project.id, actor=acting(admin))] == [image.id]
    mine = cloud.project(bob, "mine")
    with pytest.raises(NotFoundError):  # by way of a project of one's own
        service.delete(mine.id, image.id, actor=acting(bob))
    with pytest.raises(NotFoundError):
        service.get(mine.id, image.id, actor=acting(bob))
    assert image.id not in [each.id for each in cloud.vms.catalogue.list_launch_images([mine.id])]
    assert image.id not in [each.id for each in cloud.vms.list_images(include_inactive=True)]
    assert image.id not in [entry.image.id for entry in cloud.vms.images.list_entries(actor=acting(admin))]
    join(cloud.container, project, bob, ProjectRole.VIEWER)
    assert [each.id for each in service.list(project.id, actor=acting(bob))] == [image.id]
    with pytest.raises(PermissionDeniedError):
        ask(cloud, bob, vm, name="his")
    with pytest.raises(PermissionDeniedError):
        service.delete(project.id, image.id, actor=acting(bob))
    service.delete(project.id, image.id, actor=acting(admin))


def test_what_is_asked_for_is_looked_at(cloud, alice, vm):
    with pytest.raises(ValidationError):
        ask(cloud, alice, vm, name=" ")
    make(cloud, alice, vm)
    with pytest.raises(ValidationError) as taken:
        ask(cloud, alice, vm)
    assert "image of this name" in taken.value.details["name"]
    ask(cloud, alice, vm, name="second")
    with pytest.raises(ConflictError):
        ask(cloud, alice, vm, name="third")
    with pytest.raises(ConflictError):
        cloud.vms.stop_vm(vm.id, actor=acting(alice))
    cloud.worker.work()
    cloud.vms.stop_vm(vm.id, actor=acting(alice))
    cloud.live(30)
    assert make(cloud, alice, vm, name="off").is_ready
    assert cloud.vm(vm).state == VMState.STOPPED
    cloud.assert_sound()


def test_it_must_be_paid_and_fit_the_quota(cloud, alice, vm):
    cloud.vms.quotas.set_limits(alice.id, {Resource.STORED: "0"}, actor=SYSTEM)
    with pytest.raises(QuotaExceededError):
        ask(cloud, alice, vm)
    cloud.vms.quotas.set_limits(alice.id, {Resource.STORED: ""}, actor=SYSTEM)
    cloud.set_wallet(alice, 0)
    with pytest.raises(InsufficientCreditsError):
        ask(cloud, alice, vm)
    assert rows(cloud) == 0


@pytest.mark.parametrize("step", ["claimed", "begun", "copied", "placed", "recorded"])
def test_killed_anywhere_the_next_worker_ends_it(cloud, alice, vm, images, step):
    ask(cloud, alice, vm)
    cloud.kill_at(f"image.{step}")
    cloud.restart_worker()
    cloud.clock.advance(31)
    cloud.worker.work()
    cloud.live(30)
    tidy(cloud)
    (made,) = images()
    assert made.is_ready
    assert len(names(cloud)) == 1
    assert cloud.driver.copies.stored() == ()
    assert len(spans(cloud, made.id)) == 1
    assert cloud.vm(vm).state == VMState.RUNNING
    assert len(cloud.run_seconds(vm)) == 1
    cloud.assert_sound()


@pytest.mark.parametrize("action", ["copy_disk", "copy_progress", "make_image"])
def test_one_that_fails_leaves_nothing(cloud, alice, vm, action):
    cloud.control.fault(action, "refuse", "*")
    ask(cloud, alice, vm)
    cloud.worker.work()
    cloud.live(10)
    assert cloud.vm(vm).state == VMState.RUNNING
    assert "simulated fault" in cloud.vm(vm).state_reason
    assert rows(cloud) == 0
    nothing_is_left(cloud)
    cloud.assert_sound()


@pytest.mark.parametrize("action", ["copy_disk", "copy_progress", "make_image", "drop_copy"])
@pytest.mark.parametrize("kind", ["unavailable", "timeout-after"])
def test_a_host_that_does_not_answer_once_holds_it_up(cloud, alice, vm, images, action, kind):
    cloud.control.fault(action, kind, "*", times=1)
    ask(cloud, alice, vm)
    cloud.live(60)
    tidy(cloud)
    assert [each.is_ready for each in images()] == [True]
    assert cloud.driver.copies.stored() == ()
    assert cloud.vm(vm).state == VMState.RUNNING
    cloud.assert_sound()


def test_aborted_while_it_is_copied_it_leaves_nothing(cloud, alice, vm):
    cloud.control.delay("copy", 600, vm.id)
    operation = ask(cloud, alice, vm)
    cloud.kill_at("image.begun")
    cloud.restart_worker()
    cloud.vms.work.abort(operation.id, actor=acting(alice))
    cloud.clock.advance(31)
    cloud.worker.work()
    assert cloud.vm(vm).state == VMState.RUNNING
    assert cloud.vm(vm).state_reason == ""
    assert rows(cloud) == 0
    nothing_is_left(cloud)
    cloud.assert_sound()


@pytest.mark.parametrize("step", ["begun", "placed"])
def test_a_machine_that_is_deleted_meanwhile_takes_its_image_along(cloud, alice, vm, step):
    ask(cloud, alice, vm)
    cloud.kill_at(f"image.{step}")
    cloud.restart_worker()
    cloud.vms.delete_vm(vm.id, vm.name, actor=acting(alice))
    cloud.clock.advance(31)
    cloud.live(30)
    nothing_is_left(cloud)
    cloud.assert_sound()


def test_its_project_takes_it_along(cloud, alice, vm, project):
    image = make(cloud, alice, vm)
    cloud.round(60)
    cloud.projects.delete_project(project.id, actor=acting(alice, proved_at=cloud.clock.now()))
    assert spans(cloud, image.id)[-1][1] is not None
    cloud.live(30)
    tidy(cloud)
    assert names(cloud) == []
    cloud.assert_sound()


def test_it_outlives_its_machine(cloud, alice, vm, images):
    image = make(cloud, alice, vm)
    cloud.vms.delete_vm(vm.id, vm.name, actor=acting(alice))
    cloud.live(30)
    assert [each.id for each in images()] == [image.id]
    assert spans(cloud, image.id)[-1][1] is None
    assert cloud.intervals(vm)[-1].state in (RUNNING, "image")
    cloud.assert_sound()
