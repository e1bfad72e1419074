"""The whole main job in a browser against a real guest under libvirt: from sign-up to the last second on the bill."""

import itertools
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.browser import Person, browser_context
from tests.browser.product import Product, wait_until
from tests.browser.real_product import product_on_libvirt
from tests.libvirt_fixture import SshKey, make_ssh_key
from zentry_web.domain.credits.bills import shown_total
from zentry_web.domain.credits.usage import UsageState
from zentry_web.domain.money import cost, format_credits
from zentry_web.domain.user import SYSTEM

pytestmark = [pytest.mark.real, pytest.mark.timeout(420)]

USER_DATA = "#!/bin/sh\necho user data ran on $(hostname)\n"
BOOT_SECONDS = 120
STARTING_MICRO = 5_000_000
ROUNDINGS = 20  # charges are made piece by piece, each rounded to a whole micro-credit


@pytest.fixture(scope="module")
def libvirt_product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    with product_on_libvirt(tmp_path_factory.mktemp("libvirt"), environment="production", sample_seconds=5) as product:
        yield product


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> SshKey:
    return make_ssh_key(tmp_path_factory.mktemp("key"))


def test_the_whole_main_job(libvirt_product: Product, chromium: Browser, key: SshKey) -> None:
    with browser_context(chromium, libvirt_product.url) as (context, problems):
        person = Person(context, problems)
        page = person.page
        vm_id = reach_the_first_machine(person, key)
        watch_it_come_up(person)
        address = page.locator("#vm-status .z-code").first.inner_text()
        assert re.fullmatch(r"\d+\.\d+\.\d+\.\d+", address)
        assert run(key, address, "hostname") == "first"
        run(key, address, "mount | grep -q ' /data ' && echo kept across stop and start > /data/note")

        person.open_tab("Console")
        expect(page.locator("#vm-console pre")).to_contain_text("user data ran on first", timeout=30_000)
        person.open_tab("Metrics")
        see_real_samples(page)
        person.open_tab("Overview")
        stop_and_start(person)
        address = page.locator("#vm-status .z-code").first.inner_text()
        assert run(key, address, "cat /data/note") == "kept across stop and start"
        reboot_and_force_off(person)
        delete(person, vm_id)
        check_the_bill(libvirt_product, page, vm_id)
        check_the_record(libvirt_product, page, vm_id)


def reach_the_first_machine(person: Person, key: SshKey) -> str:
    """An empty overview leads to the first project, that to the first machine. Returns its id."""
    page = person.page
    person.sign_up("Ada Lovelace", "ada@example.com")
    expect(page.locator("#overview")).to_contain_text("5.0000")
    page.get_by_role("link", name="Create a project").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("engines")
    dialog.get_by_role("button", name="Create project").click()
    page.get_by_role("link", name="Launch machine").first.click()

    page.get_by_label("Name", exact=True).fill("first")
    quote = page.locator("#quote")
    person.size_card("small").check(force=True)
    expect(quote).to_contain_text("0.05")
    dear = quote.inner_text()
    person.size_card("nano").check(force=True)
    expect(quote).to_contain_text("0.005")
    assert quote.inner_text() != dear
    page.get_by_label("SSH public key").fill(key.public)
    page.get_by_role("textbox", name="User data").fill(USER_DATA)
    mark(page)
    page.get_by_role("button", name=re.compile(r"^Launch for 0\.005 per hour")).click()
    return person.vm_id_shown()


def mark(page: Page) -> None:
    """Put a mark on the page that a reload would wipe off."""
    page.evaluate("window.markedByTest = true")


def assert_not_reloaded(page: Page) -> None:
    assert page.evaluate("window.markedByTest === true"), "the page was loaded anew"


def watch_it_come_up(person: Person) -> None:
    """The steps move by themselves until the guest has answered; then its address is shown."""
    page = person.page
    mark(page)
    person.wait_step("Running", BOOT_SECONDS)
    expect(person.state).to_have_text("Running")
    expect(page.locator(".z-steps")).to_have_count(0, timeout=BOOT_SECONDS * 1000)  # they go once all are done
    expect(page.locator("#vm-activity")).to_contain_text("Launched first")
    expect(page.locator("#vm-status .z-code").first).to_have_text(re.compile(r"^\d+\.\d+\.\d+\.\d+$"))
    assert_not_reloaded(page)


def run(key: SshKey, address: str, command: str) -> str:
    """What a command prints on the guest; a lease may come a moment before sshd listens."""

    def attempt() -> tuple[str]:
        return (key.run(address, command).strip(),)

    deadline = time.monotonic() + 40
    while True:
        try:
            return attempt()[0]
        except AssertionError:
            if time.monotonic() > deadline:
                raise


def see_real_samples(page: Page) -> None:
    """The charts draw what libvirt reported."""
    page.wait_for_function(
        """() => {
          const chart = document.querySelector('[data-chart=memory]');
          return chart?.data?.some((trace) => trace.y.filter((value) => value > 0).length >= 2);
        }""",
        timeout=60_000,
    )


