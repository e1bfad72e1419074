"""For admins: the list of accounts, filtered and sorted in the address, and the same as a file."""

from enum import StrEnum
from typing import Any, TypeVar

from flask import Response, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.datastructures import MultiDict

from zentry_web.blueprints.admin.routes import blueprint
from zentry_web.domain.bill_csv import iso
from zentry_web.domain.directory import PeopleFilter, PeopleMark, PeopleSort, PeopleState
from zentry_web.domain.user import Role
from zentry_web.web.actor import current_actor
from zentry_web.web.files import csv_file
from zentry_web.web.htmx import is_htmx
from zentry_web.web.paging import PAGE_SIZE, here, last_key, pages, text_argument
from zentry_web.web.services import services

COLUMNS = (
    "id", "email", "name", "role", "disabled_at", "deletion_at", "can_use_micro", "set_aside_micro", "machines",
    "running", "second_factor", "last_seen_at", "created_at",
)  # fmt: skip
Choice = TypeVar("Choice", bound=StrEnum)
ROLES = (Role.USER, Role.ADMIN)


def wanted_people(values: MultiDict[str, str]) -> PeopleFilter:
    """The filter that an address or a form names; what it cannot mean is left out."""
    return PeopleFilter(
        search=values.get("q", "").replace("\x00", "").strip()[:100],
        role=_choice(Role, values.get("role", "")) if values.get("role") in ROLES else None,
        state=_choice(PeopleState, values.get("state", "")),
        mark=_choice(PeopleMark, values.get("mark", "")),
    )


def filter_fields(wanted: PeopleFilter) -> dict[str, Any]:
    """The filter as the arguments of an address."""
    fields = {"q": wanted.search, "role": wanted.role, "state": wanted.state, "mark": wanted.mark}
    return {name: str(value) for name, value in fields.items() if value}


def _choice(kind: type[Choice], value: str) -> Choice | None:
    return kind(value) if value in {each.value for each in kind} else None


@blueprint.get("/users")
def users() -> ResponseReturnValue:
    """Accounts that fit the address."""
    wanted, sort = wanted_people(request.args), _choice(PeopleSort, text_argument("sort")) or PeopleSort.NEWEST
    rows = services().get_user_service().directory.list_people(
        wanted, actor=current_actor(), sort=sort, before=text_argument("before") or None, limit=PAGE_SIZE
    )  # fmt: skip
    template = "admin/_users.html" if is_htmx() else "admin/users.html"
    shown = {"rows": rows, "wanted": wanted, "sort": sort, "roles": ROLES, "heads": _heads(sort)}
    file_url = url_for("admin.users_file", **filter_fields(wanted), sort=sort)
    return render_template(
        template, **shown, file_url=file_url, **pages(last_key([row.user for row in rows], "id"))
    )  # fmt: skip


@blueprint.get("/users.csv")
def users_file() -> Response:
    """The same accounts as a file."""
    wanted, sort = wanted_people(request.args), _choice(PeopleSort, text_argument("sort")) or PeopleSort.NEWEST
    found = services().get_user_service().directory.export(wanted, actor=current_actor(), sort=sort)
    rows = (
        (
            row.user.id, row.user.email, row.user.name, str(row.user.role), iso(row.user.disabled_at),
            iso(row.deletion_at), row.wallet_micro, row.held_micro, row.vm_count, row.running_count,
            "yes" if row.has_factor else "no", iso(row.last_seen_at), iso(row.user.created_at),
        )
        for row in found
    )  # fmt: skip
    return csv_file("zentry-users", COLUMNS, rows)


def _heads(sort: PeopleSort) -> dict[str, dict[str, str]]:
    """What the table's heads lead to, and which of them it is sorted by."""

    def head(up: PeopleSort, down: PeopleSort | None = None) -> dict[str, str]:
        following = down if sort == up and down else up
        shown = {up: "asc", down: "desc"}.get(sort, "")
        return {"sort": here(sort=following, before=None), "sorted": shown}

    return {
        "person": head(PeopleSort.NAME),
        "credits": head(PeopleSort.LEAST, PeopleSort.MOST),
        "since": head(PeopleSort.OLDEST, PeopleSort.NEWEST),
    }
