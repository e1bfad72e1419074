"""Numbers that move by themselves are written as the person's region writes them."""

import re
from collections.abc import Callable

from playwright.sync_api import expect

from tests.browser.browser import Person


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
