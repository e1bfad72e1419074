"""The hypervisor is away: pages show the last known state with its age, what is ordered waits and says why."""

import re

from playwright.sync_api import expect

from tests.browser.browser import Person
from tests.browser.product import Product, wait_until


def test_last_known_state_and_orders_that_wait(alice: Person, admin: Person, product: Product) -> None:
    alice.make_project("stormy")
    alice.launch("sailor")
    alice.wait_state("Running")
    page = alice.page
    product.zentry("simulator", "fault", "*", "unavailable", "--times", "0")
    try:
        notice = page.get_by_text("The hypervisor does not answer")
        expect(notice).to_be_visible(timeout=30_000)
        expect(page.locator("#vm-status")).to_contain_text(re.compile(r"seen .*ago|seen just now"))
        expect(alice.state).to_have_text("Running")
        status, parts = wait_until(lambda: not_ready(product), 60, "/readyz says 503")
        assert status == 503
        assert not parts["compute"]["ok"]
        page.get_by_role("button", name=re.compile("^Stop")).click()
        expect(alice.state).to_have_text("Stopping")
        expect(page.locator("#vm-status")).to_contain_text("Trying again", timeout=30_000)
        for path in ("/overview", "/vms", "/projects", "/credits"):
            answer = page.goto(path)
            assert answer is not None
            assert answer.status == 200, path
        admin.page.goto("/admin")
        expect(admin.page.locator("#admin-overview")).to_contain_text("Does not answer")
        page.goto("/vms")
        page.get_by_role("link", name="sailor").click()
    finally:
        product.zentry("simulator", "clear")
    alice.wait_state("Stopped", 60)
    expect(page.get_by_text("The hypervisor does not answer")).to_have_count(0, timeout=30_000)


def not_ready(product: Product):
    found = product.ready()
    return found if found[0] == 503 else None