def stop_and_start(person: Person) -> None:
    page = person.page
    mark(page)
    stop = page.get_by_role("button", name=re.compile("^Stop"))
    expect(stop).to_contain_text("0.0001")  # what the disk goes on costing
    stop.click()
    person.wait_state("Stopped", 90)
    start = page.get_by_role("button", name=re.compile("^Start"))
    expect(start).to_contain_text("0.005")
    start.click()
    person.wait_state("Running", BOOT_SECONDS)
    expect(page.locator(".z-steps")).to_have_count(0, timeout=BOOT_SECONDS * 1000)
    expect(page.locator("#vm-status .z-code").first).to_have_text(re.compile(r"^\d+\.\d+\.\d+\.\d+$"))
    assert_not_reloaded(page)


def reboot_and_force_off(person: Person) -> None:
    page = person.page
    page.get_by_role("button", name="Reboot").click()
    expect(page.locator("#vm-activity")).to_contain_text("Rebooted first", timeout=90_000)
    person.wait_state("Running", 90)
    page.get_by_role("button", name="More actions").click()
    page.get_by_role("link", name="Force off").click()
    page.get_by_role("dialog").get_by_role("button", name="Force off").click()
    person.wait_state("Stopped", 60)


def delete(person: Person, vm_id: str) -> None:
    page = person.page
    person.open_tab("Activity")
    for done in ("Launched", "first answered", "Stopped", "Started", "Rebooted", "Forced off"):
        expect(page.locator("main .z-acts")).to_contain_text(done)
    page.get_by_role("button", name="More actions").click()
    page.get_by_role("link", name=re.compile("^Delete")).click()
    dialog = page.get_by_role("dialog")
    confirm = dialog.get_by_role("button", name=re.compile("^Delete"))
    expect(confirm).to_be_disabled()
    dialog.get_by_role("textbox").fill("first")
    expect(confirm).to_be_enabled()
    confirm.click()
    expect(page).to_have_url(re.compile("/vms$"))
    expect(page.get_by_text("No machines yet")).to_be_visible(timeout=60_000)
    page.goto(f"/vms/{vm_id}")
    expect(page.get_by_role("heading", level=1)).to_contain_text("first deleted")


def check_the_bill(product: Product, page: Page, vm_id: str) -> None:
    """Every micro-credit that went is a whole second of an interval at its price; pages show the same figures."""
    billing = product.container.get_billing_service()
    wait_until(lambda: all(row.settled for row in product.intervals(vm_id)), 30, "all usage is settled")
    intervals = product.intervals(vm_id)
    states = [row.state for row in intervals]
    assert states == [UsageState.RUNNING, UsageState.STOPPED, UsageState.RUNNING, UsageState.STOPPED], states
    for before, after in itertools.pairwise(intervals):
        assert before.end_at == after.start_at, "no second is free and none is billed twice"
    user_id = intervals[0].owner_id
    usage = billing.get_usage_summary(user_id)
    (line,) = usage.lines
    seconds = dict.fromkeys(UsageState, 0)
    expected = 0
    for row in intervals:
        length = int((row.end_at - row.start_at).total_seconds())
        seconds[UsageState(row.state)] += length
        expected += cost(row.rate_micro_per_hour, max(length, row.minimum_seconds))
    assert (line.running_seconds, line.stopped_seconds) == (seconds[UsageState.RUNNING], seconds[UsageState.STOPPED])
    assert abs(line.amount_micro - expected) <= ROUNDINGS, "one rounding per charge"
    balance = billing.get_balance(user_id)
    assert balance.total_micro == STARTING_MICRO - line.amount_micro
    assert balance.held_micro == 0
    assert [check for check in billing.verify() if not check.ok] == []

    page.goto("/credits")
    expect(page.locator("#credits-balance")).to_contain_text(format_credits(balance.total_micro, decimals=4))
    page.goto("/credits/spend")
    row = page.get_by_role("region", name="Spent by machine").locator("tbody tr:not(.z-total)")
    expect(row).to_have_count(1)
    expect(row).to_contain_text("first")
    expect(row).to_contain_text(format_credits(shown_total([line.amount_micro], 4), decimals=4))
    page.goto("/credits/bill")
    expect(page.locator(".z-day-total")).to_contain_text(format_credits(line.amount_micro, decimals=6))
    page.goto("/credits/transactions")
    expect(page.locator("#main")).to_contain_text(format_credits(balance.total_micro, decimals=6))
    charges = page.get_by_role("region", name="Transactions").locator("tbody tr", has_text="first")
    # One round charges what it finds in one transaction, so that two short intervals may share one.
    expect(charges).to_have_count(len(product.charging_transfers(vm_id)))


def check_the_record(product: Product, page: Page, vm_id: str) -> None:
    """Each action: who, when, from where, and how it ended."""
    page.goto("/overview")
    binned = product.container.get_vm_service().bin
    wait_until(lambda: binned.get_binned(vm_id, actor=SYSTEM).is_off, 60, "the machine to be off, in the bin")
    events = product.container.get_user_service().search_audit(resource_id=vm_id)
    ended = {event.action: event for event in events if event.operation_id and event.ended}
    for action in ("vm.create", "vm.stop", "vm.start", "vm.reboot", "vm.force_off", "vm.bin"):
        assert action in ended, f"{action} has no ending"
        event = ended[action]
        assert event.ended == "succeeded", (action, event.ended, event.error)
        assert event.personal["address"] == "127.0.0.1"
        assert event.actor_name == "Ada Lovelace"
        assert (datetime.now(UTC) - event.at).total_seconds() < 600
