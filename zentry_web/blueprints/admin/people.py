"""For admins: the list of accounts, searched and sorted in the address, and the same as a file."""

from typing import Any

from flask import Response, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from zentry_web.blueprints.admin.routes import blueprint
from zentry_web.domain.credits.bill_csv import iso
from zentry_web.domain.list_keys import PEOPLE
from zentry_web.domain.people.directory import MOST_AT_ONCE, PeopleSort
from zentry_web.domain.people.saved_view import ListKind
from zentry_web.domain.query_language import ListSearch
from zentry_web.domain.user import UserRow
from zentry_web.services.errors import ValidationError
from zentry_web.web.input.columns import PEOPLE as LIST_COLUMNS
from zentry_web.web.input.columns import stays
from zentry_web.web.input.paging import PAGE_SIZE, last_key, pages, rows_asked, sort_heads, text_argument, ticking
from zentry_web.web.input.saved_views import list_saved, opening, view_context
from zentry_web.web.input.search import Searched, read_list, stay
from zentry_web.web.output.files import csv_file
from zentry_web.web.output.filters import viewer_zone
from zentry_web.web.output.htmx import is_htmx
from zentry_web.web.services import services
from zentry_web.web.session.actor import current_actor

COLUMNS = (
    "id", "email", "name", "role", "disabled_at", "deletion_at", "can_use_micro", "set_aside_micro", "machines",
    "running", "second_factor", "last_seen_at", "created_at",
)  # fmt: skip
FIELDS = ("role", "state")  # of the plain form and of older addresses
SORTS: dict[str, tuple[str, str]] = {
    "name": (PeopleSort.NAME, PeopleSort.NAME_DOWN),
    "credits": (PeopleSort.LEAST, PeopleSort.MOST),
    "created": (PeopleSort.NEWEST, PeopleSort.OLDEST),
}


def wanted_people() -> tuple[Searched, ListSearch, PeopleSort]:
    """What the address asks for."""
    searched, sort = read_list(PEOPLE, FIELDS), text_argument("sort")
    wanted = ListSearch(searched.terms, viewer_zone())
    return searched, wanted, PeopleSort(sort) if sort in list(PeopleSort) else PeopleSort.NEWEST


@blueprint.get("/users")
def users() -> ResponseReturnValue:
    """Accounts that fit the address."""
    if chosen := LIST_COLUMNS.chosen_address():
        return redirect(chosen)
    searched, wanted, sort = wanted_people()
    if searched.problem and is_htmx():
        return stay(searched)
    views = list_saved(ListKind.PEOPLE)
    if opens := opening(views):
        return redirect(opens)
    keep, heads = stays("sort"), sort_heads(SORTS, sort)
    context: dict[str, Any] = {"searched": searched, "wanted": wanted, "heads": heads, "keep": keep}
    context["shown"] = LIST_COLUMNS.shown(heads)
    context |= _found(searched, wanted, sort) | ticking() | view_context(ListKind.PEOPLE, views, q=searched.text)
    context["file_url"] = url_for("admin.users_file", q=searched.text or None, sort=keep["sort"] or None)
    return render_template("admin/users.html", most=MOST_AT_ONCE, **context)


def _found(searched: Searched, wanted: ListSearch, sort: PeopleSort) -> dict[str, Any]:
    """A page of them, how many there are, and where one goes on."""
    if searched.problem:
        return {"rows": [], "total": 0} | pages(None)
    directory, actor, limit = services().users.directory, current_actor(), rows_asked(PAGE_SIZE)
    before = text_argument("before") or None
    rows = directory.list_people(wanted, actor=actor, sort=sort, before=before, limit=limit)
    total = directory.count(wanted, actor=actor)
    return {"rows": rows, "total": total} | pages(last_key([row.user for row in rows], "id", limit))


@blueprint.get("/users.csv")
def users_file() -> Response:
    """The same accounts as a file."""
    searched, wanted, sort = wanted_people()
    if searched.problem:
        raise ValidationError(searched.problem)
    found = services().users.directory.export(wanted, actor=current_actor(), sort=sort)
    return csv_file("zentry-users", COLUMNS, (_record(row) for row in found))


def _record(row: UserRow) -> tuple[object, ...]:
    return (
        row.user.id, row.user.email, row.user.name, str(row.user.role), iso(row.user.disabled_at),
        iso(row.deletion_at), row.wallet_micro, row.held_micro, row.vm_count, row.running_count,
        "yes" if row.has_factor else "no", iso(row.last_seen_at), iso(row.user.created_at),
    )  # fmt: skip
