"""A machine's console in a browser: typed on, looked at, shared, reconnected, and ended when the right to it ends."""

import re
from pathlib import Path

from playwright.sync_api import CDPSession, Page, expect

from tests.browser.browser import Person
from tests.browser.product import Product, wait_until
from tests.services.people import acting, join
from zentry_web.domain.vms.state import VMState

SAYS = "#vm-terminal [data-say]"


def terminal_text(page: Page) -> str:
    """Everything the terminal shows and has shown."""
    return page.evaluate(
        """() => {
          const found = document.getElementById("vm-terminal").terminal?.buffer.active;
          const line = (row) => found.getLine(row).translateToString(true);
          return found ? [...Array(found.length).keys()].map(line).join("\\n") : "";
        }"""
    )


def wait_for_text(page: Page, text: str, seconds: float = 20) -> None:
    wait_until(
        lambda: text in terminal_text(page), seconds, f"the terminal shows {text!r}: {terminal_text(page)[-500:]}"
    )


def test_it_is_typed_on_and_read(alice: Person) -> None:
    alice.make_project("talks")
    vm_id = alice.launch("talker")
    alice.wait_state("Running")
    alice.open_tab("Console")
    page = alice.page
    expect(page.locator(SAYS)).to_have_text("Connected.")
    wait_for_text(page, "This machine is simulated")
    page.keyboard.type("hello\n")
    wait_for_text(page, "hello: there is no such program")

    page.get_by_role("button", name="Paste text").click()
    page.get_by_label("Text to type").fill("pasted")
    page.get_by_role("button", name="Type it").click()
    page.keyboard.press("Enter")
    wait_for_text(page, "pasted: there is no such program")

    again = alice.context.new_page()
    again.goto(f"/vms/{vm_id}/console/window")
    expect(again.locator(SAYS)).to_have_text("Connected.")
    page.locator("#vm-terminal [data-place]").click()
    page.keyboard.type("seen by both\n")
    wait_for_text(again, "seen by both: there is no such program")


def lit_pixels(page: Page) -> int:
    """How many pixels of the screen are bright."""
    return page.evaluate(
        """() => {
          const canvas = document.querySelector("#vm-terminal canvas");
          if (!canvas?.width) return 0;
          const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d", {willReadFrequently: true});
          copy.drawImage(canvas, 0, 0);
          const {data} = copy.getImageData(0, 0, canvas.width, canvas.height);
          let lit = 0;
          for (let at = 0; at < data.length; at += 4) lit += data[at] + data[at + 1] + data[at + 2] > 300;
          return lit;
        }"""
    )


def test_the_screen_is_seen_and_takes_keys(alice: Person) -> None:
    alice.make_project("looks")
    vm_id = alice.launch("looker")
    alice.wait_state("Running")
    page = alice.page
    page.goto(f"/vms/{vm_id}/console?show=screen")
    expect(page.locator(SAYS)).to_have_text("Connected.")
    wait_until(lambda: lit_pixels(page) > 1000, 20, "a picture is seen")
    before = lit_pixels(page)
    page.keyboard.type("ab")
    wait_until(lambda: lit_pixels(page) > before, 20, "the picture shows the keys")
    after = lit_pixels(page)
    page.get_by_role("button", name="Send keys").click()
    page.get_by_role("button", name="Ctrl + Alt + Del", exact=True).click()
    wait_until(lambda: lit_pixels(page) > after, 20, "the picture shows the keys that were sent")
    page.keyboard.press("Control+F6")
    expect(page.get_by_role("button", name="Reconnect")).to_be_focused()


