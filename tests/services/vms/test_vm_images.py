"""Images from the order to their end, whatever happens to the worker in between; and what launches make of them."""

import threading

import pytest

from tests.services.people import acting, events_of
from tests.services.vm_world import Killed
from zentry_web.adapters.compute.images import ImageFacts
from zentry_web.domain.user import SYSTEM
from zentry_web.domain.vms.image import UserDataKind, VersionState, user_data_problem
from zentry_web.models import DbImageVersion
from zentry_web.services.errors import ConflictError, NotFoundError, PermissionDeniedError, ValidationError
from zentry_web.worker.images import ImageMaker

pytestmark = pytest.mark.integration

GIB = 1024**3
FACTS = {
    "name": "Ubuntu 24.04", "description": "As it comes.", "min_memory_mib": "512 MiB", "min_disk_gib": "5",
    "default_user": "ubuntu", "first_login": "", "user_data": "cloud",
}  # fmt: skip
FROM = {"address": "https://cloud-images.ubuntu.com/noble.img", "sha256": "ab" * 32}


@pytest.fixture
def boss(admin):
    return acting(admin)


class Maker:
    """The worker's part, step by step in this thread; ``at`` is called at each checkpoint."""

    def __init__(self, cloud):
        self.cloud, self.stop, self.at, self.steps = cloud, threading.Event(), lambda step: None, []

    def work(self):
        maker = ImageMaker(self.cloud.vms, self.cloud.monitoring, self.cloud.driver, self.stop, self._checkpoint)
        for work in self.cloud.vms.image_making.list_work():
            if work.state == VersionState.REMOVING:
                maker.run()
            else:
                maker.make(work)

    def _checkpoint(self, step):
        self.steps.append(step)
        self.at(step)


@pytest.fixture
def maker(cloud):
    return Maker(cloud)


def version(cloud, version_id):
    return cloud.vms.images.get_version(version_id, actor=SYSTEM)


def test_an_image_that_is_built_can_be_launched(cloud, alice, project, maker, boss, core):
    version_id = cloud.vms.images.build("debian-12", actor=boss)
    assert version(cloud, version_id).state == VersionState.BUILDING
    assert [image.name for image in cloud.vms.list_images()] == ["Zentry Tiny Linux"], "not yet"
    maker.work()
    made = version(cloud, version_id)
    assert (made.state, made.driver_name, len(made.sha256)) == (VersionState.READY, "debian-12", 64)
    assert maker.steps == [f"making.{step}" for step in STEPS]
    image = cloud.vms.list_images()[1]
    assert (image.name, image.version, image.user_data, image.min_disk_gib) == ("Debian 12", 1, UserDataKind.SCRIPT, 2)
    vm = cloud.ask(alice, project, size="size_small", image_id=image.id)
    cloud.worker.work()
    assert cloud.driver.note(vm.id).image == "debian-12"
    assert [event.action for event in events_of(core, "image.ready")] == ["image.ready"]


def test_a_newer_version_is_launched_and_older_machines_keep_theirs(cloud, alice, project, maker, boss):
    first = cloud.vms.images.build("debian-12", actor=boss)
    maker.work()
    image = cloud.vms.list_images()[1]
    old = cloud.ask(alice, project, "old", size="size_small", image_id=image.id)
    cloud.worker.work()
    second = cloud.vms.images.build("debian-12", actor=boss)
    maker.work()
    new = cloud.ask(alice, project, "new", size="size_small", image_id=image.id)
    cloud.worker.work()
    assert [cloud.driver.note(vm.id).image for vm in (old, new)] == ["debian-12", "debian-12.2"]
    assert cloud.vms.records.spec(old.id).image == "debian-12"
    cloud.vms.images.withdraw(second, actor=boss)
    assert cloud.vms.list_images()[1].version == 1, "the one before is launched again"
    cloud.vms.images.withdraw(first, actor=boss)
    assert len(cloud.vms.list_images()) == 1
    with pytest.raises(ValidationError):
        cloud.ask(alice, project, "third", size="size_small", image_id=image.id)
    cloud.vms.images.offer(first, actor=boss)
    assert cloud.vms.list_images()[1].version == 1


def test_a_version_goes_from_the_host_when_no_machine_is_based_on_it(cloud, alice, project, maker, boss):
    version_id = cloud.vms.images.build("debian-12", actor=boss)
    maker.work()
    vm = cloud.ask(alice, project, size="size_small", image_id=cloud.vms.list_images()[1].id)
    cloud.worker.work()
    cloud.vms.images.withdraw(version_id, actor=boss)
    cloud.vms.images.remove(version_id, actor=boss)
    maker.work()
    assert version(cloud, version_id).state == VersionState.REMOVING
    assert "debian-12" in cloud.driver.images.names()
    cloud.vms.delete_vm(vm.id, "web", actor=acting(alice))
    cloud.worker.work()
    maker.work()
    assert version(cloud, version_id).state == VersionState.REMOVED
    assert cloud.driver.images.names() == ("tiny",)


