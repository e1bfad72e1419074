"""Changing the size of a running machine: the price before, the steps while, the new size after."""

import re

from playwright.sync_api import expect

from tests.browser.browser import Person
from tests.browser.product import Product


def test_a_running_machine_gets_another_size(alice: Person, product: Product) -> None:
    alice.make_project("growing")
    alice.launch("grower")
    alice.wait_state("Running")
    page = alice.page
    page.get_by_role("button", name="More actions").click()
    page.locator("[popover]:popover-open").get_by_text("Change size").click()
    expect(page).to_have_url(re.compile("/resize$"))
    quote = page.locator("#resize-quote")
    expect(alice.size_card("nano")).to_be_disabled()
    alice.size_card("large").check(force=True)
    expect(quote).to_contain_text("nano → large")
    expect(quote).to_contain_text("0.20")
    alice.size_card("micro").check(force=True)
    expect(quote).to_contain_text("nano → micro")
    expect(quote).to_contain_text("This restarts the machine.")
    with page.expect_response(lambda answer: answer.request.method == "POST"):
        page.get_by_role("button", name=re.compile("^Restart as micro for 0.015")).click()
    expect(page).to_have_url(re.compile(r"/vms/vm_\w+$"))
    alice.wait_state("Running")
    expect(page.locator("#vm-status")).to_contain_text("512 MiB")
    expect(page.locator("#vm-activity")).to_contain_text("Resized grower from nano to micro")
    user = product.find_user(alice.email)
    vms = product.container.get_vm_service().list_vms(user.id).vms
    assert [(vm.size_name, vm.memory_mib) for vm in vms] == [("micro", 512)]


def test_too_few_credits_is_said_in_the_form(alice: Person, product: Product) -> None:
    user = product.find_user(alice.email)
    alice.make_project("tight")
    alice.launch("tight")
    alice.wait_state("Running")
    product.container.get_billing_service().deduct_credits(user.id, 4_900_000, "for a test")
    page = alice.page
    page.goto(f"{page.url.split('?')[0]}/resize")
    alice.size_card("large").check(force=True)
    expect(page.locator("#resize-quote")).to_contain_text("Not enough credits")
    with page.expect_response(lambda answer: answer.request.method == "POST"):
        page.get_by_role("button", name=re.compile("^Restart as large")).click()
    expect(page.get_by_role("alert").first).to_contain_text("more are needed")
    expect(alice.size_card("large")).to_be_checked()
