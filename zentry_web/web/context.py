"""What every template gets. Balance, notices and the hypervisor's state are fetched only when a template asks."""

from typing import Any

from flask import Flask, current_app, g, request
from werkzeug.local import LocalProxy

from zentry_web.domain.announcement import Announcement
from zentry_web.domain.billing import Balance
from zentry_web.domain.monitoring import ComputeStatus
from zentry_web.domain.user import MIN_PASSWORD
from zentry_web.web.actor import current_actor, known_user, signed_in_user
from zentry_web.web.regions import viewer_region
from zentry_web.web.services import services

THEMES = ("light", "dark")


def chosen_theme() -> str | None:
    """'light', 'dark', or None: follow the browser. What the account has, wherever it is used; else this browser's."""
    found = known_user()
    if found is not None and found.account.theme is not None:
        return found.account.theme if found.account.theme in THEMES else None
    value = request.cookies.get(current_app.config["THEME_COOKIE_NAME"])
    return value if value in THEMES else None


def use_balance(balance: Balance) -> None:
    """Let the sidebar use a balance that the page has loaded anyway."""
    g.balance = balance


def get_balance() -> Balance | None:
    """The signed-in person's balance; None for visitors."""
    user = signed_in_user()
    if user is None:
        return None
    if "balance" not in g:
        g.balance = services().get_billing_service().get_balance(user.id, actor=current_actor())
    return g.balance  # type: ignore[no-any-return]


def get_compute() -> ComputeStatus:
    """What the worker last learned of the hypervisor, once per request."""
    if "compute" not in g:
        g.compute = services().get_vm_service().get_compute_status()
    return g.compute  # type: ignore[no-any-return]


def count_unread() -> int:
    """How many notices the signed-in person has not seen; one look per request, however often the page says it."""
    if "unread_notices" not in g:
        user = signed_in_user()
        g.unread_notices = services().get_billing_service().notices.count_unread(user.id) if user else 0
    return g.unread_notices  # type: ignore[no-any-return]


def count_approvals() -> int:
    """How many requests wait for an admin; one look per request."""
    if "pending_approvals" not in g:
        g.pending_approvals = services().get_billing_service().books.approvals.count_pending()
    return g.pending_approvals  # type: ignore[no-any-return]


def list_announcements() -> list[Announcement]:
    """What admins tell whoever looks at this page; one look per request."""
    if "announcements" not in g:
        user = signed_in_user()
        g.announcements = services().get_user_service().announcements.list_shown(user.id if user else None)
    return g.announcements  # type: ignore[no-any-return]


def bare_context() -> dict[str, Any]:
    """The layouts' variables without any look into the database: for error pages."""
    found = known_user()
    return {
        "current_actor": None,
        "viewed": found if found and found.view else None,
        "theme": chosen_theme(),
        "region": viewer_region(),
        "password_rule": f"At least {MIN_PASSWORD} characters.",
        "compute_simulated": bool(current_app.config["ZENTRY_SIMULATED"]),
        "nav_active": "",
        "balance": None,
        "unread_notices": 0,
        "pending_approvals": 0,
        "announcements": (),
    }


def page_context() -> dict[str, Any]:
    """The layouts' variables of an ordinary page."""
    user = signed_in_user()
    return bare_context() | {
        "current_actor": user,
        "balance": LocalProxy(get_balance) if user else None,
        "unread_notices": LocalProxy(count_unread) if user else 0,
        "pending_approvals": LocalProxy(count_approvals) if user and user.is_admin else 0,
        "compute": LocalProxy(get_compute),
        "announcements": LocalProxy(list_announcements),
    }


def init_context(app: Flask) -> None:
    """Hand the variables to every template."""
    app.context_processor(page_context)
