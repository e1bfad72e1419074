"""/overview."""

from datetime import timedelta

import pytest

from tests.conftest import sign_up
from tests.functional.conftest import Browser
from tests.services.people import Statements, acting, join
from zentry_web.domain.projects.project import ProjectRole
from zentry_web.models import DbUser

pytestmark = pytest.mark.integration


def test_with_nothing_it_leads_to_the_first_project(as_alice):
    page = as_alice.page("/overview")
    assert "Begin with a project" in page.text()
    assert page.find("//a[@href='/projects/new']")


def test_with_a_project_it_leads_to_the_first_machine(as_alice, project):
    assert "Launch your first machine" in as_alice.page("/overview").text()


def test_first_steps_are_ticked_off_and_go_away(as_alice, alice, cloud, project, clock):
    def steps():
        page = as_alice.page("/overview")
        return [words for words in ("Add an SSH key", "Start a project", "Launch a machine", "Set up a second factor",
                "Set a budget") if page.find(f"//section[@id='first-steps']//a[text()='{words}']")]  # fmt: skip

    assert steps() == ["Add an SSH key", "Launch a machine", "Set up a second factor", "Set a budget"]
    cloud.billing.budgets.set_budget(project.id, 1_000_000, (), hard_cap=False)
    assert "Set a budget" not in steps()
    clock.advance(days=15)
    as_alice.log_in(alice)
    assert steps() == []


def test_balance_burn_and_run_out(as_alice, machine):
    text = as_alice.page("/overview").text()
    for words in ("0.005", "3.65 per month", "until", "0.0050", "set aside for running machines"):
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


def notes(page):
    """What *Needs attention* says, in order."""
    items = page.find("//section[.//h2[.='Needs attention']]//li")
    return [" ".join("".join(item.itertext()).split()) for item in items]


def test_credits_that_end_today_come_first(as_alice, alice, cloud, container, project, machine):
    off = cloud.launch(alice, project, "a-disk")  # its disk is not paid before the first machine stops
    container.get_vm_service().force_off_vm(off.id)
    cloud.worker.work()
    cloud.ask(alice, project, "broken")
    cloud.control.fault("create", kind="refuse", message="The disk is full.")
    cloud.worker.work()
    cloud.set_wallet(alice, 10_000)
    page = as_alice.page("/overview")
    first, second = notes(page)
    assert "Credits last until " in first
    assert "web-1 stops first" in first
    assert "The disk is full" in second
    for path in ("/credits/top-up", "/credits/what-if", "/credits/plan", f"/vms/{machine.id}"):
        assert page.find(f"//section[.//h2[.='Needs attention']]//li[1]//a[@href='{path}']"), path


@pytest.mark.parametrize(
    ("hours", "tone"), [(3, "z-red"), (24, "z-red"), (25, "z-amber"), (7 * 24, "z-amber"), (7 * 24 + 1, "")]
)
def test_figures_are_amber_for_a_week_and_red_on_the_last_day(as_alice, alice, cloud, machine, hours, tone):
    cloud.set_wallet(alice, hours * 5_000 - cloud.held(alice))
    page = as_alice.page("/overview")
    coloured = {
        label: page.one(f"//*[contains(@class, 'z-stat')][div[1][contains(., '{label}')]]").get("class").split()[2:]
        for label in ("Balance", "Credits last")
    }
    assert coloured == dict.fromkeys(coloured, [tone] if tone else [])
    for place in ("balance-chip", "balance-top"):
        assert page.one(f"//*[@id='{place}']").get("class").split()[1:] == ([tone] if tone else [])
    assert bool(notes(page)) == bool(tone)


def test_the_last_credits_are_used_up(as_alice, alice, cloud, machine, clock):
    cloud.set_wallet(alice, 0)
    clock.advance(7200)
    assert "Your credits are used up" in notes(as_alice.page("/overview"))[0]


def test_what_failed_has_its_way_out_beside_it(as_alice, web, container, alice, bob, cloud, project, ordered):
    cloud.control.fault("create", kind="refuse", message="The disk is full.")
    cloud.worker.work()
    ways = "//section[.//h2[.='Needs attention']]//li//a[contains(@class, 'btn')]"
    found = {"".join(link.itertext()).strip(): link.get("href") for link in as_alice.page("/overview").find(ways)}
    (failed,) = container.get_vm_service().work.list_of(alice.id, actor=acting(alice), failed=True)
    assert found == {
        "What failed": f"/operations/{failed.id}",
        "Start": f"/vms/{ordered.id}/start",
        "Activity": f"/vms/{ordered.id}/activity",
    }
    assert "Start Web-1" in as_alice.page(found["Start"]).text().title()
    join(container, project, bob, ProjectRole.VIEWER)
    theirs = Browser(web).log_in(bob).page("/overview").find(ways)
    assert ["".join(link.itertext()).strip() for link in theirs] == ["What failed", "Activity"]


def test_what_expires_is_said_in_time(as_alice, container, alice, cloud, project, clock):
    cloud.keep_deleted(7)
    gone = cloud.launch(alice, project, "old")
    container.get_vm_service().delete_vm(gone.id, "old", actor=acting(alice))
    cloud.worker.work()
    container.get_auth_service().tokens.create_personal(alice.id, "ci", ["vms:read"], 10)
    cloud.billing.promote(alice.id, 1_000_000, "welcome", expires_at=clock.now() + timedelta(days=10))

    def said():
        as_alice.log_in(alice)
        return [line for line in notes(as_alice.page("/overview")) if "expire" in line or "gone" in line]

    assert said() == []
    clock.advance(days=4)
    promotion, token = said()
    assert promotion.startswith("1.00 promotional credits expire ")
    assert token.startswith("The API token “ci” expires ")
    clock.advance(days=1, hours=1)
    assert [line.split(".")[0] for line in said()][1].startswith("1 thing in the recycle bin is soon gone for good")


