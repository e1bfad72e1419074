"""For admins: the projects and invitations of all."""

from typing import Any

from flask import Response, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from zentry_web.blueprints.admin.routes import blueprint
from zentry_web.domain.bill_csv import iso
from zentry_web.domain.label import written
from zentry_web.domain.project_directory import (
    InvitationFilter,
    InvitationState,
    ProjectFilter,
    ProjectRow,
    ProjectSort,
    ProjectState,
)
from zentry_web.web.actor import current_actor
from zentry_web.web.files import csv_file
from zentry_web.web.flash import success
from zentry_web.web.htmx import is_htmx
from zentry_web.web.paging import PAGE_SIZE, last_key, pages, text_argument
from zentry_web.web.services import services

COLUMNS = (
    "id", "name", "state", "owner_email", "owner_id", "machines", "running", "members", "month_micro", "created_at",
    "archived_at", "deleted_at", "labels",
)  # fmt: skip


@blueprint.get("/projects")
def projects() -> ResponseReturnValue:
    """All projects."""
    wanted, sort = _wanted(), _sort()
    directory, before = services().get_project_service().directory, text_argument("before") or None
    rows = directory.list_all(wanted, actor=current_actor(), sort=sort, before=before, limit=PAGE_SIZE)
    template = "admin/_projects.html" if is_htmx() else "admin/projects.html"
    shown = {"rows": rows, "wanted": wanted, "sort": sort, "states": list(ProjectState)}
    file_url = url_for("admin.projects_file", **_fields(wanted), sort=sort)
    next_key = last_key([row.project for row in rows], "id")
    return render_template(template, **shown, file_url=file_url, **pages(next_key))


@blueprint.get("/projects.csv")
def projects_file() -> Response:
    """The same projects as a file."""
    found = services().get_project_service().directory.export(_wanted(), actor=current_actor(), sort=_sort())
    return csv_file("zentry-projects", COLUMNS, (_row(row) for row in found))


@blueprint.get("/invitations")
def invitations() -> ResponseReturnValue:
    """All invitations, open or not."""
    state = text_argument("state")
    known = InvitationState(state) if state in list(InvitationState) else None
    wanted, before = InvitationFilter(text_argument("q"), known), text_argument("before") or None
    directory = services().get_project_service().directory
    found = directory.list_invitations(wanted, actor=current_actor(), before=before, limit=PAGE_SIZE)
    template = "admin/_invitations.html" if is_htmx() else "admin/invitations.html"
    shown = {"found": found, "wanted": wanted, "states": list(InvitationState), "now": services().clock.now()}
    return render_template(template, **shown, **pages(last_key(found, "id")))


@blueprint.post("/invitations/<invitation_id>/revoke")
def revoke_invitation(invitation_id: str) -> ResponseReturnValue:
    """Withdraw an open one."""
    services().get_project_service().invitations.revoke_any(invitation_id, actor=current_actor())
    success("The invitation is withdrawn: its link works no more.")
    return redirect(url_for("admin.invitations"), 303)


def _wanted() -> ProjectFilter:
    state = text_argument("state")
    known = ProjectState(state) if state in list(ProjectState) else None
    return ProjectFilter(text_argument("q"), text_argument("owner"), known)


def _sort() -> ProjectSort:
    sort = text_argument("sort")
    return ProjectSort(sort) if sort in list(ProjectSort) else ProjectSort.NEWEST


def _fields(wanted: ProjectFilter) -> dict[str, Any]:
    found = {"q": wanted.search, "owner": wanted.owner, "state": wanted.state}
    return {name: str(value) for name, value in found.items() if value}


def _row(row: ProjectRow) -> tuple[object, ...]:
    project = row.project
    return (
        project.id, project.name, str(row.state), row.owner_email, project.owner_id, row.vm_count, row.running_count,
        row.member_count, row.month_micro, iso(project.created_at), iso(project.archived_at), iso(row.deleted_at),
        written(project.labels, " "),
    )  # fmt: skip
