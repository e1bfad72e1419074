"""/credits/bill and what opens from it."""

import pytest

pytestmark = pytest.mark.integration


@pytest.fixture
def billed(cloud, machine):
    """The machine has run for two and a half hours and was charged."""
    cloud.clock.advance(9000)
    cloud.round(3)
    return machine


def total_of(page):
    return page.one("//tr[contains(@class, 'z-total')]//td[@data-label='Credits']//strong").text


def cells(page, label):
    rows = "//tbody/tr[not(contains(@class, 'z-total'))]"
    return [next(cell.itertext()).split()[0] for cell in page.find(f"{rows}/td[@data-label='{label}']")]


def test_from_the_credits_to_a_charges_seconds(as_alice, billed):
    credits = as_alice.page("/credits")
    payment = as_alice.page(credits.find("//a[contains(@href, '/credits/transactions/')]")[0].get("href"))
    interval = as_alice.page(payment.find("//a[contains(@href, '/credits/bill/')]")[0].get("href"))
    assert "Launched web-1" in interval.text()
    assert "continues" in interval.text()
    assert sum(map(int, cells(interval, "Seconds"))) > 7000


def test_lines_add_up_to_the_total(as_alice, billed):
    page = as_alice.page("/credits/bill")
    shown = [round(float(cell) * 1e6) for cell in cells(page, "Credits")]
    assert shown
    assert sum(shown) == round(float(total_of(page)) * 1e6)


def test_seconds_of_a_line_come_to_its_credits_before_they_are_charged_too(as_alice, cloud, billed):
    cloud.clock.advance(600)
    page = as_alice.page("/credits/bill")
    assert "not charged yet" in page.text()
    rows = zip(cells(page, "Seconds"), cells(page, "Price per hour"), cells(page, "Credits"), strict=True)
    for seconds, rate, credits in rows:
        assert abs(int(seconds) * float(rate) / 3600 - float(credits)) < 5e-6


def test_a_line_says_what_it_paid_to_the_minimum(as_alice, cloud, machine):
    cloud.clock.advance(20)
    as_alice.post(f"/vms/{machine.id}/stop")
    cloud.worker.work()
    cloud.round(3)
    cloud.clock.advance(3600)
    cloud.round(3)
    page = as_alice.page("/credits/bill")
    seconds = int(cells(page, "Seconds")[-1])
    assert 0 < seconds < 60
    assert f"and {60 - seconds} to the minimum" in page.text()


def test_recompute_in_place_and_as_a_page(as_alice, billed):
    page = as_alice.page("/credits/bill")
    address = page.find("//tbody//a")[0].get("href")
    button = as_alice.page(address).one("//a[@hx-target='#interval']").get("href")
    for htmx in (True, False):
        page = as_alice.page(button, htmx=htmx)
        assert "every one the same" in page.text()
        assert "× 0.005 ÷ 3600 =" in page.text()
        assert "agrees" in page.text()


def test_recompute_a_payment(as_alice, billed):
    credits = as_alice.page("/credits")
    address = credits.find("//a[contains(@href, '/credits/transactions/')]")[0].get("href")
    page = as_alice.page(f"{address}?recompute=1", htmx=True)
    assert "together what was paid" in page.text()


def test_the_csv(as_alice, billed):
    answer = as_alice.get("/credits/bill.csv")
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert "attachment" in answer.headers["Content-Disposition"]
    assert answer.text.startswith("\ufeffrecord,kind,vm_id")
    assert "charge,usage," in answer.text
    assert answer.text.splitlines()[-1].startswith("total")


@pytest.mark.parametrize("query", ["from=2026-01-01&to=2026-01-31", "from=&to=", "vm=other"])
def test_other_periods(as_alice, billed, query):
    page = as_alice.page(f"/credits/bill?{query}")
    assert page.one("//nav[@aria-label='Credits']/a[@aria-current]").text == "Charges"


