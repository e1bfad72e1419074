"""/admin/users and what admins do to an account."""

import pytest

from tests.conftest import sign_up
from tests.functional.conftest import Browser
from tests.page import Page
from tests.services.people import Statements, acting

pytestmark = pytest.mark.integration


def test_all_accounts_with_their_credits_and_machines(as_admin, alice, bob, machine):
    page = as_admin.page("/admin/users")
    rows = {row.xpath(".//a")[0].text: "".join(row.itertext()) for row in page.find("//tbody/tr")}
    assert set(rows) == {"Alice", "Bob", "Admin"}
    assert "4.9950" in rows["Alice"]


@pytest.mark.parametrize(("query", "found"), [("alice@", ["Alice"]), ("BOB", ["Bob"]), ("%", []), ("nobody", [])])
def test_searching(as_admin, alice, bob, query, found):
    page = as_admin.page("/admin/users?q=" + query.replace("%", "%25"))
    assert [link.text for link in page.find("//tbody//a")] == found


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("role=admin", {"Admin"}), ("role=user&state=disabled", {"Bob"}), ("q=machines:>0", {"Alice"}),
        ("state=leaving", set()), ("q=credits:<1+role:user", set()),
        ("state=nonsense&role=system&sort=y", {"Alice", "Bob", "Admin"}),
    ],
)  # fmt: skip
def test_filters_are_in_the_address(as_admin, alice, bob, machine, query, found):
    as_admin.post(f"/admin/users/{bob.id}/disable")
    for htmx in (False, True):
        page = as_admin.page(f"/admin/users?{query}", htmx=htmx)
        assert {link.text for link in page.find("//tbody//a")} == found


def test_orders_and_pages_keep_the_filter(as_admin, alice, bob, monkeypatch):
    monkeypatch.setattr("zentry_web.blueprints.admin.people.PAGE_SIZE", 1)
    page = as_admin.page("/admin/users?role=user&sort=name")
    assert "2 users" in page.text()
    assert "Select all 2 that match" in page.text()
    assert [link.text for link in page.find("//tbody//a")] == ["Alice"]
    assert page.find("//th[@aria-sort='ascending']/a[contains(., 'Person')]")
    following = page.one("//a[@rel='next']").get("href")
    assert "role=user" in following
    assert "alice" not in following.lower()
    second = as_admin.page(following)
    assert [link.text for link in second.find("//tbody//a")] == ["Bob"]


def test_the_box_speaks_the_language_completes_it_and_is_saved_as_a_view(as_admin, alice, bob):
    wrong = as_admin.page("/admin/users?q=credits:much")
    assert "“much” is no amount of credits" in wrong.one("//p[@id='search-problem']").text
    answer = as_admin.get("/admin/users?q=credits:much", htmx=True)
    assert (answer.headers["HX-Retarget"], "<" in answer.text) == ("#search-problem", False)
    assert as_admin.get("/admin/users.csv?q=credits:much").status_code == 400
    offers = Page(f"<ul>{as_admin.get('/search/complete/people?q=role:', htmx=True).text}</ul>", fragment=True)
    assert [each.text for each in offers.find("//li/span")] == ["role:user", "role:admin"]
    assert as_admin.get("/search/complete/nothing", htmx=True).status_code == 404
    page = as_admin.page("/admin/users?q=role:admin")
    save = page.one("//a[contains(., 'Save view')]").get("href")
    assert (
        as_admin.post(save, {"name": "Admins", "is_default": "y"}).headers["Location"] == "/admin/users?q=role%3Aadmin"
    )
    assert as_admin.get("/admin/users").headers["Location"] == "/admin/users?q=role%3Aadmin"
    assert "Bob" in as_admin.page("/admin/users?view=all").text()


def test_the_list_costs_the_same_however_long(as_admin, container, alice):
    def statements():
        with Statements(container.database) as counted:
            as_admin.page("/admin/users?q=role:user+machines:0")
        return len([one for one in counted.texts if "SELECT" in one])

    sign_up(container, "first")
    before = statements()
    for number in range(4):
        sign_up(container, f"user{number}")
    assert statements() == before


@pytest.mark.asvs("1.2.10")
def test_the_file_is_safe_in_a_spreadsheet(as_admin, as_alice, alice, bob):
    as_alice.post("/account", {"name": "=HYPERLINK(1)", "time_zone": "UTC"})
    answer = as_admin.get("/admin/users.csv?role=user&sort=email")
    assert answer.mimetype == "text/csv"
    lines = answer.text.splitlines()
    assert lines[0].startswith("\ufeffid,email,name,role,")
    assert [line.split(",")[1] for line in lines[1:]] == [alice.email, bob.email]
    assert "'=HYPERLINK(1)" in lines[1]
    assert "zentry-users.csv" in answer.headers["Content-Disposition"]


