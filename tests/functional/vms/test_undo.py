"""/undo/<id>: from the toast, from the activity; once; what cannot be undone says why."""

import re

import pytest

from tests.page import Page
from tests.services.people import join
from zentry_web.domain.projects.project import ProjectRole
from zentry_web.domain.vms.state import VMState

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def bin(cloud):
    cloud.keep_deleted(7)


def undo_in(page):
    """Where the toast of this page undoes what it tells of."""
    (form,) = page.find("//div[@id='toasts']//form[starts-with(@action, '/undo/')]")
    return form.get("action")


def test_a_stop_is_undone_from_its_toast(as_alice, cloud, machine):
    as_alice.post(f"/vms/{machine.id}/stop")
    url = undo_in(as_alice.page(f"/vms/{machine.id}"))
    cloud.worker.work()
    assert "is started again" in as_alice.page(url, htmx=True).text()
    assert cloud.vm(machine).state == VMState.STOPPED  # it was only asked
    answer = as_alice.post(url)
    assert (answer.status_code, answer.headers["Location"]) == (303, f"/vms/{machine.id}")
    assert "Undone." in as_alice.page(f"/vms/{machine.id}").text()
    cloud.worker.work()
    assert cloud.vm(machine).state == VMState.RUNNING
    assert as_alice.post(url).status_code == 303  # a double click
    assert "undone already" in as_alice.page(f"/vms/{machine.id}").text()
    assert as_alice.get(url).status_code == 409


def test_htmx_gets_the_toast_along(as_alice, cloud, machine):
    answer = as_alice.post(f"/vms/{machine.id}/suspend", htmx=True)
    assert re.search(r'action="/undo/undo_[a-z0-9]+"', answer.text)


def test_a_deletion_is_undone(as_alice, cloud, machine):
    as_alice.post(f"/vms/{machine.id}/delete", {"confirm_name": machine.name})
    url = undo_in(as_alice.page("/vms"))
    assert url in as_alice.page(f"/vms/{machine.id}", status=410).html  # its own address has it, too
    answer = as_alice.post(url)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/vms")
    assert "as soon as what is under way has ended" in as_alice.page("/vms").text()
    cloud.worker.work()
    assert cloud.vm(machine).state == VMState.RUNNING


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("labels", {"labels": "env=prod"}),
        ("rename", {"name": "mail"}),
        ("protection", {"protected": "1"}),
    ],
)
def test_the_activity_undoes_for_ten_minutes(as_alice, cloud, machine, path, form):
    as_alice.post(f"/vms/{machine.id}/{path}", form)
    button = "//form[starts-with(@action, '/undo/')]"
    cloud.clock.advance(599)
    (found,) = as_alice.page(f"/vms/{machine.id}/activity").find(f"//*[@class='z-acts']{button}")
    cloud.clock.advance(1)
    assert not as_alice.page(f"/vms/{machine.id}/activity").find(f"//*[@class='z-acts']{button}")
    answer = as_alice.post(found.get("action"))
    assert answer.status_code == 409
    assert "too long ago" in Page(answer.text).text()


def test_several_are_undone_by_one_click(as_alice, cloud, machine, project, alice):
    other = cloud.launch(alice, project, "web-2")
    as_alice.post("/vms/bulk", {"do": "stop", "id": [machine.id, other.id]})
    url = undo_in(as_alice.page("/vms"))
    cloud.worker.work()
    assert "2 machines become what they were before" in as_alice.page(url).text()
    assert as_alice.post(url).status_code == 303
    assert "2 machines are as they were." in as_alice.page("/vms").text()
    cloud.worker.work()
    assert {cloud.vm(vm).state for vm in (machine, other)} == {VMState.RUNNING}


def test_of_several_each_is_told_of(as_alice, cloud, machine, project, alice):
    other = cloud.launch(alice, project, "web-2")
    as_alice.post("/vms/bulk", {"do": "stop", "id": [machine.id, other.id]})
    url = undo_in(as_alice.page("/vms"))
    cloud.worker.work()
    cloud.vms.start_vm(other.id)
    answer = as_alice.post(url)
    assert answer.status_code == 200
    assert "Something else has been ordered since." in Page(answer.text).text()


def test_others_find_nothing(as_alice, as_charlie, cloud, machine):
    as_alice.post(f"/vms/{machine.id}/protection", {"protected": "1"})
    url = undo_in(as_alice.page(f"/vms/{machine.id}"))
    assert as_charlie.get(url).status_code == 404
    assert as_charlie.post(url).status_code == 404
    assert as_alice.get("/undo/undo_none").status_code == 404


@pytest.mark.parametrize("where", ["/overview", "/projects/{project}/activity"])
def test_the_activity_of_all_undoes_too(as_alice, cloud, machine, project, where):
    url, button = where.format(project=project.id), "//*[@class='z-acts']//form[starts-with(@action, '/undo/')]"
    as_alice.post(f"/vms/{machine.id}/rename", {"name": "mail"})
    (found,) = as_alice.page(url).find(button)
    cloud.clock.advance(600)
    assert not as_alice.page(url).find(button)
    as_alice.post(f"/vms/{machine.id}/rename", {"name": "post"})
    (found,) = as_alice.page(url).find(button)
    assert as_alice.post(found.get("action")).status_code == 303
    assert cloud.vm(machine).name == "mail"
    assert not as_alice.page(url).find(button)


@pytest.mark.parametrize(("role", "buttons"), [(ProjectRole.VIEWER, 0), (ProjectRole.RESTRICTED, 1)])
@pytest.mark.parametrize("where", ["/overview", "/projects/{project}/activity"])
def test_others_undo_what_their_role_lets_them_do(
    as_alice, as_charlie, container, charlie, machine, project, role, buttons, where
):
    join(container, project, charlie, role)
    as_alice.post(f"/vms/{machine.id}/stop")
    as_alice.post(f"/vms/{machine.id}/labels", {"labels": "env=prod"})
    page = as_charlie.page(where.format(project=project.id))
    assert len(page.find("//*[@class='z-acts']//form[starts-with(@action, '/undo/')]")) == buttons


def test_what_did_not_succeed_is_not_offered(as_alice, cloud, machine):
    button = "//*[@class='z-acts']//form[starts-with(@action, '/undo/')]"
    as_alice.post(
        f"/vms/{machine.id}/rebuild", {"image_id": "img_tiny", "confirm_name": machine.name, "access": "keep"}
    )
    url = undo_in(as_alice.page(f"/vms/{machine.id}"))
    cloud.control.fault("rebuild", "refuse", message="No room.")
    cloud.worker.work()
    assert not as_alice.page(f"/vms/{machine.id}/activity").find(button)
    for answer in (as_alice.get(url), as_alice.post(url)):
        assert answer.status_code == 409
        assert "It did not succeed: there is nothing to undo." in Page(answer.text).text()


def test_what_was_called_off_is_not_offered(as_alice, cloud, machine):
    button = "//*[@class='z-acts']//form[starts-with(@action, '/undo/')]"
    as_alice.post(f"/vms/{machine.id}/stop")
    (found,) = as_alice.page(f"/vms/{machine.id}/activity").find(button)
    cloud.vms.force_off_vm(machine.id)
    cloud.worker.work()
    assert not as_alice.page(f"/vms/{machine.id}/activity").find(f"{button}[@action='{found.get('action')}']")
