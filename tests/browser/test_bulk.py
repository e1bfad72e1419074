"""Several machines at once: by plain forms on a phone, and by keyboard on a page that moves by itself."""

import re
from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests.browser.browser import Person
from tests.browser.product import wait_until
from tests.browser.test_keyboard import REFRESH_ALL, tab_to

PHONE = {"width": 390, "height": 844}


def choose(page: Page, *names: str) -> None:
    for name in names:
        page.get_by_label(f"Select {name}", exact=True).check()


def go_on(page: Page, what: str) -> None:
    page.get_by_role("form", name="The selected machines").get_by_role("button", name=what).click()


def all_are(page: Page, state: str, count: int) -> None:
    def there() -> bool:
        page.goto("/vms")
        return page.locator("tbody tr", has_text=state).count() == count

    wait_until(there, 60, f"{count} are {state}")


def test_on_a_phone_without_script(visit: Callable[..., Person], alice: Person) -> None:
    alice.make_project("pair")
    left, _ = (alice.launch(name) for name in ("left", "right"))
    person = visit(java_script_enabled=False, viewport=PHONE)
    person.email = alice.email
    person.log_in()
    page = person.page
    all_are(page, "Running", 2)

    choose(page, "left", "right")
    go_on(page, "Stop")
    expect(page.get_by_role("heading", level=1)).to_have_text("Stop 2 machines")
    page.get_by_role("button", name="Stop them").click()
    expect(page.locator("body")).to_contain_text("2 machines are asked to shut down.")
    all_are(page, "Stopped", 2)

    choose(page, "left")
    go_on(page, "Add labels")
    page.get_by_label("Labels").fill("two words")
    page.get_by_role("button", name="Add labels to it").click()
    expect(page.get_by_label("Labels")).to_have_attribute("aria-invalid", "true")
    page.get_by_label("Labels").fill("keep=me")
    page.get_by_role("button", name="Add labels to it").click()
    expect(page.get_by_role("link", name="keep=me")).to_be_visible()

    page.goto(f"/vms/{left}")
    page.get_by_role("button", name="More actions").click()
    page.get_by_role("button", name="Protect from deletion").click()
    page.goto("/vms")
    page.get_by_role("link", name="Select all shown").click()
    go_on(page, "Delete")
    page.get_by_label("Type 2 machines to confirm").fill("2 machines")
    page.get_by_role("button", name="Delete them").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("1 machine is deleted, 1 could not")
    expect(page.get_by_role("row", name=re.compile("left"))).to_contain_text("protected")
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_ticks_by_keyboard_stay_when_the_list_moves(alice: Person) -> None:
    alice.make_project("typing")
    alice.launch("first")
    page = alice.page
    page.goto("/vms")
    box = page.get_by_label("Select first", exact=True)
    tab_to(page, box)
    page.keyboard.press("Space")
    expect(box).to_be_checked()
    with page.expect_response(lambda answer: answer.request.headers.get("hx-request") == "true"):
        page.evaluate(REFRESH_ALL)
    expect(page.locator("#vm-table.htmx-request")).to_have_count(0)
    expect(box).to_be_checked()
    expect(box).to_be_focused()
    bar = page.get_by_role("form", name="The selected machines")
    expect(bar).to_contain_text("1 selected, 0.005 per hour together")
    tab_to(page, bar.get_by_role("button", name="Stop"))
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Stop a machine")
    tab_to(page, page.get_by_role("button", name="Stop it"))
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("/vms$"))