@pytest.mark.parametrize(("direction", "left"), [("add", "7.5000"), ("deduct", "2.5000")])
@pytest.mark.parametrize("htmx", [False, True])
def test_credits_change_with_a_reason(as_admin, as_alice, alice, direction, left, htmx):
    data = {"direction": direction, "amount": "2,5", "description": "Course week 3", "idempotency_key": "k1"}
    for _ in range(2):  # a double click books once
        answer = as_admin.post(f"/admin/users/{alice.id}", data, htmx=htmx)
        assert answer.status_code == (204 if htmx else 303)
    text = as_alice.page("/credits").text()
    assert "Course week 3" in text
    assert left in as_alice.page("/overview").text()
    assert "Course week 3" in as_admin.page(f"/admin/users/{alice.id}").text()


def test_promotional_credit_is_given_with_a_last_day_and_shown_apart(as_admin, as_alice, alice):
    data = {"direction": "promote", "amount": "2", "description": "Spring fair", "last_day": "2026-12-24"}
    answer = as_admin.post(f"/admin/users/{alice.id}", data | {"idempotency_key": "k1"})
    page = as_admin.page(answer.headers["Location"])
    assert f"2.00 promotional credits added to {alice.name}." in page.text()
    text = as_alice.page("/credits").text()
    assert all(part in text for part in ("Spring fair", "2.0000 promotional", "5.0000 paid", "Dec"))
    assert "Gave promotional credit" in as_admin.page("/admin/audit?action=credits.promote").text()
    answer = as_admin.post(f"/admin/users/{alice.id}", data | {"last_day": "2026-01-01"})
    assert (answer.status_code, set(Page(answer.text).errors())) == (400, {"last_day"})


def test_nobody_sees_promotional_credit_who_has_none(as_alice):
    assert "Promotional" not in as_alice.page("/credits").text()


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"amount": ""}, "amount"), ({"amount": "much"}, "amount"), ({"amount": "0.0000001"}, "amount"),
        ({"amount": "-1"}, "amount"), ({"amount": "0"}, "amount"), ({"description": ""}, "description"),
        ({"amount": "1e30"}, "amount"), ({"direction": "sideways"}, "direction"),
    ],
)  # fmt: skip
def test_a_wrong_amount_or_no_reason_is_said_beside_the_field(as_admin, alice, changes, field):
    data = {"direction": "add", "amount": "1", "description": "Because"} | changes
    answer = as_admin.post(f"/admin/users/{alice.id}", data)
    assert answer.status_code == 400
    assert set(Page(answer.text).errors()) == {field}


def test_nobody_is_taken_below_zero(as_admin, alice):
    answer = as_admin.post(
        f"/admin/users/{alice.id}", {"direction": "deduct", "amount": "6", "description": "Too much"}
    )
    assert answer.status_code == 400
    text = Page(answer.text).text()
    assert f"This needs 6.00 credits and {alice.name} has 5.00: 1.00 more are needed." in text
    assert "you have" not in text
    assert "See your credits" not in text


def test_a_disabled_account_is_out_until_it_is_enabled(as_admin, as_alice, alice):
    answer = as_admin.post(f"/admin/users/{alice.id}/disable")
    assert answer.status_code == 303
    assert "Enable" in as_admin.page(f"/admin/users/{alice.id}").text()
    assert as_alice.get("/overview").status_code == 303
    as_admin.post(f"/admin/users/{alice.id}/enable")
    as_alice.log_in(alice)


def test_an_admin_cannot_disable_themselves(as_admin, admin):
    assert as_admin.post(f"/admin/users/{admin.id}/disable").status_code == 409
    assert "Disable" not in as_admin.page(f"/admin/users/{admin.id}").text()


def test_an_unknown_account_is_not_there(as_admin):
    assert as_admin.get("/admin/users/usr_unknown").status_code == 404
    assert as_admin.post("/admin/users/usr_unknown/disable").status_code == 404


# -- notes, roles, sessions ---------------------------------------------------------------------


def test_the_page_shows_what_the_account_has(as_admin, as_alice, alice, machine):
    text = as_admin.page(f"/admin/users/{alice.id}").text()
    for shown in ("web-1", "Website", "Owner", "Second factors none", "Log-ins of late", "Logged in"):
        assert shown in text