def test_days_are_folded_newest_first_and_open_into_their_lines(as_alice, cloud, billed):
    for _ in range(30):
        cloud.round(3600)
    page = as_alice.page("/credits/bill")
    newest, *others = page.find("//details[summary]")
    assert newest.get("open") is not None
    assert newest.xpath(".//td[@data-label='Machine']")
    assert others
    assert all(day.get("open") is None for day in others)
    first = as_alice.page(others[0].get("hx-get"), htmx=True)
    assert "continues" in first.text()
    assert not first.find("//h1")
    assert len(as_alice.page(others[0].find(".//a").get("href")).find("//details")) == 1


def test_the_days_add_up_to_the_total_and_each_to_its_lines(as_alice, cloud, billed):
    for _ in range(30):
        cloud.round(3600)
    cloud.clock.advance(1801)
    page = as_alice.page("/credits/bill")
    sums = {day.find("summary")[0].text: micro(day.find("summary")[1].text) for day in page.find("//details")}
    assert sum(sums.values()) == micro(page.find("//p[@class='z-day-total']/strong")[1].text)
    for day in page.find("//details"):
        shown = micro(day.find("summary")[1].text)
        lines = as_alice.page(day.get("hx-get"), htmx=True) if day.get("hx-get") else page
        assert abs(micro(total_of(lines)) - shown) <= 1


def test_a_day_s_lines_are_paged_by_key(as_alice, cloud, alice, billed, project, monkeypatch):
    monkeypatch.setattr("zentry_web.blueprints.billing.bills.PAGE_SIZE", 2)
    for number in range(4):
        cloud.launch(alice, project, f"more-{number}")
    cloud.round(3600)
    page, seen = as_alice.page("/credits/bill"), []
    while True:
        seen += [link.text for link in page.find("//td[@data-label='Machine']/a")]
        following = page.find("//a[@rel='next']")
        if not following:
            break
        page = as_alice.page(following[0].get("href"))
    assert sorted(seen) == ["more-0", "more-1", "more-2", "more-3", "web-1"]


def test_a_long_charge_is_folded_by_day(as_alice, cloud, billed, monkeypatch):
    for _ in range(60):
        cloud.round(3600)
    address = as_alice.page("/credits/bill").find("//td[@data-label='Machine']/a")[0].get("href").partition("?")[0]
    page = as_alice.page(f"{address}?recompute=1")
    days = page.find("//details[summary]")
    assert [day.get("open") is not None for day in days] == [True] + [False] * (len(days) - 1)
    total = micro(page.find("//p[@class='z-day-total']/strong")[1].text)
    assert sum(micro(day.xpath("summary/span[3]")[0].text) for day in days) == total
    second = as_alice.page(days[1].get("hx-get"), htmx=True)
    assert "agrees" in second.text()
    assert micro(total_of(second)) == micro(days[1].xpath("summary/span[3]")[0].text)
    monkeypatch.setattr("zentry_web.blueprints.billing.bills.PAGE_SIZE", 1)
    first = as_alice.page(address)
    assert len(first.find("//details[summary]")) == 1
    assert len(as_alice.page(first.one("//a[@rel='next']").get("href")).find("//details[summary]")) == 1


def test_a_payment_s_charges_are_paged(as_alice, cloud, alice, billed, project, monkeypatch):
    monkeypatch.setattr("zentry_web.blueprints.billing.bills.PAGE_SIZE", 1)
    cloud.launch(alice, project, "other")
    cloud.round(3 * 3600)
    address = as_alice.page("/credits").find("//a[contains(@href, '/credits/transactions/')]")[0].get("href")
    page, seen = as_alice.page(address), 0
    while page.find("//a[@rel='next']"):
        seen += micro(total_of(page))
        page = as_alice.page(page.one("//a[@rel='next']").get("href"))
    shown = page.one("//div[dt='Charges']/dd/span[1]").text
    assert seen + micro(total_of(page)) == micro(shown) > seen > 0


def test_the_charges_of_one_machine(as_alice, cloud, alice, billed, project):
    cloud.launch(alice, project, "other")
    cloud.round(3600)
    page = as_alice.page(f"/credits/bill?vm={billed.id}")
    assert "Only web-1." in page.text()
    assert "other" not in {link.text for link in page.find("//td[@data-label='Machine']/a")}
    assert micro(total_of(page)) == micro(page.find("//p[@class='z-day-total']/strong")[1].text)


