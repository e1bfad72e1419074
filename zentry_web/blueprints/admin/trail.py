"""For admins: the audit trail, as a page, as a file, and checked. What is looked for is in the address."""

import json
from typing import Any, cast

from flask import Response, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from zentry_web.blueprints.admin.routes import blueprint
from zentry_web.domain.credits.bill_csv import iso
from zentry_web.domain.event import Event, TrailFilter
from zentry_web.domain.list_keys import AUDIT
from zentry_web.domain.people.saved_view import ListKind
from zentry_web.domain.query_language import ListSearch
from zentry_web.services.errors import ValidationError
from zentry_web.web.input.columns import AUDIT as LIST_COLUMNS
from zentry_web.web.input.columns import stays
from zentry_web.web.input.paging import PAGE_SIZE, last_key, number_argument, pages, rows_asked, text_argument
from zentry_web.web.input.period import asked_dates, moments
from zentry_web.web.input.saved_views import list_saved, opening, view_context
from zentry_web.web.input.search import Searched, read_list, stay
from zentry_web.web.output.activity import activity_lines
from zentry_web.web.output.files import csv_file
from zentry_web.web.output.filters import viewer_zone
from zentry_web.web.output.htmx import is_htmx
from zentry_web.web.services import services
from zentry_web.web.session.actor import current_actor

TRAIL_COLUMNS = (
    "seq", "at", "action", "outcome", "actor_id", "actor", "resource_type", "resource_id", "owner_id", "project_id",
    "vm_id", "operation_id", "details", "address", "reason", "personal",
)  # fmt: skip
OLDER = {"actor_id": "who", "resource_id": "what", "outcome": "outcome"}  # of addresses before there was a search
RULE_OF_EVENTS = "L4"  # of the books' checks: whether the database refuses changes of events


@blueprint.get("/audit")
def audit() -> ResponseReturnValue:
    """Who did what: what fits the search, of some days and actions."""
    if chosen := LIST_COLUMNS.chosen_address():
        return redirect(chosen)
    searched, fields, trail = read_list(AUDIT, OLDER), _fields(), services().users.trail
    if searched.problem and is_htmx():
        return stay(searched)
    views = list_saved(ListKind.AUDIT)
    if opens := opening(views):
        return redirect(opens)
    limit, found = rows_asked(PAGE_SIZE), []
    if not searched.problem:
        wanted, before = _wanted(searched), number_argument("before")
        found = trail.search_events(wanted, actor=current_actor(), before=before, limit=limit)
    given = {name: value for name, value in ({"q": searched.text} | fields).items() if value}
    return render_template(
        "admin/audit.html",
        lines=activity_lines(found),
        searched=searched,
        fields=fields,
        groups=_groups(trail.list_actions(actor=current_actor()), fields["action"]),
        shown=LIST_COLUMNS.shown(),
        keep=stays(),
        file_url=url_for("admin.audit_file", **cast(dict[str, Any], given)),
        **view_context(ListKind.AUDIT, views, q=searched.text, **fields),
        **pages(last_key(found, "seq", limit)),
    )


@blueprint.get("/audit.csv")
def audit_file() -> Response:
    """The same events as a file, newest first."""
    searched = read_list(AUDIT, OLDER)
    if searched.problem:
        raise ValidationError(searched.problem)
    found = services().users.trail.export(_wanted(searched), actor=current_actor())
    return csv_file("zentry-audit", TRAIL_COLUMNS, (_trail_row(event) for event in found))


@blueprint.get("/audit/verify")
def verify_audit() -> ResponseReturnValue:
    """The newest events, or those before a number, checked now; and whether the database refuses changes."""
    check = services().users.trail.verify(actor=current_actor(), before=number_argument("before"))
    run = services().billing.books.verification.get_latest()
    refusal = next((line for line in run.lines if line.id == RULE_OF_EVENTS), None) if run else None
    return render_template("admin/audit_verify.html", check=check, run=run, refusal=refusal)


def _fields() -> dict[str, str]:
    """What is picked beside the search box: a date that is none is left out."""
    first, last = asked_dates()
    return {"from": str(first or ""), "to": str(last or ""), "action": text_argument("action")}


def _wanted(searched: Searched) -> TrailFilter:
    start, end = moments(*asked_dates())
    search = ListSearch(searched.terms, viewer_zone())
    return TrailFilter(text_argument("action"), start=start, end=end, search=search)


def _groups(actions: list[str], asked: str) -> dict[str, list[str]]:
    """The actions there are by their group, and the one that was asked for, be there such or not."""
    found: dict[str, list[str]] = {}
    for action in actions if asked in actions or asked.endswith(".") or not asked else sorted([*actions, asked]):
        found.setdefault(action.partition(".")[0], []).append(action)
    if asked.endswith("."):
        found.setdefault(asked[:-1], [])
    return found


def _trail_row(event: Event) -> tuple[object, ...]:
    intact = {True: "intact", False: "altered", None: ""}[event.personal_intact]
    return (
        event.seq, iso(event.at), event.action, str(event.outcome), event.actor_id, event.actor_name,
        event.resource_type, event.resource_id, event.owner_id or "", event.project_id or "", event.vm_id or "",
        event.operation_id or "", json.dumps(event.details, sort_keys=True), event.personal.get("address", ""),
        event.personal.get("reason", ""), intact,
    )  # fmt: skip
