"""What stands beside each other on a page adds up: figures are read from it as shown and worked out again."""

import re
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from tests.functional.conftest import Browser
from tests.services.people import acting, join
from zentry_web.domain.credits.prices import ItemKind, PriceItem
from zentry_web.domain.projects.team import ProjectRole
from zentry_web.domain.user import Actor, Role

pytestmark = pytest.mark.integration

ADMIN = Actor("admin", Role.ADMIN)
FIGURE = r"[+−-]?[\d,]+\.\d+"


def figures(text):
    """The decimal figures of a text, as shown."""
    return [Decimal(found.replace(",", "").replace("−", "-")) for found in re.findall(FIGURE, text)]


def figure(text):
    (found,) = figures(text)
    return found


def words(element):
    return " ".join("".join(element.itertext()).split())


def stat(page, label):
    """(figure, note) of a card that shows one."""
    card = page.one(f"//div[contains(@class, 'z-stat') and div[@class='z-stat-label' and normalize-space()='{label}']]")
    (note,) = [words(each) for each in card.xpath("div[@class='z-stat-note']")] or [""]
    shown = figures(words(card.xpath("div[contains(@class, 'z-stat-value')]")[0]))
    return (shown[0] if shown else None), note


def table(page, label):
    """(columns, rows of texts, the total's texts or None) of a table."""
    found = page.one(f"//div[@role='region' and @aria-label='{label}']/table")
    heads = [words(each) for each in found.xpath("thead//th")]
    rows, total = [], None
    for row in found.xpath("tbody/tr"):
        cells = [words(each) for each in row.xpath("td")]
        if "z-total" in (row.get("class") or ""):
            total = cells
        else:
            rows.append(cells)
    return heads, rows, total


@pytest.fixture
def rich(cloud, alice, clock):
    """Machines on and off in two projects, run for odd times, with odd amounts."""
    shop, lab = cloud.project(alice, "Shop"), cloud.project(alice, "Lab")
    cloud.billing.add_credits(alice.id, 1_234_567, "odd")
    one = cloud.launch(alice, shop, "web-1")
    clock.advance(3 * 3600 + 1234)
    cloud.launch(alice, lab, "db-1", "size_micro")
    gone = cloud.launch(alice, lab, "batch-1")
    cloud.round(777)
    cloud.vms.force_off_vm(gone.id, actor=acting(alice))
    cloud.worker.work()
    cloud.round(4000)
    for _ in range(22):
        cloud.round(3600)
    return one


def test_the_balance_is_what_can_be_used_and_what_is_set_aside(as_alice, cloud, rich, clock):
    for seconds in (0, 1, 7, 61, 333, 1009):
        clock.advance(seconds)
        page = as_alice.page("/credits")
        balance, note = stat(page, "Balance")
        usable, aside = figures(note)
        assert aside > 0
        assert balance == usable + aside
        overview = as_alice.page("/overview")
        assert stat(overview, "Balance")[0] == figure(words(overview.one("//*[@class='z-balance-amount']")))
        assert figure(stat(overview, "Balance")[1]) == aside


def test_without_anything_running_all_can_be_used_but_what_is_used_already(as_alice, cloud, alice, rich, clock):
    for vm in cloud.vms.list_vms(alice.id).vms:
        if vm.state == "running":
            cloud.vms.force_off_vm(vm.id, actor=acting(alice))
    cloud.worker.work()
    cloud.round()
    clock.advance(3000)
    assert stat(as_alice.page("/credits"), "Balance")[1] == "all of it to use"


def test_rates_and_months_and_run_out(as_alice, rich):
    for path, label in (("/credits", "Burn rate"), ("/overview", "Per hour now")):
        page = as_alice.page(path)
        burn, note = stat(page, label)
        assert abs(figure(note) - burn * 730) <= Decimal("0.005")
    chip = words(page.one("//*[@class='z-balance-note']"))
    assert figures(chip)[0] == burn