def test_an_image_by_its_address(cloud, maker, boss):
    version_id = cloud.vms.images.add_address(FACTS | FROM, actor=boss)
    assert version(cloud, version_id).state == VersionState.IMPORTING
    with pytest.raises(ValidationError, match="image of this name"):
        cloud.vms.images.add_address(FACTS | FROM, actor=boss)
    maker.work()
    entry = cloud.vms.images.list_entries(actor=boss)[1]
    assert (entry.image.default_user, entry.image.user_data) == ("ubuntu", UserDataKind.CLOUD)
    again = cloud.vms.images.add_address(FROM | {"image_id": entry.image.id}, actor=boss)
    assert version(cloud, again).number == 2
    with pytest.raises(ConflictError, match="just now"):
        cloud.vms.images.add_address(FROM | {"image_id": entry.image.id}, actor=boss)


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("address", "http://cloud-images.ubuntu.com/x.img", "https"),
        ("address", "https://user:secret@cloud-images.ubuntu.com/x.img", "https"),
        ("address", "https://evil.example/x.img", "not among the hosts"),
        ("address", "", "https"),
        ("sha256", "", "SHA-256"),
        ("sha256", "g" * 64, "SHA-256"),
        ("name", "", "Enter a name"),
        ("default_user", "Robert; DROP", "account"),
        ("min_memory_mib", "512", "unit"),
        ("min_disk_gib", "0", "whole number"),
        ("user_data", "anything", "Choose"),
    ],
)
def test_what_is_wrong_is_said_at_its_field(cloud, boss, field, value, reason):
    with pytest.raises(ValidationError) as caught:
        cloud.vms.images.add_address(FACTS | FROM | {field: value}, actor=boss)
    assert set(caught.value.details) == {field}
    assert reason in caught.value.details[field]


def test_an_image_from_a_file(cloud, maker, tmp_path):
    path = tmp_path / "disk.qcow2"
    path.write_bytes(b"QFI\xfb")
    made = cloud.vms.images.add_file(FACTS, str(path), actor=SYSTEM)
    maker.work()
    assert version(cloud, made.id).state == VersionState.READY


def test_a_refused_image_says_why_and_is_tried_again(cloud, maker, boss, core):
    cloud.control.fault("make_image", "refuse", message="The file is packed with xz.")
    version_id = cloud.vms.images.add_address(FACTS | FROM, actor=boss)
    maker.work()
    failed = version(cloud, version_id)
    assert (failed.state, failed.reason) == (VersionState.FAILED, "The file is packed with xz.")
    assert events_of(core, "image.failed")[0].details["reason"] == failed.reason
    cloud.vms.images.retry(version_id, actor=boss)
    maker.work()
    assert version(cloud, version_id).state == VersionState.READY


def test_a_host_that_does_not_answer_is_asked_again(cloud, maker, boss):
    cloud.control.fault("make_image", "unavailable")
    version_id = cloud.vms.images.build("debian-12", actor=boss)
    maker.work()
    assert version(cloud, version_id).is_working
    maker.work()
    assert version(cloud, version_id).state == VersionState.READY


def test_cancelling_one_that_waits_and_one_that_is_made(cloud, maker, boss):
    waiting = cloud.vms.images.build("debian-12", actor=boss)
    cloud.vms.images.cancel(waiting, actor=boss)
    maker.work()
    assert version(cloud, waiting).reason == "It was cancelled."
    cloud.vms.images.retry(waiting, actor=boss)
    maker.at = lambda step: step == "making.disk" and cloud.vms.images.cancel(waiting, actor=boss)
    maker.work()
    # What is asked at most once a second was not asked again in this moment: the record refuses nothing it has done.
    assert version(cloud, waiting).state in (VersionState.FAILED, VersionState.READY)
    with pytest.raises(ConflictError):
        cloud.vms.images.cancel(waiting, actor=boss)


STEPS = ["claimed", "packages", "disk", "convert", "check", "place", "made"]


@pytest.mark.parametrize("step", STEPS)
def test_a_worker_killed_at_each_step_leaves_a_whole_image_to_the_next(cloud, maker, boss, step):
    version_id = cloud.vms.images.build("debian-12", actor=boss)

    def kill(name):
        if name == f"making.{step}":
            raise Killed

    maker.at = kill
    with pytest.raises(Killed):
        maker.work()
    assert version(cloud, version_id).is_working
    after = Maker(cloud)
    after.work()
    assert version(cloud, version_id).state == VersionState.READY
    assert cloud.driver.images.names() == ("tiny", "debian-12")


