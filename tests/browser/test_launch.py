"""The launch form under careless hands: double clicks, the back button, mistakes, a size withdrawn meanwhile."""

import re
from collections.abc import Callable

from playwright.sync_api import expect

from tests.browser.browser import Person
from tests.browser.product import Product


def test_price_and_runway_move_while_choosing(alice: Person) -> None:
    alice.make_project("choosing")
    page = alice.page
    page.goto("/vms/new")
    quote = page.locator("#quote")
    alice.size_card("nano").check(force=True)
    expect(quote).to_contain_text("0.005")
    page.get_by_label("Name", exact=True).fill("kept")
    runway = quote.inner_text()
    alice.size_card("large").check(force=True)
    expect(quote).to_contain_text("0.20")
    expect(page.get_by_role("button", name=re.compile("^Launch"))).to_contain_text("0.20")
    assert quote.inner_text() != runway
    expect(page.get_by_label("Name", exact=True)).to_have_value("kept")


def test_a_double_click_launches_one_machine(alice: Person) -> None:
    alice.make_project("double")
    page = alice.page
    page.goto("/vms/new")
    page.get_by_label("Name", exact=True).fill("once")
    alice.size_card("nano").check(force=True)
    page.get_by_role("button", name=re.compile("^Launch")).dblclick()
    vm_id = alice.vm_id_shown()
    alice.wait_state("Running")

    page.go_back()
    expect(page).to_have_url(re.compile("/vms/new"))
    page.get_by_label("Name", exact=True).fill("once")
    page.get_by_role("button", name=re.compile("^Launch")).click()
    expect(page.get_by_text("already").first.or_(page.locator(f"text={vm_id}").first)).to_be_visible()
    page.goto("/vms")
    expect(page.locator("#vm-table tbody tr")).to_have_count(1)


def test_mistakes_are_named_beside_the_field_and_nothing_is_made(alice: Person) -> None:
    alice.make_project("mistakes")
    page = alice.page
    page.goto("/vms/new")
    page.get_by_label("Name", exact=True).fill("Not A Name!")
    page.get_by_label("SSH public key").fill("-----BEGIN OPENSSH PRIVATE KEY-----")
    page.get_by_role("textbox", name="User data").fill("echo no shebang")
    page.get_by_role("button", name=re.compile("^Launch")).click()
    for label in ("Name", "SSH public key optional", "User data optional"):
        expect(page.get_by_label(label, exact=True)).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_text("That is a private key")).to_be_visible()
    expect(page.get_by_role("textbox", name="User data")).to_have_value("echo no shebang")
    page.goto("/vms")
    expect(page.get_by_text("No machines yet")).to_be_visible()
    expect(page.locator("#balance-chip")).to_contain_text("nothing costs credits now")


def test_too_few_credits_is_said_before_and_after(alice: Person, product: Product) -> None:
    user = product.find_user(alice.email)
    alice.make_project("poor")
    product.container.get_billing_service().deduct_credits(user.id, 4_900_000, "for a test")
    page = alice.page
    page.goto("/vms/new")
    page.get_by_label("Name", exact=True).fill("dear")
    alice.size_card("large").check(force=True)
    expect(page.locator("#quote")).to_contain_text("Not enough credits")
    page.get_by_role("button", name=re.compile("^Launch")).click()
    expect(page.get_by_role("alert").first).to_contain_text("more are needed")
    expect(page.get_by_label("Name", exact=True)).to_have_value("dear")
    alice.size_card("nano").check(force=True)
    expect(page.locator("#quote")).to_contain_text("0.005")
    page.get_by_role("button", name=re.compile("^Launch")).click()
    alice.vm_id_shown()
    alice.wait_state("Running")


def test_on_a_phone_price_and_button_stay_in_sight(sign_in: Callable[..., Person]) -> None:
    alice = sign_in("alice", viewport={"width": 390, "height": 844})
    alice.make_project("small screen")
    page = alice.page
    page.goto("/vms/new")
    expect(page.get_by_label("Name", exact=True)).to_have_value("web-1")
    button = page.get_by_role("button", name=re.compile("^Launch for"))
    expect(button).to_be_in_viewport(ratio=1)
    alice.size_card("micro").check(force=True)
    expect(button).to_have_text(re.compile("0.015"))
    expect(button).to_be_in_viewport(ratio=1)
