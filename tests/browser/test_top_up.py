"""Topping up at the test provider, automatic top-up, and what Stripe's pay page may load."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.browser import Person
from tests.browser.product import Product
from tests.stripe_fixture import SECRET_KEY, WEBHOOK_SECRET, localstripe


def begin(page: Page, credits: str, *, keep: bool = False) -> None:
    """From the credits page to where it is paid."""
    page.goto("/credits")
    page.get_by_role("link", name="Top up").click()
    page.get_by_role("radio", name=re.compile("Another amount")).check(force=True)
    page.get_by_label("Credits", exact=True).fill(credits)
    if keep:
        page.get_by_label(re.compile("^Keep this card")).check()
    page.get_by_role("button", name="Continue to payment").click()
    expect(page).to_have_url(re.compile("/pay$"))


def press(page: Page, name: str) -> None:
    """A button of the test provider; waits for the page that answers it."""
    page.get_by_role("button", name=name, exact=True).click()
    expect(page).to_have_url(re.compile(r"/credits/top-up/pay_[0-9a-z]+$"))


def test_a_declined_card_then_one_that_works(alice: Person) -> None:
    page = alice.page
    begin(page, "12.50")
    expect(page.locator("#main")).to_contain_text("no money moves")
    press(page, "Decline")
    expect(page.locator("#payment")).to_contain_text("Nothing was charged")
    page.get_by_role("button", name="Try again").click()
    expect(page).to_have_url(re.compile("/pay$"))
    press(page, "Pay")
    expect(page.locator("#payment")).to_contain_text("12.50 credits added")
    expect(page.locator(".z-side")).to_contain_text("17.5000")
    page.goto("/account/notices")
    expect(page.locator("#main")).to_contain_text("Payment received: 12.50 EUR for 12.50 credits")


def test_a_payment_that_comes_later_shows_by_itself(alice: Person) -> None:
    page = alice.page
    begin(page, "3")
    press(page, "Pay later")
    expect(page.locator("#payment")).to_contain_text("Waiting for the payment")
    expect(page.locator("#payment")).to_contain_text("3.00 credits added", timeout=60_000)
    expect(page.locator("#payment")).not_to_have_attribute("hx-trigger", "every 3s")


def test_automatic_top_up(alice: Person) -> None:
    page = alice.page
    begin(page, "1", keep=True)
    press(page, "Pay")
    page.get_by_role("link", name="Top up").click()
    form = page.locator("#automatic")
    form.get_by_label("In a month at most").fill("10")
    form.get_by_label("Top up automatically").check()
    form.get_by_role("button", name="Save").click()
    expect(form.locator(".z-error")).to_contain_text("at least one top-up")
    form.get_by_label("When my balance is below").fill("50")
    form.get_by_label("In a month at most").fill("25")
    form.get_by_role("button", name="Save").click()
    expect(form.locator(".z-pill").first).to_have_text("On")
    expect(page.locator(".z-side")).to_contain_text("26.0000", timeout=30_000)
    page.goto("/credits/top-up")
    expect(page.locator("#main")).to_contain_text("automatic")
    page.get_by_role("link", name=re.compile("^Remove Test card")).click()
    page.get_by_role("dialog").get_by_role("button", name=re.compile("^Remove")).click()
    expect(form.locator(".z-empty")).to_be_visible()


def test_an_admin_gives_money_back(alice: Person, admin: Person) -> None:
    begin(alice.page, "8")
    press(alice.page, "Pay")
    page = admin.page
    page.goto("/admin/payments")
    page.get_by_label("Search payments").fill(alice.email)
    page.get_by_role("button", name="Filter").click()
    page.locator("#payments .z-row-title").click()
    page.get_by_label("Amount").fill("3")
    page.get_by_label("Reason").fill("Asked for it")
    page.get_by_role("button", name="Refund").click()
    expect(page.locator("#main")).to_contain_text("partly refunded")
    alice.page.goto("/credits/top-up")
    expect(alice.page.locator(".z-side")).to_contain_text("10.0000")


@pytest.fixture(scope="module")
def stripe_shop(tmp_path_factory: pytest.TempPathFactory):
    """A Zentry that takes payments by Stripe, with localstripe in its place."""
    folder = tmp_path_factory.mktemp("stripe")
    with localstripe(folder) as api:
        keys = {"stripe_secret_key": SECRET_KEY, "stripe_webhook_secret": WEBHOOK_SECRET}
        product = Product(folder, payments="stripe", stripe_publishable_key="pk_test_1", stripe_api=api, **keys)
        product.start()
        yield product
        product.stop()


def test_the_pay_page_loads_the_provider_s_script_under_its_policy(
    stripe_shop: Product, sign_in: Callable[..., Person]
) -> None:
    """No refusal by the policy, and fields in the page. localstripe's script cannot take a payment."""
    person = sign_in("ann", at=stripe_shop)
    page = person.page
    begin(page, "10")
    expect(page.locator("#card-fields input").first).to_be_visible()
    expect(page.get_by_role("button", name="Pay 10.00 EUR")).to_be_enabled()
    expect(page.locator("#pay-error")).to_be_hidden()
    assert SECRET_KEY not in stripe_shop.log()
    assert WEBHOOK_SECRET not in stripe_shop.log()


@pytest.mark.error
def test_the_pay_page_says_so_when_the_script_does_not_come(
    stripe_shop: Product, sign_in: Callable[..., Person]
) -> None:
    person = sign_in("bea", at=stripe_shop)
    person.page.route("**/js.stripe.com/**", lambda route: route.abort())
    begin(person.page, "10")
    expect(person.page.locator("#pay-error")).to_contain_text("could not be loaded")
    expect(person.page.get_by_role("button", name="Pay 10.00 EUR")).to_be_disabled()