def test_a_worker_killed_while_it_gives_up(cloud, maker, boss):
    version_id = cloud.vms.images.build("debian-12", actor=boss)
    cloud.vms.images.cancel(version_id, actor=boss)

    def kill(name):
        if name == "making.forgotten":
            raise Killed

    maker.at = kill
    with pytest.raises(Killed):
        maker.work()
    Maker(cloud).work()
    assert version(cloud, version_id).state == VersionState.FAILED


def test_a_worker_that_is_stopped_lets_go(cloud, maker, boss):
    version_id = cloud.vms.images.build("debian-12", actor=boss)
    maker.stop.set()
    maker.work()
    assert version(cloud, version_id).is_working, "the next worker goes on"


def test_nothing_is_recorded_of_what_ended_meanwhile(cloud, maker, boss):
    version_id = cloud.vms.images.build("debian-12", actor=boss)
    maker.work()
    making = cloud.vms.image_making
    making.failed(version_id, "late")
    making.report(version_id, "late", 1, 2)
    making.made(version_id, ImageFacts("x", 1, 1))
    assert (version(cloud, version_id).state, version(cloud, version_id).step) == (VersionState.READY, "")


def test_describing_an_image(cloud, boss, core):
    cloud.vms.images.describe("img_tiny", FACTS | {"name": "Tiny"}, actor=boss)
    image = cloud.vms.list_images()[0]
    assert (image.name, image.min_memory_mib, image.default_user) == ("Tiny", 512, "ubuntu")
    assert "default_user" in events_of(core, "image.describe")[0].details["fields"]
    with pytest.raises(NotFoundError):
        cloud.vms.images.describe("img_gone", FACTS, actor=boss)


def test_only_admins(cloud, alice):
    service = cloud.vms.images
    for call in (
        lambda actor: service.list_entries(actor=actor),
        lambda actor: service.build("debian-12", actor=actor),
        lambda actor: service.add_address(FACTS | FROM, actor=actor),
        lambda actor: service.add_file(FACTS, "/etc/passwd", actor=actor),
        lambda actor: service.describe("img_tiny", FACTS, actor=actor),
        lambda actor: service.cancel("iv_img_tiny", actor=actor),
        lambda actor: service.withdraw("iv_img_tiny", actor=actor),
    ):
        with pytest.raises(PermissionDeniedError):
            call(acting(alice))


# -- what launches make of them -------------------------------------------------------------------

MULTIPART = (
    'Content-Type: multipart/mixed; boundary="b"\nMIME-Version: 1.0\n\n--b\nContent-Type: text/cloud-config\n\n'
    "#cloud-config\n--b--\n"
)


@pytest.mark.parametrize(
    ("kind", "text", "is_fine"),
    [
        (UserDataKind.NONE, "", True),
        (UserDataKind.NONE, "#!/bin/sh", False),
        (UserDataKind.SCRIPT, "#!/bin/sh\ntrue\n", True),
        (UserDataKind.SCRIPT, "#cloud-config\n", False),
        (UserDataKind.SCRIPT, "true", False),
        (UserDataKind.CLOUD, "#!/bin/sh\ntrue\n", True),
        (UserDataKind.CLOUD, "#cloud-config\npackages: [nginx]\n", True),
        (UserDataKind.CLOUD, MULTIPART, True),
        (UserDataKind.CLOUD, MULTIPART.replace("--b", "--c"), False),
        (UserDataKind.CLOUD, "#cloud-konfig\n", False),
        (UserDataKind.CLOUD, "packages: [nginx]\n", False),
    ],
)
def test_user_data_is_what_the_image_takes(kind, text, is_fine):
    assert (user_data_problem(kind, text) == "") is is_fine


def test_a_launch_with_user_data_of_another_image(cloud, alice, project, maker, boss):
    cloud.vms.images.build("debian-12-cloud", actor=boss)
    maker.work()
    image = cloud.vms.list_images()[1]
    with pytest.raises(ValidationError) as caught:
        cloud.ask(alice, project, user_data="#cloud-config\n")
    assert set(caught.value.details) == {"user_data"}
    cloud.ask(alice, project, size="size_small", image_id=image.id, user_data="#cloud-config\n")


def test_a_size_whose_disk_is_too_small(cloud, alice, project, core):
    with core.database.writing() as session:
        session.get_one(DbImageVersion, "iv_img_tiny").disk_bytes = 1
        session.commit()
    cloud.vms.images.describe("img_tiny", FACTS | {"min_disk_gib": "900"}, actor=SYSTEM)
    with pytest.raises(ValidationError) as caught:
        cloud.ask(alice, project, size="size_small")
    assert caught.value.details == {"size_id": "This image needs a disk of at least 900 GiB."}
