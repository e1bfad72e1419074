"""Lists with script: what is selected, a row that moves in its place, a search that completes itself."""

import re

from playwright.sync_api import expect

from tests.browser.browser import Person
from tests.browser.test_keyboard import tab_to


def test_selecting_all_and_an_order_from_a_row_s_menu(alice: Person) -> None:
    alice.make_project("lists")
    for name in ("one", "two", "three"):
        alice.launch(name)
    page = alice.page
    page.goto("/vms")
    bar, head = page.get_by_role("form", name="The selected machines"), page.get_by_label("Select all shown")
    expect(bar).to_be_hidden()
    page.get_by_label("Select one", exact=True).check()
    expect(bar).to_contain_text("1 selected, 0.005 per hour together")
    assert head.evaluate("box => box.indeterminate")
    head.check()
    expect(bar).to_contain_text("3 selected, 0.015 per hour together")
    expect(bar).to_be_in_viewport()
    head.uncheck()
    expect(bar).to_be_hidden()

    more = page.get_by_role("button", name="Actions for two", exact=True)
    more.focus()
    page.keyboard.press("Enter")
    tab_to(page, page.get_by_role("button", name="Stop: then"))
    page.keyboard.press("Enter")
    expect(page.locator("#toasts")).to_contain_text("The stop is ordered")
    expect(page.get_by_role("row", name=re.compile("^Select two"))).to_contain_text(re.compile("Stopping|Stopped"))
    expect(page).to_have_url(re.compile("/vms$"))


def test_a_search_is_completed_by_keyboard(alice: Person) -> None:
    alice.make_project("search")
    for name in ("alpha", "beta"):
        alice.launch(name)
    page = alice.page
    page.goto("/vms")
    box = page.get_by_role("combobox", name=re.compile("^Search"))
    tab_to(page, box)
    page.keyboard.type("st")
    option = page.get_by_role("option", name=re.compile("^state:"))
    expect(option).to_be_visible()
    expect(box).to_have_attribute("aria-expanded", "true")
    page.keyboard.press("ArrowDown")
    expect(option).to_have_attribute("aria-selected", "true")
    page.keyboard.press("Enter")
    expect(box).to_have_value("state:")
    expect(page.get_by_role("option", name="state:stopped")).to_be_visible()
    page.keyboard.type("stopp")
    expect(page.get_by_role("option")).to_have_count(2)
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    expect(box).to_have_value("state:stopped ")
    expect(page.locator("#vm-table")).to_contain_text("No machine fits this search")
    expect(page).to_have_url(re.compile(r"q=state(%3A|:)stopped"))
    expect(page.get_by_role("option")).to_have_count(0)
    box.fill("state:nonsense ")
    expect(page.get_by_text("“nonsense” is no state")).to_be_visible()
    expect(box).to_have_attribute("aria-invalid", "true")
    box.fill("alp")
    expect(page.get_by_role("link", name="alpha")).to_be_visible()
    expect(page.get_by_role("link", name="beta")).to_have_count(0)
    expect(page.locator("#search-problem")).to_be_empty()


def test_more_brings_the_next_rows_below(admin: Person) -> None:
    page = admin.page
    page.goto("/admin/vouchers")
    page.get_by_role("link", name="Make vouchers").first.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Value of each").fill("0.01")
    dialog.get_by_label("How many").fill("53")
    dialog.get_by_role("button", name="Make").click()
    expect(page).to_have_url(re.compile(r"\?batch="))
    rows = page.get_by_role("region", name="Vouchers").locator("tbody tr")
    expect(rows).to_have_count(50)
    fiftieth = rows.last.locator("code").inner_text()
    more = page.get_by_role("link", name="More", exact=True)
    more.focus()
    page.keyboard.press("Enter")
    expect(rows).to_have_count(53)
    expect(more).to_have_count(0)
    assert rows.nth(49).locator("code").inner_text() == fiftieth
    assert rows.nth(50).evaluate("row => row.contains(document.activeElement)")
    expect(page).to_have_url(re.compile(r"batch=.*&rows=53"))
    page.reload()
    expect(rows).to_have_count(53)
    page.goto(page.url.replace("rows=53", "rows=50"))
    expect(rows).to_have_count(50)


def test_what_stands_beside_a_list_goes_by_the_search(alice: Person) -> None:
    alice.make_project("beside")
    for name in ("alpha", "beta"):
        alice.launch(name)
    page = alice.page
    page.goto("/vms")
    page.get_by_role("combobox", name=re.compile("^Search")).fill("alpha")
    expect(page.locator("#vm-table tbody tr")).to_have_count(1)
    expect(page.locator("#list-file")).to_have_attribute("href", re.compile("q=alpha"))
    expect(page.locator("#list-columns-search")).to_have_value("alpha")


def test_charges_are_searched_in_place(alice: Person) -> None:
    alice.make_project("charged")
    for name in ("alpha", "beta"):
        alice.launch(name)
    page = alice.page
    page.goto("/credits/bill")
    page.get_by_role("combobox", name=re.compile("^Search")).fill("machine:alpha ")
    lines = page.locator("#charge-list tbody tr:not(.z-total)")
    expect(lines).to_have_count(1)
    expect(page).to_have_url(re.compile("q=machine"))
    expect(page.locator("#list-file")).to_have_attribute("href", re.compile("q=machine"))
    page.get_by_role("link", name="7 days").click()
    expect(page.get_by_role("combobox", name=re.compile("^Search"))).to_have_value("machine:alpha")
    expect(lines).to_have_count(1)
