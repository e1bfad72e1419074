"""/admin/system/strays: machines that only the hypervisor has."""

import pytest

from zentry_web.adapters.compute.base import MachineSpec

pytestmark = pytest.mark.integration
URL = "/admin/system/strays"


@pytest.fixture
def lost(cloud, project):
    (size,) = [each for each in cloud.vms.list_sizes() if each.id == "size_nano"]
    cloud.driver.create(MachineSpec("vm_lost", "lost", size.vcpus, size.memory_mib, size.disk_gib, "tiny"))
    cloud.driver.create(MachineSpec("vm_odd", "odd", 3, 300, 3, "tiny"))
    cloud.round()


def test_the_system_page_leads_there_when_there_are_any(as_admin, cloud, project):
    assert "nobody owns" not in as_admin.page("/admin/system").text()
    assert "Every machine on the hypervisor is known" in as_admin.page(URL).text()
    cloud.driver.create(MachineSpec("vm_lost", "lost", 1, 512, 10, "tiny"))
    cloud.round()
    assert "Machines nobody owns (1)" in as_admin.page("/admin/system").text()
    words = as_admin.page(URL).text()
    assert "vm_lost" in words
    assert "1 vCPU, 512 MiB, 10 GiB, from tiny" in words


@pytest.mark.parametrize("htmx", [False, True])
def test_it_is_removed_once_that_was_asked(as_admin, cloud, lost, htmx):
    assert "cannot be undone" in as_admin.page(f"{URL}/vm_lost/remove", htmx=htmx).text()
    assert as_admin.post(f"{URL}/vm_lost/remove", htmx=htmx).status_code == (204 if htmx else 303)
    assert "Being removed" in as_admin.page(URL).text()
    cloud.round()
    cloud.round()
    assert [each.vm_id for each in cloud.driver.machines() if each.vm_id == "vm_lost"] == []
    assert "vm_lost" not in as_admin.page(URL).text()


def test_without_a_fresh_proof_nobody_removes_or_adopts(as_admin, cloud, lost, project, clock):
    clock.advance(minutes=6)
    into = {"project_id": project.id, "name": "lost", "size_id": "size_nano"}
    for answer in (as_admin.post(f"{URL}/vm_lost/remove"), as_admin.post(f"{URL}/vm_lost/adopt", into)):
        assert answer.headers["Location"].startswith("/account/confirm")
    assert cloud.vms.strays.get("vm_lost").removal_asked_at is None


def test_it_is_adopted(as_admin, cloud, lost, project):
    assert "today’s price" in as_admin.page(f"{URL}/vm_lost/adopt").text()
    into = {"project_id": "prj_none", "name": "still-here", "size_id": "size_nano"}
    wrong = as_admin.post(f"{URL}/vm_lost/adopt", into)
    assert wrong.status_code == 400
    assert "There is no project with this id." in wrong.text
    assert "still-here" in wrong.text
    into = {"project_id": project.id, "name": "lost", "size_id": "size_nano"}
    answer = as_admin.post(f"{URL}/vm_lost/adopt", into)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/vms/vm_lost")
    assert "lost" in as_admin.page("/vms/vm_lost").text()


def test_one_that_no_size_fits_says_what_it_would_need(as_admin, lost):
    assert "exactly 3 vCPU, 300 MiB of memory and a disk of 3 GiB" in as_admin.page(f"{URL}/vm_odd/adopt").text()
