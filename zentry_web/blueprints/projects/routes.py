"""Projects: list, create, one project, rename, delete."""

from typing import Any

from flask import Blueprint, Response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from zentry_web.blueprints.projects.forms import BudgetForm, DeleteProjectForm, ProjectForm
from zentry_web.domain.credits.bill_csv import iso
from zentry_web.domain.credits.budget import Budget
from zentry_web.domain.label import written
from zentry_web.domain.language import _
from zentry_web.domain.list_keys import PROJECTS
from zentry_web.domain.money import format_credits
from zentry_web.domain.people.saved_view import ListKind
from zentry_web.domain.projects.project import RIGHTS, ProjectAction, ProjectSummary
from zentry_web.domain.projects.project_list import ORDERS, projects_found
from zentry_web.domain.query_language import ListSearch
from zentry_web.domain.vms.fleet import MAX_ORDERED, VMFilter
from zentry_web.services.errors import NotFoundError, ValidationError
from zentry_web.web.errors import on_service_error
from zentry_web.web.input.columns import MACHINES, machines_shown, stays
from zentry_web.web.input.columns import PROJECTS as LIST_COLUMNS
from zentry_web.web.input.paging import (
    PAGE_SIZE,
    here,
    last_key,
    number_argument,
    pages,
    rows_asked,
    sort_heads,
    text_argument,
    ticking,
)
from zentry_web.web.input.saved_views import list_saved, opening, view_context
from zentry_web.web.input.search import Searched, read_list, stay
from zentry_web.web.output.activity import activity_lines
from zentry_web.web.output.files import csv_file
from zentry_web.web.output.flash import success
from zentry_web.web.output.htmx import go_to, is_htmx
from zentry_web.web.services import services
from zentry_web.web.session.actor import current_actor, me

blueprint = Blueprint("projects", __name__, url_prefix="/projects")


@blueprint.errorhandler(NotFoundError)
def gone(error: NotFoundError) -> ResponseReturnValue:
    """A page that is open on a project that was deleted or that one was removed from leads to the list."""
    if is_htmx() and request.endpoint in ("projects.show", "projects.spend", "projects.members"):
        return Response(status=404, headers={"HX-Redirect": url_for("projects.index")})
    return on_service_error(error)


SORTS = {
    "name": ("name", "name-down"),
    "machines": ("fewest", "most"),
    "rate": ("dearest", "cheapest"),
    "spend": ("spent", "least"),
    "created": ("newest", "oldest"),
}
COLUMNS = (
    "id", "name", "role", "owner", "machines", "running", "rate_micro_per_hour", "month_micro", "created_at",
    "archived_at", "labels",
)  # fmt: skip


@blueprint.get("")
def index() -> ResponseReturnValue:
    """The projects in use that fit the search, with their machines and spend, or the archived ones."""
    if chosen := LIST_COLUMNS.chosen_address():
        return redirect(chosen)
    searched = read_list(PROJECTS)
    if searched.problem and is_htmx():
        return stay(searched)
    views = list_saved(ListKind.PROJECTS)
    if opens := opening(views):
        return redirect(opens)
    found, whole = _found(searched)
    seen, limit = text_argument("before"), rows_asked(PAGE_SIZE)
    first = next((at + 1 for at, each in enumerate(found) if each.project.id == seen), 0)
    page = found[first : first + limit]
    quota = services().vms.quotas.get_own(me().id, actor=current_actor())
    archived, sort = 1 if text_argument("archived") else None, text_argument("sort")
    context = {"summaries": page, "total": len(found), "whole": whole, "searched": searched, "quota": quota}
    context |= {"archived": archived, "this_url": here(), "keep": stays("sort", "archived")}
    context["file_url"] = url_for("projects.file", q=searched.text or None, sort=sort or None, archived=archived)
    context |= view_context(ListKind.PROJECTS, views, q=searched.text)
    more = page[-1].project.id if len(found) > first + limit else None
    heads = sort_heads(SORTS, _sort())
    shown = LIST_COLUMNS.shown(heads | {"month": heads["spend"]})
    return render_template("projects/index.html", heads=heads, shown=shown, **context, **pages(more))


