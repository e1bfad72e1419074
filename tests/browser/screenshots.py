"""``make screenshots``: every page in light, dark and phone width, with demo data, into screenshots/; index.html shows
them beside one another."""

import shutil
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Error, Page, sync_playwright

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


def write_contact_sheet(folder: Path, names: list[str]) -> None:
    """All pictures of a folder on one page, a row for each sight."""
    rows = [
        f"<h2 id={name}>{name}</h2><p>"
        + " ".join(
            f"<a href={mode}/{name}.png><img src={mode}/{name}.png alt={mode} loading=lazy></a>" for mode in MODES
        )
        for name in names
    ]
    style = (
        "<style>body{font:14px sans-serif;margin:2rem}img{width:30%;border:1px solid #ccc;vertical-align:top}</style>"
    )
    head = f"<!doctype html><html lang=en><meta charset=utf-8><title>Pages of Zentry</title>{style}"
    (folder / "index.html").write_text("\n".join([head, *rows]))


def main(wanted: list[str]) -> None:
    """Picture the sights named (all when none are)."""
    sights = [sight for sight in SIGHTS if not wanted or sight.name in wanted]
    if not wanted:
        shutil.rmtree(OUTPUT, ignore_errors=True)
    missing = []
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
                        try:
                            look_at(page, furnished, sight)
                            show_whole(page)
                            page.screenshot(path=OUTPUT / mode / f"{sight.name}.png")
                        except (Error, AssertionError) as error:  # of hundreds, one does not end the rest
                            missing.append(f"{mode}/{sight.name}: {str(error).partition(chr(10))[0]}\n")
        finally:
            browser.close()
            furnished.stop()
    write_contact_sheet(OUTPUT, [sight.name for sight in sights])
    sys.stdout.write(f"{len(sights) * len(MODES) - len(missing)} pictures in {OUTPUT}\n")
    if missing:
        sys.exit("Not pictured:\n" + "".join(missing))


if __name__ == "__main__":
    main(sys.argv[1:])
