"""Saved views of a list: which are there, which one the address shows, and what would be saved of it."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from flask import request, url_for

from zentry_web.domain.people.saved_view import ListKind, SavedView
from zentry_web.web.services import services
from zentry_web.web.session.actor import current_actor, me

_KEPT = ("q", "sort", "columns", "density")  # of an address, in this order
_KEPT_OF = {
    ListKind.PROJECTS: ("q", "sort", "archived", "columns", "density"),
    ListKind.TRANSACTIONS: ("q", "holds", "columns", "density"),
    ListKind.CHARGES: ("q", "columns", "density"),  # not the days: they go by
    ListKind.AUDIT: ("q", "from", "to", "action", "columns", "density"),
}
PLACES = {
    ListKind.VMS: "vms.index",
    ListKind.ALL_VMS: "admin.vms",
    ListKind.PEOPLE: "admin.users",
    ListKind.PROJECTS: "projects.index",
    ListKind.TRANSACTIONS: "billing.transactions",
    ListKind.CHARGES: "billing.bill",
    ListKind.ALL_PROJECTS: "admin.projects",
    ListKind.LEDGER: "admin.ledger",
    ListKind.AUDIT: "admin.audit",
    ListKind.BIN: "bin.index",
}


def kept_of(kind: ListKind, asked: Mapping[str, str]) -> str:
    """What a view of such a list keeps of the arguments of an address, and nothing else that may be among them."""
    found = {name: asked.get(name, "").strip() for name in _KEPT_OF.get(kind, _KEPT)}
    return urlencode({name: value for name, value in found.items() if value})


def address_of(view: SavedView) -> str:
    """Where the view is seen."""
    return f"{url_for(PLACES[view.kind])}?{view.query or 'view=all'}"


def list_saved(kind: ListKind) -> list[SavedView]:
    """The person's views of a list. One statement."""
    return services().users.saved_views.list_views(me().id, kind, actor=current_actor())


def opening(views: list[SavedView]) -> str | None:
    """The address of the view that a list opens with, when it was asked for without anything said."""
    first = next((view for view in views if view.is_default), None)
    return address_of(first) if first and first.query and not request.args else None


def view_context(kind: ListKind, views: list[SavedView], **asked: str) -> dict[str, Any]:
    """For ``lists.views``: the views with their addresses, the one that is shown, where another one is saved.
    ``asked``: what the page makes of arguments that the address says otherwise."""
    query = kept_of(kind, request.args.to_dict() | asked)
    active = next((view for view in views if view.query == query), None)
    save_url = url_for("account.save_view", kind=kind, query=query) if query and not active else None
    return {"views": [(view, address_of(view)) for view in views], "active_view": active, "save_url": save_url}
