"""/admin/quotas/<holder>, and what quotas do to the forms that launch and resize."""

import pytest

from tests.functional.vms.test_resize import values
from tests.page import Page
from zentry_web.domain.projects.quota import Resource

pytestmark = pytest.mark.integration


@pytest.fixture
def quotas(cloud):
    return cloud.vms.quotas


@pytest.mark.parametrize("htmx", [False, True])
def test_an_admin_sets_the_quota_of_an_account(as_admin, alice, quotas, htmx):
    page = as_admin.page(f"/admin/quotas/{alice.id}", htmx=htmx)
    assert "The default is 400 GiB." in page.text()
    answer = as_admin.post(f"/admin/quotas/{alice.id}", {"vms": "7", "memory_mib": "8 GiB"}, htmx=htmx)
    assert answer.headers["HX-Redirect" if htmx else "Location"] == f"/admin/users/{alice.id}"
    assert quotas.get_holder(alice.id).overrides == {Resource.VMS: 7, Resource.MEMORY: 8192}
    assert "of 8 GiB" in as_admin.page(f"/admin/users/{alice.id}").text()


def test_and_of_a_project_from_its_page(as_admin, as_alice, project, quotas):
    url = f"/admin/quotas/{project.id}"
    assert as_admin.page(f"/projects/{project.id}").find(f"//a[@href='{url}']")
    assert not as_alice.page(f"/projects/{project.id}").find(f"//a[@href='{url}']")
    answer = as_admin.post(url, {"vcpus": "3"})
    assert answer.headers["Location"] == f"/projects/{project.id}"
    assert "of 3" in as_alice.page(f"/projects/{project.id}").text()


@pytest.mark.parametrize("htmx", [False, True])
def test_nonsense_is_said_beside_the_fields_and_kept(as_admin, alice, htmx):
    answer = as_admin.post(f"/admin/quotas/{alice.id}", {"vms": "lots", "memory_mib": "64"}, htmx=htmx)
    assert answer.status_code == 400
    page = Page(answer.text, fragment=htmx)
    assert set(page.errors()) == {"vms", "memory_mib"}
    assert page.one("//input[@id='vms']").get("value") == "lots"


def test_unknown_ids_are_not_found(as_admin):
    for holder in ("usr_none", "prj_none", "x"):
        assert as_admin.get(f"/admin/quotas/{holder}").status_code == 404


@pytest.mark.parametrize(
    ("limits", "field"), [({"vms": "1"}, "project_id"), ({"vcpus": "1"}, "size_id"), ({"disk_gib": "1"}, "size_id")]
)
@pytest.mark.parametrize("htmx", [False, True])
def test_a_launch_over_the_quota_is_refused_beside_its_cause(as_alice, alice, machine, quotas, limits, field, htmx):
    quotas.set_limits(alice.id, limits)
    form = as_alice.page(f"/vms/new?project={machine.project_id}")
    assert "Over the quota." in form.text()
    key = form.find("//input[@name='idempotency_key']")[0].get("value")
    data = {"name": "web-2", "project_id": machine.project_id, "size_id": "size_nano", "image_id": "img_tiny"}
    answer = as_alice.post("/vms/new", data | {"idempotency_key": key}, htmx=htmx)
    assert answer.status_code == 409
    page = Page(answer.text, fragment=htmx)
    assert set(page.errors()) == {field}
    assert "ask an admin for a larger quota" in page.text()
    assert page.one("//input[@id='name']").get("value") == "web-2"


def test_the_launch_form_says_what_is_left(as_alice, alice, machine, quotas):
    quotas.set_limits(alice.id, {"vms": "5", "memory_mib": "1 GiB", "vcpus": "none", "disk_gib": "none"})
    text = as_alice.page(f"/vms/new?project={machine.project_id}").text()
    assert "The quota leaves 4 machines 3 machines" in text
    assert "The quota leaves 896 MiB memory" in text
    assert "Over the quota" not in text


@pytest.mark.parametrize("htmx", [False, True])
def test_a_resize_over_the_quota_is_refused_beside_the_sizes(as_alice, alice, machine, quotas, htmx):
    quotas.set_limits(alice.id, {"memory_mib": "512 MiB"})
    page = as_alice.page(f"/vms/{machine.id}/resize?size_id=size_small")
    assert "Over the quota." in page.text()
    answer = as_alice.post(f"/vms/{machine.id}/resize", values(page, "size_small"), htmx=htmx)
    assert answer.status_code == 409
    assert set(Page(answer.text, fragment=htmx).errors()) == {"size_id"}


def test_the_projects_show_one_s_own_quota(as_alice, alice, machine, quotas):
    quotas.set_limits(alice.id, {"vms": "5"})
    bar = as_alice.page("/projects").one("//section[@id='quota']//progress[@aria-label='Machines in use']")
    assert (bar.get("value"), bar.get("max")) == ("1", "5")
