"""/admin, /admin/vms, /admin/audit, /admin/system."""

import pytest
from sqlalchemy import text

from tests.conftest import make_config
from zentry_web.composition import build_container
from zentry_web.web.services import EXTENSION

pytestmark = pytest.mark.integration


def test_the_overview_counts_everything(as_admin, alice, bob, machine):
    words = as_admin.page("/admin").text()
    for each in ("Users", "3", "Running", "of 1", "0.005"):
        assert each in words


def test_everybody_s_machines_with_their_owners(as_admin, machine):
    page = as_admin.page("/admin/vms")
    assert "alice@example.com" in page.text()
    menu = as_admin.page(page.one("//tbody//button[@form='z-menus']").get("formaction"))
    assert menu.find(f"//a[@href='/admin/vms/order?order=stop&id={machine.id}']")


@pytest.mark.parametrize(("query", "count"), [("q=web", 1), ("q=db", 0), ("state=running", 1), ("state=error", 0)])
def test_machines_are_found(as_admin, machine, query, count):
    assert len(as_admin.page(f"/admin/vms?{query}").find("//tbody/tr")) == count


@pytest.mark.asvs("16.2.1")
@pytest.mark.parametrize(
    ("query", "there", "not_there"),
    [
        ("action=vm.create", "Launch", "Signed up"), ("action=auth.", "Signed up", "Launch"),
        ("actor_id=alice@example.com", "Signed up", "Zentry,"), ("outcome=accepted", "vm.create", "auth.signup"),
        ("resource_id=nothing", "Nothing matches", "vm.create"),
    ],
)  # fmt: skip
def test_the_trail_is_filtered(as_admin, machine, query, there, not_there):
    found = as_admin.page(f"/admin/audit?{query}").find("//section[@id='audit']/div/*[not(self::form)]")
    words = " ".join(each.xpath("string()") for each in found)  # the form has every action to pick from
    assert there in words
    assert not_there not in words


def test_the_trail_says_whether_personal_fields_are_intact(as_admin, as_alice, container, project):
    as_alice.post("/projects/new", {"name": "Shop"})
    assert "intact" in as_admin.page("/admin/audit?action=project.create").text()
    with container.database.engine.begin() as connection:
        connection.execute(text('UPDATE event_personal SET fields = \'{"address": "1.2.3.4"}\''))
    assert "altered" in as_admin.page("/admin/audit?action=project.create").text()


def test_the_trail_is_paged(as_admin, cloud, alice):
    for number in range(55):
        cloud.billing.add_credits(alice.id, 1, f"gift {number}")
    first = as_admin.page("/admin/audit?action=credits.add")
    second = as_admin.page(first.one("//a[@rel='next']").get("href"))
    assert len(first.find("//tbody/tr")) == 50
    assert len(second.find("//tbody/tr")) >= 5
    assert "First page" in second.text()


@pytest.mark.parametrize("before", ["9" * 30, "-1", "x"])
def test_the_trail_shrugs_at_nonsense(as_admin, before):
    as_admin.page(f"/admin/audit?before={before}")


def test_the_system_page_says_what_does_not_work(as_admin):
    words = as_admin.page("/admin/system").text()
    assert "Not ready" in words
    assert "No worker has been seen" in words


def test_the_system_page_says_what_works(as_admin, container, cloud):
    processes = container.get_monitoring_service().processes
    processes.record_heartbeat("worker-1", "bill", 4, "")
    cloud.worker.reconciler.run()
    words = as_admin.page("/admin/system").text()
    assert "worker-1" in words
    assert "Ready" in words


def test_the_system_page_says_whether_addresses_are_verified(as_admin, container, web, admin, config, clock):
    """Without a mail server in so many words; with one it is not said."""
    sentence = "No mail server is set, so anyone can sign up with any address and gets the starting credits."
    assert "E-mail verification is off." in as_admin.page("/admin/system").text()
    assert sentence in as_admin.page("/admin/system").text()
    mailing = build_container(make_config(config.data, smtp_url="smtp://127.0.0.1:1"), clock=clock)
    web.extensions[EXTENSION] = mailing
    words = as_admin.page("/admin/system").text()
    assert "verification is off" not in words
    assert sentence not in words
    mailing.close()