def test_this_month_on_the_overview_is_what_it_is_on_spend(as_alice, rich):
    shown, note = stat(as_alice.page("/credits"), "This month")
    _, rows, total = table(as_alice.page("/credits/spend"), "Spent by machine")
    assert abs(shown - figure(total[1])) <= Decimal("0.005")
    assert figure(note) > shown
    assert len(rows) == 3


def test_today_yesterday_and_the_month_on_the_overview_are_those_of_the_spend(as_alice, rich):
    overview = as_alice.page("/overview")
    shown = {
        words(item.find("dt")): figure(words(item.find("dd")))
        for item in overview.find("//section[.//h2='Spend']//dl/div")
    }
    _, rows, total = table(as_alice.page("/credits/spend?by=day"), "Spent by day")
    days = [figure(row[1]) for row in rows]
    assert abs(shown["This month"] - figure(total[1])) <= Decimal("0.005")
    assert shown["Forecast"] > shown["This month"]
    for label in ("Today", "Yesterday"):
        assert any(abs(shown[label] - day) <= Decimal("0.005") for day in days), label


def moment(cell, day):
    """What a cell says: a time of that day, or a day of its own with its time."""
    found = re.match(r"(?:(\d{4}-\d\d-\d\d) )?(\d\d:\d\d:\d\d)", cell)
    return datetime.fromisoformat(f"{found[1] or day} {found[2]}")


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "Asia/Kolkata"])
def test_a_day_s_lines_last_from_to_and_add_up(as_alice, container, alice, rich, clock, zone):
    container.get_auth_service().update_profile(alice.id, {"time_zone": zone}, actor=acting(alice))
    today = f"{clock.now() + timedelta(hours=6):%Y-%m-%d}"
    days = {today, f"{clock.now() - timedelta(hours=12):%Y-%m-%d}"}
    for day in sorted(days):
        page = as_alice.page(f"/credits/bill?from={day}&to={day}")
        if "Nothing was charged" in page.text():
            continue
        label = page.one("//div[@role='region' and starts-with(@aria-label, 'Charges of')]").get("aria-label")
        heads, rows, total = table(page, label)
        assert heads[1:4] == ["From", "To", "Seconds"]
        for row in rows:
            first, last = (moment(cell, day) for cell in row[1:3])
            assert (last - first).total_seconds() == int(row[3].split()[0])
            if zone != "Asia/Kolkata":  # its midnight lies inside an hour that is charged as a whole
                assert day == f"{first:%Y-%m-%d}"
                assert last <= datetime.fromisoformat(day) + timedelta(days=1)
            price = figures(row[4])[0]
            assert abs(figures(row[5])[0] - price * int(row[3].split()[0]) / 3600) < Decimal("0.00003")
        assert sum(figures(row[5])[0] for row in rows) == figure(total[5])


@pytest.mark.parametrize("by", ["vm", "project", "size", "day"])
def test_spend_is_the_same_sum_however_it_is_cut(as_alice, rich, by):
    page = as_alice.page(f"/credits/spend?by={by}")
    label = page.one("//div[@role='region' and starts-with(@aria-label, 'Spent by')]").get("aria-label")
    _, rows, total = table(page, label)
    assert sum(figure(row[1]) for row in rows) == figure(total[1])
    assert figure(total[1]) == figure(words(page.one("//section[.//h2='Spent']//*[@class='z-card-actions']/span[1]")))
    days = page.find("//figure//table/tbody/tr/td[2]")
    assert abs(sum(figure(words(each)) for each in days) - figure(total[1])) <= Decimal("0.00005")


def test_a_line_opened_is_its_charges(as_alice, rich):
    bill = as_alice.page("/credits/bill")
    links = bill.find("//details[@open]//tbody//td[1]/a")
    assert links
    for link in links:
        page = as_alice.page(link.get("href"))
        if "Not charged yet" in page.text():
            continue
        label = page.one("//div[@role='region' and starts-with(@aria-label, 'Charges of')]").get("aria-label")
        _, rows, total = table(page, label)
        assert sum(figure(row[4]) for row in rows) == figure(total[4])
        assert sum(int(row[2]) for row in rows) == int(total[2])


