"""Messages: on the next page, or carried along by an htmx answer; each once."""

import pytest

pytestmark = pytest.mark.integration


def test_a_message_is_shown_once_on_the_next_page(as_alice, machine):
    as_alice.post(f"/vms/{machine.id}/stop")
    assert "asked to shut down" in as_alice.page("/vms").text()
    assert "asked to shut down" not in as_alice.page("/vms").text()


def test_an_htmx_answer_carries_it_as_a_toast(as_alice, machine):
    answer = as_alice.post(f"/vms/{machine.id}/stop", htmx=True)
    assert answer.text.count('<hx-partial hx-target="#toasts"') == 1
    assert "asked to shut down" in answer.text
    assert "asked to shut down" not in as_alice.page("/vms").text()


def test_a_redirect_keeps_it_for_the_page_it_leads_to(as_alice):
    answer = as_alice.post("/projects/new", {"name": "Shop"}, htmx=True)
    assert answer.status_code == 204
    assert "Shop is ready" in as_alice.page(answer.headers["HX-Redirect"]).text()


def test_a_boosted_request_gets_a_whole_page(as_alice):
    answer = as_alice.client.get("/vms", headers={"HX-Request": "true", "HX-Boosted": "true"})
    assert "<!doctype html>" in answer.text


TOASTS = "//*[@id='toasts']/div"


def test_it_offers_what_comes_next(as_alice):
    answer = as_alice.post("/projects/new", {"name": "Shop"})
    link = as_alice.page(answer.location).one(f"{TOASTS}//a")
    assert link.text == "Launch a machine"
    assert link.get("href") == f"/vms/new?project={answer.location.rpartition('/')[2]}"
    assert as_alice.get(link.get("href")).status_code == 200


def test_a_question_that_comes_next_opens_in_the_dialog(cloud, as_alice, machine):
    cloud.keep_deleted(7)
    as_alice.post(f"/vms/{machine.id}/delete", {"confirm_name": machine.name})
    link = as_alice.page("/vms").one(f"{TOASTS}//a")
    assert (link.text, link.get("hx-target")) == ("Restore", "#z-dialog-body")
    assert link.get("href") == link.get("hx-get")
    assert "Restore" in as_alice.get(link.get("href"), htmx=True).text


def test_a_warning_stands_in_the_page(as_admin):
    as_admin.post("/admin/users/bulk", {"user_id": "", "action": ""})
    page = as_admin.page("/admin/users")
    assert len(page.find("//*[@id='flash']/div[contains(., 'Choose what to do')]")) == 1
    assert page.find(TOASTS) == []
