"""Projects: list, create, one project, rename, delete."""

from flask import Blueprint, Response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from zentry_web.blueprints.projects.forms import BudgetForm, DeleteForm, ProjectForm
from zentry_web.domain.budget import Budget
from zentry_web.domain.money import format_credits
from zentry_web.domain.project import ProjectAction
from zentry_web.services.errors import NotFoundError
from zentry_web.web.actor import current_actor, me
from zentry_web.web.errors import on_service_error
from zentry_web.web.flash import success
from zentry_web.web.htmx import go_to, is_htmx
from zentry_web.web.paging import PAGE_SIZE, here, pages, text_argument, ticking
from zentry_web.web.services import services

blueprint = Blueprint("projects", __name__, url_prefix="/projects")


@blueprint.errorhandler(NotFoundError)
def gone(error: NotFoundError) -> ResponseReturnValue:
    """A page that is open on a project that was deleted or that one was removed from leads to the list."""
    if is_htmx() and request.endpoint in ("projects.show", "projects.members"):
        return Response(status=404, headers={"HX-Redirect": url_for("projects.index")})
    return on_service_error(error)


def _template(name: str) -> str:
    """The dialog's fragment for htmx, the page around it otherwise."""
    return f"projects/_{name}.html" if is_htmx() else f"projects/{name}.html"


@blueprint.get("")
def index() -> ResponseReturnValue:
    """All projects in use with their VMs and spend, or the archived ones."""
    user, archived = me(), bool(text_argument("archived"))
    summaries = services().get_project_service().list_projects(user.id, actor=current_actor(), archived=archived)
    quota = services().get_vm_service().quotas.get_own(user.id, actor=current_actor())
    template = "projects/_list.html" if is_htmx() else "projects/index.html"
    return render_template(template, summaries=summaries, quota=quota, archived=archived)


@blueprint.route("/new", methods=["GET", "POST"])
def create() -> ResponseReturnValue:
    """Make a project."""
    form = ProjectForm()
    if request.method == "POST":
        projects, actor = services().get_project_service(), current_actor()
        if form.submit(lambda: projects.create_project({"name": form.name.data}, me(), actor=actor)):
            success(f"Project {form.result.name} is ready.")
            return go_to(url_for("projects.show", project_id=form.result.id))
    return render_template(_template("new"), form=form), form.status


@blueprint.get("/<project_id>")
def show(project_id: str) -> ResponseReturnValue:
    """One project: its figures and its VMs."""
    actor, projects = current_actor(), services().get_project_service()
    project = projects.get_project(project_id, actor=actor)
    statistics = projects.get_project_statistics(project_id, actor=actor)
    before = text_argument("before") or None
    machines = services().get_vm_service()
    vms = machines.list_vms(actor=actor, project_id=project_id, before=before, limit=PAGE_SIZE)
    quotas = machines.quotas.get_quotas(project_id, actor=actor)
    budget = services().get_billing_service().budgets.get_status(project_id, actor=actor)
    template = "projects/_show.html" if is_htmx() else "projects/show.html"
    shown = {"project": project, "statistics": statistics, "budget": budget, "quotas": quotas, "vms": vms}
    shown["this_url"] = here()
    return render_template(template, **shown, **ticking(), **pages(vms.next_before))


@blueprint.route("/<project_id>/rename", methods=["GET", "POST"])
def rename(project_id: str) -> ResponseReturnValue:
    """Give a project another name."""
    actor, projects = current_actor(), services().get_project_service()
    project = projects.get_project(project_id, actor=actor, action=ProjectAction.RENAME)
    form = ProjectForm(data={"name": project.name})
    if request.method == "POST" and form.submit(
        lambda: projects.rename_project(project_id, form.text("name"), actor=actor)
    ):
        success(f"The project is now called {form.result.name}.")
        return go_to(url_for("projects.show", project_id=project_id))
    return render_template(_template("rename"), form=form, project=project), form.status


@blueprint.route("/<project_id>/delete", methods=["GET", "POST"])
def delete(project_id: str) -> ResponseReturnValue:
    """Delete a project with everything in it, after its name was typed; its page in the bin follows."""
    actor, projects = current_actor(), services().get_project_service()
    going = projects.bin.preview(project_id, actor=actor)
    form = DeleteForm()
    if request.method == "POST":
        if form.confirm.data and form.confirm.data.strip() != going.name:
            form.refuse("confirm", "This is not the project's name.")
        elif form.submit(lambda: projects.delete_project(project_id, actor=actor)):
            success(f"Project {going.name} is deleted.")
            kept = projects.bin.keeps_for.days
            return go_to(url_for("bin.project", project_id=project_id) if kept else url_for("projects.index"))
    days = projects.bin.keeps_for.days
    return render_template(_template("delete"), form=form, going=going, days=days), form.status


@blueprint.post("/<project_id>/protection")
def protect(project_id: str) -> ResponseReturnValue:
    """Protect the project from deletion, or no longer."""
    on = request.form.get("protected") == "1"
    services().get_project_service().bin.set_protection(project_id, on, actor=current_actor())
    alone = "The project is protected from deletion. Its machines are not: each has a protection of its own."
    success(alone if on else "The project can be deleted again.")
    return redirect(url_for("projects.show", project_id=project_id), 303)


@blueprint.route("/<project_id>/budget", methods=["GET", "POST"])
def budget(project_id: str) -> ResponseReturnValue:
    """What the project may cost each month; without an amount it has no budget."""
    actor, budgets = current_actor(), services().get_billing_service().budgets
    projects = services().get_project_service()
    project = projects.get_project(project_id, actor=actor, action=ProjectAction.BUDGET)
    status = budgets.get_status(project_id, actor=actor)
    form = BudgetForm(data=_budget_data(status.budget if status else None))
    if request.method == "POST" and form.submit(lambda: _save_budget(project_id, form)):
        success("The project has no budget." if form.amount.micro is None else "The budget is set.")
        return go_to(url_for("projects.show", project_id=project_id))
    return render_template(_template("budget"), form=form, project=project, status=status), form.status


def _save_budget(project_id: str, form: BudgetForm) -> None:
    actor, budgets, micro = current_actor(), services().get_billing_service().budgets, form.amount.micro
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
