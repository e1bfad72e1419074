"""New prices: an admin drafts, rehearses and publishes them; the owner sees their own figure, and the withdrawal."""

import re

from playwright.sync_api import Page, expect

from tests.browser.browser import Person
from tests.browser.product import Product, wait_until


def test_new_prices_are_drafted_rehearsed_published_and_told(product: Product, admin: Person, alice: Person) -> None:
    alice.make_project("prices")
    vm_id = alice.launch("dear", size="large")
    alice.wait_state("Running")

    page = admin.page
    page.goto("/admin")
    page.get_by_role("navigation", name="Main").get_by_text("Money").click()
    page.get_by_role("link", name="Prices", exact=True).click()
    page.get_by_role("link", name="New prices").click()
    page.get_by_label("large, running, per hour").fill("0.25")
    save(page)
    expect(page.get_by_label(re.compile("^Name"))).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_label("large, running, per hour")).to_have_value("0.25")
    page.get_by_label(re.compile("^Name")).fill("Prices of the journey")
    save(page)
    expect(page).to_have_url(re.compile(r"/admin/prices/chg_"))
    expect(page.get_by_role("button", name=re.compile("^Publish"))).to_have_count(0)
    page.get_by_role("button", name="Save and rehearse").click()
    expect(page.get_by_role("link", name="Last 30 days")).to_have_attribute("aria-current", "page")
    row = page.get_by_role("region", name="Owners").get_by_role("row", name=re.compile(alice.email))
    expect(row).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("link", name="CSV").click()
    assert download.value.suggested_filename.startswith("zentry-rehearsal-")
    expect(page.get_by_role("region", name="Prices to publish")).to_contain_text("0.20 → 0.25")
    with page.expect_navigation():
        page.get_by_role("button", name=re.compile("^Publish from")).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Announced")

    told(product, alice, "prices")
    own = alice.page
    own.goto("/account/notices")
    expect(own.locator("#main")).to_contain_text("146.00 → 182.50 (+36.50) credits per month")
    own.goto(f"/vms/{vm_id}")
    expect(own.locator("#vm-status")).to_contain_text("0.25 per hour")
    own.goto("/credits/prices")
    expect(own.get_by_role("region", name="Machines that change price")).to_contain_text("now 0.20")

    page.get_by_role("link", name="Withdraw").click()
    asked = page.get_by_role("dialog")
    expect(asked).to_contain_text("One owner was told of them, and will be told by notice and mail")
    with page.expect_navigation():
        asked.get_by_role("button", name="Withdraw").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Withdrawn")
    told(product, alice, "prices_off")
    own.goto("/account/notices")
    expect(own.locator("#main")).to_contain_text("Announced prices are withdrawn")


def save(page: Page) -> None:
    with page.expect_navigation():
        page.get_by_role("button", name="Save the draft").click()


def told(product: Product, person: Person, kind: str) -> None:
    """Wait until the worker has told the person; the page asks for nothing by itself."""
    user = product.find_user(person.email)
    notices = product.container.get_billing_service().notices
    wait_until(lambda: any(one.kind == kind for one in notices.list_notices(user.id)), 60, f"{kind} is told")
