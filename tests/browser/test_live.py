"""Pages move by themselves: what happens behind Zentry's back, without a stream, in a hidden tab."""

import contextlib
import json
import os
import re
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, Playwright, Request, Response, expect

from tests.browser.browser import ARGUMENTS, Person, chromium_path
from tests.browser.product import PASSWORD, Product, free_port, wait_until
from tests.proxies import nginx, running
from zentry_web.domain.credits.usage import UsageState

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
    expect(page.locator("#balance-chip")).to_contain_text("nothing costs credits now")
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


@pytest.mark.timeout(400)
def test_of_a_long_list_only_the_row_that_changed_is_fetched(alice: Person, product: Product) -> None:
    """One small request of 31 machines; the whole list when one comes, or when a state decides what it shows."""
    user, vms = product.find_user(alice.email), product.container.get_vm_service()
    product.container.get_billing_service().add_credits(user.id, 1_000_000_000, "for many")
    chosen = {"project_id": alice.make_project("many"), "size_id": "size_nano", "image_id": "img_tiny"}
    ids = [vms.create_vm(chosen | {"name": f"many-{number:02}"}, user).id for number in range(31)]
    wait_until(lambda: all(vm.answered_at for vm in vms.list_vms(user.id).vms), 240, "31 machines answer")
    page = alice.page
    with page.expect_request("**/events*"):
        page.goto("/vms")
    asked = list_requests(page)
    box = page.get_by_label("Select many-05", exact=True)
    box.check()
    row = page.locator(f"#row-{ids[5]}")
    product.zentry("simulator", "stop", ids[5])
    expect(row).to_contain_text("Stopped", timeout=NOTICED_MS)
    expect(box).to_be_checked()
    assert [urlsplit(answer.url).path for answer in asked] == [f"/vms/{ids[5]}/row"]
    assert len(asked[0].body()) < 10_000

    with page.expect_response("**/vms"):
        late = vms.create_vm(chosen | {"name": "late"}, user).id
    expect(page.locator(f"#row-{late}")).to_be_visible()
    expect(box).to_be_checked()
    wait_until(lambda: vms.get_vm(late).answered_at, 60, "the late one answers")
    page.goto("/vms?state=stopped")
    expect(page.locator("tbody tr")).to_have_count(1)
    product.zentry("simulator", "stop", ids[7])
    expect(page.locator(f"#row-{ids[7]}")).to_be_visible(timeout=NOTICED_MS)


@pytest.mark.parametrize(("changed", "requests"), [(5, 5), (6, 1)])
def test_when_many_rows_change_the_list_is_fetched_once(
    alice: Person, product: Product, changed: int, requests: int
) -> None:
    user, vms = product.find_user(alice.email), product.container.get_vm_service()
    chosen = {"project_id": alice.make_project("burst"), "size_id": "size_nano", "image_id": "img_tiny"}
    ids = [vms.create_vm(chosen | {"name": f"burst-{number}"}, user).id for number in range(6)]
    wait_until(lambda: all(vm.answered_at for vm in vms.list_vms(user.id).vms), 120, "6 machines answer")
    page = alice.page
    topics = json.dumps({"topics": [f"vm:{vm_id}" for vm_id in ids[:changed]]})
    told = f"retry: 600000\nid: 1\nevent: change\ndata: {topics}\n\n"
    alice.context.route("**/events*", lambda route: route.fulfill(content_type="text/event-stream", body=told))
    asked = list_requests(page)
    with page.expect_response(lambda answer: answer.request.headers.get("hx-request") == "true"):
        page.goto("/vms")
    page.wait_for_timeout(1500)  # longer than the gathering of topics: nothing else follows
    paths = sorted(urlsplit(answer.url).path for answer in asked)
    assert paths == (["/vms"] if requests == 1 else sorted(f"/vms/{vm_id}/row" for vm_id in ids[:changed]))


