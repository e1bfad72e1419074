"""The credits' tabs: nothing moves while they load, days fold open in place, bars lead to their day."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.browser import Person
from tests.browser.product import Product, wait_until

LIMIT = 0.02  # of the page, as browsers measure how much of it moved
WATCH_SHIFTS = """() => {
  window.shifts = [];
  new PerformanceObserver((list) => window.shifts.push(...list.getEntries().filter((each) => !each.hadRecentInput)
    .map((each) => [each.value, each.sources.map(({node}) => node?.id || node?.className).join(" ")])))
    .observe({type: "layout-shift", buffered: true});
}"""


@pytest.fixture
def owner(alice: Person, product: Product) -> Person:
    """Somebody with a machine that runs."""
    return with_machine(alice, product)


def with_machine(alice: Person, product: Product) -> Person:
    user = product.find_user(alice.email)
    project = product.container.get_project_service().create_project({"name": "shop"}, user)
    chosen = {"project_id": project.id, "name": "web-1", "size_id": "size_nano", "image_id": "img_tiny"}
    vm = product.container.get_vm_service().create_vm(chosen, user)
    alice.page.goto(f"/vms/{vm.id}")
    alice.wait_state("Running")
    return alice


def wait_spent(page: Page) -> None:
    """Before the first second of a machine has passed there is no chart."""

    def is_drawn() -> int:
        page.goto("/credits/spend")
        return page.locator("#chart-spend").count()

    wait_until(is_drawn, 20, "something was spent")


def shifted(page: Page) -> tuple[float, object]:
    """How much has moved, and what."""
    found = page.evaluate("window.shifts")
    return sum(value for value, _ in found), found


@pytest.mark.parametrize("path", ["/credits", "/credits/spend"])
@pytest.mark.parametrize("width", [390, 1360])
def test_nothing_moves_while_a_page_with_charts_loads(
    sign_in: Callable[..., Person], product: Product, path: str, width: int
) -> None:
    page = with_machine(sign_in("still", viewport={"width": width, "height": 900}), product).page
    wait_spent(page)
    page.add_init_script(f"({WATCH_SHIFTS})()")
    page.goto(path)
    expect(page.locator("#curve, .z-chart:not(.loading)").first).to_be_visible()
    page.wait_for_load_state("networkidle")
    moved, what = shifted(page)
    assert moved <= LIMIT, what


def test_charts_of_a_machine_are_never_alone_in_a_row(owner: Person) -> None:
    owner.page.get_by_role("link", name="Metrics").click()
    charts = owner.page.locator("#main figure .z-chart")
    expect(charts).to_have_count(4)
    for width in (768, 1360, 1920):
        owner.page.set_viewport_size({"width": width, "height": 900})
        tops = charts.evaluate_all("found => found.map((el) => Math.round(el.getBoundingClientRect().top))")
        assert len(set(tops)) == 2, width


def test_a_chart_below_is_fetched_when_it_comes_into_view(owner: Person) -> None:
    page = owner.page
    page.set_viewport_size({"width": 1360, "height": 120})
    wait_spent(page)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "spend.json" in request.url else None)
    page.goto("/credits/spend")
    page.wait_for_load_state("networkidle")
    assert asked == []
    page.locator("#chart-spend").scroll_into_view_if_needed()
    expect(page.locator("#chart-spend svg").first).to_be_visible()
    assert len(asked) == 1
    expect(page.locator("#chart-spend")).to_have_attribute("aria-label", re.compile(r"Spent on .* to .*, last "))


def test_a_bar_leads_to_its_day(owner: Person) -> None:
    page = owner.page
    wait_spent(page)
    page.goto("/credits")
    page.get_by_role("navigation", name="Credits").get_by_role("link", name="Spend").click()
    expect(page).to_have_url(re.compile("/credits/spend$"))
    bar = page.locator("#chart-spend .bars path").last
    expect(bar).to_be_visible()
    box = bar.bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] - 2)
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] - 2)
    expect(page).to_have_url(re.compile(r"/credits/bill\?to=(\d{4}-\d\d-\d\d)&from=\1$"))
    expect(page.get_by_role("region", name=re.compile("^Charges of"))).to_contain_text("web-1")
