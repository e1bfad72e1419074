"""A real guest's console in Chromium: typed on and read by its serial port, and a picture seen on its screen."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.browser import Person, browser_context
from tests.browser.product import Product, wait_until
from tests.browser.real_product import product_on_libvirt
from tests.browser.test_console import SAYS, lit_pixels, wait_for_text

pytestmark = [pytest.mark.real, pytest.mark.timeout(420)]

BOOT_SECONDS = 120
PASSWORD_OF_ROOT = "zentry"
SET_PASSWORD = "$1$zentry$2arVDW9zpdsGme3PjtNgp1"  # openssl passwd -1 -salt zentry zentry
USER_DATA = f"#!/bin/sh\nsed -i 's|^root:[^:]*:|root:{SET_PASSWORD}:|' /etc/shadow\necho password is set\n"


@pytest.fixture(scope="module")
def libvirt_product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    with product_on_libvirt(tmp_path_factory.mktemp("libvirt")) as product:
        yield product


def test_somebody_logs_in_on_the_serial_port_and_sees_the_screen(libvirt_product: Product, chromium: Browser) -> None:
    user = libvirt_product.make_user("Alice", "alice@example.com")
    container = libvirt_product.container
    project = container.get_project_service().create_project({"name": "real"}, user)
    chosen = {"project_id": project.id, "name": "real-one", "size_id": "size_nano", "image_id": "img_tiny"}
    vm = container.get_vm_service().create_vm(chosen | {"user_data": USER_DATA}, user)
    with browser_context(chromium, libvirt_product.url) as (context, problems):
        alice = Person(context, problems, user.email, "Alice")
        alice.log_in()
        page = alice.page
        problems.expect("409")  # it is asked for before the machine is there
        page.goto(f"/vms/{vm.id}/console/window")
        expect(page.locator(SAYS)).to_have_text("Connected.", timeout=BOOT_SECONDS * 1000)
        wait_for_text(page, "password is set", BOOT_SECONDS)
        page.locator("#vm-terminal [data-place]").click()
        page.keyboard.press("Enter")
        wait_for_text(page, "real-one login:")
        page.keyboard.type("root\n")
        wait_for_text(page, "Password:")
        page.keyboard.type(f"{PASSWORD_OF_ROOT}\n")
        wait_for_text(page, "root@real-one:~#")
        page.keyboard.type("echo six times seven is $((6 * 7))\n")
        wait_for_text(page, "six times seven is 42")

        page.goto(f"/vms/{vm.id}/console/window?show=screen")
        expect(page.locator(SAYS)).to_have_text("Connected.")
        wait_until(lambda: lit_pixels(page) > 500, 30, "a picture is seen")
        before = lit_pixels(page)
        page.keyboard.type("somebody\n")  # at the login of its display
        wait_until(lambda: lit_pixels(page) != before, 30, "the picture changes with what is typed")
