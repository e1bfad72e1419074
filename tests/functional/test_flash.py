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
