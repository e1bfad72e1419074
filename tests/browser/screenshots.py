"""``make screenshots``: every page in light, dark and phone width, with demo data, into screenshots/."""

import shutil
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.browser.browser import browser_context, launch_chromium
from tests.browser.sights import DESKTOP, PHONE, SIGHTS, Furnished, look_at

OUTPUT = Path(__file__).resolve().parent.parent.parent / "screenshots"
MODES: dict[str, dict[str, object]] = {
    "light": {"viewport": DESKTOP, "color_scheme": "light"},
    "dark": {"viewport": DESKTOP, "color_scheme": "dark"},
    "phone": {"viewport": PHONE, "color_scheme": "light", "is_mobile": True, "has_touch": True},
}


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
                    with browser_context(browser, furnished.product.url, **options, **state) as (context, problems):
                        problems.expect("answer 5")
                        page = context.new_page()
                        look_at(page, furnished, sight)
                        path = OUTPUT / mode / f"{sight.name}.png"
                        page.screenshot(path=path, full_page="dialog" not in sight.name and "menu" not in sight.name)
        finally:
            browser.close()
            furnished.stop()
    sys.stdout.write(f"{len(sights) * len(MODES)} pictures in {OUTPUT}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