def _found(searched: Searched) -> tuple[list[ProjectSummary], int]:
    """The projects that fit the address, and how many there are in all."""
    archived = bool(text_argument("archived"))
    whole = services().projects.list_projects(me().id, actor=current_actor(), archived=archived)
    return [] if searched.problem else projects_found(whole, ListSearch(searched.terms), _sort()), len(whole)


def _sort() -> str:
    sort = text_argument("sort")
    return sort if sort in ORDERS else "name"


@blueprint.get("/list.csv")
def file() -> Response:
    """The same projects, all of them, as a file."""
    searched = read_list(PROJECTS)
    if searched.problem:
        raise ValidationError(searched.problem)
    return csv_file("zentry-projects", COLUMNS, (_record(each) for each in _found(searched)[0]))


def _record(summary: ProjectSummary) -> tuple[object, ...]:
    project = summary.project
    return (
        project.id, project.name, str(project.role or ""), project.owner_name, summary.vm_count, summary.running_count,
        summary.rate_micro_per_hour, summary.month_micro, iso(project.created_at), iso(project.archived_at),
        written(project.labels, " "),
    )  # fmt: skip


@blueprint.route("/new", methods=["GET", "POST"])
def create() -> ResponseReturnValue:
    """Make a project. ``then=launch``: on the way to a launch, which follows."""
    form, to_launch = ProjectForm(), request.args.get("then") == "launch"
    if request.method == "POST":
        projects, actor = services().projects, current_actor()
        if form.submit(lambda: projects.create_project({"name": form.name.data}, me(), actor=actor)):
            made = form.result
            launch = url_for("vms.create", project=made.id)
            success(_("Project %(name)s is ready.", name=made.name), "" if to_launch else _("Launch a machine"), launch)
            return go_to(launch if to_launch else url_for("projects.show", project_id=made.id))
    return render_template("projects/new.html", form=form, then="launch" if to_launch else None), form.status


@blueprint.get("/<project_id>")
def show(project_id: str) -> ResponseReturnValue:
    """One project: its machines, and how its budget and quota stand."""
    if chosen := MACHINES.chosen_address():
        return redirect(chosen)
    actor, wanted = current_actor(), VMFilter(project_id=project_id)
    before = text_argument("before") or None
    limits = _limits(project_id)
    vms = services().vms.list_vms(actor=actor, wanted=wanted, before=before, limit=rows_asked())
    tick = ticking() | {"most": MAX_ORDERED, "sum_micro": 0}
    if tick["ticked"] == "all":
        tick["sum_micro"] = services().vms.sum_vms(actor=actor, wanted=wanted)[1]
    shown = {"shown": machines_shown(vms.vms), "this_url": here()}
    return render_template("projects/show.html", vms=vms, **shown, **limits, **tick, **pages(vms.next_before))


@blueprint.get("/<project_id>/spend")
def spend(project_id: str) -> ResponseReturnValue:
    """What it takes up and costs."""
    limits = _limits(project_id)
    statistics = services().projects.get_project_statistics(project_id, actor=current_actor())
    return render_template("projects/spend.html", statistics=statistics, this_url=here(), **limits)


def _limits(project_id: str) -> dict[str, Any]:
    actor, budgets = current_actor(), services().billing.budgets
    return {
        "project": services().projects.get_project(project_id, actor=actor),
        "budget": budgets.get_status(project_id, actor=actor),
        "quotas": services().vms.quotas.get_quotas(project_id, actor=actor),
    }


@blueprint.get("/<project_id>/activity")
def activity(project_id: str) -> ResponseReturnValue:
    """Who did what in it, newest first."""
    actor, projects = current_actor(), services().projects
    project = projects.get_project(project_id, actor=actor)
    events = projects.list_activity(project_id, actor=actor, before=number_argument("before"), limit=rows_asked())
    rights = RIGHTS[project.role] if project.role else frozenset()
    lines = activity_lines(events, reader_id=actor.id, rights=lambda event: rights, now=services().clock.now())
    return render_template("projects/activity.html", project=project, lines=lines, **pages(last_key(events, "seq")))


