"""/admin: what there is and is promised, who runs dry, what went wrong, and the curves of the last days."""

import re

import pytest
from sqlalchemy import text

from tests.services.people import Statements, acting

pytestmark = pytest.mark.integration


def words(page, card):
    return " ".join(page.one(f"//section[@id='{card}']").xpath("string()").split())


def test_before_a_worker_s_word_there_is_no_capacity(as_admin, alice):
    assert not as_admin.page("/admin").find("//section[@id='capacity']//progress")


def test_capacity_is_what_the_worker_heard_beside_what_was_promised(as_admin, machine):
    page = as_admin.page("/admin")
    assert len(page.find("//section[@id='capacity']//progress")) == 6
    assert f"vCPU{machine.vcpus} of " in words(page, "capacity")
    assert f"{machine.vcpus} promised to machines" in words(page, "capacity")


def test_who_runs_dry_first_is_there_with_what_to_do(as_admin, alice, machine):
    page = as_admin.page("/admin")
    assert "Alice" in words(page, "driest")
    (add,) = page.find("//section[@id='driest']//a[contains(., 'Add credits')]")
    assert add.get("href") == f"/admin/users/{alice.id}#credits"
    assert as_admin.page(add.get("href").partition("#")[0]).find("//*[@id='credits']")
    assert (
        page.one("//section[@id='driest']//a[starts-with(@href, 'mailto:')]").get("href") == "mailto:alice@example.com"
    )


def test_nobody_runs_dry_where_nothing_is_used(as_admin):
    assert "Nothing uses credits now" in words(as_admin.page("/admin"), "driest")


def test_trouble_is_said_only_where_there_is_some(as_admin, container, cloud, machine, alice, clock):
    processes = container.get_monitoring_service().processes
    cloud.worker.reconciler.run()
    processes.record_heartbeat("one", "bill", 12)
    assert not as_admin.page("/admin").find("//section[@id='troubles']")
    processes.record_heartbeat("one", "mail", 12, "no route to host")
    with container.database.engine.begin() as connection:
        connection.execute(text("UPDATE operation SET state = 'failed', error = 'no room', finished_at = run_at"))
        refused = "UPDATE \"user\" SET mail_refused = '550 no such box', mail_refused_at = created_at WHERE id = :id"
        connection.execute(text(refused), {"id": alice.id})
    page = as_admin.page("/admin")
    found = words(page, "troubles")
    for each in ("loop “mail” fails", "no route to host", "Mail to alice@example.com was refused", "550 no such box"):
        assert each in found
    assert "Launch of web-1 failed" in found
    assert "no room" in found
    (every,) = page.find("//section[@id='troubles']//a[contains(., 'All that failed')]")
    as_admin.page(every.get("href"))
    clock.advance(2 * 86_400)
    cloud.worker.reconciler.run()
    processes.record_heartbeat("one", "bill", 12)
    assert "Mail to" not in words(as_admin.page("/admin"), "troubles")


def test_a_loop_that_is_long_gone_is_late_unless_its_worker_is(as_admin, container, cloud, clock):
    processes = container.get_monitoring_service().processes
    processes.record_heartbeat("one", "bill", 12)
    processes.record_heartbeat("one", "backup", 12)
    clock.advance(301)
    processes.record_heartbeat("one", "mail", 12)
    cloud.worker.reconciler.run()
    found = words(as_admin.page("/admin"), "troubles")
    assert "loop “bill” is late" in found
    assert "backup" not in found
    processes.record_heartbeat("two", "bill", 12)  # another worker took over
    assert not as_admin.page("/admin").find("//section[@id='troubles']")


def test_the_curves_have_thirty_days(as_admin, container, alice, clock):
    clock.advance(86_400)
    page = as_admin.page("/admin")
    assert page.one("//*[@id='growth']").get("hx-get") == "/admin/growth"  # they may take longer than the page
    assert "growth" not in as_admin.get("/admin", htmx=True).text  # what goes on by itself is the rest
    drawn = as_admin.page("/admin/growth", htmx=True)
    income, sign_ups = drawn.find("//*[@role='img']")
    assert [len(each.get("d").split()) for each in income.xpath(".//*[local-name()='path']")] == [29, 29]
    (line,) = sign_ups.xpath(".//*[local-name()='path']")
    assert len(line.get("d").split()) == 29  # steps between thirty days
    assert re.search(r"Sign-ups of the last 30 days\. Sign-ups: 0 to [1-9], last 0", sign_ups.get("aria-label"))


def test_the_overview_asks_as_much_however_much_there_is(as_admin, container, cloud, alice, project, machine):
    def statements():
        with Statements(container.database) as counted:
            as_admin.page("/admin")
        return len([one for one in counted.texts if "SELECT" in one])

    few = statements()
    for number in range(3):
        cloud.launch(alice, project, f"more-{number}")
    cloud.worker.work()
    assert statements() == few <= 30


def test_images_have_the_names_that_people_gave_them(as_admin, container, admin):
    images = container.vms.images
    images.build("debian-12", actor=acting(admin))
    built = next(entry for entry in images.list_entries(actor=acting(admin)) if entry.image.id != "img_tiny")
    names = ("tiny", built.versions[0].driver_name, "of-others")
    container.monitoring.processes.record_compute(ok=True, detail="", answered_at=container.clock.now(), images=names)
    assert f"Images{built.image.name}, Zentry Tiny Linux, of-others" in words(as_admin.page("/admin"), "capacity")
