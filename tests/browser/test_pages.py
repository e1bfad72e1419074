"""Every page there is: no axe violation in light and dark, and no sideways scrolling on a phone."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from werkzeug.exceptions import HTTPException
from werkzeug.routing import MapAdapter

from tests.browser.browser import Problems, browser_context
from tests.browser.sights import DESKTOP, PHONE, SIGHTS, Furnished, Sight, look_at
from tests.conftest import make_config
from zentry_web import create_app

AXE = (Path(__file__).parent / "vendor" / "axe.min.js").read_text()
FIND_VIOLATIONS = """async () => {
  const why = (node) => [...node.any, ...node.all, ...node.none].map((check) => check.message).join("; ");
  const {violations} = await axe.run(document, {resultTypes: ["violations"]});
  const tell = (found) => found.nodes.slice(0, 5).map((node) => `${found.id}: ${node.target}: ${why(node)}`);
  return violations.flatMap(tell);
}"""
OVERFLOW = """() => document.documentElement.scrollWidth <= innerWidth ? [] :
  [...document.querySelectorAll("body *")].filter((el) => el.getBoundingClientRect().right > innerWidth + 1)
    .slice(0, 5).map((el) => el.outerHTML.slice(0, 150))"""
# What is fetched into pages, or is for machines; everything else with GET must be among the sights.
NO_PAGES = {
    "static", "live.events", "health.alive", "health.ready", "health.metrics", "billing.balance_chip", "vms.metrics",
    "vms.status", "vms.quote", "billing.bill_file", "billing.spend_series", "billing.history_series",
    "billing.statement_pdf", "billing.statement_csv", "styleguide.fragment", "styleguide.metrics", "styleguide.spend",
    "vms.resize_quote", "admin.rehearsal_file", "api.openapi", "api.me", "api.vms",
    "admin.audit_file", "admin.projects_file", "admin.users_file", "admin.vms_file", "admin.voucher_file",
    "admin.ledger_file", "admin.books_file", "admin.books_series", "admin.write_offs_file",
}  # fmt: skip


@pytest.fixture(scope="module")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Furnished]:
    made = Furnished(tmp_path_factory.mktemp("furnished"))
    yield made
    made.stop()


@pytest.fixture(scope="module")
def cookies(furnished: Furnished, chromium: Browser) -> dict[str, dict[str, object]]:
    return furnished.sign_in(chromium)


@pytest.fixture(scope="module")
def windows(
    furnished: Furnished, cookies: dict[str, dict[str, object]], chromium: Browser
) -> Iterator[dict[str, tuple[Page, Problems]]]:
    """A window for each who looks, used for one page after the other: opening one costs more than a page."""
    with contextlib.ExitStack() as stack:
        found = {}
        for who, state in cookies.items():
            options = {"storage_state": state or None, "reduced_motion": "reduce"}
            context, problems = stack.enter_context(browser_context(chromium, furnished.url(who), **options))
            found[who] = (context.new_page(), problems)
        yield found
        for _, problems in found.values():
            problems.found.clear()  # each test has checked its own


def check_axe(page: Page, how: str) -> None:
    found = page.evaluate(FIND_VIOLATIONS)
    assert not found, f"axe, {how}:\n" + "\n".join(found)


@pytest.mark.parametrize("sight", SIGHTS, ids=lambda sight: sight.name)
def test_page(sight: Sight, furnished: Furnished, windows: dict[str, tuple[Page, Problems]]) -> None:
    page, problems = windows[sight.who]
    problems.found.clear()
    page.set_viewport_size(DESKTOP)
    page.emulate_media(color_scheme="light")
    look_at(page, furnished, sight)
    expect(page.get_by_role("heading", level=1)).not_to_have_count(0)
    page.evaluate(AXE)
    check_axe(page, "light and wide")
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size(PHONE)
    check_axe(page, "dark and on a phone")
    assert page.evaluate(OVERFLOW) == [], "wider than a phone"
    if sight.name == "error-500":
        problems.found = [text for text in problems.found if not text.startswith("answer 500")]
    problems.check()


def test_every_page_is_looked_at(tmp_path: Path) -> None:
    app = create_app(make_config(tmp_path, environment="development"))
    urls: MapAdapter = app.url_map.bind("localhost")
    seen = {_endpoint(urls, sight.path) for sight in SIGHTS}
    pages = {rule.endpoint for rule in app.url_map.iter_rules() if "GET" in (rule.methods or ())}
    assert pages - NO_PAGES - seen == set()


def _endpoint(urls: MapAdapter, path: str) -> str:
    try:
        return urls.match(path.partition("?")[0], method="GET")[0]
    except HTTPException:
        return ""


def test_the_navigation_works_on_a_phone(
    furnished: Furnished, cookies: dict[str, dict[str, object]], chromium: Browser
) -> None:
    options = {"storage_state": cookies["owner"], "viewport": PHONE, "has_touch": True, "is_mobile": True}
    with browser_context(chromium, furnished.product.url, **options) as (context, _):
        page = context.new_page()
        page.goto("/overview")
        for name, heading in (
            ("Projects", "Projects"),
            ("Virtual machines", "Virtual machines"),
            ("Credits", "Credits"),
        ):
            expect(page.locator("#z-side")).to_be_hidden()
            page.get_by_role("button", name="Menu", exact=True).tap()
            page.get_by_role("navigation", name="Main").get_by_role("link", name=name).tap()
            expect(page.get_by_role("heading", level=1)).to_have_text(heading)
        page.goto("/vms/new")
        expect(page.get_by_role("button", name="Launch")).to_be_visible()
