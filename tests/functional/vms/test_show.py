"""/vms/<id> and its parts."""

import re
from datetime import timedelta

import pytest

from tests.services.people import join
from zentry_web.domain.projects.project import ProjectRole

pytestmark = pytest.mark.integration


def test_a_running_machine(as_alice, machine):
    text = as_alice.page(f"/vms/{machine.id}").text()
    for words in ("Running", machine.address, "nano", "0.005", "Zentry Tiny Linux", "Stop: then 0.0001/h"):
        assert words in text
    assert "Starting" not in text


def test_it_says_what_it_has_cost(as_alice, machine, clock):
    clock.advance(hours=2)
    text = as_alice.page(f"/vms/{machine.id}").text()
    assert "Cost today" in text
    assert "0.0100 credits" in text


@pytest.mark.parametrize("tab", ["", "/metrics", "/console", "/activity", "/settings"])
def test_each_tab_is_a_page_with_the_machine_s_name_state_and_actions(as_alice, machine, tab):
    page = as_alice.page(f"/vms/{machine.id}{tab}")
    (current,) = page.find("//nav[@aria-label='Sections']/a[@aria-current='page']")
    assert current.get("href") == f"/vms/{machine.id}{tab}"
    assert machine.name in page.one("//h1").text
    assert page.find("//main//form[@id='vm-stop']")


def test_where_the_charts_once_were_leads_to_them(as_alice, machine):
    answer = as_alice.get(f"/vms/{machine.id}?range=6h")
    assert (answer.status_code, answer.headers["Location"]) == (301, f"/vms/{machine.id}/metrics?range=6h")


def test_its_charts_are_drawn_before_any_script(as_alice, alice, machine, container, clock):
    now = clock.now()
    container.monitoring.generate_mock_metrics(machine.id, now - timedelta(minutes=5), now, owner_id=alice.id)
    page = as_alice.page(f"/vms/{machine.id}/metrics?range=15m")
    charts = page.find("//*[@data-chart]")
    assert [each.get("data-chart") for each in charts] == ["cpu", "memory", "disk", "network"]
    for chart in charts:
        assert chart.xpath(".//*[local-name()='path']")
        assert re.search(r"last 15 min\. .*: .* to .*, last ", chart.get("aria-label"))
    assert not page.find("//head/script[contains(@src, 'plotly')]")


def test_memory_is_drawn_in_gib_from_a_gib_on(as_alice, alice, cloud, project, container, clock):
    large, now = cloud.launch(alice, project, "large", "size_small"), clock.now()
    container.monitoring.generate_mock_metrics(large.id, now - timedelta(minutes=5), now, owner_id=alice.id)
    page = as_alice.page(f"/vms/{large.id}/metrics?range=15m")
    assert "GiB" in page.one("//*[@id='chart-memory' and @data-chart='memory_gib']").get("aria-label")
    assert page.find("//th[@data-column='memory_used_bytes' and contains(., 'GiB')]")


def test_charts_without_samples_say_so(as_alice, machine):
    page = as_alice.page(f"/vms/{machine.id}/metrics")
    assert len(page.find("//*[@data-chart]//*[normalize-space(text())='No samples in this time']")) == 4


def test_a_machine_that_comes_up_shows_its_steps(as_alice, ordered):
    page = as_alice.page(f"/vms/{ordered.id}")
    assert [item.get("class") for item in page.find("//ol[contains(@class, 'z-steps')]/li")] == [
        "z-step current", "z-step waiting", "z-step waiting", "z-step waiting", "z-step waiting"
    ]  # fmt: skip


def test_a_machine_that_runs_but_has_not_answered_says_so(as_alice, cloud, alice, project):
    machine = cloud.launch(alice, project, "web-2", answered=False)
    page = as_alice.page(f"/vms/{machine.id}")
    assert [item.get("class") for item in page.find("//ol[contains(@class, 'z-steps')]/li")][-2:] == [
        "z-step done",
        "z-step current",
    ]


