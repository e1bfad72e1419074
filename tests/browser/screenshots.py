"""``make screenshots``: every page in light, dark and phone width, with demo data, into screenshots/."""

import shutil
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from tests.browser.browser import browser_context, launch_chromium
from tests.browser.sights import DESKTOP, PHONE, SIGHTS, Furnished, look_at

OUTPUT = Path(__file__).resolve().parent.parent.parent / "screenshots"
TALLEST = 6000
MODES: dict[str, dict[str, object]] = {
    "light": {"viewport": DESKTOP, "color_scheme": "light"},
    "dark": {"viewport": DESKTOP, "color_scheme": "dark"},
    "phone": {"viewport": PHONE, "color_scheme": "light", "is_mobile": True, "has_touch": True},
}


def show_whole(page: Page) -> None:
    """Make the window as high as the page, so that what sticks to the window's edges is where it belongs."""
    size = page.viewport_size
    height = page.evaluate("document.documentElement.scrollHeight")
    if size and height > size["height"]:
        page.set_viewport_size({"width": size["width"], "height": min(height, TALLEST)})


def main(wanted: list[str]) -> None:
    """Picture the sights named (all when none are)."""
    sights = [sight for sight in SIGHTS if not wanted or sight.name in wanted]
    if not wanted:
        shutil.rmtree(OUTPUT, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix="zentry-screenshots-") as folder, sync_playwright() as playwright:
        furnished = Furnished(Path(folder))
        browser = launch_chromium(playwright)
        try:
            cookies = furnished.sign_in(browser)
            for mode, options in MODES.items():
                (OUTPUT / mode).mkdir(parents=True, exist_ok=True)
                for sight in sights:
                    state = {"storage_state": cookies[sight.who] or None, "reduced_motion": "reduce"}
                    with browser_context(browser, furnished.url(sight.who), **options, **state) as (context, problems):
                        problems.expect("answer 5")
                        page = context.new_page()
                        look_at(page, furnished, sight)
                        path = OUTPUT / mode / f"{sight.name}.png"
                        show_whole(page)
                        page.screenshot(path=path)
        finally:
            browser.close()
            furnished.stop()
    sys.stdout.write(f"{len(sights) * len(MODES)} pictures in {OUTPUT}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
