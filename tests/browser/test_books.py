"""An admin's books: a large grant that another approves, a refund, and the ledger down to its entries."""

import re
from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests.browser.browser import Person
from tests.browser.product import Product


def test_a_large_grant_a_refund_and_the_ledger(
    product: Product, admin: Person, alice: Person, sign_in: Callable[..., Person]
) -> None:
    user = product.find_user(alice.email)
    second = sign_in("second", admin=True)

    ask(admin.page, user.id, "1500", "Course in autumn")
    expect(admin.page.get_by_role("region", name="Waiting")).to_contain_text("Course in autumn")
    expect(admin.page.get_by_role("button", name=re.compile("^Approve"))).to_have_count(0)
    alice.page.goto("/credits")
    expect(alice.page.get_by_role("region", name="Transactions")).not_to_contain_text("Course in autumn")

    approve(second.page, alice.email)
    alice.page.goto("/credits")
    row = alice.page.get_by_role("region", name="Transactions").get_by_role("row", name=re.compile("Course in autumn"))
    expect(row).to_contain_text("+1,500.00")

    run_for_a_minute(product, alice)
    page = admin.page
    page.goto(f"/admin/ledger?person={alice.email}&kind=usage")
    page.get_by_role("region", name="Transfers").get_by_role("link", name="Usage").first.click()
    expect(page.get_by_role("region", name="Entries")).to_contain_text("Revenue")
    page.get_by_role("link", name="Refund").click()
    refund(page, "1000", "Host was down")
    expect(page.get_by_label("Amount")).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_label("Reason")).to_have_value("Host was down")
    refund(page, "0.002", "Host was down")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Refund")
    expect(page.get_by_role("region", name="Entries").locator(".z-total")).to_contain_text("0.000000")
    alice.page.goto("/credits")
    row = alice.page.get_by_role("region", name="Transactions").get_by_role("row", name=re.compile("Host was down"))
    expect(row).to_contain_text("Refund")
    assert [check for check in product.container.get_billing_service().verify() if not check.ok] == []


def ask(page: Page, user_id: str, amount: str, reason: str) -> None:
    """Type a grant; the answer is the page of what waits."""
    page.goto(f"/admin/users/{user_id}")
    page.get_by_role("radio", name=re.compile("^Add")).check(force=True)
    page.get_by_label("Amount").fill(amount)
    page.get_by_label("Reason").fill(reason)
    page.get_by_role("button", name="Change credits").click()
    page.wait_for_url("**/admin/approvals")


def approve(page: Page, email: str) -> None:
    """Go there by the badge in the sidebar, and agree."""
    page.goto("/admin")
    navigation = page.get_by_role("navigation", name="Main")
    navigation.get_by_text(re.compile("Money.*waiting")).click()
    navigation.get_by_role("link", name=re.compile("Approvals.*waiting")).click()
    page.get_by_role("button", name=re.compile(f"^Approve .*{re.escape(email)}")).click()
    expect(page.get_by_role("region", name="Decided").locator("tbody tr").first).to_contain_text("Approved")


def refund(page: Page, amount: str, reason: str) -> None:
    page.get_by_label("Amount").fill(amount)
    page.get_by_label("Reason").fill(reason)
    with page.expect_navigation():
        page.get_by_role("button", name="Refund").click()


def run_for_a_minute(product: Product, alice: Person) -> None:
    """A machine that runs and is deleted again: its 60 s minimum is charged."""
    alice.make_project("billed")
    vm_id = alice.launch("billed-vm", size="large")
    alice.wait_state("Running")
    product.container.get_vm_service().delete_vm(vm_id, "billed-vm")
