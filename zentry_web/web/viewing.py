"""Viewing as somebody: what an admin who looks at a person's pages may ask for. Nothing is ever written meanwhile.

This is the one place that decides it, before every request: reading is allowed on the pages listed here and no others
(a new page is closed until somebody puts it on the list), everything else is refused. Each page seen is recorded as
the admin's. The view is a row bound to the admin's session; the cookie only names it.
"""

from flask import Flask, flash, request, session, url_for
from flask.typing import ResponseReturnValue

from zentry_web.services.base_service import only_look
from zentry_web.services.errors import ConflictError, PermissionDeniedError
from zentry_web.web.actor import VIEW, WebUser, looking_admin, signed_in_user
from zentry_web.web.htmx import go_to, wants_json
from zentry_web.web.services import services

LEAVE = "account.leave_view"
READING = ("GET", "HEAD", "OPTIONS")
# Not among them: what shows secrets once (tokens, codes, links, passkeys), what guests print on their console, payment
# pages, files to take away, and the stream of live changes.
SHOWN = frozenset({
    "public.landing", "dashboard.overview",
    "projects.index", "projects.show", "projects.create", "projects.members", "projects.budget", "projects.settings",
    "projects.ownership",
    "vms.index", "vms.show", "vms.status", "vms.activity", "vms.metrics", "vms.create", "vms.quote", "vms.resize",
    "vms.resize_quote", "vms.move", "bin.index", "bin.project", "bin.restore_vm", "bin.restore_project",
    "billing.index", "billing.plan", "billing.balance_chip", "billing.bill", "billing.spend", "billing.spend_series",
    "billing.history", "billing.history_series", "billing.what_if", "billing.statements", "billing.statement",
    "billing.interval", "billing.transaction", "billing.prices",
    "account.profile", "account.email", "account.notices", "account.security", "account.ssh_keys",
    "account.notifications",
})  # fmt: skip
QUIET = frozenset({"static", "health.alive", "health.ready", "health.metrics"})
# Parts of a page that are fetched by themselves: seeing them is seeing the page.
_PARTS = {
    "vms.status": "vms.show", "vms.metrics": "vms.show", "vms.quote": "vms.create", "vms.resize_quote": "vms.resize",
    "billing.spend_series": "billing.spend", "billing.history_series": "billing.history",
}  # fmt: skip
_UNNOTED = frozenset({"billing.balance_chip", "billing.what_if"})  # parts of many pages


def begin_view(view_id: str) -> None:
    """From the next request on this browser sees the person's pages. Forms of the admin's own pages end here."""
    session[VIEW] = view_id
    session.pop("csrf_token", None)


def forget_view() -> None:
    """This browser is the admin's own again. No form of the person's pages works any more."""
    session.pop(VIEW, None)
    session.pop("csrf_token", None)


def guard_view() -> ResponseReturnValue | None:
    """Before every request: while somebody looks, refuse all but looking."""
    only_look(False)
    if VIEW not in session or request.endpoint in QUIET:
        return None
    user = signed_in_user()
    if user is None or user.view is None:
        return _ended(user)
    if request.endpoint == LEAVE and request.method == "POST":
        return None
    if request.method not in READING:
        raise PermissionDeniedError(f"You are only looking at {user.name}'s account: nothing can be changed.")
    if request.endpoint not in SHOWN:
        raise PermissionDeniedError("This page is not shown to somebody who looks at another person's account.")
    if request.endpoint not in _UNNOTED:
        page = _PARTS.get(str(request.endpoint), str(request.endpoint))
        ids = {name: str(value) for name, value in (request.view_args or {}).items()}
        services().get_user_service().views.note_page(user.view.id, page, ids, actor=looking_admin(user))
    only_look(True)
    return None


def _ended(user: WebUser | None) -> ResponseReturnValue | None:
    """The time is over, or the session is another one. What was sent meant the person's pages: it is not done."""
    view_id = str(session[VIEW])
    forget_view()
    if user is None:
        return None
    services().get_user_service().views.end(view_id, user.session_token, actor=looking_admin(user), why="time")
    if request.method not in READING or wants_json():
        raise ConflictError("Your look at another person's account has ended. Nothing was changed.")
    flash("Your look at another person's account has ended.", "info")
    return go_to(url_for("admin.users"))


def init_viewing(app: Flask) -> None:
    """Guard every request; called after the log-in is set up."""
    app.before_request(guard_view)
    app.teardown_request(lambda _error: only_look(False))
