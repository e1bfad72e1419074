"""``python -m tests.browser.picture``: the landing page's picture of the product with demo data, light and dark."""

import base64
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, sync_playwright

from tests.browser.browser import browser_context, launch_chromium
from tests.browser.sights import SIGHTS, Furnished, look_at

FOLDER = Path(__file__).resolve().parent.parent.parent / "zentry_web" / "static" / "img"
SIGHT = next(sight for sight in SIGHTS if sight.name == "vm-metrics")
WINDOW = {"width": 1280, "height": 800}
# Chromium writes PNG and JPEG itself, WebP by its canvas.
AS_WEBP = """async (png) => {
  const picture = await createImageBitmap(await (await fetch(`data:image/png;base64,${png}`)).blob());
  const canvas = new OffscreenCanvas(picture.width, picture.height);
  canvas.getContext("2d").drawImage(picture, 0, 0);
  const bytes = new Uint8Array(await (await canvas.convertToBlob({type: "image/webp", quality: 0.72})).arrayBuffer());
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
}"""


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="zentry-picture-") as folder, sync_playwright() as playwright:
        furnished = Furnished(Path(folder))
        browser = launch_chromium(playwright)
        try:
            cookies = furnished.sign_in(browser)
            for theme in ("light", "dark"):
                (FOLDER / f"product-{theme}.webp").write_bytes(_picture(browser, furnished, cookies, theme))
        finally:
            browser.close()
            furnished.stop()


def _picture(browser: Browser, furnished: Furnished, cookies: dict[str, Any], theme: str) -> bytes:
    options = {"viewport": WINDOW, "color_scheme": theme, "reduced_motion": "reduce"}
    state = {"storage_state": cookies[SIGHT.who] or None}
    with browser_context(browser, furnished.url(SIGHT.who), **options, **state) as (context, problems):
        problems.expect("answer 5")
        page = context.new_page()
        look_at(page, furnished, SIGHT)
        page.evaluate("document.querySelectorAll('.z-announcements').forEach((el) => el.remove())")
        png = page.screenshot()
        blank = context.new_page()  # its policy allows data: addresses
        made = blank.evaluate(AS_WEBP, base64.b64encode(png).decode())
    return base64.b64decode(made)


if __name__ == "__main__":
    main()
