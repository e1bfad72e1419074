"""The command palette and the keys: by keyboard alone, from any page, to things, pages and actions."""

import re

from playwright.sync_api import Page, expect

from tests.browser.browser import Person


def open_palette(page: Page) -> None:
    page.wait_for_load_state()  # a page that has only just come does not listen to keys yet
    page.keyboard.press("Control+k")
    expect(page.get_by_role("combobox", name="Search or do something")).to_be_focused()


def test_a_machine_is_found_and_stopped_by_keyboard(alice: Person) -> None:
    page = alice.page
    alice.make_project("keys")
    alice.launch("palette-1")
    expect(alice.state).to_contain_text("Running")
    page.goto("/account")
    open_palette(page)
    page.keyboard.type("pal")
    expect(page.get_by_role("group", name="Machines")).to_be_visible()
    machine = page.get_by_role("option", name=re.compile("^palette-1"))
    expect(machine).to_have_attribute("aria-selected", "true")
    expect(page.get_by_role("combobox", name="Search or do something")).to_have_attribute(
        "aria-activedescendant", str(machine.get_attribute("id"))
    )
    page.keyboard.press("ArrowDown")
    expect(machine).to_have_attribute("aria-selected", "false")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text("palette-1")

    open_palette(page)
    page.keyboard.type("stop pal")
    page.keyboard.press("Enter")  # before the answer is there: it is done when it is
    dialog = page.get_by_role("dialog", name="Stop palette-1?")
    expect(dialog).to_be_visible()
    expect(dialog.get_by_role("button", name="Stop", exact=True)).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()


def test_it_opens_by_its_button_and_closes_by_escape(alice: Person) -> None:
    page = alice.page
    page.goto("/overview")
    link = page.get_by_role("link", name=re.compile("^Search"))
    link.click()
    expect(page.get_by_role("option", name="Top up")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#z-palette")).to_be_hidden()
    expect(link).to_be_focused()
    open_palette(page)
    page.keyboard.type("ssh keys")
    page.keyboard.press("Enter")
    page.wait_for_url("**/account/ssh-keys")


def test_keys_lead_through_pages_and_lists_and_can_be_switched_off(alice: Person) -> None:
    page = alice.page
    alice.make_project("keys")
    for name in ("row-1", "row-2"):
        alice.launch(name)
        expect(alice.state).to_contain_text("Running")
    page.keyboard.press("g")
    page.keyboard.press("m")
    page.wait_for_url("**/vms")
    first, second = (page.get_by_role("link", name=name, exact=True) for name in ("row-2", "row-1"))
    page.keyboard.press("j")
    expect(first).to_be_focused()
    page.keyboard.press("j")
    expect(second).to_be_focused()
    page.keyboard.press("x")
    expect(page.get_by_role("checkbox", name=re.compile("row-1"))).to_be_checked()
    page.keyboard.press("k")
    expect(first).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator("#main")).to_be_focused()

    page.keyboard.press("/")
    field = page.locator("main [role=search] input").first
    expect(field).to_be_focused()
    page.keyboard.type("gmxjk?")
    expect(field).to_have_value("gmxjk?")  # while one types, keys are letters
    expect(page.locator("#vm-table")).to_contain_text("No machine fits this search")
    field.fill("")
    expect(second).to_be_visible()
    page.locator("#main").focus()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()
    page.keyboard.press("j")
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    expect(first).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text("row-2")

    page.goto("/account")
    page.get_by_label("Keyboard shortcuts").select_option("off")
    page.get_by_role("button", name="Save profile").click()
    expect(page.get_by_text("Your profile is saved")).to_be_visible()
    page.keyboard.press("g")
    page.keyboard.press("m")
    page.keyboard.press("?")
    open_palette(page)  # with Ctrl it goes on
    assert page.url.endswith("/account")
