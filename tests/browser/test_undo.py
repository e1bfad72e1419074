"""A machine is deleted and brought back by the toast that tells of it, and runs again; a stop is followed."""

import re

from playwright.sync_api import expect

from tests.browser.browser import Person
from tests.browser.product import Product
from zentry_web.domain.vms.state import VMState


def test_a_deletion_is_undone_in_its_toast(alice: Person, product: Product) -> None:
    alice.make_project("careless")
    alice.launch("mail")
    alice.wait_state("Running")
    page = alice.page
    page.get_by_role("button", name="More actions").click()
    page.locator("[popover]:popover-open").get_by_text("Delete", exact=True).click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("table", name="Before and after")).to_be_visible()
    dialog.get_by_label("to confirm").fill("mail")
    dialog.get_by_role("button", name="Delete mail").click()
    expect(page).to_have_url(re.compile("/vms$"))
    page.locator("#toasts").get_by_role("button", name="Undo").click()
    user = product.find_user(alice.email)
    page.goto("/operations")
    expect(page.get_by_role("table")).to_contain_text("Start", timeout=30_000)  # by itself
    page.goto("/vms")
    page.get_by_role("link", name="mail", exact=True).click()
    alice.wait_state("Running")
    (vm,) = product.container.get_vm_service().list_vms(user.id).vms
    assert (vm.name, vm.state) == ("mail", VMState.RUNNING)
    assert all(check.ok for check in product.container.get_billing_service().verify())


def test_steps_are_followed_and_a_stop_is_undone_from_the_activity(alice: Person) -> None:
    alice.make_project("followed")
    alice.launch("web")
    alice.wait_state("Running")
    page = alice.page
    page.get_by_role("button", name=re.compile("^Stop:")).click()
    page.locator("#toasts").get_by_role("link", name="Steps").click()
    expect(page.get_by_role("heading", name="Stop of web")).to_be_visible()
    expect(page.locator("#operation")).to_contain_text("Done", timeout=30_000)  # by itself
    page.get_by_role("link", name="web", exact=True).first.click()
    page.get_by_role("link", name="Activity").click()
    page.get_by_role("button", name="Undo: Stopped web").click()
    alice.wait_state("Running")
