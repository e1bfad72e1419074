"""What is told after an order. There is one way: a toast says what was done and offers what comes next. A page has it
among its toasts, an htmx answer carries it along. A warning stands in the page, where what it is about is mended."""

from dataclasses import dataclass
from typing import cast

from flask import Flask, Response, flash, get_flashed_messages, render_template, url_for

from zentry_web.web.output.htmx import is_htmx

IN_THE_PAGE = ("warning", "error")


@dataclass(frozen=True, slots=True)
class Told:
    """A message that waits to be shown: its kind, its words, what can be done next (``action`` at ``href``, opened in
    the dialog when it is a question), and where it is undone."""

    kind: str
    text: str
    action: str = ""
    href: str = ""
    is_question: bool = False
    undo: str = ""  # where it is undone, by a button

    @property
    def is_toast(self) -> bool:
        return self.kind not in IN_THE_PAGE


def success(message: str, action: str = "", href: str = "", *, asks: bool = False, undo: str = "") -> None:
    """Tell what was done; ``action`` (a verb) leads on to ``href``, a path of this site. ``asks``: a dialog's page.
    ``undo``: the id by which it can be undone; '': it cannot."""
    undo_path = url_for("undo.undo", undo_id=undo) if undo else ""
    flash((message, action, href, asks, undo_path) if action or undo else message, "success")  # type: ignore[arg-type]


def info(message: str) -> None:
    """Tell what has become of something by itself."""
    flash(message, "info")


def warning(message: str) -> None:
    """Tell, in the page, what did not come about."""
    flash(message, "warning")


def waiting() -> list[Told]:
    """The messages to show now, each once; asked again for the same page, the same ones."""
    said_so = get_flashed_messages(with_categories=True)
    messages = cast("list[tuple[str, str | tuple[str, str, str, bool, str]]]", said_so)
    return [Told(kind, said) if isinstance(said, str) else Told(kind, *said) for kind, said in messages]


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
    if toasts := waiting():
        response.set_data(response.get_data(as_text=True) + render_template("shared/_toasts.html", toasts=toasts))
    return response


def init_flash(app: Flask) -> None:
    """Let pages show what waits; drain it into htmx answers."""
    app.jinja_env.globals["flashes"] = waiting
    app.after_request(append_flashes)
