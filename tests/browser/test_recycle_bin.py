"""A project with two machines is deleted, watched, restored from the recycle bin; a machine of it is started again."""

import re

from playwright.sync_api import expect

from tests.browser.browser import Person
from tests.browser.product import Product
from zentry_web.domain.vms.state import VMState


def test_deleted_watched_restored_and_started(alice: Person, product: Product) -> None:
    project_id = alice.make_project("short-lived")
    alice.launch("first")
    alice.wait_state("Running")
    alice.launch("second")
    alice.wait_state("Running")
    page = alice.page
    page.goto(f"/projects/{project_id}")
    page.get_by_role("button", name="More actions").click()
    page.locator("[popover]:popover-open").get_by_text("Delete", exact=True).click()
    expect(page).to_have_url(re.compile("/delete$"))
    machines = page.get_by_role("region", name="Machines of the project")
    expect(machines).to_contain_text("first")
    expect(machines).to_contain_text("second")
    page.get_by_label("to confirm").fill("short-lived")
    page.get_by_role("button", name="Delete project").click()
    expect(page).to_have_url(re.compile(rf"/bin/projects/{project_id}$"))
    expect(page.get_by_role("heading", name="In the recycle bin")).to_be_visible(timeout=30_000)  # by itself
    expect(page.get_by_text("2 machines are off")).to_be_visible()
    page.goto("/vms")
    expect(page.get_by_text("first", exact=True)).to_have_count(0)
    page.get_by_role("link", name="Recycle bin").click()
    page.get_by_role("button", name="Actions for short-lived").click()
    page.locator("[popover]:popover-open").get_by_text("Restore").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Its 2 machines come back stopped")
    dialog.get_by_role("button", name="Restore").click()
    expect(page).to_have_url(re.compile(rf"/projects/{project_id}$"))
    page.get_by_role("link", name="first", exact=True).click()
    alice.wait_state("Stopped")
    page.get_by_role("button", name=re.compile("^Start:")).click()
    alice.wait_state("Running")
    user = product.find_user(alice.email)
    vms = product.container.get_vm_service().list_vms(user.id).vms
    assert {vm.name: vm.state for vm in vms} == {"first": VMState.RUNNING, "second": VMState.STOPPED}
    assert all(check.ok for check in product.container.get_billing_service().verify())
