"""Chromium with an eye on what goes wrong in it, and the few things every journey does."""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Locator, Page, Playwright, Response, expect

from tests.browser.product import PASSWORD

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
STEP_MS = 20_000  # how long one step of a journey may take on a slow machine
STATIC = ("script", "stylesheet", "image", "font", "manifest")
# A violation of the Content-Security-Policy is told on the console too, but not each kind of it.
WATCH_POLICY = """document.addEventListener("securitypolicyviolation", (event) =>
    console.error(`policy violated: ${event.violatedDirective} ${event.blockedURI} ${event.sourceFile ?? ""}`))"""


def chromium_path() -> str:
    """The browser: $CHROMIUM, else the one on the PATH."""
    found = os.environ.get("CHROMIUM") or shutil.which("chromium")
    assert found, "Chromium is not installed; scripts/install --test does that"
    return found


def launch_chromium(playwright: Playwright) -> Browser:
    return playwright.chromium.launch(executable_path=chromium_path(), args=ARGUMENTS)


@dataclass
class Problems:
    """What went wrong in one browser context and should not have."""

    found: list[str] = field(default_factory=list)
    expected: list[re.Pattern[str]] = field(default_factory=list)

    def watch(self, page: Page) -> None:
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.add(f"script error: {error}"))
        page.on("response", self._on_response)

    def add(self, text: str) -> None:
        self.found.append(text)

    def expect(self, pattern: str) -> None:
        """Let problems that match ``pattern`` pass: this journey causes them on purpose."""
        self.expected.append(re.compile(pattern))

    def check(self) -> None:
        bad = [text for text in self.found if not any(pattern.search(text) for pattern in self.expected)]
        assert not bad, "in the browser:\n" + "\n".join(bad)

    def _on_console(self, message: ConsoleMessage) -> None:
        # "Failed to load resource" is judged by _on_response, which knows what was loaded.
        if message.type in ("error", "warning") and not message.text.startswith("Failed to load resource"):
            self.add(f"console {message.type}: {message.text} ({message.location.get('url', '')})")

    def _on_response(self, response: Response) -> None:
        if response.status >= 500 or (response.status >= 400 and response.request.resource_type in STATIC):
            self.add(f"answer {response.status}: {response.request.method} {response.url}")


class Person:
    """Somebody at a browser of their own."""

    def __init__(self, context: BrowserContext, problems: Problems, email: str = "", name: str = "") -> None:
        self.context = context
        self.problems = problems
        self.email = email
        self.name = name
        self.page = context.new_page()

    # -- accounts -------------------------------------------------------------------------------

    def sign_up(self, name: str, email: str, password: str = PASSWORD) -> None:
        """Through the form, from the front page on."""
        page = self.page
        self.name, self.email = name, email
        page.goto("/")
        page.get_by_role("link", name=re.compile("Sign up")).first.click()
        page.get_by_label("Your name").fill(name)
        page.get_by_label("E-mail").fill(email)
        page.get_by_label("Password", exact=True).fill(password)
        page.get_by_role("button", name="Create account").click()
        expect(page).to_have_url(re.compile("/overview$"))

    def log_in(self, password: str = PASSWORD) -> None:
        page = self.page
        page.goto("/login")
        page.get_by_label("E-mail").fill(self.email)
        page.get_by_label("Password", exact=True).fill(password)
        page.get_by_role("button", name="Log in").click()
        expect(page).to_have_url(re.compile("/overview$"))

    # -- projects and machines ------------------------------------------------------------------

    def make_project(self, name: str) -> str:
        """Through the form's own page; returns the project's id."""
        page = self.page
        page.goto("/projects/new")
        page.get_by_label("Name").fill(name)
        page.get_by_role("button", name="Create project").click()
        expect(page.get_by_role("heading", level=1)).to_contain_text(name)
        return page.url.rpartition("/")[2]

    def launch(self, name: str, *, size: str = "nano", project: str | None = None) -> str:
        """Launch through the form; returns the machine's id. Does not wait for it to run."""
        page = self.page
        page.goto("/vms/new" + (f"?project={project}" if project else ""))
        page.get_by_label("Name", exact=True).fill(name)
        self.size_card(size).check(force=True)
        price = page.locator(f"#price-size_{size} .z-num").first.inner_text()
        page.get_by_role("button", name=f"Launch for {price} per hour").click()  # once it says so: else it asks again
        return self.vm_id_shown()

    def size_card(self, size: str) -> Locator:
        return self.page.get_by_role("radio", name=re.compile(rf"^\s*{size}\b"))

    def vm_id_shown(self) -> str:
        """The id of the machine whose page is shown, once it is."""
        expect(self.page).to_have_url(re.compile(r"/vms/vm_[0-9A-Za-z]+$"))
        return self.page.url.rpartition("/")[2]

    def open_tab(self, name: str) -> None:
        """One of the page's tabs, until it is the one shown."""
        tab = self.page.locator(".z-tabs").get_by_role("link", name=name, exact=True)
        tab.click()
        expect(tab).to_have_attribute("aria-current", "page")

    @property
    def state(self) -> Locator:
        """The state on a machine's page."""
        return self.page.locator("main .z-pill").first

    def wait_state(self, state: str, seconds: float = 30) -> None:
        """Wait until the page shows the state, by itself."""
        expect(self.state).to_have_text(state, timeout=seconds * 1000)

    def wait_step(self, name: str, seconds: float = 60) -> None:
        """Wait until a step of coming up is shown as done."""
        step = self.page.locator(".z-step.done", has_text=name)
        expect(step).to_be_visible(timeout=seconds * 1000)


@contextmanager
def browser_context(browser: Browser, base_url: str, **options: Any) -> Iterator[tuple[BrowserContext, Problems]]:
    """A context whose problems fail the test when it ends. ``options`` are Playwright's."""
    problems = Problems()
    context = browser.new_context(base_url=base_url, locale="en-GB", **options)
    context.set_default_timeout(STEP_MS)
    context.set_default_navigation_timeout(STEP_MS)
    context.add_init_script(WATCH_POLICY)
    context.on("page", problems.watch)
    try:
        yield context, problems
    finally:
        context.close()
    problems.check()