def test_a_machine_that_gives_no_sign_of_life_says_so_with_its_last_words(
    as_alice, as_charlie, cloud, alice, charlie, project
):
    cloud.control.delay("boot", 10**6)
    machine = cloud.launch(alice, project, "web-2", answered=False)
    words = "".join(f"line {number}\n" for number in range(20)) + "Kernel panic - not syncing <b>\n"
    cloud.monitoring.record_console(machine.id, words, len(words))
    assert "no sign of life" not in as_alice.page(f"/vms/{machine.id}").text()
    cloud.round(600)
    join(cloud.container, project, charlie, ProjectRole.VIEWER)
    for part in ("", "/status"):
        page = as_alice.page(f"/vms/{machine.id}{part}", htmx=bool(part))
        status = "".join(page.one("//*[@id='vm-status']").itertext())
        assert "It has given no sign of life since it was switched on" in status
        assert "paid for as running" in status
        assert "Kernel panic - not syncing <b>" in status
        assert "line 19" in status
        assert "line 5" not in status
        ways = [link.get("href") for link in page.find("//*[@id='vm-status']//*[@class='z-alert-actions']/a")]
        assert ways == [f"/vms/{machine.id}/{way}" for way in ("console", "rescue", "rebuild")]
    seen = as_charlie.page(f"/vms/{machine.id}").text()
    assert "no sign of life" in seen
    assert "Kernel panic" not in seen, "who may not read consoles sees nothing of one"
    assert "It has given no sign of life" in as_alice.page("/overview").text(), "it needs attention"


def test_a_launch_that_fails_says_why(as_alice, cloud, ordered):
    cloud.control.fault("create", kind="refuse", message="The disk is full.")
    cloud.worker.work()
    page = as_alice.page(f"/vms/{ordered.id}")
    assert "The disk is full" in page.text()
    assert "Error" in page.text()


@pytest.mark.asvs("16.5.2")
def test_the_last_known_state_carries_its_age_when_nobody_answers(as_alice, container, machine, clock):
    container.get_monitoring_service().processes.record_compute(ok=False, detail="no answer")
    text = as_alice.page(f"/vms/{machine.id}").text()
    assert "The hypervisor does not answer" in text
    assert "last known state" in text


def test_the_moving_parts_come_in_one_answer(as_alice, machine):
    answer = as_alice.get(f"/vms/{machine.id}/status", htmx=True)
    for part in ('id="vm-status"', 'id="vm-state"', 'id="vm-actions"'):
        assert answer.text.count(part) == 1


def test_activity_says_who_and_from_where(as_alice, machine):
    as_alice.post(f"/vms/{machine.id}/stop")
    page = as_alice.page(f"/vms/{machine.id}/activity")
    assert "Stopping web-1" in page.text()
    assert "you from 127.0.0.1" in page.text()


def test_older_activity_has_a_page(as_alice, machine, monkeypatch):
    monkeypatch.setattr("zentry_web.blueprints.vms.view.ACTIVITY_ROWS", 1)
    page = as_alice.page(f"/vms/{machine.id}/activity")
    older = as_alice.page(page.one("//a[@rel='next']").get("href"))
    assert len(older.find("//li[@class='z-act']")) == 1
    assert older.find("//a[contains(text(), 'First page') or contains(., 'First page')]")


@pytest.mark.parametrize("before", ["9" * 30, "-1", "0", "x", "%00"])
def test_activity_shrugs_at_nonsense(as_alice, machine, before):
    as_alice.page(f"/vms/{machine.id}/activity?before={before}")


def test_the_console_shows_what_was_collected_and_how_old_it_is(as_alice, container, machine):
    assert "Nothing printed yet" in as_alice.page(f"/vms/{machine.id}/console").text()
    container.get_monitoring_service().record_console(machine.id, "<b>login:</b>", 13)
    page = as_alice.page(f"/vms/{machine.id}/console", htmx=True)
    assert page.one("//pre").text == "<b>login:</b>"
    # What was there at the first look may be of any age: only when it was read is known.
    assert page.find("//time[@data-prefix='read']")
    assert not page.find("//time[@data-prefix='last output']")