def test_transactions_lead_from_one_balance_to_the_next(as_alice, rich):
    _, rows, _ = table(as_alice.page("/credits/transactions"), "Transactions")
    balances = [figure(row[4]) for row in rows]
    amounts = [figure(row[3]) for row in rows]
    for newer, older, amount in zip(balances, balances[1:], amounts, strict=False):
        assert newer == older + amount


def test_credits_end_when_the_plan_stops_the_last(as_alice, cloud, alice, rich, clock):
    """The plan, the run-out, the what-if and the list of what needs attention name one moment."""
    cloud.set_wallet(alice, 100_000)
    page = as_alice.page("/overview")
    time = re.search(r"\d\d:\d\d", stat(page, "Credits last")[1]).group()
    plan = as_alice.page("/credits/plan")
    _, rows, _ = table(plan, "What happens when")
    stops = [row[0] for row in rows if "stop" in row[2]]
    assert time in stops[-1]
    attention = words(page.one("//section[.//h2='Needs attention']"))
    assert re.search(r"last until \w+ (\d\d:\d\d)", attention).group(1) == time
    assert re.search(r"stops first, \w+ (\d\d:\d\d)", attention).group(1) in stops[0]
    what_if = words(as_alice.page("/credits/what-if").one("//*[@id='what-if-answer']"))
    assert re.findall(r"\d\d:\d\d", what_if) == [time, time]
    assert time in stat(as_alice.page("/credits"), "Lasts")[1]


def test_what_others_pay_is_not_one_s_own_spending(web, container, cloud, alice, bob, rich):
    shop = next(vm.project_id for vm in cloud.vms.list_vms(alice.id).vms if vm.id == rich.id)
    join(container, container.get_project_service().get_project(shop), bob, ProjectRole.MEMBER)
    own = cloud.project(bob, "Own")
    cloud.launch(bob, own, "mine")
    cloud.round(100)
    page = Browser(web).log_in(bob).page("/overview")
    mine = page.one("//section[.//h2='Spent this month']")
    assert "Own" in words(mine)
    assert "Shop" not in words(mine)
    theirs = words(page.one("//section[.//h2='Spent by others this month']"))
    assert "Shop" in theirs
    assert f"paid by {alice.name}" in theirs


def test_books_add_up(as_admin, rich, cloud):
    page = as_admin.page("/admin/books")
    usage, note = stat(page, "Usage charged")
    rows = page.find("//table[.//th[.='Usage']]/tbody/tr")
    sums = [sum(figure(words(row.xpath("td")[at])) for row in rows) for at in range(1, 6)]
    assert sums[0] == usage
    assert figures(note)[0] == sums[0] - sums[3] - sums[4]
    assert (sums[1], sums[2]) == (stat(page, "Grants")[0], stat(page, "Payments")[0])
    accounts = as_admin.page("/admin").find("//section[.//h2='Ledger']//dd")
    assert sum(figure(words(each)) for each in accounts) == 0


def test_a_rehearsal_says_who_pays_more(as_admin, container, rich, clock):
    changes = container.get_billing_service().price_changes
    item = PriceItem(ItemKind.SIZE, "size_nano", 8_123, 311)
    draft = changes.save_draft("Odd prices", clock.now() + timedelta(days=20), [item], actor=ADMIN)
    for query in ("", "?period=month"):
        page = as_admin.page(f"/admin/prices/{draft}/rehearsal{query}")
        old, (new, note) = stat(page, "At the old prices")[0], stat(page, "At the new prices")
        assert figure(note) == new - old
        heads, rows, _ = table(page, "Owners")
        at = {head: place for place, head in enumerate(heads)}
        for row in rows:
            assert figure(row[at["New"]]) - figure(row[at["Old"]]) == figures(row[at["Difference"]])[0]
        assert sum(figure(row[at["New"]]) for row in rows) == new
        later = [figures(row[at["Machines now, per month"]])[0] for row in rows]
        total, note = stat(page, "Machines as they are now")
        more, before = figures(note)[:2]
        assert more == sum(later) == total - before
        assert f"{sum(each > 0 for each in later)} pay more" in note
        assert sum(each > 0 for each in later) == 1, "though nothing ran in the last month"
