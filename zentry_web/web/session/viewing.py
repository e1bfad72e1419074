"""Viewing as somebody: what an admin who looks at a person's pages may ask for. Nothing is ever written meanwhile.

This is the one place that decides it, before every request: reading is allowed on the pages listed here and no others
(a new page is closed until somebody puts it on the list), everything else is refused. Each page seen is recorded as
the admin's. The view is a row bound to the admin's session; the cookie only names it.
"""

from urllib.parse import urlsplit

from flask import Flask, Response, current_app, request, session, url_for
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException

from zentry_web.domain.language import _
from zentry_web.services.base_service import only_look
from zentry_web.services.errors import ConflictError, PermissionDeniedError
from zentry_web.web.output.flash import info
from zentry_web.web.output.htmx import go_to, wants_json
from zentry_web.web.services import services
from zentry_web.web.session.actor import VIEW, WebUser, looking_admin, signed_in_user
from zentry_web.web.session.greyed import grey

LEAVE = "account.leave_view"
LOG_IN = "auth.login"  # offered by a page whose session has ended meanwhile: nobody looks any more then
READING = ("GET", "HEAD", "OPTIONS")
# Not among them: what shows secrets once (tokens, codes, links, passkeys), what guests print on their console, payment
# pages, files to take away, and the stream of live changes.
SHOWN = frozenset({
    "public.landing", "dashboard.overview",
    "projects.index", "projects.show", "projects.create", "projects.members", "projects.budget", "projects.settings",
    "projects.ownership", "projects.spend", "projects.activity",
    "vms.index", "vms.menu", "vms.show", "vms.status", "vms.activity", "vms.metrics", "vms.create", "vms.quote",
    "vms.figures", "vms.charts", "vms.settings",
    "vms.resize", "vms.resize_quote", "vms.rename", "vms.restarts", "vms.move", "vms.timers", "vms.add_timer",
    "operations.index", "operations.show",
    "vms.snapshots", "vms.take_snapshot", "vms.revert", "vms.delete_snapshot", "vms.snapshot_schedule",
    "vms.backups", "vms.back_up", "vms.recover", "vms.delete_backup", "vms.backup_schedule",
    "bin.index", "bin.project", "bin.restore_vm", "bin.restore_project",
    "billing.index", "billing.plan", "billing.balance_chip", "billing.bill", "billing.spend", "billing.spend_series",
    "billing.history", "billing.history_series", "billing.what_if", "billing.statements", "billing.statement",
    "billing.interval", "billing.transaction", "billing.transactions", "billing.prices",
    "account.profile", "account.email", "account.notices", "account.security", "account.ssh_keys",
    "account.notifications",
})  # fmt: skip
QUIET = frozenset({"static", "health.alive", "health.ready", "health.metrics"})
# Parts of a page that are fetched by themselves: seeing them is seeing the page.
_PARTS = {
    "vms.status": "vms.show", "vms.figures": "vms.show", "vms.metrics": "vms.charts",
    "vms.quote": "vms.create", "vms.resize_quote": "vms.resize",
    "billing.spend_series": "billing.spend", "billing.history_series": "billing.history",
}  # fmt: skip
_UNNOTED = frozenset({"billing.balance_chip", "billing.what_if", "vms.menu"})  # parts of many pages


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
        raise PermissionDeniedError(
            _("You are only looking at %(name)s's account: nothing can be changed.", name=user.name)
        )
    if request.endpoint not in SHOWN:
        raise PermissionDeniedError(_("This page is not shown to somebody who looks at another person's account."))
    if request.endpoint not in _UNNOTED:
        page = _PARTS.get(str(request.endpoint), str(request.endpoint))
        ids = {name: str(value) for name, value in (request.view_args or {}).items()}
        services().users.views.note_page(user.view.id, page, ids, actor=looking_admin(user))
    only_look(True)
    return None


def _ended(user: WebUser | None) -> ResponseReturnValue | None:
    """The time is over, or the session is another one. What was sent meant the person's pages: it is not done."""
    view_id = str(session[VIEW])
    forget_view()
    if user is None:
        return None
    services().users.views.end(view_id, user.session_token, actor=looking_admin(user), why="time")
    if request.method not in READING or wants_json():
        raise ConflictError(_("Your look at another person's account has ended. Nothing was changed."))
    info(_("Your look at another person's account has ended."))
    return go_to(url_for("admin.users"))


def may_ask(method: str, url: str) -> bool:
    """Whether the guard would answer that; addresses of other sites, and what is nowhere, are none of its business."""
    parts = urlsplit(url)
    adapter = current_app.create_url_adapter(request)
    if parts.scheme or parts.netloc or adapter is None:
        return True
    try:
        endpoint, _ = adapter.match(parts.path or request.path, method=method)
    except HTTPException:
        return True
    return endpoint in (LEAVE, LOG_IN) or (method in READING and (endpoint in SHOWN or endpoint in QUIET))


def grey_page(response: Response) -> Response:
    """While somebody looks, no page offers what the guard would refuse."""
    if VIEW in session and response.mimetype == "text/html" and not response.is_streamed:
        response.set_data(grey(response.get_data(as_text=True), may_ask))
    return response


def init_viewing(app: Flask) -> None:
    """Guard every request; called after the log-in is set up."""
    app.before_request(guard_view)
    app.after_request(grey_page)
    app.teardown_request(lambda _error: only_look(False))
