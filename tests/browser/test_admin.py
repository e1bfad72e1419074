"""An admin's day: the first log-in by link, credits with a reason, prices, a size withdrawn, the trail, health."""

import re
from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests.browser.browser import Person
from tests.browser.product import PASSWORD, Product


def test_the_first_admin_comes_by_a_link_that_works_once(product: Product, visit: Callable[..., Person]) -> None:
    path = product.first_admin_path()
    page = visit().page
    page.goto(path)
    page.get_by_label("Your name").fill("Grace Hopper")
    page.get_by_label("E-mail").fill("grace@example.com")
    page.get_by_label("Password", exact=True).fill("short")
    page.get_by_role("button", name=re.compile("^Set password")).click()
    expect(page.get_by_label("Password", exact=True)).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_label("Your name")).to_have_value("Grace Hopper")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name=re.compile("^Set password")).click()
    expect(page).to_have_url(re.compile("/overview$"))
    page.get_by_role("navigation", name="Main").locator("summary", has_text="System").click()
    expect(page.get_by_role("link", name="Audit trail")).to_be_visible()

    stranger = visit().page
    answer = stranger.goto(path)
    assert answer is not None
    assert answer.status == 404
    expect(stranger.get_by_text("has been used")).to_be_visible()


def test_credits_are_added_and_deducted_with_a_reason(admin: Person, alice: Person) -> None:
    page = admin.page
    page.goto("/admin/users")
    page.get_by_role("combobox", name="Search").fill(alice.email)
    page.keyboard.press("Enter")
    page.get_by_role("link", name=alice.name).first.click()
    book(page, "Add", "2.5", "")
    expect(page.get_by_label("Reason")).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_label("Amount")).to_have_value("2.5")
    book(page, "Add", "2.5", "workshop in autumn")
    expect(page.locator("main")).to_contain_text("7.5000")
    book(page, "Deduct", "1,25", "typed too much")
    expect(page.locator("main")).to_contain_text("6.2500")
    book(page, "Deduct", "1000", "far too much")
    expect(page.get_by_role("alert").first).to_be_visible()

    alice.page.goto("/credits")
    rows = alice.page.get_by_role("region", name="Transactions").locator("tbody tr")
    expect(rows).to_have_count(3)
    expect(rows.nth(0)).to_contain_text("typed too much")
    expect(rows.nth(0)).to_contain_text("−1.25")
    expect(rows.nth(1)).to_contain_text("+2.50")
    page.goto("/admin/audit?action=credits.")
    trail = page.get_by_role("region", name="Audit trail")
    expect(trail.locator("tbody tr").first).to_contain_text("credits.")
    expect(trail).to_contain_text(admin.name)


def book(page: Page, direction: str, amount: str, reason: str) -> None:
    page.get_by_role("radio", name=re.compile(f"^{direction}")).check(force=True)
    page.get_by_label("Amount").fill(amount)
    page.get_by_label("Reason").fill(reason)
    page.get_by_role("button", name="Change credits").click()
    page.wait_for_load_state()


def test_a_new_price_counts_for_new_launches_only(admin: Person, alice: Person) -> None:
    alice.make_project("pricing")
    old = alice.launch("old-price", size="medium")
    page = admin.page
    page.goto("/admin/sizes")
    open_menu(page, "medium", "New price")
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Running, per hour").fill("0.11")
    dialog.get_by_role("button", name=re.compile("^Publish")).click()
    expect(page.get_by_role("region", name="Sizes").get_by_role("row", name=re.compile("medium"))).to_contain_text(
        "0.11"
    )
    new = alice.launch("new-price", size="medium")
    expect(alice.page.locator("#vm-status")).to_contain_text("0.11")
    alice.page.goto(f"/vms/{old}")
    alice.wait_state("Running")
    expect(alice.page.locator("#vm-status")).to_contain_text("0.10")
    assert old != new
    page.goto("/admin/audit?action=price.")
    expect(page.get_by_role("region", name="Audit trail").locator("tbody tr").first).to_contain_text("price")


def open_menu(page: Page, size: str, item: str) -> None:
    page.get_by_role("button", name=f"Actions for {size}").click()
    page.locator("[popover]:popover-open").get_by_text(item).click()


def test_a_size_withdrawn_while_a_form_is_open_is_refused_clearly(admin: Person, alice: Person) -> None:
    alice.make_project("slow-typist")
    page = alice.page
    page.goto("/vms/new")
    page.get_by_label("Name", exact=True).fill("too-late")
    alice.size_card("small").check(force=True)
    expect(page.locator("#quote")).to_contain_text("0.05")
    admin.page.goto("/admin/sizes")
    open_menu(admin.page, "small", "Withdraw")
    admin.page.get_by_role("dialog").get_by_role("button", name="Withdraw").click()
    row = admin.page.get_by_role("region", name="Sizes").get_by_role("row", name=re.compile("small"))
    expect(row).to_contain_text("Withdrawn")
    try:
        page.get_by_role("button", name=re.compile("^Launch")).click()
        expect(page.get_by_text("no longer on offer")).to_be_visible()
        expect(page.get_by_label("Name", exact=True)).to_have_value("too-late")
        expect(alice.size_card("small")).to_have_count(0)
        expect(page.locator("#balance-chip")).to_contain_text("5.0000")
        alice.size_card("nano").check(force=True)
        page.get_by_role("button", name="Launch for 0.005 per hour").click()
        alice.vm_id_shown()
    finally:
        open_menu(admin.page, "small", "Offer again")
        expect(row).to_contain_text("On offer")


def test_machines_of_all_and_health(admin: Person, alice: Person) -> None:
    alice.make_project("watched")
    alice.launch("watched-vm")
    alice.wait_state("Running")
    page = admin.page
    page.goto("/admin/vms?q=watched-vm")
    expect(page.get_by_role("region", name="Machines").locator("tbody tr")).to_contain_text(alice.email)
    page.get_by_role("link", name="watched-vm").click()
    expect(admin.state).to_have_text("Running")
    page.goto("/admin/system")
    readiness = page.get_by_role("region", name="Readiness")
    for part in ("database", "worker", "compute"):
        expect(readiness.get_by_role("row", name=re.compile(part))).to_contain_text("Ready")
    expect(page.get_by_role("region", name="Worker loops")).to_contain_text("reconcile")


def test_a_disabled_account_is_out_at_once(admin: Person, alice: Person, product: Product) -> None:
    user = product.find_user(alice.email)
    page = admin.page
    page.goto(f"/admin/users/{user.id}")
    page.get_by_role("link", name="Disable").click()
    asked = page.get_by_role("dialog")
    expect(asked).to_contain_text("Every session and token ends at once")
    asked.get_by_role("button", name="Disable").click()
    expect(page.get_by_role("button", name="Enable")).to_be_visible()
    alice.page.get_by_role("link", name="Projects").first.click()  # whatever they click next
    expect(alice.page).to_have_url(re.compile("/login"))
    page.get_by_role("button", name="Enable").click()
    expect(page.get_by_role("link", name="Disable")).to_be_visible()
    alice.log_in()
