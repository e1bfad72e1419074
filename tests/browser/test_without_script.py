"""Everything is a plain form or link: the main job with JavaScript switched off."""

import re
from collections.abc import Callable

from playwright.sync_api import expect

from tests.browser.browser import Person
from tests.browser.product import wait_until


def test_the_main_job_with_plain_forms(visit: Callable[..., Person]) -> None:
    person = visit(java_script_enabled=False)
    page = person.page
    person.sign_up("Plain Jane", "jane@example.com")

    page.get_by_role("link", name="Create a project").click()
    page.get_by_label("Name").fill("plain")
    page.get_by_role("button", name="Create project").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("plain")
    page.get_by_role("button", name="More actions").click()
    page.get_by_role("link", name=re.compile("Rename")).click()
    page.get_by_label("Name").fill("plainer")
    page.get_by_role("button", name="Rename").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("plainer")

    page.get_by_role("link", name="Launch machine").first.click()
    page.get_by_label("Name", exact=True).fill("old-school")
    person.size_card("nano").check(force=True)
    page.get_by_role("button", name=re.compile("^Launch")).click()
    person.vm_id_shown()
    reload_until(person, "Running")

    person.open_tab("Metrics")
    expect(page.locator("table:visible", has_text="Time").first).to_be_visible()  # charts are tables, too
    expect(page.locator("[data-chart] svg.z-drawn-lines").first).to_be_visible()
    press(person, "Stop")
    reload_until(person, "Stopped")
    press(person, "Start")
    reload_until(person, "Running")

    page.get_by_role("button", name="More actions").click()  # a popover opens without script
    page.get_by_role("link", name=re.compile("^Delete")).click()
    page.get_by_label(re.compile("Type old-school")).fill("wrong")
    page.get_by_role("button", name=re.compile("^Delete")).click()
    expect(page.get_by_label(re.compile("Type old-school"))).to_have_attribute("aria-invalid", "true")
    page.get_by_label(re.compile("Type old-school")).fill("old-school")
    page.get_by_role("button", name=re.compile("^Delete")).click()
    expect(page).to_have_url(re.compile("/vms$"))

    def gone() -> bool:
        page.goto("/vms")
        return page.get_by_text("old-school", exact=True).count() == 0

    wait_until(gone, 30, "the machine is deleted")
    page.goto("/credits")
    page.get_by_role("link", name="Spend", exact=True).click()
    expect(page.get_by_role("region", name="Spent by machine")).to_contain_text("old-school")
    page.get_by_role("link", name="Charges", exact=True).click()
    expect(page.get_by_role("region", name=re.compile("^Charges of"))).to_contain_text("old-school")

    page.get_by_role("button", name="Account menu").click()
    page.get_by_role("button", name="Dark").click()
    expect(page.locator("html")).to_have_attribute("data-bs-theme", "dark")
    page.get_by_role("button", name="Account menu").click()
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_text("You are logged out")).to_be_visible()


def press(person: Person, button: str) -> None:
    """Send a form and wait for the page that answers: a reload before that would send nothing anew."""
    with person.page.expect_navigation():
        person.page.get_by_role("button", name=re.compile(f"^{button}")).click()


def reload_until(person: Person, state: str) -> None:
    """Without script a page moves only when it is loaded anew."""

    def shown() -> bool:
        person.page.reload()
        return person.state.inner_text().strip() == state

    wait_until(shown, 40, f"the state {state}")