def test_it_says_when_the_machine_is_off_and_comes_back_with_it(alice: Person, product: Product) -> None:
    alice.make_project("sleeps")
    vm_id = alice.launch("sleeper")
    alice.wait_state("Running")
    page = alice.page
    alice.open_tab("Console")
    expect(page.locator(SAYS)).to_have_text("Connected.")
    alice.problems.expect("answer 409 .*console/tickets|status of 409")
    vms = product.container.get_vm_service()
    vms.stop_vm(vm_id)
    expect(page.locator(SAYS)).to_have_text("The machine is off, so it has no console.")
    wait_until(lambda: vms.get_vm(vm_id).state == VMState.STOPPED, 30, "it is off")
    vms.start_vm(vm_id)
    expect(page.locator(SAYS)).to_have_text("Connected.")


def test_it_ends_within_five_seconds_when_the_right_does(alice: Person, bob: Person, product: Product) -> None:
    project_id = alice.make_project("shared")
    vm_id = alice.launch("shared-one")
    alice.wait_state("Running")
    owner, member = product.find_user(alice.email), product.find_user(bob.email)
    join(product.container, product.container.get_project_service().get_project(project_id), member, "member")
    page = bob.page
    page.goto(f"/vms/{vm_id}/console/window")
    expect(page.locator(SAYS)).to_have_text("Connected.")
    page.keyboard.type("still typ")
    product.container.get_project_service().members.remove(project_id, member.id, actor=acting(owner))
    expect(page.locator(SAYS)).to_have_text("Your access to this console has ended.", timeout=5000)
    bob.problems.expect("404")
    page.get_by_role("button", name="Reconnect").click()
    expect(page.locator(SAYS)).to_contain_text("no such virtual machine")


def test_it_ends_within_five_seconds_when_the_session_or_the_account_does(bob: Person, product: Product) -> None:
    bob.make_project("own")
    vm_id = bob.launch("own-one")
    bob.wait_state("Running")
    page, user = bob.page, product.find_user(bob.email)
    auth, users = product.container.get_auth_service(), product.container.get_user_service()
    bob.problems.expect("401|403")
    for ends in ("session", "account"):
        page.goto(f"/vms/{vm_id}/console/window")
        expect(page.locator(SAYS)).to_have_text("Connected.")
        page.locator("#vm-terminal [data-place]").click()
        page.keyboard.type("still typ")
        if ends == "session":
            auth.end_sessions(user.id, actor=acting(user))
        else:
            users.set_disabled(user.id, True)
        expect(page.locator(SAYS)).to_have_text("Your access to this console has ended.", timeout=5000)
        if ends == "session":
            bob.log_in()


def test_a_guest_that_never_stops_talking_costs_bounded_memory(alice: Person, product: Product) -> None:
    """Ten minutes of ``yes`` are the same as this, only longer: nothing grows."""
    alice.make_project("loud")
    vm_id = alice.launch("loud-one")
    alice.wait_state("Running")
    page = alice.page
    page.goto(f"/vms/{vm_id}/console/window")
    expect(page.locator(SAYS)).to_have_text("Connected.")
    wait_for_text(page, "This machine is simulated")
    pid = product.child_pid("console")
    page.keyboard.type("yes\n")
    wait_for_text(page, "y\ny\ny\n")
    heap = page.context.new_cdp_session(page)
    page.wait_for_timeout(3000)  # until the window is full
    before, held = resident_mib(pid), heap_mib(heap)
    seen = [resident_mib(pid) for _ in range(25) if not page.wait_for_timeout(200)]
    assert max(seen) - before < 8
    assert heap_mib(heap) - held < 40
    page.keyboard.press("Control+c")
    wait_for_text(page, "^C")
    page.keyboard.type("done\n")
    wait_for_text(page, "done: there is no such program")


def heap_mib(session: CDPSession) -> float:
    """What a page's scripts hold, after a sweep."""
    session.send("HeapProfiler.collectGarbage")
    return session.send("Runtime.getHeapUsage")["usedSize"] / 2**20


def resident_mib(pid: int) -> float:
    """Memory of a process."""
    (found,) = re.findall(r"^VmRSS:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return int(found) / 1024
