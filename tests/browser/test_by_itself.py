"""What happens to a machine without a click: it runs again after a crash, and is stopped when that was scheduled."""

import re
from datetime import timedelta

from playwright.sync_api import expect

from tests.browser.browser import Person
from tests.browser.product import Product


def test_a_crash_is_followed_by_a_restart_and_told_once(alice: Person, product: Product) -> None:
    alice.make_project("hardy")
    alice.launch("web")
    alice.wait_state("Running")
    page, vm_id = alice.page, alice.vm_id_shown()
    product.zentry("simulator", "crash", vm_id)
    expect(page.locator("#vm-activity")).to_contain_text("web went off: it crashed", timeout=30_000)
    expect(page.locator("#vm-activity")).to_contain_text("Started web", timeout=30_000)
    alice.wait_state("Running")
    alice.open_tab("Settings")
    expect(page.get_by_text("It crashed, or its process on the host ended unexpectedly.")).to_be_visible()
    page.get_by_role("link", name="Change", exact=True).click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Started again").select_option("Never")
    dialog.get_by_role("button", name="Save").click()
    expect(page.locator("#toasts")).to_contain_text("That is how web is started again")
    page.goto("/account/notices")
    expect(page.get_by_text("web went off, and runs again")).to_have_count(1)
    product.zentry("simulator", "crash", vm_id)
    page.goto(f"/vms/{vm_id}")
    alice.wait_state("Stopped")
    expect(page.get_by_text("Zentry starts it again")).to_have_count(0)
    alice.open_tab("Activity")
    expect(page.get_by_role("heading", name="Three truths")).to_be_visible()
    expect(page.get_by_text("They agree")).to_be_visible()


def test_a_stop_that_was_scheduled_is_done_by_itself(alice: Person, product: Product) -> None:
    alice.make_project("punctual")
    alice.launch("web")
    alice.wait_state("Running")
    page, vm_id = alice.page, alice.vm_id_shown()
    alice.open_tab("Schedule")
    page.get_by_role("link", name="Schedule an action").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("What").select_option("Stop")
    soon = product.container.clock.now() + timedelta(seconds=75)  # 15 at least are left
    dialog.get_by_label("First at").fill(f"{soon:%Y-%m-%dT%H:%M}")
    dialog.get_by_role("button", name="Schedule it").click()
    expect(page.get_by_text(re.compile("^Stop at "))).to_be_visible()
    page.goto(f"/vms/{vm_id}")
    alice.wait_state("Stopped", 120)
    expect(page.locator("#vm-activity")).to_contain_text("Stopped web")
    alice.open_tab("Schedule")
    expect(page.get_by_text("over", exact=True)).to_be_visible()
    page.get_by_role("link", name="Remove", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    expect(page.get_by_text("Nothing is scheduled")).to_be_visible()
