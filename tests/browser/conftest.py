"""Fixtures of the browser tests: the real product as its own processes, and people with browsers of their own."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Playwright, expect, sync_playwright

from tests.browser.browser import STEP_MS, Person, browser_context, launch_chromium
from tests.browser.mailbox import Inbox, local_mailbox
from tests.browser.product import Product


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All of them drive Chromium, and may wait for it longer than other tests."""
    for item in items:
        if "tests/browser" in item.nodeid:
            item.add_marker(pytest.mark.browser)
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(180))
    items.sort(key=_waits_longest)  # stable: all else stays in order


def _waits_longest(item: pytest.Item) -> bool:
    return "test_credit_end" in item.nodeid


@pytest.fixture(scope="package")
def playwright_here() -> Iterator[Playwright]:
    """Playwright itself."""
    expect.set_options(timeout=STEP_MS)
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="package")
def chromium(playwright_here: Playwright) -> Iterator[Browser]:
    """One Chromium for all browser tests; each person gets a fresh context in it."""
    browser = launch_chromium(playwright_here)
    yield browser
    browser.close()


@pytest.fixture(scope="package")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """Zentry on the simulator, shared by the tests that do it no harm."""
    running = Product(tmp_path_factory.mktemp("zentry")).start()
    yield running
    running.stop()


@pytest.fixture(scope="package")
def inbox() -> Iterator[tuple[Inbox, str]]:
    """A real SMTP server, and its address."""
    with local_mailbox() as mailbox:
        yield mailbox


@pytest.fixture(scope="package")
def poor(tmp_path_factory: pytest.TempPathFactory, inbox: tuple[Inbox, str]) -> Iterator[tuple[Product, str, str]]:
    """A Zentry with the shortest hold, somebody with credits for just that, and the id of their machine."""
    settings = {"hold_window_seconds": 120, "starting_credits": "0.000167", "stop_timeout_seconds": 10}
    settings["smtp_url"] = inbox[1]
    running = Product(tmp_path_factory.mktemp("poor"), **settings).start()
    user = running.make_user("Poor Paul", "paul@example.com")
    project = running.container.get_project_service().create_project({"name": "short"}, user)
    chosen = {"project_id": project.id, "name": "brief", "size_id": "size_nano", "image_id": "img_tiny"}
    vm = running.container.get_vm_service().create_vm(chosen, user)
    yield running, user.email, vm.id
    running.stop()


@pytest.fixture
def visit(chromium: Browser, product: Product) -> Iterator[Callable[..., Person]]:
    """``visit(**context_options)``: somebody who has not signed in, at the shared product."""
    with contextlib.ExitStack() as stack:

        def come(at: Product = product, **options: Any) -> Person:
            context, problems = stack.enter_context(browser_context(chromium, at.url, **options))
            return Person(context, problems)

        yield come


@pytest.fixture
def sign_in(visit: Callable[..., Person], product: Product) -> Callable[..., Person]:
    """``sign_in("alice", admin=False, **context_options)``: somebody with a new account, signed in."""

    def come(name: str, *, admin: bool = False, at: Product = product, **options: Any) -> Person:
        email = at.new_email(name)
        if admin:
            at.make_admin(email)
        else:
            at.make_user(name.title(), email)
        person = visit(at, **options)
        person.name, person.email = name.title(), email
        person.log_in()
        return person

    return come


@pytest.fixture
def alice(sign_in: Callable[..., Person]) -> Person:
    """The owner, signed in."""
    return sign_in("alice")


@pytest.fixture
def bob(sign_in: Callable[..., Person]) -> Person:
    """Somebody else, signed in."""
    return sign_in("bob")


@pytest.fixture
def admin(sign_in: Callable[..., Person]) -> Person:
    """An admin, signed in."""
    return sign_in("admin", admin=True)
