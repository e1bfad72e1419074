"""Launch, stop and delete with the keyboard alone: focus is always seen, and kept when parts of a page are replaced."""

import re

from playwright.sync_api import Locator, Page, expect

from tests.browser.browser import Person

MOST_TABS = 60
REFRESH_ALL = "document.querySelectorAll('[data-live][hx-get]').forEach((el) => htmx.trigger(el, 'live', {}, false))"
FOCUS_SEEN = """() => {
  const el = document.activeElement;
  if (el === document.body) return true;  // between the page's end and its beginning lies the browser itself
  const shown = (node) => {
    const style = getComputedStyle(node);
    return (style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0) || style.boxShadow !== "none";
  };
  return shown(el) || (el.nextElementSibling !== null && shown(el.nextElementSibling)) || shown(el.parentElement);
}"""


def tab_to(page: Page, target: Locator, *, key: str = "Tab") -> None:
    """Press Tab until the target has the focus, and check that one can see where the focus is on the way."""
    for _ in range(MOST_TABS):
        if target.count() and target.evaluate("(el) => el === document.activeElement"):
            return
        page.keyboard.press(key)
        assert page.evaluate(FOCUS_SEEN), f"no visible focus: {page.evaluate('document.activeElement.outerHTML')[:300]}"
    raise AssertionError(f"Tab does not reach {target}")


def focused(page: Page) -> str:
    return str(page.evaluate("document.activeElement.id || document.activeElement.textContent.trim()"))


def test_launch_stop_and_delete_by_keyboard(alice: Person) -> None:
    page = alice.page
    page.goto("/overview")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()

    tab_to(page, page.get_by_role("link", name="Create a project"))
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    tab_to(page, dialog.get_by_label("Name"))
    page.keyboard.type("keys")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text("keys")

    tab_to(page, page.get_by_role("link", name="Launch machine").first)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Launch")
    tab_to(page, page.get_by_label("Name", exact=True))
    page.keyboard.type("typed")
    radios = page.locator("input[name=size_id]")
    tab_to(page, radios.first)
    page.keyboard.press("ArrowRight")
    expect(radios.nth(1)).to_be_focused()
    expect(page.get_by_role("button", name="Launch for 0.015 per hour")).to_be_visible()
    expect(radios.nth(1)).to_be_focused()  # the quote was replaced, the focus stays
    page.keyboard.press("ArrowLeft")
    expect(radios.first).to_be_checked()
    expect(page.get_by_role("button", name="Launch for 0.005 per hour")).to_be_visible()
    tab_to(page, page.get_by_role("button", name=re.compile("^Launch")))
    page.keyboard.press("Space")
    alice.vm_id_shown()
    alice.wait_state("Running")

    tab_to(page, page.get_by_role("button", name=re.compile("^Stop")))
    page.keyboard.press("Space")
    alice.wait_state("Stopped")
    where = page.evaluate("document.activeElement.tagName")
    assert where != "BODY", "focus was lost when the buttons were replaced"

    tab_to(page, page.get_by_role("button", name="More actions"))
    page.keyboard.press("Enter")
    tab_to(page, page.get_by_role("link", name=re.compile("^Delete")))
    page.keyboard.press("Enter")
    expect(dialog).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()

    tab_to(page, page.get_by_role("button", name="More actions"))
    page.keyboard.press("Enter")
    tab_to(page, page.get_by_role("link", name=re.compile("^Delete")))
    page.keyboard.press("Enter")
    tab_to(page, dialog.get_by_label(re.compile("Type typed")))
    page.keyboard.type("typed")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("/vms$"))


def test_typing_goes_on_while_a_page_moves(alice: Person) -> None:
    """A live refresh takes neither the focus nor what was typed so far."""
    page = alice.page
    alice.make_project("typing")
    alice.launch("busy")
    alice.wait_state("Running")
    page.goto("/vms")
    search = page.get_by_role("combobox", name=re.compile("^Search"))
    search.focus()
    page.keyboard.type("bu", delay=100)
    page.evaluate(
        "document.querySelectorAll('[data-live][hx-get]').forEach((el) => htmx.trigger(el, 'live', {}, false))"
    )
    page.keyboard.type("sy", delay=100)
    expect(search).to_have_value("busy")
    expect(search).to_be_focused()
    expect(page).to_have_url(re.compile("q=busy"))


def test_the_menu_of_a_row_by_keyboard(alice: Person) -> None:
    """It comes when it is opened; Tab goes into it from its button, Escape leads back, the button shuts it again."""
    page = alice.page
    alice.make_project("rows")
    alice.launch("listed")
    alice.wait_state("Running")
    page.goto("/vms")
    button, menu = page.get_by_role("button", name="Actions for listed"), page.locator("#z-menu")
    button.focus()
    page.keyboard.press("Enter")
    expect(menu).to_be_visible()
    expect(button).to_have_attribute("aria-expanded", "true")
    page.keyboard.press("Tab")
    expect(menu.get_by_role("link", name="Open")).to_be_focused()
    page.evaluate(REFRESH_ALL)
    page.wait_for_timeout(500)
    expect(menu.get_by_role("link", name="Open")).to_be_focused()
    tab_to(page, menu.get_by_role("button", name=re.compile("^Stop")))
    page.keyboard.press("Escape")
    expect(menu).to_be_hidden()
    expect(button).to_be_focused()
    page.keyboard.press("Enter")
    expect(menu).to_be_visible()
    page.keyboard.press("Enter")
    expect(menu).to_be_hidden()
    button.click()
    expect(menu).to_be_visible()
    button.click()
    page.wait_for_timeout(500)
    expect(menu).to_be_hidden()
    button.click()
    menu.get_by_role("link", name="Delete").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    expect(menu).to_be_hidden()
    page.keyboard.press("Escape")
    expect(button).to_be_focused()
    button.click()
    menu.get_by_role("button", name=re.compile("^Stop")).click()
    expect(page.get_by_role("row", name=re.compile("listed"))).to_contain_text(re.compile("Stopping|Stopped"))
    expect(page.get_by_role("heading", level=1)).to_have_text("Machines")


def test_after_an_order_from_a_rows_menu_the_focus_is_back_at_its_button(alice: Person) -> None:
    """By keyboard alone: the menu shuts, the row is fetched anew, and the button still has the focus."""
    page = alice.page
    alice.make_project("rows")
    alice.launch("first")
    alice.wait_state("Running")
    page.goto("/vms")
    row = page.get_by_role("row", name=re.compile("first"))
    button = page.get_by_role("button", name="Actions for first")
    for order, state in (("Stop", "Stopped"), ("Start", "Running")):
        button.focus()
        page.keyboard.press("Enter")
        item = page.locator("#z-menu").get_by_role("button", name=re.compile(f"^{order}"))
        expect(item).to_be_visible()
        tab_to(page, item)
        page.keyboard.press("Enter")
        expect(page.locator("#z-menu")).to_be_hidden()
        expect(button).to_be_focused()
        expect(row).to_contain_text(state)
        expect(button).to_be_focused()
