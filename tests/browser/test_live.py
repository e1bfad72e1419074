"""Pages move by themselves: what happens behind Zentry's back, without a stream, in a hidden tab."""

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, Playwright, Request, expect

from tests.browser.browser import ARGUMENTS, Person, chromium_path
from tests.browser.product import PASSWORD, Product, wait_until
from zentry_web.domain.usage import UsageState

NOTICED_MS = 10_000


def test_a_machine_destroyed_behind_zentrys_back(alice: Person, product: Product) -> None:
    alice.make_project("shaky")
    vm_id = alice.launch("victim")
    alice.wait_state("Running")
    page = alice.page
    page.evaluate("window.markedByTest = true")
    product.zentry("simulator", "destroy", vm_id)
    expect(alice.state).not_to_have_text("Running", timeout=NOTICED_MS)
    expect(
        page.locator("#vm-status").get_by_role("alert").or_(page.locator("#vm-status .z-alert")).first
    ).to_be_visible()
    assert page.evaluate("window.markedByTest === true"), "the page was loaded anew"
    expect(page.locator("#balance-chip")).to_contain_text("nothing is running")
    intervals = product.intervals(vm_id)
    assert intervals[0].end_at is not None, "billing as running has ended"
    assert [row for row in intervals if row.state == UsageState.RUNNING and row.end_at is None] == []


def test_a_list_moves_too(alice: Person, product: Product) -> None:
    alice.make_project("listed")
    vm_id = alice.launch("sleeper")
    alice.wait_state("Running")
    page = alice.page
    page.goto("/vms")
    row = page.locator(f"#row-{vm_id}")
    expect(row).to_contain_text("Running")
    product.zentry("simulator", "stop", vm_id)
    expect(row).to_contain_text("Stopped", timeout=NOTICED_MS)


def test_without_a_stream_pages_poll(alice: Person, product: Product) -> None:
    alice.context.route("**/events", lambda route: route.abort())
    alice.make_project("polled")
    vm_id = alice.launch("polled-vm")
    alice.wait_state("Running")
    expect(alice.page.locator(".z-steps")).to_have_count(0)
    page = alice.page
    page.evaluate("window.markedByTest = true")
    product.zentry("simulator", "stop", vm_id)
    expect(alice.state).to_have_text("Stopped", timeout=NOTICED_MS + 6000)
    assert page.evaluate("window.markedByTest === true")


@pytest.fixture
def real_tabs(playwright_here: Playwright, tmp_path: Path) -> Iterator[Page]:
    """A page in a Chromium whose tabs really are hidden: Playwright's own keep every page 'visible'."""
    process = subprocess.Popen(
        [chromium_path(), "--headless", *ARGUMENTS, "--remote-debugging-port=0", f"--user-data-dir={tmp_path}",
         "about:blank"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    told = tmp_path / "DevToolsActivePort"
    try:
        wait_until(lambda: told.exists() and len(told.read_text().splitlines()) > 1, 30, "Chromium runs")
        port, path = told.read_text().splitlines()[:2]
        browser = playwright_here.chromium.connect_over_cdp(f"ws://127.0.0.1:{port}{path}", no_defaults=True)
        yield browser.contexts[0].pages[0]
        browser.close()
    finally:
        process.terminate()
        process.wait(20)


def test_a_hidden_tab_asks_for_nothing(real_tabs: Page, product: Product) -> None:
    user = product.make_user("Hidden", "hidden@example.com")
    page = real_tabs
    page.goto(f"{product.url}/login")
    page.get_by_label("E-mail").fill(user.email)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    project = product.container.get_project_service().create_project({"name": "hiding"}, user)
    vm_id = launch_behind(product, user, project.id)
    with page.expect_request("**/events"):
        page.goto(f"{product.url}/vms/{vm_id}")
    expect(page.locator("main .z-pill").first).to_have_text("Running")
    asked: list[str] = []

    def note(request: Request) -> None:
        asked.append(request.url)

    page.on("request", note)
    other = page.context.new_page()
    other.goto("about:blank")
    other.bring_to_front()
    page.wait_for_function("document.hidden")
    other.wait_for_timeout(1500)  # what was under way may still end
    asked.clear()
    product.zentry("simulator", "stop", vm_id)
    wait_until(lambda: product.container.get_vm_service().get_vm(vm_id).state == "stopped", 15, "it is stopped")
    other.wait_for_timeout(6500)  # longer than the polling and the charts would wait
    assert asked == [], "a hidden tab asked for something"

    with page.expect_request("**/events"):
        page.bring_to_front()
    expect(page.locator("main .z-pill").first).to_have_text("Stopped")


def launch_behind(product: Product, user, project_id: str) -> str:
    """A running machine without a browser."""
    vms = product.container.get_vm_service()
    chosen = {"project_id": project_id, "name": "hidden-vm", "size_id": "size_nano", "image_id": "img_tiny"}
    vm = vms.create_vm(chosen, user)
    wait_until(lambda: vms.get_vm(vm.id).answered_at, 30, "the machine answers")
    return vm.id


def test_the_worker_away_is_named_and_healed(alice: Person, admin: Person, product: Product) -> None:
    """A worker that hangs is named by /readyz and the admin's pages; killed, it is started again."""
    alice.make_project("patient")
    pid = product.worker_pid()
    os.kill(pid, signal.SIGSTOP)
    try:
        status, parts = wait_until(lambda: worker_missed(product), 60, "/readyz misses the worker")
        assert status == 503
        assert parts["database"]["ok"]
        admin.page.goto("/admin/system")
        readiness = admin.page.get_by_role("region", name="Readiness")
        expect(readiness.get_by_role("row", name=re.compile("^worker"))).to_contain_text("Not ready")
        alice.launch("waits")
        expect(alice.page.locator("#vm-status")).to_contain_text("does not answer")
        expect(alice.state).to_have_text("Creating")
    finally:
        os.kill(pid, signal.SIGKILL)
    alice.wait_state("Running", 60)
    assert product.worker_pid() != pid
    wait_until(product.is_ready, 30, "it is ready again")


def worker_missed(product: Product):
    status, parts = product.ready()
    return (status, parts) if parts and not parts["worker"]["ok"] else None
