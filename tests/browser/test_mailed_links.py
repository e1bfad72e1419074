"""Where mail is sent: from sign-up to a verified account, and from a forgotten password back in."""

import re

from playwright.sync_api import Browser, expect

from tests.browser.browser import Person, browser_context
from tests.browser.mailbox import Inbox
from tests.browser.product import PASSWORD, Product

NEW = "quite another horse"


def test_a_link_makes_the_account_and_another_brings_back_who_forgot(
    poor: tuple[Product, str, str], inbox: tuple[Inbox, str], chromium: Browser
) -> None:
    product, address = poor[0], "vera@example.com"
    with browser_context(chromium, product.url) as (context, problems):
        problems.expect("404")
        page = Person(context, problems).page
        page.goto("/signup")
        expect(page.get_by_label("Password", exact=True)).to_have_count(0)
        page.get_by_label("Your name").fill("Vera")
        page.get_by_label("E-mail").fill(address)
        page.get_by_role("button", name="Mail me a link").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Check your mail")

        signup = inbox[0].path_mailed_to(address, "signup")
        page.goto(signup)
        page.get_by_label("Password", exact=True).fill(PASSWORD)
        page.get_by_role("button", name="Create account").click()
        expect(page).to_have_url(re.compile("/overview$"))
        page.goto("/account/security")
        expect(page.locator("#main")).to_contain_text("this one")

        with browser_context(chromium, product.url) as (elsewhere, more):
            more.expect("404")
            other = Person(elsewhere, more).page
            other.goto("/login")
            other.get_by_role("link", name="Forgotten password?").click()
            other.get_by_label("E-mail").fill(address)
            other.get_by_role("button", name="Mail me a link").click()
            expect(other.get_by_role("heading", level=1)).to_have_text("Check your mail")
            other.goto(inbox[0].path_mailed_to(address, "reset"))
            other.get_by_label("Password", exact=True).fill(NEW)
            other.get_by_role("button", name="Set password").click()
            expect(other).to_have_url(re.compile("/login$"))
            other.get_by_label("E-mail").fill(address)
            other.get_by_label("Password", exact=True).fill(NEW)
            other.get_by_role("button", name="Log in").click()
            expect(other).to_have_url(re.compile("/overview$"))

        page.goto("/projects")  # the reset ended this session
        expect(page).to_have_url(re.compile("/login"))
        page.goto(signup)
        expect(page.locator("main")).to_contain_text("has been used")
