"""Asking who it is once more, and going on where the person was; what a form brought is not lost."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from flask import render_template, request, session, url_for
from flask.typing import ResponseReturnValue

from zentry_web.web.output.htmx import go_to, is_htmx
from zentry_web.web.services import services
from zentry_web.web.session.safe_next import safe_next

KEPT = "kept_form"
MOST_KEPT = 1500  # characters: it waits in the cookie
KEPT_SECONDS = 600
_NEVER_KEPT = ("csrf_token", "password", "current", "new", "code", "credential", "sealed")


@dataclass(frozen=True, slots=True)
class KeptForm:
    """A form that was sent and not yet taken: where to, and its fields."""

    path: str
    fields: tuple[tuple[str, str], ...]


def keep_form() -> None:
    """Keep what this request brought, without anything secret, for after the proof."""
    session.pop(KEPT, None)
    if request.method != "POST":
        return
    names = [name for name in request.form if name not in _NEVER_KEPT]
    fields = [[name, value] for name in names for value in request.form.getlist(name)]
    if len(names) < len(set(request.form) - {"csrf_token"}):
        return  # without its secrets the form would be no use
    if sum(len(name) + len(value) for name, value in fields) <= MOST_KEPT:
        session[KEPT] = {"path": request.full_path.rstrip("?"), "fields": fields, "at": _now()}


def take_kept_form() -> KeptForm | None:
    """The form that waits, once."""
    kept: dict[str, Any] | None = session.pop(KEPT, None)
    if kept is None or _now() - kept["at"] > KEPT_SECONDS:
        return None
    return KeptForm(kept["path"], tuple((name, value) for name, value in kept["fields"]))


def after_proof(target: str) -> ResponseReturnValue:
    """Back to where the person was; a form that was sent meanwhile waits for one more press."""
    kept = take_kept_form()
    if kept is None:
        return go_to(target)
    return render_template("account/confirmed.html", kept=kept, back=target)


def page_of_request(otherwise: str = "account.security") -> str:
    """The page the person is on: this one, or the one whose form was sent; the endpoint ``otherwise`` if unknown."""
    if request.method == "GET" and not is_htmx():
        return safe_next(request.full_path.rstrip("?"), url_for(otherwise))
    source = urlsplit(request.headers.get("HX-Current-URL") or request.referrer or "")
    path = source.path + (f"?{source.query}" if source.query else "")
    return safe_next(path, url_for(otherwise)) if source.netloc == request.host else url_for(otherwise)


def _now() -> int:
    return int(services().clock.now().timestamp())