@blueprint.route("/<project_id>/rename", methods=["GET", "POST"])
def rename(project_id: str) -> ResponseReturnValue:
    """Give a project another name."""
    actor, projects = current_actor(), services().projects
    project = projects.get_project(project_id, actor=actor, action=ProjectAction.RENAME)
    form = ProjectForm(data={"name": project.name})
    if request.method == "POST" and form.submit(
        lambda: projects.rename_project(project_id, form.text("name"), actor=actor)
    ):
        success(_("The project is now called %(name)s.", name=form.result.name))
        return go_to(url_for("projects.show", project_id=project_id))
    return render_template("projects/rename.html", form=form, project=project), form.status


@blueprint.route("/<project_id>/delete", methods=["GET", "POST"])
def delete(project_id: str) -> ResponseReturnValue:
    """Delete a project with everything in it, after its name was typed; its page in the bin follows."""
    actor, projects = current_actor(), services().projects
    going = projects.bin.preview(project_id, actor=actor)
    form = DeleteProjectForm()
    if request.method == "POST":
        if form.confirm.data and form.confirm.data.strip() != going.name:
            form.refuse("confirm", _("This is not the project's name."))
        elif form.submit(lambda: projects.delete_project(project_id, actor=actor)):
            success(_("Project %(name)s is deleted.", name=going.name))
            kept = projects.bin.keeps_for.days
            return go_to(url_for("bin.project", project_id=project_id) if kept else url_for("projects.index"))
    days = projects.bin.keeps_for.days
    images = len(services().vms.machine_images.list(project_id, actor=actor))
    return render_template("projects/delete.html", form=form, going=going, days=days, images=images), form.status


@blueprint.post("/<project_id>/protection")
def protect(project_id: str) -> ResponseReturnValue:
    """Protect the project from deletion, or no longer."""
    on = request.form.get("protected") == "1"
    services().projects.bin.set_protection(project_id, on, actor=current_actor())
    alone = _("The project is protected from deletion. Its machines are not: each has a protection of its own.")
    success(alone if on else _("The project can be deleted again."))
    return redirect(url_for("projects.show", project_id=project_id), 303)


@blueprint.route("/<project_id>/budget", methods=["GET", "POST"])
def budget(project_id: str) -> ResponseReturnValue:
    """What the project may cost each month; without an amount it has no budget."""
    actor, budgets = current_actor(), services().billing.budgets
    projects = services().projects
    project = projects.get_project(project_id, actor=actor, action=ProjectAction.BUDGET)
    status = budgets.get_status(project_id, actor=actor)
    form = BudgetForm(data=_budget_data(status.budget if status else None))
    if request.method == "POST" and form.submit(lambda: _save_budget(project_id, form)):
        success(_("The project has no budget.") if form.amount.micro is None else _("The budget is set."))
        return go_to(url_for("projects.show", project_id=project_id))
    return render_template("projects/budget.html", form=form, project=project, status=status), form.status


def _save_budget(project_id: str, form: BudgetForm) -> None:
    actor, budgets, micro = current_actor(), services().billing.budgets, form.amount.micro
    if micro is None:
        budgets.remove_budget(project_id, actor=actor)
    else:
        cap = bool(form.hard_cap.data)
        budgets.set_budget(project_id, micro, form.alerts.percents, hard_cap=cap, actor=actor)


def _budget_data(budget: Budget | None) -> dict[str, object]:
    if budget is None:
        return {"alerts": "50, 80, 100"}
    amount = format_credits(budget.amount_micro).replace(",", "")
    return {"amount": amount, "alerts": ", ".join(map(str, budget.alerts)), "hard_cap": budget.hard_cap}
