"""/vms/<id>/restarts, what the settings say of machines that went off by themselves, and the three truths."""

import pytest

from tests.functional.conftest import Browser
from tests.services.people import events_of, join
from zentry_web.domain.vms.outage import Restart
from zentry_web.worker.due import RestartKeeper

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("htmx", [False, True])
def test_choosing(as_alice, cloud, core, machine, htmx):
    page = as_alice.page(f"/vms/{machine.id}/restarts", htmx=htmx)
    assert [each.get("value") for each in page.find("//select/option")] == ["always", "failures", "never"]
    assert page.one("//option[@selected]").get("value") == "failures"
    answer = as_alice.post(f"/vms/{machine.id}/restarts", {"restart": "never"}, htmx=htmx)
    assert answer.headers["HX-Redirect" if htmx else "Location"] == f"/vms/{machine.id}/settings"
    shown = as_alice.page(f"/vms/{machine.id}/settings").text()
    assert "That is how web-1 is started again from now on." in shown
    assert "It has never gone off by itself." in shown
    assert cloud.row(machine).restart == Restart.NEVER
    assert len(events_of(core, "vm.restart")) == 1
    assert "Changed when web-1 is started again by itself" in as_alice.page(f"/vms/{machine.id}/activity").text()


@pytest.mark.parametrize("typed", ["", "sometimes"])
def test_what_cannot_be_chosen_is_said_beside_the_field(as_alice, cloud, machine, typed):
    answer = as_alice.post(f"/vms/{machine.id}/restarts", {"restart": typed})
    assert answer.status_code == 400
    assert "Choose one of these." in answer.text
    assert cloud.row(machine).restart == Restart.FAILURES


def test_who_may_only_look_does_not_choose(web, container, project, bob, machine):
    as_bob = Browser(web).log_in(bob)
    join(container, project, bob, "viewer")
    assert as_bob.post(f"/vms/{machine.id}/restarts", {"restart": "never"}).status_code == 403
    page = as_bob.page(f"/vms/{machine.id}/settings")
    assert "After a crash or host reboot" in page.text()
    assert not page.find(f"//a[@href='/vms/{machine.id}/restarts']")


def test_a_crash_is_told_from_where_one_looks(as_alice, cloud, machine):
    keeper = RestartKeeper(cloud.vms, cloud.clock)
    for _ in range(2):
        cloud.control.crash(machine.id)
        cloud.round(3)
        keeper.run()
        cloud.worker.work()
        keeper.run()
        cloud.round(3)
    settings = as_alice.page(f"/vms/{machine.id}/settings").text()
    assert settings.count("It crashed, or its process on the host ended unexpectedly.") == 2
    assert "It is started again at" in settings
    assert "Zentry starts it again" in as_alice.page(f"/vms/{machine.id}").text()
    activity = as_alice.page(f"/vms/{machine.id}/activity").text()
    assert "web-1 went off: it crashed" in activity
    assert "web-1 went off, and runs again" in as_alice.page("/account/notices").text()


def test_three_truths_on_its_activity(as_alice, cloud, machine):
    url = f"/vms/{machine.id}/activity"
    cloud.round(3)
    shown = as_alice.page(url).text()
    for words in ("Three truths", "They agree", "The hypervisor says", "Zentry says", "They have never differed."):
        assert words in shown
    cloud.control.cut(machine.id)
    cloud.round(3)
    shown = as_alice.page(url).text()
    assert "When they differed" in shown
    assert "web-1 went off: powered off on the host, not by Zentry." in shown
    assert "Charged as running up to" in shown
    cloud.control.fault("machines", "unavailable", times=None)
    cloud.round(3)
    assert "it does not answer now" in as_alice.page(url).text()
    assert "Three truths" not in as_alice.page(url, htmx=True).text()
