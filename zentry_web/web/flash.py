"""Flash messages. A page shows them itself; an htmx answer carries them along as an appended partial."""

from flask import Flask, Response, flash, get_flashed_messages, render_template

from zentry_web.web.htmx import is_htmx


def success(message: str) -> None:
    flash(message, "success")


def warning(message: str) -> None:
    flash(message, "warning")


def append_flashes(response: Response) -> Response:
    """Put waiting messages into an htmx answer. Kept for later when the answer is not shown or leads to a page."""
    unshown = "HX-Redirect" in response.headers or response.headers.get("HX-Reswap") == "none"
    if (
        not is_htmx()
        or unshown
        or response.status_code == 204
        or response.is_streamed
        or response.mimetype != "text/html"
    ):
        return response
    messages = get_flashed_messages(with_categories=True)
    if messages:
        response.set_data(response.get_data(as_text=True) + render_template("shared/_toasts.html", toasts=messages))
    return response


def init_flash(app: Flask) -> None:
    """Drain messages into htmx answers."""
    app.after_request(append_flashes)
