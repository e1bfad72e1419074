"""Signing in through an OpenID provider in a real browser: the policy lets it out, its answer lets one in."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.browser import Person
from tests.browser.product import PASSWORD, Product
from tests.oidc_issuer import local_issuer, settings_for
from zentry_web.adapters.clock import SystemClock


@pytest.fixture(scope="module")
def trusting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Product, Any]]:
    """A Zentry that trusts a provider, and the provider."""
    with local_issuer(SystemClock()) as issuer:
        issuer.asks = True
        running = Product(tmp_path_factory.mktemp("trusting"), **settings_for(issuer)).start()
        yield running, issuer
        running.stop()


def test_in_through_the_provider_and_linked_from_within(
    visit: Callable[..., Person], trusting: tuple[Product, Any]
) -> None:
    product, issuer = trusting
    page = visit(product).page
    page.goto("/projects")
    page.get_by_role("button", name="Continue with Acme ID").click()
    page.get_by_role("link", name="Yes, it is me").click()
    expect(page).to_have_url(re.compile("/projects$"))
    page.goto("/account")
    expect(page.get_by_role("button", name="Set a password")).to_be_visible()

    email = product.new_email("ella")
    product.make_user("Ella", email)
    issuer.person = {"sub": "of-ella", "email": email, "email_verified": True, "name": "Ella"}
    page = visit(product).page
    page.goto("/login")
    page.get_by_role("button", name="Continue with Acme ID").click()
    page.get_by_role("link", name="Yes, it is me").click()
    expect(page.get_by_role("alert")).to_contain_text("Log in to it as always")
    page.get_by_label("E-mail").fill(email)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Log in", exact=True).click()
    page.goto("/account/security")
    page.get_by_role("button", name="Link Acme ID").click()
    page.get_by_role("link", name="Yes, it is me").click()
    expect(page.get_by_role("link", name="Unlink Acme ID")).to_be_visible()

    page = visit(product).page
    page.goto("/login")
    page.get_by_role("button", name="Continue with Acme ID").click()
    page.get_by_role("link", name="Yes, it is me").click()
    expect(page).to_have_url(re.compile("/overview$"))
