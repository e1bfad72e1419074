"""Words claim no more than is known: ages, 'now', 'nothing is running', 'works', and who is to blame."""

import pytest

pytestmark = pytest.mark.integration

FIGURES = {
    "cpu_percent": 80, "memory_used_bytes": 1, "memory_total_bytes": 2, "disk_read_bytes_per_s": 0,
    "disk_write_bytes_per_s": 0, "net_rx_bytes_per_s": 0, "net_tx_bytes_per_s": 0,
}  # fmt: skip


@pytest.fixture
def pages(machine):
    """Where the busiest machines stand."""
    return ["/overview", f"/projects/{machine.project_id}/spend"]


def test_machines_that_run_unmeasured_are_not_said_to_be_off(as_alice, pages):
    for path in pages:
        text = as_alice.page(path).text()
        assert "Not measured in the last minute" in text
        assert "Nothing is running" not in text


def test_nothing_is_running_where_nothing_is(as_alice, cloud, machine, pages):
    cloud.vms.force_off_vm(machine.id)
    cloud.worker.work()
    for path in pages:
        assert "Nothing is running" in as_alice.page(path).text()


def test_a_busy_machine_s_figure_carries_its_age(as_alice, container, machine, pages, clock):
    measured = clock.now()
    container.get_monitoring_service().record_vm_metrics(machine.id, FIGURES, machine.owner_id)
    clock.advance(30)
    for path in pages:
        page = as_alice.page(path)
        age = page.one("//table[.//th[.='Last measured']]//td[contains(., '80.0 %')]//time[@data-ago]")
        assert age.get("datetime") == f"{measured:%Y-%m-%dT%H:%M:%SZ}"
        assert not page.find("//th[.='Now']")


@pytest.mark.parametrize("path", ["/overview", "/vms", "/vms/{id}"])
def test_the_one_who_is_away_is_named(as_alice, cloud, container, machine, clock, path):
    cloud.worker.reconciler.run()
    processes = container.get_monitoring_service().processes
    processes.record_heartbeat("one", "reconcile", 12)
    clock.advance(31)
    text = as_alice.page(path.format(id=machine.id)).text()
    assert "Zentry’s worker does not answer." in text
    assert "The hypervisor does not answer" not in text
    # It goes its rounds, but hears nothing: that is the hypervisor.
    processes.record_heartbeat("one", "bill", 12)
    assert "The hypervisor does not answer." in as_alice.page(path.format(id=machine.id)).text()


def test_a_machine_nobody_has_seen_for_a_while_is_not_said_to_be_running_for_so_long(as_alice, cloud, machine, clock):
    cloud.worker.reconciler.run()
    assert as_alice.page(f"/vms/{machine.id}").find("//dt[.='Running for']")
    clock.advance(31)
    page = as_alice.page(f"/vms/{machine.id}")
    assert not page.find("//dt[.='Running for']")
    assert page.find("//dt[.='Started']")


def test_services_do_not_work_without_the_worker(as_admin, cloud, container, clock):
    cloud.worker.reconciler.run()
    container.get_monitoring_service().processes.record_heartbeat("one", "bill", 12)
    states = _services(as_admin.page("/admin/system"))
    assert set(states.values()) == {"Works"}
    clock.advance(31)
    states = _services(as_admin.page("/admin/system"))
    assert {name for name, state in states.items() if state == "Works"} == {"auth"}
    assert set(states.values()) == {"Works", "Waits"}
    overview = as_admin.page("/admin")
    assert "The worker does not answer" in overview.text()
    assert overview.one("//dt[.='State']/following-sibling::dd").xpath("string()").strip() == "Not known"


def _services(page):
    rows = page.find("//table[.//th[.='Service']]/tbody/tr")
    return {row.xpath("string(td[1])"): row.xpath("string(td[2])").strip() for row in rows}


def test_what_was_ordered_is_not_said_to_go_on(as_alice, cloud, machine):
    """The words stay on the page while the machine's state moves on beside them."""
    as_alice.post(f"/vms/{machine.id}/force_off")
    cloud.worker.work()
    text = as_alice.page(f"/vms/{machine.id}").text()
    assert "Stopped" in text
    assert "Force off is ordered." in text


def test_a_chart_s_table_says_in_which_time_there_is_nothing(as_alice, machine):
    text = as_alice.page(f"/vms/{machine.id}/metrics?range=1h").text()
    assert "No samples in this time." in text
    assert "No samples yet" not in text


def test_an_image_is_missing_only_where_somebody_looked(as_admin, cloud, clock):
    assert "missing" not in as_admin.page("/admin/images").text()
    cloud.worker.reconciler.run()
    assert "not known" not in as_admin.page("/admin/images").text()
