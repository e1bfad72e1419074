"""/overview."""

import pytest

pytestmark = pytest.mark.integration


def test_with_nothing_it_leads_to_the_first_project(as_alice):
    page = as_alice.page("/overview")
    assert "Begin with a project" in page.text()
    assert page.find("//a[@href='/projects/new']")


def test_with_a_project_it_leads_to_the_first_machine(as_alice, project):
    assert "Launch your first machine" in as_alice.page("/overview").text()


def test_balance_burn_and_run_out(as_alice, machine):
    text = as_alice.page("/overview").text()
    for words in ("0.005", "3.65 per month", "until", "0.005 set aside"):
        assert words in text


def test_states_spend_and_activity(as_alice, cloud, machine, clock):
    cloud.round(600)
    page = as_alice.page("/overview")
    assert page.find("//a[@href='/vms?state=running']")
    assert page.find("//progress[@aria-label='Share of Website']")
    assert "web-1" in page.text()


def test_the_busiest_machines_have_a_line(as_alice, container, machine, clock):
    figures = {
        "cpu_percent": 80, "memory_used_bytes": 1, "memory_total_bytes": 2, "disk_read_bytes_per_s": 0,
        "disk_write_bytes_per_s": 0, "net_rx_bytes_per_s": 0, "net_tx_bytes_per_s": 0,
    }  # fmt: skip
    for _ in range(20):
        clock.advance(60)
        container.get_monitoring_service().record_vm_metrics(machine.id, figures, machine.owner_id)
    page = as_alice.page("/overview")
    assert "80.0 %" in page.text()
    assert page.find("//*[local-name()='polyline']")


def test_what_needs_attention_comes_first(as_alice, cloud, ordered):
    cloud.control.fault("create", kind="refuse", message="The disk is full.")
    cloud.worker.work()
    text = as_alice.page("/overview").text()
    assert "Needs attention" in text
    assert "The disk is full" in text


def test_the_moving_part_alone(as_alice, machine):
    page = as_alice.page("/overview", htmx=True)
    assert page.one("//div[@id='overview']").get("data-live") == "vms balance projects"
