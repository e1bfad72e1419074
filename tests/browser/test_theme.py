"""Dark and light: by the browser's preference, by choice, and right from the first paint."""

from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests.browser.browser import Person

# The colour behind the page at the first frame that is painted.
FIRST_PAINT = """requestAnimationFrame(function look() {
  const colour = document.body && getComputedStyle(document.body).backgroundColor;
  if (colour) { window.firstColour ??= colour; } else { requestAnimationFrame(look); }
})"""
BACKGROUND = "getComputedStyle(document.body).backgroundColor"


def brightness(page: Page, expression: str = BACKGROUND) -> float:
    """0 (black) to 255 (white) of a colour that is computed on the page."""
    return float(
        page.evaluate(
            f"""() => {{
              const context = document.createElement("canvas").getContext("2d");
              context.fillStyle = {expression};
              context.fillRect(0, 0, 1, 1);
              const [r, g, b] = context.getImageData(0, 0, 1, 1).data;
              return (r + g + b) / 3;
            }}"""
        )
    )


def test_the_browsers_preference_counts_until_one_chooses(sign_in: Callable[..., Person]) -> None:
    alice = sign_in("alice", color_scheme="dark")
    page = alice.page
    page.goto("/")
    assert brightness(page) < 60
    page.emulate_media(color_scheme="light")
    assert brightness(page) > 200
    page.emulate_media(color_scheme="dark")
    assert brightness(page) < 60

    page.goto("/overview")
    page.get_by_role("button", name="Account menu").click()
    with page.expect_response("**/theme"):
        page.get_by_role("button", name="Light").click()
    expect(page.locator("html")).to_have_attribute("data-bs-theme", "light")  # without a reload
    assert brightness(page) > 200
    expect(page.get_by_role("button", name="Light")).to_have_attribute("aria-pressed", "true")
    for path in ("/projects", "/login", "/", "/nowhere"):
        page.goto(path)
        expect(page.locator("html")).to_have_attribute("data-bs-theme", "light")
        assert brightness(page) > 200

    page.goto("/overview")
    page.get_by_role("button", name="Account menu").click()
    with page.expect_response("**/theme"):
        page.get_by_role("button", name="Auto").click()
    expect(page.locator("html")).not_to_have_attribute("data-bs-theme", "light")
    assert brightness(page) < 60
    page.reload()
    assert brightness(page) < 60


def test_the_chosen_theme_is_there_at_the_first_paint(sign_in: Callable[..., Person]) -> None:
    alice = sign_in("alice", color_scheme="light")
    page = alice.page
    page.get_by_role("button", name="Account menu").click()
    with page.expect_response("**/account/theme"):
        page.get_by_role("button", name="Dark").click()
    expect(page.locator("html")).to_have_attribute("data-bs-theme", "dark")
    cookie = next(found for found in alice.context.cookies() if found["name"].endswith("zentry_theme"))
    assert cookie["value"] == "dark"
    assert cookie["expires"] - page.evaluate("Date.now() / 1000") > 300 * 86400
    page.add_init_script(FIRST_PAINT)
    for path in ("/overview", "/vms", "/credits"):
        answer = page.goto(path)
        assert answer is not None
        assert 'data-bs-theme="dark"' in answer.text()
        page.wait_for_function("window.firstColour")
        assert brightness(page, "window.firstColour") < 60, "a flash of light"
