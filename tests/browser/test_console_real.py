"""A real guest's console in Chromium: typed on and read by its serial port, a picture seen on its screen, and a guest
that never stops talking."""

import logging
import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.browser import Person, browser_context
from tests.browser.product import Product, wait_until
from tests.browser.real_product import product_on_libvirt
from tests.browser.test_console import SAYS, heap_mib, lit_pixels, resident_mib, terminal_text, wait_for_text
from zentry_web.domain.user import User
from zentry_web.domain.vms.vm import VM

pytestmark = [pytest.mark.real, pytest.mark.timeout(420)]

BOOT_SECONDS = 120
PASSWORD_OF_ROOT = "zentry"
SET_PASSWORD = "$1$zentry$2arVDW9zpdsGme3PjtNgp1"  # openssl passwd -1 -salt zentry zentry
USER_DATA = f"#!/bin/sh\nsed -i 's|^root:[^:]*:|root:{SET_PASSWORD}:|' /etc/shadow\necho password is set\n"
PROMPT = "root@real-one:~#"
SCROLLBACK = 5000  # lines that the terminal keeps


@pytest.fixture(scope="module")
def libvirt_product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    with product_on_libvirt(tmp_path_factory.mktemp("libvirt")) as product:
        yield product


@pytest.fixture(scope="module")
def alice(libvirt_product: Product) -> User:
    return libvirt_product.make_user("Alice", "alice@example.com")


@pytest.fixture(scope="module")
def vm(libvirt_product: Product, alice: User) -> VM:
    container = libvirt_product.container
    project = container.get_project_service().create_project({"name": "real"}, alice)
    chosen = {"project_id": project.id, "name": "real-one", "size_id": "size_nano", "image_id": "img_tiny"}
    return container.get_vm_service().create_vm(chosen | {"user_data": USER_DATA}, alice)


@pytest.fixture
def page(libvirt_product: Product, chromium: Browser, alice: User, vm: VM) -> Iterator[Page]:
    """Her window of the console, where she is logged in on the serial port."""
    with browser_context(chromium, libvirt_product.url) as (context, problems):
        person = Person(context, problems, alice.email, "Alice")
        person.log_in()
        problems.expect("409")  # it is asked for before the machine is there
        person.page.goto(f"/vms/{vm.id}/console/window")
        expect(person.page.locator(SAYS)).to_have_text("Connected.", timeout=BOOT_SECONDS * 1000)
        log_in_on_serial_port(person.page)
        yield person.page


def log_in_on_serial_port(page: Page) -> None:
    """As root, unless somebody before has left the shell open."""

    def is_answered() -> bool:
        page.keyboard.press("Enter")
        return terminal_text(page).rstrip().endswith((PROMPT, "real-one login:"))

    wait_until(
        lambda: "password is set" in terminal_text(page) or PROMPT in terminal_text(page), BOOT_SECONDS, "it is up"
    )
    page.locator("#vm-terminal [data-place]").click()
    wait_until(is_answered, 60, "a prompt")
    if not terminal_text(page).rstrip().endswith(PROMPT):
        page.keyboard.type("root\n")
        wait_for_text(page, "Password:")
        page.keyboard.type(f"{PASSWORD_OF_ROOT}\n")
        wait_for_text(page, PROMPT)


def test_somebody_logs_in_on_the_serial_port_and_sees_the_screen(page: Page, vm: VM) -> None:
    page.keyboard.type("echo six times seven is $((6 * 7))\n")
    wait_for_text(page, "six times seven is 42")

    page.goto(f"/vms/{vm.id}/console/window?show=screen")
    expect(page.locator(SAYS)).to_have_text("Connected.")
    wait_until(lambda: lit_pixels(page) > 500, 30, "a picture is seen")
    before = lit_pixels(page)
    page.keyboard.type("somebody\n")  # at the login of its display
    wait_until(lambda: lit_pixels(page) != before, 30, "the picture changes with what is typed")


@pytest.mark.parametrize(
    ("mib", "seconds"),
    [(0.5, 0), pytest.param(4, 600, marks=[pytest.mark.slow, pytest.mark.timeout(1200)])],
    ids=["short", "ten-minutes"],
)
def test_a_guest_that_says_yes_without_end_costs_bounded_memory(
    page: Page, libvirt_product: Product, vm: VM, mib: float, seconds: int
) -> None:
    """So much of it, and so long at least: neither the page nor the process of consoles nor the host's log grows."""
    page.evaluate(
        """() => {
          const terminal = document.getElementById("vm-terminal").terminal, write = terminal.write.bind(terminal);
          terminal.told = 0;
          terminal.write = (data, done) => { terminal.told += data.length; write(data, done); };
        }"""
    )
    heap, pid = page.context.new_cdp_session(page), libvirt_product.child_pid("console")
    page.keyboard.type("yes\n")
    wait_until(lambda: terminal_lines(page) > SCROLLBACK, 180, "the scrollback is full")
    rss, held = [resident_mib(pid)], [heap_mib(heap)]
    began, told = time.monotonic(), told_mib(page)

    def is_enough() -> bool:
        rss.append(resident_mib(pid))
        held.append(heap_mib(heap))
        page.wait_for_timeout(min(5000, 200 + seconds * 10))
        return told_mib(page) - told >= mib and time.monotonic() - began >= seconds

    wait_until(is_enough, seconds + 240, f"{mib:g} MiB are shown")
    logs = list((libvirt_product.data / "machines" / vm.id).glob("console.log*"))
    figures = (
        f"{told_mib(page) - told:.1f} MiB in {time.monotonic() - began:.0f} s; console process {rss[0]:.1f} MiB, "
        f"at most {max(rss):.1f}, then {rss[-1]:.1f}; page {held[0]:.1f} MiB, at most {max(held):.1f}, "
        f"then {held[-1]:.1f}; "
        f"{terminal_lines(page)} lines; host's log {sum(each.stat().st_size for each in logs) / 2**20:.1f} MiB"
    )
    logging.getLogger(__name__).info(figures)
    assert max(rss) - rss[0] < 8, figures
    assert max(held) - held[0] < 24, figures
    assert terminal_lines(page) <= SCROLLBACK + page.evaluate("document.getElementById('vm-terminal').terminal.rows"), (
        figures
    )
    page.keyboard.press("Control+c")
    wait_for_text(page, "^C", 60)
    page.keyboard.type("echo it is $((6 * 7)) again\n")
    wait_for_text(page, "it is 42 again", 60)


def terminal_lines(page: Page) -> int:
    return int(page.evaluate("document.getElementById('vm-terminal').terminal?.buffer.active.length ?? 0"))


def told_mib(page: Page) -> float:
    """How much the terminal was given to show."""
    return float(page.evaluate("document.getElementById('vm-terminal').terminal.told")) / 2**20