def test_a_project_that_is_offered_waits_for_an_answer(as_charlie, container, alice, charlie, project):
    join(container, project, charlie, ProjectRole.MEMBER)
    assert notes(as_charlie.page("/overview")) == []
    container.get_project_service().ownership.offer(project.id, charlie.id, actor=acting(alice))
    page = as_charlie.page("/overview")
    (line,) = notes(page)
    assert f"{alice.name} offers you the project {project.name}" in line
    assert page.find(f"//a[@href='/projects/{project.id}/ownership'][.='Answer']")
    container.get_project_service().ownership.withdraw(project.id, actor=acting(alice))
    assert notes(as_charlie.page("/overview")) == []


@pytest.fixture
def bob(container):
    return sign_up(container, "bob")


@pytest.fixture
def as_bob(web, bob):
    return Browser(web).log_in(bob)


def proved(container, user, clock):
    """The mailbox of the account's address answered once."""
    with container.database.writing() as session:
        session.get(DbUser, user.id).email_proven_at = clock.now()
        session.commit()


def invite(container, project, alice, email):
    invitations, data = container.get_project_service().invitations, {"email": email, "role": "viewer"}
    return invitations.invite(project.id, data, actor=acting(alice)).id


def test_an_invitation_to_one_s_mailbox_waits_for_an_answer(as_charlie, container, alice, charlie, project, clock):
    wanted = f"/invitations/mailed/{invite(container, project, alice, charlie.email.upper())}"
    assert notes(as_charlie.page("/overview")) == []  # who may be somebody that only says so
    assert [as_charlie.get(wanted).status_code, as_charlie.post(f"{wanted}/accept").status_code] == [404, 404]
    proved(container, charlie, clock)
    page = as_charlie.page("/overview")
    (line,) = notes(page)
    assert f"{alice.name} invites you to the project {project.name}" in line
    answer = as_charlie.page(page.one("//a[.='Answer']").get("href"))
    assert "You pay for nothing in this project" in answer.text()
    joined = as_charlie.post(f"{wanted}/accept")
    assert joined.headers["Location"] == f"/projects/{project.id}"
    assert notes(as_charlie.page("/overview")) == []
    assert as_charlie.post(f"{wanted}/accept").headers["Location"] == f"/projects/{project.id}"  # pressed twice


def test_an_invitation_is_declined_and_is_nobody_else_s(
    as_charlie, as_bob, container, alice, bob, charlie, project, clock
):
    wanted = f"/invitations/mailed/{invite(container, project, alice, charlie.email)}"
    proved(container, charlie, clock)
    proved(container, bob, clock)
    assert notes(as_bob.page("/overview")) == []
    for path in ("accept", "decline"):
        assert as_bob.post(f"{wanted}/{path}").status_code == 404
    assert as_bob.get(wanted).status_code == 404
    assert as_charlie.post(f"{wanted}/decline").headers["Location"] == "/overview"
    assert notes(as_charlie.page("/overview")) == []
    assert [as_charlie.get(wanted).status_code, as_charlie.post(f"{wanted}/accept").status_code] == [404, 404]
    assert as_charlie.get(f"/projects/{project.id}").status_code == 404


def test_the_balance_has_a_curve_once_there_are_days(as_alice, alice, cloud, machine, clock):
    assert not as_alice.page("/overview").find("//*[local-name()='svg'][starts-with(@aria-label, 'Balance over')]")
    for _ in range(3):
        cloud.round(24 * 3600)
    as_alice.log_in(alice)
    page = as_alice.page("/overview")
    assert page.find("//*[local-name()='svg'][@aria-label='Balance over the last 3 days']")


def test_disks_that_credits_will_not_pay(as_alice, alice, cloud, container, machine):
    container.get_vm_service().force_off_vm(machine.id)
    cloud.worker.work()
    cloud.set_wallet(alice, 1_000)
    assert "Nothing runs; disks are kept for some time after that." in notes(as_alice.page("/overview"))[0]


def test_the_phones_top_bar_has_the_balance_and_it_moves_with_the_sidebars(as_alice, machine):
    bar = as_alice.page("/overview").one("//header[contains(@class, 'z-topbar')]//a[@id='balance-top']")
    assert bar.get("href") == "/credits"
    assert bar.find(".//*[@data-balance-micro]") is not None
    moved = as_alice.get("/credits/balance", htmx=True).text
    assert '<hx-partial hx-target="#balance-top"' in moved
    assert moved.count("data-balance-micro") == 2


def test_ending_credits_cost_a_constant_number_of_statements(as_alice, alice, cloud, container, project, machine):
    counts = set()
    for number in range(3):
        cloud.launch(alice, project, f"more-{number}")
        cloud.set_wallet(alice, 10_000)
        with Statements(container.database) as statements:
            as_alice.page("/overview")
        counts.add(statements.count)
    assert len(counts) == 1


def test_the_page_takes_ten_statements_at_most_however_many_machines(
    as_alice, alice, cloud, container, project, machine
):
    cloud.billing.add_credits(alice.id, 1_000_000_000, "enough for more than a week")
    counts = set()
    for number in range(3):
        cloud.launch(alice, project, f"more-{number}")
        cloud.round(24 * 3600)
        as_alice.log_in(alice)
        with Statements(container.database, container.metrics_database) as statements:
            as_alice.page("/overview")
        counts.add(len([text for text in statements.texts if "SELECT" in text]))
    (count,) = counts
    assert count <= 10