def list_requests(page: Page) -> list[Response]:
    """The answers to what a list of machines asks for from now on."""
    asked: list[Response] = []

    def note(answer: Response) -> None:
        if answer.request.headers.get("hx-request") and urlsplit(answer.url).path.startswith("/vms"):
            asked.append(answer)

    page.on("response", note)
    return asked


def test_without_a_stream_pages_poll(alice: Person, product: Product) -> None:
    alice.context.route("**/events*", lambda route: route.abort())
    alice.make_project("polled")
    vm_id = alice.launch("polled-vm")
    alice.wait_state("Running")
    expect(alice.page.locator(".z-steps")).to_have_count(0)
    page = alice.page
    expect(page.locator("#z-polled")).to_be_visible()
    page.evaluate("window.markedByTest = true")
    product.zentry("simulator", "stop", vm_id)
    expect(alice.state).to_have_text("Stopped", timeout=NOTICED_MS + 6000)
    assert page.evaluate("window.markedByTest === true")


def test_a_page_that_was_just_made_is_not_fetched_again(alice: Person, product: Product) -> None:
    """Its stream begins behind the event it was made from; what happens by the clock comes ten seconds later."""
    alice.make_project("fresh")
    vm_id = alice.launch("fresh-vm")
    vms = product.container.get_vm_service()
    wait_until(lambda: vms.get_vm(vm_id).answered_at, 60, "the machine answers")
    page = alice.page
    asked: list[tuple[str, float]] = []
    began = 0.0

    def note(request: Request) -> None:
        if request.headers.get("hx-request"):
            asked.append((request.url, time.monotonic() - began))

    page.on("request", note)
    for _ in range(3):
        with page.expect_request("**/events?after=*"):
            page.goto(f"/vms/{vm_id}")
        page.wait_for_timeout(1500)  # longer than the hub's turn and the gathering of topics
    assert asked == [], f"live parts of a page that was just made were fetched again: {asked}"
    expect(page.locator("#z-polled")).to_be_hidden()
    began = time.monotonic()
    page.wait_for_timeout(25_000)
    status = [url for url, _ in asked if url.endswith("/status")]
    assert 1 <= len(status) <= 3, asked  # every ten seconds, by one clock


HOLDS_STREAMS = """
server {{
    listen 127.0.0.1:{port};
    location / {{
        proxy_pass http://127.0.0.1:{upstream};
        proxy_set_header Host $http_host;
        proxy_buffering on;
        proxy_ignore_headers X-Accel-Buffering;
    }}
}}
"""


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """A Zentry behind a proxy that holds streams back, and passes no WebSockets on."""
    port, folder = free_port(), tmp_path_factory.mktemp("held")
    product = Product(folder / "zentry", base_url=f"http://127.0.0.1:{port}", trusted_proxies=1).start()
    command = nginx(folder, port, product.port, HOLDS_STREAMS.format(port=port, upstream=product.port))
    try:
        with running(command, folder, port):
            product.url = f"http://127.0.0.1:{port}"
            yield product
    finally:
        product.stop()


@pytest.mark.timeout(240)
def test_a_proxy_that_holds_streams_back_is_noticed(sign_in: Callable[..., Person], held: Product) -> None:
    """45 s of silence: the page asks by itself, and says that it is not live."""
    page = sign_in("alice", at=held).page
    page.goto("/overview")
    expect(page.locator("#z-polled")).to_be_hidden()
    expect(page.locator("#z-polled")).to_be_visible(timeout=75_000)
    expect(page.locator("#z-lost")).to_be_hidden()
    with page.expect_response("**/credits/balance", timeout=20_000):
        pass
    page.goto("about:blank")  # what polls would miss the server when it stops


