"""For admins: the projects and invitations of all."""

from flask import Response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from zentry_web.blueprints.admin.routes import blueprint
from zentry_web.domain.credits.bill_csv import iso
from zentry_web.domain.label import written
from zentry_web.domain.language import _
from zentry_web.domain.list_keys import ALL_PROJECTS
from zentry_web.domain.people.saved_view import ListKind
from zentry_web.domain.projects.project_directory import (
    InvitationFilter,
    InvitationState,
    ProjectRow,
    ProjectSort,
    ProjectState,
)
from zentry_web.domain.query_language import ListSearch
from zentry_web.services.errors import ValidationError
from zentry_web.web.input.columns import ALL_PROJECTS as LIST_COLUMNS
from zentry_web.web.input.columns import stays
from zentry_web.web.input.paging import last_key, pages, rows_asked, sort_heads, text_argument
from zentry_web.web.input.questions import Question, ask
from zentry_web.web.input.saved_views import list_saved, opening, view_context
from zentry_web.web.input.search import Searched, read_list, stay
from zentry_web.web.output.files import csv_file
from zentry_web.web.output.filters import viewer_zone
from zentry_web.web.output.flash import success
from zentry_web.web.output.htmx import is_htmx
from zentry_web.web.services import services
from zentry_web.web.session.actor import current_actor

COLUMNS = (
    "id", "name", "state", "owner_email", "owner_id", "machines", "running", "members", "month_micro", "created_at",
    "archived_at", "deleted_at", "labels",
)  # fmt: skip


SORTS: dict[str, tuple[str, str]] = {
    "name": (ProjectSort.NAME, ProjectSort.NAME_DOWN),
    "owner": (ProjectSort.OWNER, ProjectSort.OWNER_DOWN),
    "created": (ProjectSort.NEWEST, ProjectSort.OLDEST),
}


@blueprint.get("/projects")
def projects() -> ResponseReturnValue:
    """All projects that fit the address."""
    if chosen := LIST_COLUMNS.chosen_address():
        return redirect(chosen)
    searched, search, sort = _asked()
    if searched.problem and is_htmx():
        return stay(searched)
    views = list_saved(ListKind.ALL_PROJECTS)
    if opens := opening(views):
        return redirect(opens)
    limit, before, rows = rows_asked(), text_argument("before") or None, []
    if not searched.problem:
        rows = services().projects.directory.list_all(
            search, actor=current_actor(), sort=sort, before=before, limit=limit
        )  # fmt: skip
    keep, heads = stays("sort"), sort_heads(SORTS, sort)
    shown = {"rows": rows, "searched": searched, "states": list(ProjectState), "heads": heads}
    shown |= {"shown": LIST_COLUMNS.shown(heads)}
    file_url = url_for("admin.projects_file", q=searched.text or None, sort=keep["sort"] or None)
    shown |= view_context(ListKind.ALL_PROJECTS, views, q=searched.text)
    next_key = last_key([row.project for row in rows], "id", limit)
    return render_template("admin/projects.html", **shown, keep=keep, file_url=file_url, **pages(next_key))


@blueprint.get("/projects.csv")
def projects_file() -> Response:
    """The same projects as a file."""
    searched, search, sort = _asked()
    if searched.problem:
        raise ValidationError(searched.problem)
    found = services().projects.directory.export(search, actor=current_actor(), sort=sort)
    return csv_file("zentry-projects", COLUMNS, (_row(row) for row in found))


@blueprint.get("/invitations")
def invitations() -> ResponseReturnValue:
    """All invitations, open or not."""
    state = text_argument("state")
    known = InvitationState(state) if state in list(InvitationState) else None
    wanted, before = InvitationFilter(text_argument("q"), known), text_argument("before") or None
    directory = services().projects.directory
    found = directory.list_invitations(wanted, actor=current_actor(), before=before, limit=rows_asked())
    shown = {"found": found, "wanted": wanted, "states": list(InvitationState), "now": services().clock.now()}
    return render_template("admin/invitations.html", **shown, **pages(last_key(found, "id")))


@blueprint.route("/invitations/<invitation_id>/revoke", methods=["GET", "POST"])
def revoke_invitation(invitation_id: str) -> ResponseReturnValue:
    """Revoke an open one."""
    if request.method == "GET":
        text, back = _("Its link works no more. The person can be invited again."), url_for("admin.invitations")
        return ask(Question(_("Revoke the invitation?"), text, _("Revoke"), back, "admin.projects"))
    services().projects.invitations.revoke_any(invitation_id, actor=current_actor())
    success(_("The invitation is revoked: its link works no more."))
    return redirect(url_for("admin.invitations"), 303)


def _asked() -> tuple[Searched, ListSearch, ProjectSort]:
    searched, sort = read_list(ALL_PROJECTS, ("state", "owner")), text_argument("sort")
    search = ListSearch(searched.terms, viewer_zone())
    return searched, search, ProjectSort(sort) if sort in list(ProjectSort) else ProjectSort.NEWEST


def _row(row: ProjectRow) -> tuple[object, ...]:
    project = row.project
    return (
        project.id, project.name, str(row.state), row.owner_email, project.owner_id, row.vm_count, row.running_count,
        row.member_count, row.month_micro, iso(project.created_at), iso(project.archived_at), iso(row.deleted_at),
        written(project.labels, " "),
    )  # fmt: skip