def test_charges_are_searched_for_and_the_file_has_what_is_seen(as_alice, cloud, alice, billed, project):
    cloud.launch(alice, project, "other")
    cloud.round(3600)
    found = {
        "": {"web-1", "other"}, "q=machine:web": {"web-1"}, "q=other": {"other"}, "q=-machine:web": {"other"},
        f"q=project:{project.name}": {"web-1", "other"}, "q=state:stopped": set(), "state=running": {"web-1", "other"},
        "q=size:nano": {"web-1", "other"}, "q=size:small": set(),
    }  # fmt: skip
    for query, names in found.items():
        page = as_alice.page(f"/credits/bill?{query}")
        assert {link.text for link in page.find("//td[@data-label='Machine']/a")} == names, query
        if names:
            assert micro(total_of(page)) == micro(page.find("//p[@class='z-day-total']/strong")[1].text), query
        file = as_alice.get(page.one("//a[@id='list-file']").get("href")).text
        assert [name in file for name in ("web-1", "other")] == [name in names for name in ("web-1", "other")], query
    assert "Nothing matches" in as_alice.page("/credits/bill?q=zzz").text()
    assert "not known here" in as_alice.page("/credits/bill?q=day:1").one("//p[@id='search-problem']").text
    assert as_alice.get("/credits/bill.csv?q=day:1").status_code == 400
    assert as_alice.get("/credits/bill?q=day:1", htmx=True).headers["HX-Retarget"] == "#search-problem"
    assert "state:stopped" in as_alice.get("/search/complete/charges?q=state:s", htmx=True).text


def test_a_searched_day_opens_into_the_lines_that_fit(as_alice, cloud, alice, billed, project):
    cloud.launch(alice, project, "other")
    for _ in range(30):
        cloud.round(3600)
    day = as_alice.page("/credits/bill?q=other").find("//details[@hx-get]")[0]
    lines = as_alice.page(day.get("hx-get"), htmx=True).one("//div[@class='z-day-lines']")
    assert {link.text for link in lines.findall(".//td[@data-label='Machine']/a")} == {"other"}


def test_more_days_follow_by_key(as_alice, cloud, billed, monkeypatch):
    for _ in range(72):
        cloud.round(3600)
    days = [day.find("summary")[0].text for day in as_alice.page("/credits/bill?from=2026-11-01").find("//details")]
    monkeypatch.setattr("zentry_web.blueprints.billing.bills.PAGE_SIZE", 2)
    page, seen = as_alice.page("/credits/bill?from=2026-11-01"), []
    while True:
        seen += [day.find("summary")[0].text for day in page.find("//div[@class='z-day-list']/details")]
        following = page.find("//nav[@data-more]//a[@rel='next']")
        if not following:
            break
        page = as_alice.page(following[0].get("href"))
    assert seen == days
    assert len(days) > 2


def micro(text):
    return round(float(text) * 1e6)


@pytest.mark.parametrize("path", ["/credits/spend", "/credits/spend.json", "/credits/bill", "/credits/bill.csv"])
@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("from=1971&to=9000", "look like"), ("from=nonsense&to=9999-99-99", "look like"),
        ("from=1971-01-01&to=9000-01-01", "ten years"), ("from=1990-01-01", "ten years"),
    ],
)  # fmt: skip
def test_periods_that_make_no_sense_or_span_too_much_are_refused(as_alice, path, query, words):
    answer = as_alice.get(f"{path}?{query}")
    assert answer.status_code == 400
    assert words in answer.text


@pytest.mark.parametrize("path", ["/credits/bill/use_none", "/credits/transactions/tr_none"])
def test_what_is_not_there(as_alice, path):
    assert as_alice.get(path).status_code == 404


def test_strangers_see_nothing_of_it(as_alice, as_charlie, billed):
    address = as_alice.page("/credits/bill").find("//tbody//a")[0].get("href")
    payment = as_alice.page("/credits").find("//a[contains(@href, '/credits/transactions/')]")[0].get("href")
    for path in (address, payment):
        assert as_charlie.get(path).status_code == 404
    assert "web-1" not in as_charlie.get("/credits/bill").text
    assert "web-1" not in as_charlie.get("/credits/bill.csv").text
