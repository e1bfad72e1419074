"""/admin/users and what admins do to an account."""

import pytest

from tests.page import Page

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
        ("role=admin", {"Admin"}), ("role=user&state=disabled", {"Bob"}), ("mark=vms", {"Alice"}),
        ("state=leaving", set()), ("mark=low", set()),
        ("state=nonsense&role=system&mark=x&sort=y", {"Alice", "Bob", "Admin"}),
    ],
)  # fmt: skip
def test_filters_are_in_the_address(as_admin, alice, bob, machine, query, found):
    as_admin.post(f"/admin/users/{bob.id}/disable")
    for htmx in (False, True):
        page = as_admin.page(f"/admin/users?{query}", htmx=htmx)
        assert {link.text for link in page.find("//tbody//a")} == found


def test_orders_and_pages_keep_the_filter(as_admin, alice, bob, monkeypatch):
    monkeypatch.setattr("zentry_web.blueprints.admin.people.PAGE_SIZE", 1)
    monkeypatch.setattr("zentry_web.web.paging.last_key.__defaults__", (1,))
    page = as_admin.page("/admin/users?role=user&sort=name")
    assert [link.text for link in page.find("//tbody//a")] == ["Alice"]
    assert page.find("//th[@aria-sort='ascending']/a[contains(., 'Person')]")
    following = page.one("//a[@rel='next']").get("href")
    assert "role=user" in following
    assert "alice" not in following.lower()
    second = as_admin.page(following)
    assert [link.text for link in second.find("//tbody//a")] == ["Bob"]


def test_the_file_is_safe_in_a_spreadsheet(as_admin, as_alice, alice, bob):
    as_alice.post("/account", {"name": "=HYPERLINK(1)", "time_zone": "UTC"})
    answer = as_admin.get("/admin/users.csv?role=user&sort=email")
    assert answer.mimetype == "text/csv"
    lines = answer.text.splitlines()
    assert lines[0].startswith("id,email,name,role,")
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


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"amount": ""}, "amount"), ({"amount": "much"}, "amount"), ({"amount": "0.0000001"}, "amount"),
        ({"amount": "-1"}, "amount"), ({"amount": "0"}, "amount"), ({"description": ""}, "description"),
        ({"amount": "1e30"}, "amount"),
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
    assert "1.00 more" in Page(answer.text).text()


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
