"""/account/export, /account/leave and /account/stay."""

import io
import zipfile

import pytest

from tests.conftest import PASSWORD
from tests.page import Page

pytestmark = pytest.mark.integration


def test_the_data_come_as_a_zip(as_alice, machine):
    answer = as_alice.post("/account/export")
    assert (answer.status_code, answer.mimetype) == (200, "application/zip")
    with zipfile.ZipFile(io.BytesIO(answer.data)) as archive:
        assert "machines.json" in archive.namelist()
        assert machine.id.encode() in archive.read("machines.json")
    answer.close()


@pytest.mark.parametrize("htmx", [False, True])
def test_leaving_is_asked_for_shown_and_called_off(as_alice, machine, htmx):
    page = as_alice.page("/account/leave")
    assert "Machines and their disks" in page.text()
    answer = as_alice.post("/account/leave", {"password": PASSWORD}, htmx=htmx)
    assert answer.headers.get("HX-Redirect" if htmx else "Location") == "/account/leave"
    assert "being deleted" in as_alice.page("/account/leave").text()
    assert as_alice.post("/account/stay").headers["Location"] == "/account"
    assert "being deleted" not in as_alice.page("/account/leave").text()


@pytest.mark.error
def test_a_wrong_password_is_told_beside_it(as_alice):
    answer = as_alice.post("/account/leave", {"password": "wrong"})
    assert (answer.status_code, set(Page(answer.text).errors())) == (400, {"password"})


@pytest.mark.parametrize("htmx", [False, True])
def test_meanwhile_a_launch_and_a_new_project_say_how_to_call_it_off(as_alice, project, htmx):
    as_alice.post("/account/leave", {"password": PASSWORD})
    launch = {"name": "web-2", "project_id": project.id, "size_id": "size_nano", "image_id": "img_tiny"}
    for url, data in (("/projects/new", {"name": "More"}), ("/vms/new", launch)):
        answer = as_alice.post(url, data, htmx=htmx)
        assert answer.status_code == 409
        page = Page(answer.text, fragment=htmx)
        assert "about to be deleted" in page.text()
        assert page.one("//*[@role='alert']//a").get("href") == "/account/leave"
