"""Many pages of one browser: one event stream serves them all, and what it does not hold is free for requests."""

import re

from playwright.sync_api import BrowserContext, Page, Request, expect

from tests.browser.browser import Person

PAGES = 8
WITHOUT_LOCKS = "Object.defineProperty(Navigator.prototype, 'locks', {value: undefined})"


def watch_streams(context: BrowserContext) -> set[Request]:
    """The event streams that are open at this moment, kept up to date."""
    streams: set[Request] = set()

    def note(request: Request) -> None:
        if "/events?" in request.url:
            streams.add(request)

    def forget(request: Request) -> None:
        streams.discard(request)

    context.on("request", note)
    context.on("requestfinished", forget)
    context.on("requestfailed", forget)
    return streams


def opened(context: BrowserContext, path: str, number: int) -> list[Page]:
    pages = [context.new_page() for _ in range(number)]
    for page in pages:
        page.goto(path)
        expect(page.locator("#z-polled")).to_be_hidden()
    return pages


def test_eight_pages_share_one_stream_and_requests_go_on(alice: Person) -> None:
    alice.make_project("windows")
    vm_id = alice.launch("seen-by-all")
    expect(alice.state).to_contain_text("Running")
    alice.page.goto("about:blank")
    streams = watch_streams(alice.context)
    pages = opened(alice.context, f"/vms/{vm_id}", PAGES)
    assert len(streams) == 1

    pages[3].get_by_role("button", name=re.compile("^Stop")).first.click()
    for page in pages:
        expect(page.locator("main .z-pill").first).to_contain_text("Stopped")
    assert len(streams) == 1

    pages[0].goto("about:blank")  # it came first: the stream was its
    pages[5].get_by_role("button", name=re.compile("^Start")).first.click()
    for page in pages[1:]:
        expect(page.locator("main .z-pill").first).to_contain_text("Running")
    assert len(streams) == 1
    late = alice.context.new_page()
    late.goto("/overview")
    expect(late.get_by_role("heading", level=1)).to_be_visible()


def test_a_browser_without_locks_has_a_stream_for_each_page(alice: Person) -> None:
    alice.make_project("windows")
    vm_id = alice.launch("seen-by-three")
    expect(alice.state).to_contain_text("Running")
    alice.page.goto("about:blank")
    alice.context.add_init_script(WITHOUT_LOCKS)
    streams = watch_streams(alice.context)
    pages = opened(alice.context, f"/vms/{vm_id}", 3)
    assert len(streams) == 3
    pages[1].get_by_role("button", name=re.compile("^Stop")).first.click()
    for page in pages:
        expect(page.locator("main .z-pill").first).to_contain_text("Stopped")