def test_a_proxy_that_passes_no_websockets_on_is_named_by_the_console_s_test(
    sign_in: Callable[..., Person], held: Product
) -> None:
    alice = sign_in("alice", at=held)
    alice.problems.expect("WebSocket connection to .* failed")
    alice.make_project("behind")
    vm_id = alice.launch("behind-it")
    page = alice.page
    alice.wait_state("Running")
    page.goto(f"/vms/{vm_id}/console/window")
    expect(page.locator("#vm-terminal [data-say]")).to_have_text("The connection was lost.")
    page.get_by_text("Test my console path").click()
    page.get_by_role("button", name="Test", exact=True).click()
    part = "A WebSocket gets through, also through proxies in between"
    expect(page.locator("[data-verdict]")).to_have_text(f"This part fails: {part}")
    results = page.locator("[data-hop] [data-result]")
    assert [text.strip() for text in results.all_inner_texts()] == ["works", "fails", "", "", "", ""]
    page.goto("about:blank")  # it tries again for ever


CLOCKS = """() => [...document.querySelectorAll("[data-since], [data-balance-micro]")].map((el) => el.textContent)"""


def test_a_server_that_is_gone_is_named_and_clocks_stand(sign_in: Callable[..., Person], tmp_path: Path) -> None:
    """A page that nobody answers any more says so within seconds, counts nothing on, and heals by itself."""
    product = Product(tmp_path / "gone").start()
    try:
        alice = sign_in("alice", at=product)
        alice.problems.expect("htmx:error")
        alice.make_project("cut-off")
        alice.launch("lonely")
        alice.wait_state("Running")
        page = alice.page
        page.evaluate("window.markedByTest = true")
        bar = page.locator("#z-lost")
        expect(bar).to_be_hidden()
        product.stop()
        expect(bar).to_be_visible(timeout=60_000)
        expect(bar).to_have_text(re.compile(r"No connection since \w{3} \d\d:\d\d:\d\d UTC\."))
        shown = page.evaluate(CLOCKS)
        page.wait_for_timeout(3000)  # the clocks would have gone on
        assert page.evaluate(CLOCKS) == shown
        product.run()
        expect(bar).to_be_hidden(timeout=60_000)
        page.wait_for_function(f"(shown) => !({CLOCKS})().every((text, i) => text === shown[i])", arg=shown)
        assert page.evaluate("window.markedByTest === true")
    finally:
        product.stop()


def test_a_proxys_error_page_is_no_answer_and_a_blocked_stream_no_loss(alice: Person) -> None:
    alice.context.route("**/events*", lambda route: route.abort())
    page = alice.page
    alice.problems.expect("answer 50[34]|htmx:error")
    page.goto("/overview")
    for _ in range(2):
        with page.expect_response("**/credits/balance", timeout=60_000):
            pass
    expect(page.locator("#z-lost")).to_be_hidden()
    chip = page.locator("#balance-chip").inner_text()
    alice.context.route(
        "**/credits/balance", lambda route: route.fulfill(status=503, body="<p>no server is available</p>")
    )
    alice.context.route("**/overview", lambda route: route.fulfill(status=504, body="<p>time-out</p>"))
    expect(page.locator("#z-lost")).to_be_visible(timeout=60_000)
    expect(page.get_by_text("no server is available")).to_have_count(0)
    assert page.locator("#balance-chip").inner_text()[:7] == chip[:7]
    alice.context.unroute("**/credits/balance")
    alice.context.unroute("**/overview")
    expect(page.locator("#z-lost")).to_be_hidden(timeout=60_000)


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
    with page.expect_request("**/events*"):
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

    with page.expect_request("**/events*"):
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
    wait_until(lambda: hangs(pid, product), 30, "the worker is halted between two transactions")
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


def hangs(pid: int, product: Product) -> bool:
    """Halt the worker; one that was halted while it holds SQLite's only writer goes on, and this is False."""
    os.kill(pid, signal.SIGSTOP)
    with contextlib.closing(
        sqlite3.connect(product.data / "zentry.sqlite", timeout=0.2, isolation_level=None)
    ) as database:
        try:
            database.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            os.kill(pid, signal.SIGCONT)
            return False
        database.execute("ROLLBACK")
        return True


def worker_missed(product: Product):
    status, parts = product.ready()
    return (status, parts) if parts and not parts["worker"]["ok"] else None
