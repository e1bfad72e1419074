"""Images of machines' disks: made on the machine's pages, listed with the project, chosen for a launch."""

import pytest

from tests.page import Page
from tests.services.people import acting, join
from zentry_web.domain.projects.project import ProjectRole

pytestmark = pytest.mark.integration


@pytest.fixture
def at(machine):
    return f"/vms/{machine.id}/image"


@pytest.fixture
def listed(project):
    return f"/projects/{project.id}/images"


@pytest.fixture
def image(cloud, alice, project, machine):
    cloud.vms.machine_images.make(machine.id, {"name": "Shop base", "note": "with nginx"}, actor=acting(alice))
    cloud.worker.work()
    return cloud.vms.machine_images.list(project.id, actor=acting(alice))[0]


def test_without_any_the_list_says_how_one_comes_to_be(as_alice, listed):
    text = as_alice.page(listed).text()
    assert "No images yet" in text
    assert "only its members see them" in text


@pytest.mark.parametrize("htmx", [False, True])
def test_one_is_made_and_stands_in_the_list(as_alice, cloud, machine, at, listed, htmx):
    page = as_alice.page(at, htmx=htmx)
    for words in ("Its whole disk is copied", "It runs on meanwhile", "At most 1 GiB", "Passwords, keys and files"):
        assert words in page.text(), words
    answer = as_alice.post(at, {"name": " Shop  base ", "note": "with nginx"}, htmx=htmx)
    operation = answer.headers["HX-Redirect" if htmx else "Location"]
    assert operation.startswith("/operations/")
    assert "The whole disk is copied" in as_alice.page(operation).text()
    assert "being made" in as_alice.page(listed).text()
    assert "Copying" in as_alice.page(f"/vms/{machine.id}").text()
    assert "It is being copied: wait for that to end." in as_alice.page(f"/vms/{machine.id}/snapshots").text()
    cloud.worker.work()
    page = as_alice.page(listed)
    for words in ("Shop base", "with nginx", "web-1", "1 GiB", "disk from 1 GiB"):
        assert words in page.text(), words
    assert "Made an image of web-1" in as_alice.page(f"/vms/{machine.id}/activity").text()


def test_what_cannot_be_is_said_at_the_field(as_alice, at, image):
    answer = as_alice.post(at, {"name": " "})
    assert answer.status_code == 400
    assert "Enter a name." in Page(answer.text).errors()["name"]
    answer = as_alice.post(at, {"name": "Shop base"})
    assert "has an image of this name" in Page(answer.text).errors()["name"]


def test_it_has_a_group_of_its_own_where_machines_are_launched(as_alice, cloud, project, image):
    page = as_alice.page(f"/vms/new?project={project.id}&image={image.id}")
    assert page.one(f"//input[@name='image_id'][@value='{image.id}']").get("checked") is not None
    text = page.text()
    assert "Images of project Website" in text
    assert "with nginx" in text
    chosen = {"project_id": project.id, "size_id": "size_nano", "image_id": image.id, "count": "1"}
    assert as_alice.get("/vms/new/quote", query_string=chosen).status_code == 200
    assert "Shop base" in as_alice.page(f"/vms/{cloud.vms.list_of_project(project.id)[0].id}/rebuild").text()


def test_deleting_one_asks_and_says_what_stays(as_alice, cloud, alice, project, image, listed):
    data = {"project_id": project.id, "name": "copy", "size_id": "size_nano", "image_id": image.id}
    cloud.vms.create_vm(data, alice, actor=acting(alice))
    cloud.worker.work()
    page = as_alice.page(f"{listed}/{image.id}/delete")
    assert "Nobody can launch from it any more" in page.text()
    assert "1 machine was made from it and stays as it is." in page.text()
    assert as_alice.post(f"{listed}/{image.id}/delete", {}).headers["Location"] == listed
    assert "No images yet" in as_alice.page(listed).text()
    assert as_alice.get(f"{listed}/{image.id}/delete").status_code == 404


def test_strangers_see_none_and_viewers_change_none(as_charlie, cloud, charlie, project, image, at, listed):
    for path in (at, listed, f"{listed}/{image.id}/delete"):
        assert as_charlie.get(path).status_code == 404
    assert "Shop base" not in as_charlie.get("/vms/new").text
    join(cloud.container, project, charlie, ProjectRole.VIEWER)
    assert "Shop base" in as_charlie.page(listed).text()
    assert as_charlie.post(f"{listed}/{image.id}/delete", {}).status_code == 403
    assert as_charlie.post(at, {"name": "his"}).status_code == 403


def test_a_project_that_is_deleted_says_that_they_go(as_alice, project, image):
    assert "gone for good at once" in as_alice.page(f"/projects/{project.id}/delete").text()