def test_the_page_costs_the_same_however_much_there_is(as_admin, container, cloud, alice, project):
    def statements():
        with Statements(container.database, container.metrics_database) as counted:
            as_admin.page(f"/admin/users/{alice.id}")
        return len([one for one in counted.texts if "SELECT" in one])

    cloud.launch(alice, project, "vm-0")
    before = statements()
    for number in range(3):
        cloud.launch(alice, project, f"vm{number}")
        cloud.project(alice, f"More {number}")
        container.get_user_service().notes.add(alice.id, f"Note {number}", actor=acting(as_admin.user))
    assert statements() == before


@pytest.mark.parametrize("htmx", [False, True])
def test_a_note_is_kept_as_plain_text(as_admin, alice, htmx):
    answer = as_admin.post(f"/admin/users/{alice.id}/notes", {"body": "<b>Called</b>\r\ntwice"}, htmx=htmx)
    assert answer.status_code == (204 if htmx else 303)
    page = as_admin.page(f"/admin/users/{alice.id}")
    note = page.one("//p[@class='z-note']")
    assert note.text == "<b>Called</b>\ntwice"
    delete = page.one("//ul[@class='z-notes']//a").get("href")
    assert as_admin.post(delete).status_code == 303
    assert not as_admin.page(f"/admin/users/{alice.id}").find("//p[@class='z-note']")
    assert as_admin.post(delete).status_code == 404


@pytest.mark.parametrize("text", ["", "x" * 2001, "a\u202eb"])
def test_a_refused_note_stays_typed(as_admin, alice, text):
    answer = as_admin.post(f"/admin/users/{alice.id}/notes", {"body": text})
    assert answer.status_code == 400
    page = Page(answer.text)
    assert set(page.errors()) == {"body"}
    assert "".join(page.one("//textarea").itertext()).strip() == text
    assert page.one("//input[@name='idempotency_key']").get("value")


@pytest.mark.parametrize("htmx", [False, True])
def test_a_role_changes_after_a_question(as_admin, as_alice, alice, htmx):
    url = f"/admin/users/{alice.id}/role"
    page = as_admin.page(url, htmx=htmx)
    assert page.one("//input[@name='role']").get("value") == "admin"
    answer = as_admin.post(url, {"role": "admin"}, htmx=htmx)
    assert answer.status_code == (204 if htmx else 303)
    assert as_alice.get("/overview").status_code == 303  # out at the next click
    as_alice.log_in(alice)
    assert as_alice.get("/admin").status_code == 200
    as_admin.post(url, {"role": "user"}, htmx=htmx)
    as_alice.log_in(alice)
    assert as_alice.get("/admin").status_code == 403


def test_ones_own_role_and_what_is_none(as_admin, admin, alice):
    assert as_admin.post(f"/admin/users/{admin.id}/role", {"role": "user"}).status_code == 409
    assert as_admin.post(f"/admin/users/{alice.id}/role", {"role": "system"}).status_code == 400
    assert as_admin.post(f"/admin/users/{alice.id}/role").status_code == 400
    assert as_admin.get("/admin/users/usr_nobody/role").status_code == 404


def test_an_old_log_in_is_asked_again_before_a_role_changes(as_admin, alice, clock, container):
    clock.advance(minutes=6)
    answer = as_admin.post(f"/admin/users/{alice.id}/role", {"role": "admin"})
    assert answer.status_code == 303
    assert answer.headers["Location"].startswith("/account/confirm")
    assert container.get_user_service().get_user(alice.id).role == "user"


def test_without_a_mail_server_a_reset_says_so(as_admin, alice):
    assert "Reset the password" not in as_admin.page(f"/admin/users/{alice.id}").text()
    assert as_admin.page(f"/admin/users/{alice.id}/reset-password").find("//form")
    answer = as_admin.post(f"/admin/users/{alice.id}/reset-password")
    assert answer.status_code == 409
    assert "no mail server" in Page(answer.text).text()


@pytest.mark.asvs("7.4.5")
def test_sessions_are_ended_one_by_one_and_all(as_admin, as_alice, alice, web):
    other = Browser(web).log_in(alice)
    ends = as_admin.page(f"/admin/users/{alice.id}").find("//a[contains(@href, '/sessions/ses_')]")
    assert len(ends) == 2
    assert as_admin.post(ends[0].get("href")).status_code == 303
    assert sorted(browser.get("/overview").status_code for browser in (as_alice, other)) == [200, 303]
    assert as_admin.post(f"/admin/users/{alice.id}/sessions/end").status_code == 303
    assert {browser.get("/overview").status_code for browser in (as_alice, other)} == {303}
    assert as_admin.post(f"/admin/users/{alice.id}/sessions/ses_none/end").status_code == 404
    assert as_admin.post("/admin/users/usr_nobody/sessions/end").status_code == 404
