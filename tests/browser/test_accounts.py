"""Signing up, in and out: messages beside the fields, the counted attempts, where a log-in may lead."""

import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Page, expect

from tests.browser.browser import Person
from tests.browser.product import PASSWORD, Product

ATTEMPTS = 10


def error_of(page: Page, label: str) -> str:
    """The message that is tied to a field for a screen reader, and seen beside it."""
    field = page.get_by_label(label, exact=True)
    expect(field).to_have_attribute("aria-invalid", "true")
    ids = (field.get_attribute("aria-describedby") or "").split()
    message = page.locator(f"#{next(found for found in ids if found.endswith('-error'))}")
    expect(message).to_be_visible()
    return message.inner_text().strip()


def test_a_password_can_be_looked_at_and_who_is_very_quick_only_waits(
    visit: Callable[..., Person], tmp_path: Path
) -> None:
    product = Product(tmp_path / "patient", signup_seconds=6).start()
    try:
        nora = visit(product)
        nora.problems.expect("htmx:error")  # the product ends before her page does
        page = nora.page
        page.goto("/signup")
        page.get_by_label("Your name").fill("Nora Newcomer")
        page.get_by_label("E-mail").fill("nora@example.com")
        password = page.get_by_label("Password", exact=True)
        password.fill(PASSWORD)
        show = page.get_by_role("button", name="Show password")
        show.click()
        expect(password).to_have_attribute("type", "text")
        expect(show).to_have_attribute("aria-pressed", "true")
        page.get_by_role("button", name="Create account").click()  # once
        expect(password).to_have_attribute("type", "password")
        expect(page).to_have_url(re.compile("/overview$"))
    finally:
        product.stop()


def test_sign_up_says_what_is_wrong_beside_each_field_and_keeps_what_was_typed(visit: Callable[..., Person]) -> None:
    person = visit()
    page = person.page
    page.goto("/signup")
    page.get_by_role("button", name="Create account").click()
    assert "name" in error_of(page, "Your name").lower()
    assert "address" in error_of(page, "E-mail").lower()
    assert error_of(page, "Password")

    page.get_by_label("Your name").fill("Ada Lovelace")
    page.get_by_label("E-mail").fill("ada@@nowhere")
    page.get_by_label("Password", exact=True).fill("short")
    page.get_by_role("button", name="Create account").click()
    assert error_of(page, "E-mail")
    assert "characters" in error_of(page, "Password")
    expect(page.get_by_label("Your name")).to_have_value("Ada Lovelace")
    expect(page.get_by_label("E-mail")).to_have_value("ada@@nowhere")
    expect(page.get_by_label("Password", exact=True)).to_have_value("")

    page.get_by_label("E-mail").fill("ada@example.com")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Create account").click()
    expect(page).to_have_url(re.compile("/overview$"))
    expect(page.locator("#balance-chip")).to_contain_text("5.00")
    page.goto("/credits")
    expect(page.get_by_role("region", name="Transactions").locator("tbody tr")).to_have_count(1)


def test_an_address_can_be_taken_once(alice: Person, visit: Callable[..., Person]) -> None:
    page = visit().page
    page.goto("/signup")
    page.get_by_label("Your name").fill("Impostor")
    page.get_by_label("E-mail").fill(alice.email.upper())
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Create account").click()
    assert error_of(page, "E-mail")
    expect(page.get_by_label("Your name")).to_have_value("Impostor")


def test_log_out_ends_the_session_and_log_in_leads_back(alice: Person) -> None:
    page = alice.page
    page.get_by_role("button", name="Account menu").click()
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_text("You are logged out")).to_be_visible()

    page.goto("/vms/new?project=nowhere")
    expect(page).to_have_url(re.compile(r"/login\?next="))
    page.get_by_label("E-mail").fill(alice.email)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page).to_have_url(re.compile(r"/vms/new\?project=nowhere$"))


@pytest.mark.parametrize(
    "target", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)"]
)
def test_a_log_in_never_leads_to_another_site(target: str, visit: Callable[..., Person], product: Product) -> None:
    email = product.new_email("lucy")
    product.make_user("Lucy", email)
    page = visit().page
    page.goto(f"/login?{urlencode({'next': target})}")
    page.get_by_label("E-mail").fill(email)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page).to_have_url(re.compile(r"^http://127\.0\.0\.1:\d+/overview$"))


def test_wrong_passwords_are_counted(alice: Person, visit: Callable[..., Person]) -> None:
    page = visit().page
    page.goto("/login")
    for attempt in range(ATTEMPTS):
        page.get_by_label("E-mail").fill(alice.email)
        page.get_by_label("Password", exact=True).fill(f"wrong {attempt}")
        with page.expect_navigation():
            page.get_by_role("button", name="Log in").click()
        if "Too many" in page.locator("main").inner_text():
            break  # the fixture's own log-in may count
        expect(page.get_by_role("alert")).to_be_visible()
        expect(page.get_by_label("E-mail")).to_have_value(alice.email)
        expect(page.get_by_label("Password", exact=True)).to_have_value("")
    page.get_by_label("E-mail").fill(alice.email)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    with page.expect_navigation() as answered:
        page.get_by_role("button", name="Log in").click()
    assert answered.value.status == 429
    assert int(answered.value.headers["retry-after"]) > 0
    expect(page.get_by_role("alert")).to_contain_text(re.compile(r"try again in \d+ (seconds|minutes)\."))

    alice.page.reload()
    expect(alice.page).to_have_url(re.compile("/overview$")), "whoever is signed in stays so"