def test_the_console_of_a_machine_that_is_off_tells_when_it_last_spoke(as_alice, container, machine, clock):
    monitoring = container.get_monitoring_service()
    monitoring.record_console(machine.id, "booting", 7)
    monitoring.record_console(machine.id, "booting, login:", 15)
    spoke = clock.now()
    clock.advance(hours=15)
    monitoring.record_console(machine.id, "", 15, changed=False)
    page = as_alice.page(f"/vms/{machine.id}/console", htmx=True)
    assert page.one("//time[@data-prefix='last output']").get("datetime") == f"{spoke:%Y-%m-%dT%H:%M:%SZ}"
    assert page.one("//time[@data-prefix='read']").get("datetime") == f"{clock.now():%Y-%m-%dT%H:%M:%SZ}"


def test_metrics_are_compact_columns(as_alice, container, machine, clock):
    monitoring = container.get_monitoring_service()
    figures = {
        "cpu_percent": 12.345, "memory_used_bytes": 1, "memory_total_bytes": 2, "disk_read_bytes_per_s": 0,
        "disk_write_bytes_per_s": 0, "net_rx_bytes_per_s": 0, "net_tx_bytes_per_s": 0,
    }  # fmt: skip
    monitoring.record_vm_metrics(machine.id, figures, machine.owner_id)
    answer = as_alice.get(f"/vms/{machine.id}/metrics.json?range=1h").json
    assert answer["columns"]["cpu_percent"][0] == pytest.approx(12.345, abs=0.01)
    later = as_alice.get(f"/vms/{machine.id}/metrics.json?range=1h&after={answer['start'] + answer['times'][-1]}").json
    assert later["times"] == []


@pytest.mark.parametrize("query", ["range=nonsense", "range=1h&after=nonsense", "after=-5", "after=99999999999999"])
def test_metrics_shrug_at_nonsense(as_alice, machine, query):
    assert as_alice.get(f"/vms/{machine.id}/metrics.json?{query}").status_code == 200


def test_an_unknown_machine_is_not_there_in_any_shape(as_alice):
    assert "There is nothing here" in as_alice.page("/vms/vm_unknown", status=404).text()
    assert 'id="toasts"' not in as_alice.get("/vms/vm_unknown/status", htmx=True).text
    problem = as_alice.get("/vms/vm_unknown/metrics.json")
    assert (problem.status_code, problem.mimetype) == (404, "application/problem+json")
    assert problem.json["code"] == "NOT_FOUND"


def test_a_page_whose_machine_is_deleted_leads_to_the_list_and_keeps_quiet(as_alice, cloud, machine):
    as_alice.post(f"/vms/{machine.id}/delete", {"confirm_name": machine.name})
    cloud.worker.work()
    moving = as_alice.get(f"/vms/{machine.id}/status", htmx=True)
    assert (moving.status_code, moving.headers["HX-Redirect"], moving.text) == (404, "/vms", "")
    for part in ("activity", "console"):
        answer = as_alice.get(f"/vms/{machine.id}/{part}", htmx=True)
        assert (answer.status_code, answer.headers["HX-Reswap"], answer.text) == (404, "none", "")


def test_somebody_else_s_machine_is_seen_by_admins(as_admin, machine):
    assert machine.name in as_admin.page(f"/vms/{machine.id}").text()


@pytest.mark.asvs("1.1.2", "1.2.1")
def test_user_text_is_escaped(as_alice, container, machine):
    container.get_monitoring_service().record_console(machine.id, "</pre><script>alert(1)</script>", 30)
    assert "<script>alert" not in as_alice.get(f"/vms/{machine.id}").text
