"""Tabs: pages with addresses of their own, exchanged in place where there is script."""

import re

from playwright.sync_api import expect

from tests.browser.browser import Person
from tests.browser.product import PASSWORD


def test_a_tab_is_opened_in_place_and_back_leads_back(alice: Person) -> None:
    page = alice.page
    alice.page.goto("/projects")
    page.evaluate("() => { window.stayed = true }")
    tab = page.get_by_role("navigation", name="Sections").get_by_role("link", name="Archived")
    tab.focus()
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/projects\?archived=1$"))
    expect(tab).to_have_attribute("aria-current", "page")
    expect(tab).to_be_focused()
    assert page.evaluate("window.stayed")
    page.go_back()
    expect(page.get_by_role("link", name="In use")).to_have_attribute("aria-current", "page")
    expect(page.get_by_role("heading", level=1)).to_have_text("Projects")


def test_a_tab_of_somebody_logged_out_leads_to_the_log_in(alice: Person) -> None:
    alice.page.goto("/projects")
    alice.context.clear_cookies()
    alice.page.get_by_role("link", name="Archived").click()
    expect(alice.page.get_by_role("button", name="Log in")).to_be_visible()
    expect(alice.page.get_by_role("navigation", name="Main")).to_have_count(0)


def test_a_tab_logged_out_in_another_hides_its_content_and_goes_on_after_the_log_in(alice: Person) -> None:
    page = alice.page
    page.goto("/projects?archived=1")
    other = alice.context.new_page()
    other.goto("/overview")
    other.get_by_role("button", name="Account menu").click()
    other.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("link", name="Log in again")).to_be_visible()
    expect(page.get_by_role("heading", name="Projects")).to_be_hidden()
    page.get_by_role("link", name="Log in again").click()
    page.get_by_label("E-mail").fill(alice.email)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page).to_have_url(re.compile(r"/projects\?archived=1$"))
