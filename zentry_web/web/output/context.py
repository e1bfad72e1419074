"""What every template gets. Balance, notices and the hypervisor's state are fetched only when a template asks."""

from collections.abc import Sequence
from typing import Any

from flask import Flask, current_app, g, request
from werkzeug.local import LocalProxy

from zentry_web.domain.credits.billing import Balance
from zentry_web.domain.language import _, language, languages
from zentry_web.domain.monitoring import ComputeStatus
from zentry_web.domain.overview import Frame
from zentry_web.domain.people.announcement import Announcement
from zentry_web.domain.setting import SettingKey
from zentry_web.domain.user import MIN_PASSWORD
from zentry_web.web.output.filters import viewer_zone
from zentry_web.web.output.regions import viewer_region
from zentry_web.web.services import services
from zentry_web.web.session.actor import current_actor, known_user, signed_in_user

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
    if "balance" not in g:
        if (user := signed_in_user()) is None:
            return None
        g.balance = services().billing.get_runway(user.id, actor=current_actor())
    return g.balance  # type: ignore[no-any-return]


def _frame() -> Frame | None:
    """What every page of a person says beside its subject; None for visitors. One look per request, however often the
    page says it."""
    if "frame" not in g:
        if (user := signed_in_user()) is None:
            return None
        g.frame = services().users.frame.read(user.id)
    return g.frame  # type: ignore[no-any-return]


def get_compute() -> ComputeStatus:
    """What the worker last learned of the hypervisor."""
    if "compute" not in g:
        frame = _frame()
        g.compute = frame.compute if frame else services().monitoring.get_compute_status()
    return g.compute  # type: ignore[no-any-return]


def count_unread() -> int:
    """How many notices the signed-in person has not seen."""
    frame = _frame()
    return frame.unread if frame else 0


def count_approvals() -> int:
    """How many requests wait for an admin; one look per request."""
    if "pending_approvals" not in g:
        g.pending_approvals = services().billing.books.approvals.count_pending()
    return g.pending_approvals  # type: ignore[no-any-return]


def list_announcements() -> Sequence[Announcement]:
    """What admins tell whoever looks at this page."""
    if (frame := _frame()) is not None:
        return frame.announcements
    if "announcements" not in g:
        g.announcements = services().users.announcements.list_shown(None)
    return g.announcements  # type: ignore[no-any-return]


def list_operator_links() -> Sequence[tuple[str, str]]:
    """What the operator wrote or has elsewhere, for the foot of pages for everybody: words and addresses."""
    if "operator_links" not in g:
        found = services().billing.settings.get_several((SettingKey.TERMS, SettingKey.CONTACT, SettingKey.DOCS))
        pages = [(key.title(), f"/{key}") for key in (SettingKey.TERMS, SettingKey.CONTACT) if found[key]]
        docs = str(found[SettingKey.DOCS])
        g.operator_links = [*pages, *([("Documentation", docs)] if docs else [])]
    return g.operator_links  # type: ignore[no-any-return]


def bare_context() -> dict[str, Any]:
    """The layouts' variables without any look into the database: for error pages."""
    found = known_user()
    return {
        "current_actor": None,
        "viewed": found if found and found.view else None,
        "theme": chosen_theme(),
        "region": viewer_region(),
        "language": language(),
        "languages": languages(),
        "zone": viewer_zone().key,
        "password_rule": _("At least %(count)s characters.", count=MIN_PASSWORD),
        "compute_simulated": bool(current_app.config["ZENTRY_SIMULATED"]),
        "nav_active": "",
        "balance": None,
        "unread_notices": 0,
        "pending_approvals": 0,
        "announcements": (),
        "operator_links": (),
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
        "operator_links": LocalProxy(list_operator_links),
    }


def init_context(app: Flask) -> None:
    """Hand the variables to every template."""
    app.context_processor(page_context)
