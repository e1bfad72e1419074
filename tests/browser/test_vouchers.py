"""A voucher's way: an admin makes it, somebody tops up with it, and it works no second time."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.browser import Person
from tests.browser.product import Product
from zentry_web.domain.credits.voucher import VoucherDraft

CODE = re.compile(r"^[0-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z]{4}$")


def make_voucher(admin: Person, value: str, uses: str) -> str:
    """Through the dialog; returns the code as the list shows it."""
    page = admin.page
    page.goto("/admin/vouchers")
    page.get_by_role("link", name="Make vouchers").first.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Value of each").fill("nothing")
    dialog.get_by_role("button", name="Make").click()
    expect(dialog.get_by_label("Value of each")).to_have_attribute("aria-invalid", "true")
    dialog.get_by_label("Value of each").fill(value)
    dialog.get_by_label("Uses of each").fill(uses)
    dialog.get_by_label("Note").fill("for the journey")
    dialog.get_by_role("button", name="Make").dblclick()
    expect(page).to_have_url(re.compile(r"/admin/vouchers\?batch="))
    rows = page.get_by_role("region", name="Vouchers").locator("tbody tr")
    expect(rows).to_have_count(1)
    code = rows.locator("code").inner_text()
    assert CODE.match(code)
    return code


def redeem(page: Page, typed: str) -> None:
    page.get_by_label("Voucher code").fill(typed)
    page.get_by_role("button", name="Redeem").dblclick()


def test_a_voucher_tops_up_once(admin: Person, alice: Person, bob: Person) -> None:
    code = make_voucher(admin, "2.5", "2")
    page = alice.page
    page.goto("/credits")
    redeem(page, "0000-0000-0000")
    expect(page.locator("#redeem .z-error")).to_contain_text("no voucher with this code")
    expect(page.get_by_label("Voucher code")).to_have_value("0000-0000-0000")
    redeem(page, code.lower().replace("-", " "))
    expect(page.locator("#toasts")).to_contain_text("2.50 credits added")
    expect(page.locator("#balance-chip")).to_contain_text("7.5000")
    rows = page.get_by_role("region", name="Transactions").locator("tbody tr")
    expect(rows).to_have_count(2)
    expect(rows.first).to_contain_text(f"Voucher {code}")
    redeem(page, code)
    expect(page.locator("#redeem .z-error")).to_contain_text("already")
    page.goto("/account/notices")
    expect(page.locator("#main")).to_contain_text("Voucher redeemed: 2.50 credits")

    bob.page.goto(f"/credits/redeem?code={code}")
    bob.page.get_by_role("button", name="Redeem").click()
    expect(bob.page.locator("#balance-chip")).to_contain_text("7.5000")
    admin.page.goto(f"/admin/vouchers?q={code}")
    row = admin.page.get_by_role("region", name="Vouchers").locator("tbody tr")
    expect(row).to_contain_text("2 of 2")
    expect(row).to_contain_text("Used up")
    with admin.page.expect_download() as started:
        admin.page.get_by_role("link", name="Export CSV").click()
    assert code in started.value.path().read_text()


@pytest.mark.parametrize("script", [True, False])
def test_a_revoked_voucher_says_so(
    product: Product, admin: Person, sign_in: Callable[..., Person], *, script: bool
) -> None:
    person = sign_in("carol", java_script_enabled=script)
    root = product.find_user(admin.email)
    service = product.container.get_billing_service().vouchers
    good, bad = service.create(VoucherDraft(1_000_000, count=2, uses=3, note=root.name))
    admin.page.goto(f"/admin/vouchers?q={bad.shown_code}")
    admin.page.get_by_role("link", name="Revoke").click()
    dialog = admin.page.get_by_role("dialog")
    dialog.get_by_role("button", name="Revoke").click()
    expect(admin.page.get_by_role("region", name="Vouchers").locator("tbody tr")).to_contain_text("Revoked")
    page = person.page
    page.goto("/credits")
    page.get_by_label("Voucher code").fill(bad.shown_code)
    page.get_by_role("button", name="Redeem").click()
    expect(page.locator("#redeem .z-error")).to_contain_text("no longer valid")
    redeem(page, good.shown_code)
    expect(page.locator("#balance-chip")).to_contain_text("6.0000")
    assert service.get_voucher(good.id).used == 1
