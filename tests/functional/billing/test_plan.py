"""What happens if credits run out, and the notices as pages."""

import pytest

from zentry_web.domain.target import Place, Target

pytestmark = pytest.mark.integration


def names(page):
    return [cell.text.strip() for cell in page.find("//*[@id='order']//tr[@data-order-row]/td[2]")]


@pytest.fixture
def machines(cloud, alice, project):
    return {name: cloud.launch(alice, project, name) for name in ("a", "b", "c")}


def test_the_plan_says_what_stops_when(as_alice, machines):
    text = as_alice.page("/credits/plan").text()
    assert "It stops. Its disk is kept free of charge." in text
    assert "Its disk is deleted." in text


def test_machines_of_one_name_are_told_apart_by_their_project(as_alice, machines, project):
    page = as_alice.page("/credits/plan")
    assert {cell.text for cell in page.find("//td[@data-label='Machines']//span")} == {project.name}
    assert page.one(f"//input[@aria-label='Place of a in {project.name}']") is not None


def test_what_happens_to_many_at_once_is_one_row(as_alice, cloud, alice, project, machines):
    for number in range(5):
        cloud.launch(alice, project, f"more-{number}")
    page = as_alice.page("/credits/plan")
    rows = page.find("//section[.//h2='What happens when']//tbody/tr")
    plan = cloud.billing.landing.get_plan(alice.id)
    assert [len(row.findall(".//a")) for row in rows] == [len(moment.lines) for moment in plan.moments]
    assert len(rows) < len(plan.lines) == 16
    assert "machines stop. Their disks are kept" in page.text()


def test_an_empty_plan(as_alice):
    assert "Nothing has to stop" in as_alice.page("/credits/plan").text()


def test_the_order_by_numbers_and_by_arrows(as_alice, machines):
    assert names(as_alice.page("/credits/plan")) == ["a", "b", "c"]
    ids = [machines[name].id for name in "abc"]
    answer = as_alice.post("/credits/plan/order", {"vm": ids, "place": ["3", "1", "2"]})
    assert answer.status_code == 303
    assert names(as_alice.page("/credits/plan")) == ["b", "c", "a"]
    ids = [machines[name].id for name in "bca"]
    as_alice.post("/credits/plan/order", {"vm": ids, "place": ["1", "2", "3"], "up": machines["a"].id})
    assert names(as_alice.page("/credits/plan")) == ["b", "a", "c"]
    ids = [machines[name].id for name in "bac"]
    as_alice.post("/credits/plan/order", {"vm": ids, "place": ["1", "x", ""], "down": machines["b"].id})
    assert names(as_alice.page("/credits/plan"))[:2] == ["a", "b"]


def test_an_order_says_what_it_does_and_that_none_is_chosen(as_alice, machines):
    assert "You have not chosen yet" in as_alice.page("/credits/plan").text()
    as_alice.post("/credits/plan/order", {"vm": [machines["a"].id], "place": ["1"]})
    text = as_alice.page("/credits/plan").text()
    assert "You have not chosen yet" not in text
    assert "the last in this list stops first" in text


def test_a_strangers_machine_has_no_place(as_charlie, machines):
    answer = as_charlie.post("/credits/plan/order", {"vm": [machines["a"].id], "place": ["1"]})
    assert answer.status_code == 404


def test_the_low_balance(as_alice, cloud, alice):
    answer = as_alice.post("/credits/plan", {"low": "2.5"})
    assert answer.status_code == 303
    assert cloud.billing.landing.get_low_balance(alice.id) == 2_500_000
    assert as_alice.page("/credits/plan").one("//input[@name='low']").get("value").startswith("2.5")
    as_alice.post("/credits/plan", {"low": "1234,5"})
    assert cloud.billing.landing.get_low_balance(alice.id) == 1_234_500_000
    assert as_alice.page("/credits/plan").one("//input[@name='low']").get("value") == "1234.50"
    as_alice.post("/credits/plan", {"low": ""})
    assert cloud.billing.landing.get_low_balance(alice.id) is None


@pytest.mark.error
@pytest.mark.parametrize("typed", ["-1", "0", "much", "0.001", "99999999", "1,000", "1_000", "1e3", "٣", "NaN"])
def test_a_low_balance_that_makes_no_sense(as_alice, cloud, alice, typed):
    assert as_alice.post("/credits/plan", {"low": typed}).status_code == 400
    assert cloud.billing.landing.get_low_balance(alice.id) is None


def test_notices_are_counted_listed_and_read(as_alice, as_charlie, cloud, alice):
    assert "Nothing yet" in as_alice.page("/account/notices").text()
    cloud.billing.notices.tell(alice.id, "test", "1", "<b>Title</b>", "One\nTwo", target=Target(Place.PLAN))
    page = as_alice.page("/account/notices")
    assert "<b>Title</b>" in page.text()
    assert "1 unread" in " ".join(page.text().split())
    assert "Title" not in as_charlie.page("/account/notices").text()
    assert as_alice.post("/account/notices/read").status_code == 303
    assert "unread" not in as_alice.page("/account/notices").text()
