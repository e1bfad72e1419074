"""/vms/<id>/timers: scheduled actions of a machine."""

from datetime import timedelta

import pytest

from tests.services.people import acting

pytestmark = pytest.mark.integration


def soon(cloud, days=1):
    return f"{cloud.clock.now() + timedelta(days=days):%Y-%m-%dT19:00}"


@pytest.mark.parametrize("htmx", [False, True])
def test_scheduled_shown_and_removed(as_alice, cloud, alice, machine, htmx):
    base = f"/vms/{machine.id}/timers"
    assert "Nothing is scheduled" in as_alice.page(base).text()
    page = as_alice.page(f"{base}/new", htmx=htmx)
    assert page.one("//input[@name='first']").get("type") == "datetime-local"
    typed = {"action": "stop", "first": soon(cloud), "repeat": "weekdays", "catches_up": "y"}
    answer = as_alice.post(f"{base}/new", typed, htmx=htmx)
    assert answer.headers["HX-Redirect" if htmx else "Location"] == base
    shown = as_alice.page(base)
    for words in ("Scheduled: next at", "Stop Monday to Friday at 19:00", "missed: once Zentry is back", "never"):
        assert words in shown.text()
    assert "Scheduled an action for web-1" in as_alice.page(f"/vms/{machine.id}/activity").text()
    (timer,) = cloud.vms.timers.list(machine.id, actor=acting(alice))
    question = as_alice.page(f"{base}/{timer.id}/remove", htmx=htmx)
    assert "Stop Monday to Friday at 19:00" in question.text()
    as_alice.post(f"{base}/{timer.id}/remove", htmx=htmx)
    assert "Nothing is scheduled" in as_alice.page(base).text()


def test_what_is_wrong_stands_beside_its_field_and_nothing_is_lost(as_alice, cloud, machine):
    typed = {"action": "delete", "first": soon(cloud), "repeat": "daily"}
    answer = as_alice.post(f"/vms/{machine.id}/timers/new", typed)
    assert answer.status_code == 400
    assert "A machine is deleted once." in answer.text
    assert soon(cloud) in answer.text
    late = as_alice.post(f"/vms/{machine.id}/timers/new", typed | {"first": "2020-01-01T10:00", "repeat": "once"})
    assert "That moment is over." in late.text
    assert "Choose a day and a time." in as_alice.post(f"/vms/{machine.id}/timers/new", typed | {"first": ""}).text


def test_a_deletion_is_put_off_by_one_click(as_alice, cloud, alice, machine):
    base = f"/vms/{machine.id}/timers"
    as_alice.post(f"{base}/new", {"action": "delete", "first": soon(cloud, 3), "repeat": "once"})
    (before,) = cloud.vms.timers.list(machine.id, actor=acting(alice))
    assert as_alice.page(base).find("//button[contains(., 'A week later')]")
    assert as_alice.post(f"{base}/{before.id}/extend").status_code == 303
    (after,) = cloud.vms.timers.list(machine.id, actor=acting(alice))
    assert after.next_at == before.next_at + timedelta(days=7)


def test_strangers_find_nothing(as_charlie, cloud, alice, machine):
    for path in ("", "/new", "/tmr_x/remove"):
        assert as_charlie.get(f"/vms/{machine.id}/timers{path}").status_code == 404
    assert as_charlie.post(f"/vms/{machine.id}/timers/tmr_x/extend").status_code == 404
