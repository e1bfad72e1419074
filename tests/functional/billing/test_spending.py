"""/credits/spend, /credits/history and /credits/what-if."""

import pytest

pytestmark = pytest.mark.integration


@pytest.fixture
def billed(cloud, machine):
    cloud.clock.advance(9000)
    cloud.round(3)
    return machine


@pytest.mark.parametrize("by", ["vm", "project", "size", "day", "nonsense"])
def test_spend_adds_up(as_alice, billed, by):
    page = as_alice.page(f"/credits/spend?by={by}&from=2026-11-20&to=2026-11-25")
    table = page.find("//table")[-1]
    shown = [row.xpath("td[@data-label='Credits']")[0].text for row in table.xpath(".//tbody/tr[not(@class)]")]
    total = table.xpath(".//tr[@class='z-total']//td[@data-label='Credits']/strong")[0].text
    assert sum(round(float(cell) * 1e4) for cell in shown) == round(float(total) * 1e4) > 0


def test_spend_of_nothing_is_said_in_words(as_charlie):
    page = as_charlie.page("/credits/spend?by=day")
    assert not page.find("//*[@data-chart]")
    assert page.find("//a[contains(@href, '/credits/spend?') and contains(., 'Last month')]")


def test_spend_of_nothing(as_charlie):
    assert "Nothing was spent" in as_charlie.page("/credits/spend").text()


def test_the_days_for_the_chart(as_alice, billed):
    answer = as_alice.get("/credits/spend.json?from=2026-11-22&to=2026-11-24").json
    assert answer["times"] == [0, 86400, 172800]
    assert answer["columns"]["amount_micro"][0] == 0
    assert answer["columns"]["amount_micro"][1] > 0


def test_the_balances_for_the_chart(as_alice, billed):
    columns = as_alice.get("/credits/history.json").json["columns"]
    assert columns["total_micro"][0] == 0  # before the account was made
    assert columns["total_micro"][-1] is None
    assert columns["projected_micro"][-1] is not None


def test_the_history(as_alice, billed):
    page = as_alice.page("/credits/history")
    assert "projected" in page.text()
    assert page.one("//*[@data-chart='balance']").get("data-src") == "/credits/history.json"


def test_the_history_as_a_drawing(as_alice, billed):
    drawn = as_alice.page("/credits/history", htmx=True)
    was, will_be = (line.get("points").split() for line in reversed(drawn.find("//*[local-name()='polyline']")))
    assert was[-1] == will_be[0]
    assert was[-1].startswith("500,")
    assert will_be[-1].startswith("1000,")
    assert "if nothing changes" in drawn.one("//*[local-name()='svg']").get("aria-label")


def test_a_bar_and_its_day_in_the_table_lead_to_the_day_s_charges(as_alice, billed):
    page = as_alice.page("/credits/spend?by=day")
    assert page.one("//*[@data-chart='spend']").get("data-leads-to") == "/credits/bill?to=DAY&from=DAY"
    day = page.one("//div[@aria-label='Spent by day']//tbody/tr[1]//a")
    assert "web-1" in as_alice.page(day.get("href")).text()


def test_days_are_newest_first(as_alice, billed):
    page = as_alice.page("/credits/spend?by=day&from=2026-11-20&to=2026-11-25")
    for table in page.find("//table"):
        days = [link.text for link in table.xpath(".//tbody//td[1]/a")]
        assert days == [f"{day} Nov 2026" for day in range(25, 19, -1)]


def test_long_lists_are_paged_by_key_and_add_up(as_alice, billed, monkeypatch):
    monkeypatch.setattr("zentry_web.blueprints.billing.spending.PAGE_SIZE", 2)
    page, seen = as_alice.page("/credits/spend?by=day&from=2026-11-20&to=2026-11-24"), []
    while True:
        rows = page.find("//div[@aria-label='Spent by day']//tbody/tr")
        seen += [link.text for link in page.find("//div[@aria-label='Spent by day']//tbody//a")]
        shown = [round(float("".join(row.xpath("td[2]")[0].itertext())) * 1e4) for row in rows]
        assert sum(shown[:-1]) == shown[-1] > 0
        following = page.find("//a[@rel='next']")
        if not following:
            break
        page = as_alice.page(following[0].get("href"))
    assert seen == [f"{day} Nov 2026" for day in range(24, 19, -1)]


def test_what_if_in_place(as_alice, billed):
    answer = as_alice.post("/credits/what-if", {"stop": billed.id}, htmx=True)
    assert 'id="what-if-answer"' in answer.text
    assert "<form" not in answer.text
    assert "0.0001" in answer.text  # its disk


def test_what_if_as_a_page_keeps_what_was_chosen(as_alice, billed):
    chosen = {"stop": billed.id, f"size.{billed.id}": "size_small", "launch": "size_large", "count": "4"}
    answer = as_alice.post("/credits/what-if", chosen)
    assert answer.status_code == 200
    assert "checked" in answer.text
    assert 'value="size_small" selected' in answer.text
    assert 'value="4"' in answer.text
    shared = as_alice.page(f"/credits/what-if?stop={billed.id}")
    assert shared.find("//input[@name='stop'][@checked]")


def test_what_if_offers_each_machine_the_sizes_that_it_does_not_have(as_alice, alice, cloud, billed):
    other = cloud.launch(alice, cloud.project(alice, "Shop"), "web-2", size="size_small")
    page = as_alice.page(f"/credits/what-if?size.{other.id}=size_large&size.{billed.id}=")

    def offered(vm):
        options = page.find(f"//select[@name='size.{vm.id}']/option")
        selected = [option.get("value") for option in options if option.get("selected") is not None]
        return [option.get("value") for option in options], selected

    sizes = [each.get("value") for each in page.find("//select[@name='launch']/option")][1:]
    assert offered(billed) == (["", *(size for size in sizes if size != billed.size_id)], [])
    assert offered(other) == (["", *(size for size in sizes if size != "size_small")], ["size_large"])


@pytest.mark.parametrize("count", ["-3", "x", "99999999", ""])
def test_what_if_takes_any_number(as_alice, count):
    assert as_alice.post("/credits/what-if", {"launch": "size_nano", "count": count}).status_code == 200


def test_what_if_of_a_stranger_knows_no_machine(as_charlie, billed):
    assert "web-1" not in as_charlie.post("/credits/what-if", {"stop": billed.id}).text
