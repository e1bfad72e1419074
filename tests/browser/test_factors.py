"""Second factors in a real browser: an app, a passkey of a (virtual) device, and admins who must have one."""

import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import pyotp
import pytest
from playwright.sync_api import Page, expect

from tests.browser.browser import Person
from tests.browser.product import PASSWORD, Product, wait_until


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """A Zentry with a host name, whose admins must have a second factor."""
    running = Product(tmp_path_factory.mktemp("strict"), host="localhost", admin_factor="required").start()
    yield running
    running.stop()


def set_up_app(page: Page) -> pyotp.TOTP:
    """From the setup page to the recovery codes."""
    page.get_by_text("Type the key instead").click()
    app = pyotp.TOTP(page.locator(".z-copy code").inner_text())
    expect(page.get_by_role("img", name=re.compile("^QR code"))).to_be_visible()
    page.get_by_label("Code from the app").fill(app.now())
    page.get_by_role("button", name="Set it up").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Recovery codes")
    return app


def fresh_code(app: pyotp.TOTP, after: float) -> str:
    """A code of a later step than the one of ``after``: each is taken once."""
    wait_until(lambda: int(time.time()) // 30 > int(after) // 30, 40, "the next code")
    return app.now()


def device(page: Page) -> Any:
    """A device that makes passkeys and knows its owner; returns the line to it."""
    line = page.context.new_cdp_session(page)
    line.send("WebAuthn.enable")
    options = {"protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True}
    options |= {"isUserVerified": True, "automaticPresenceSimulation": True}
    line.send("WebAuthn.addVirtualAuthenticator", {"options": options})
    return line


def give_password(page: Page, email: str) -> None:
    page.goto("/login")
    page.get_by_label("E-mail").fill(email)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Log in", exact=True).click()


def log_out(page: Page) -> None:
    page.get_by_role("button", name="Account menu").click()
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_text("You are logged out")).to_be_visible()


def test_an_app_is_set_up_and_asked_for_and_a_recovery_code_helps_out(
    sign_in: Callable[..., Person], strict: Product
) -> None:
    alice = sign_in("alice", at=strict)
    page = alice.page
    page.goto("/account/security")
    page.get_by_role("link", name="Add an authenticator app").click()
    app = set_up_app(page)
    started = time.time()  # after the code of the setup, whose step is used up
    codes = page.locator(".z-codes code").all_inner_texts()
    assert len(set(codes)) == 10
    page.get_by_role("link", name="I have kept them").click()
    expect(page.get_by_role("region", name="Second factors")).to_contain_text("10 left")
    log_out(page)

    give_password(page, alice.email)
    expect(page).to_have_url(re.compile("/login/factor$"))
    page.get_by_label("Code from your app").fill("000000")
    page.get_by_role("button", name="Log in").first.click()
    expect(page.get_by_text("This code is not right")).to_be_visible()
    page.get_by_label("Code from your app").fill(fresh_code(app, started))
    page.get_by_role("button", name="Log in").first.click()
    expect(page).to_have_url(re.compile("/overview$"))
    log_out(page)

    give_password(page, alice.email)
    page.get_by_text("Use a recovery code").click()
    page.get_by_label("Recovery code").fill(codes[0].lower())
    page.get_by_role("button", name="Log in").last.click()
    expect(page).to_have_url(re.compile("/overview$"))
    page.goto("/account/notices")
    expect(page.locator("#main")).to_contain_text("A recovery code was used")


def test_a_passkey_is_made_logs_in_alone_and_is_the_second_step(
    sign_in: Callable[..., Person], strict: Product
) -> None:
    bob = sign_in("bob", at=strict)
    page = bob.page
    line = device(page)
    page.goto("/account/security")
    page.get_by_role("link", name="Add a passkey").click()
    page.get_by_label("Name").fill("Test device")
    page.get_by_role("button", name="Make the passkey").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Recovery codes")
    page.goto("/account/security")
    expect(page.get_by_role("region", name="Second factors")).to_contain_text("Test device")
    log_out(page)

    page.goto("/login?next=/credits")
    page.get_by_role("button", name="Use a passkey instead").click()
    expect(page).to_have_url(re.compile("/credits$"))
    log_out(page)

    give_password(page, bob.email)
    expect(page).to_have_url(re.compile("/login/factor$"))
    page.get_by_role("button", name="Use a passkey").click()
    expect(page).to_have_url(re.compile("/overview$"))
    line.detach()


def test_an_admin_sets_a_second_factor_up_before_the_admin_pages(visit: Callable[..., Person], strict: Product) -> None:
    page = visit(strict).page
    page.goto(strict.first_admin_path())
    page.get_by_label("Your name").fill("Chief")
    page.get_by_label("E-mail").fill(strict.new_email("chief"))
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Set password and log in").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Admins need a second factor")
    page.goto("/admin/users")
    expect(page.get_by_role("heading", level=1)).to_have_text("Admins need a second factor")
    page.get_by_role("link", name="Set up an authenticator app").click()
    set_up_app(page)
    page.get_by_role("link", name="I have kept them").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Users")


def test_without_script_the_code_alone_is_asked_for(visit: Callable[..., Person], strict: Product) -> None:
    page = visit(strict, java_script_enabled=False).page
    page.goto("/login")
    expect(page.get_by_role("button", name="Use a passkey instead")).to_be_hidden()
