"""/admin/users/bulk: chosen on the list, looked at, done, and what became of each."""

import pytest

from tests.page import Page

pytestmark = pytest.mark.integration


def chosen(page):
    return [field.get("value") for field in page.find("//input[@type='hidden'][@name='id']")]


def test_the_list_offers_it_without_script(as_admin, alice, bob):
    page = as_admin.page("/admin/users?role=user&q=a")
    boxes = page.find("//input[@type='checkbox'][@name='id'][@form='bulk']")
    assert {box.get("value") for box in boxes} == {alice.id, bob.id}
    assert page.one("//form[@id='bulk']//input[@name='q']").get("value") == "a role:user"
    assert "Select all 2" not in page.text(), "all of them are shown"
    assert page.find("//form[@id='bulk']//button[@name='action'][@value='disable']")


@pytest.mark.asvs("2.3.1")
def test_nothing_is_done_before_it_was_looked_at(as_admin, as_alice, alice, bob):
    answer = as_admin.post("/admin/users/bulk", {"action": "disable", "id": [alice.id, bob.id]})
    page = Page(answer.text)
    assert answer.status_code == 200
    assert set(chosen(page)) == {alice.id, bob.id}
    assert "alice@example.com" in page.text()
    assert as_alice.get("/overview").status_code == 200
    fields = {"action": "disable", "id": chosen(page), "key": page.one("//input[@name='key']").get("value")}
    done = as_admin.post("/admin/users/bulk/run", fields)
    assert done.status_code == 200
    assert [cell.text for cell in Page(done.text).find("//td[@data-label='Outcome']/span")] == ["Done", "Done"]
    assert as_alice.get("/overview").status_code == 303


def test_all_that_fit_the_filter(as_admin, alice, bob):
    answer = as_admin.post("/admin/users/bulk", {"action": "end_sessions", "all": "1", "q": "bob role:user"})
    assert chosen(Page(answer.text)) == [bob.id]


@pytest.mark.parametrize(
    ("data", "said"),
    [({"action": "disable"}, "Choose somebody"), ({"action": "erase"}, "Choose what to do"), ({}, "what")],
)
def test_nobody_or_nothing_chosen_leads_back_to_the_list(as_admin, alice, data, said):
    answer = as_admin.post("/admin/users/bulk", {**data, "q": "alice role:user"})
    assert answer.status_code == 303
    assert answer.headers["Location"] == "/admin/users?q=alice+role:user"
    assert said in as_admin.page(answer.headers["Location"]).text()


def test_a_grant_asks_for_amount_and_reason(as_admin, as_alice, alice, bob):
    page = Page(as_admin.post("/admin/users/bulk", {"action": "grant", "id": [alice.id, bob.id]}).text)
    fields = {"action": "grant", "id": chosen(page), "key": page.one("//input[@name='key']").get("value")}
    refused = as_admin.post("/admin/users/bulk/run", {**fields, "amount": "much", "description": ""})
    assert refused.status_code == 400
    again = Page(refused.text)
    assert set(again.errors()) == {"amount", "description"}
    assert again.one("//input[@name='amount']").get("value") == "much"
    assert again.one("//input[@name='key']").get("value") == fields["key"]
    assert set(chosen(again)) == {alice.id, bob.id}
    for _ in range(2):
        done = as_admin.post("/admin/users/bulk/run", {**fields, "amount": "2,5", "description": "Course"})
        assert done.status_code == 200
    assert "7.5000" in as_alice.page("/overview").text()


def test_much_in_all_waits_for_a_second_admin(as_admin, as_alice, alice, bob):
    fields = {"action": "grant", "id": [alice.id, bob.id], "key": "k" * 32, "amount": "600", "description": "Much"}
    done = as_admin.post("/admin/users/bulk/run", fields)
    assert [cell.text for cell in Page(done.text).find("//td[@data-label='Outcome']/span")] == ["Waits", "Waits"]
    assert "See approvals" in done.text
    assert "5.0000" in as_alice.page("/overview").text()


def test_what_was_tampered_with_is_refused(as_admin, alice):
    assert (
        as_admin.post("/admin/users/bulk/run", {"action": "erase", "id": alice.id, "key": "k" * 32}).status_code == 400
    )
    assert as_admin.post("/admin/users/bulk/run", {"action": "disable", "id": alice.id}).status_code == 400
    assert as_admin.post("/admin/users/bulk/run", {"action": "disable", "key": "k" * 32}).status_code == 400


@pytest.mark.asvs("7.5.3")
def test_an_old_log_in_is_asked_again(as_admin, as_alice, alice, clock):
    clock.advance(minutes=6)
    for url in ("/admin/users/bulk", "/admin/users/bulk/run"):
        answer = as_admin.post(url, {"action": "disable", "id": alice.id, "key": "k" * 32})
        assert answer.headers["Location"].startswith("/account/confirm")
    assert as_alice.get("/overview").status_code == 200
