"""PDF from templates. The same markup as the page's gives the same bytes every time it is rendered."""

from functools import cache
from pathlib import Path
from typing import Any

STYLES = Path(__file__).parents[2] / "static" / "css" / "print.css"


class NothingFetchedError(Exception):
    """A document asked for a file: documents stand by themselves."""


def render_pdf(html: str) -> bytes:
    """The document ``html`` on A4, with the print styles. Nothing is fetched from anywhere."""
    weasyprint = _weasyprint()
    document = weasyprint.HTML(string=html, url_fetcher=_refuse)
    return bytes(document.write_pdf(stylesheets=[weasyprint.CSS(string=STYLES.read_text())]))


@cache
def _weasyprint() -> Any:
    """Imported when the first PDF is asked for: it takes half a second, and few processes need it."""
    import weasyprint

    return weasyprint


def _refuse(url: str, *_arguments: Any, **_options: Any) -> Any:
    raise NothingFetchedError(url)
