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
    assert "goes on" in interval.text()
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
    assert answer.text.startswith("record,kind,vm_id")
    assert "charge,usage," in answer.text
    assert answer.text.splitlines()[-1].startswith("total")


@pytest.mark.parametrize("query", ["from=2026-01-01&to=2026-01-31", "from=nonsense&to=9999-99-99", "vm=other"])
def test_other_periods(as_alice, billed, query):
    page = as_alice.page(f"/credits/bill?{query}")
    assert "Charges" in page.one("//h1").text


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
