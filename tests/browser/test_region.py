"""Numbers that move by themselves are written as the person's region writes them."""

import re
from collections.abc import Callable
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from playwright.sync_api import expect

from tests.browser.browser import Person
from tests.browser.product import Product


def test_the_balance_counts_down_in_the_region_s_marks(sign_in: Callable[..., Person]) -> None:
    alice = sign_in("alice")
    page = alice.page
    page.goto("/account")
    page.get_by_label("Region").select_option("DE")
    page.get_by_role("button", name="Save profile").click()
    expect(page.locator("html")).to_have_attribute("lang", "en-DE")
    balance = page.locator("[data-balance-micro]").first
    page.wait_for_function("document.querySelector('[data-balance-micro]')")
    written = balance.inner_text()
    assert re.fullmatch(r"[0-9]+,[0-9]{4}", written), written
    # Set anew until it is shown: a live update may put the true balance back in between.
    page.wait_for_function(
        """() => {
            const element = document.querySelector("[data-balance-micro]");
            element.dataset.balanceMicro = "1234567890";
            return element.textContent === "1.234,5679";
        }"""
    )


def test_charts_show_the_time_of_the_account_s_zone(sign_in: Callable[..., Person], product: Product) -> None:
    """Axis, hover and table alike, wherever the browser is; the table has what the chart has, and what came later."""
    alice = sign_in("alice", timezone_id="America/New_York")
    page = alice.page
    page.goto("/account")
    page.get_by_label("Time zone").select_option("Asia/Kolkata")
    page.get_by_role("button", name="Save profile").click()
    alice.make_project("charted")
    alice.launch("measured")
    alice.wait_state("Running")
    alice.open_tab("Metrics")
    page.locator("#chart-cpu").scroll_into_view_if_needed()
    page.locator("figure:has(#chart-cpu) summary").click()
    expect(page.locator("figure:has(#chart-cpu) tbody td.num").first).to_have_text(re.compile("[0-9]"), timeout=60_000)
    shown = page.evaluate(
        """() => {
            const {layout, data} = document.getElementById("chart-cpu");
            const drawn = [...document.querySelectorAll("#chart-cpu .xtick text")];
            const ticks = drawn.map((tick) => tick.textContent.slice(0, 5));
            return {title: layout.xaxis.title.text, hoverformat: layout.xaxis.hoverformat, ticks, at: data[0].x.at(-1)};
        }"""
    )
    now = datetime.now(ZoneInfo("Asia/Kolkata"))
    assert (shown["title"], shown["hoverformat"].split()[-1]) == ("IST", "IST")
    at = datetime.fromisoformat(shown["at"])
    assert abs(now.replace(tzinfo=None) - at) < timedelta(minutes=2)
    assert shown["ticks"]
    for tick in shown["ticks"]:  # what is drawn: moments of the last hour on the zone's clock
        before = now - datetime.combine(now.date(), time.fromisoformat(tick), now.tzinfo)
        assert before % timedelta(days=1) < timedelta(minutes=70), (tick, now)
    assert page.locator("figure:has(#chart-cpu) th").first.inner_text() == "Time, IST"
    row = page.locator("figure:has(#chart-cpu) tbody tr").last.locator("td").first.inner_text()
    assert row[:3] in {f"{now:%H:}", f"{at:%H:}"}
