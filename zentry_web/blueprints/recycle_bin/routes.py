"""The recycle bin: what was deleted and when it goes for good, restoring it, purging it."""

from typing import Any

from flask import Blueprint, Response, render_template, request, url_for
from flask.typing import ResponseReturnValue

from zentry_web.blueprints.recycle_bin.forms import PurgeForm, PurgeProjectForm, RestoreForm, RestoreProjectForm
from zentry_web.domain.bin import BinnedVM
from zentry_web.services.errors import NotFoundError
from zentry_web.web.actor import current_actor, me
from zentry_web.web.errors import on_service_error
from zentry_web.web.flash import success
from zentry_web.web.htmx import go_to, is_htmx
from zentry_web.web.paging import PAGE_SIZE, here, pages, text_argument
from zentry_web.web.services import services

blueprint = Blueprint("bin", __name__, url_prefix="/bin")


@blueprint.errorhandler(NotFoundError)
def gone(error: NotFoundError) -> ResponseReturnValue:
    """What was restored or purged while its dialog was open: back to the bin."""
    if is_htmx() and request.method == "GET":
        return Response(status=404, headers={"HX-Redirect": url_for("bin.index")})
    return on_service_error(error)


def _template(name: str) -> str:
    """The dialog's fragment for htmx, the page around it otherwise."""
    return f"recycle_bin/_{name}.html" if is_htmx() else f"recycle_bin/{name}.html"


def _paged(found: list[BinnedVM]) -> dict[str, Any]:
    """A page of machines, of which one more was asked for: whether others follow."""
    vms = found[:PAGE_SIZE]
    return {"vms": vms, "this_url": here()} | pages(vms[-1].id if len(found) > PAGE_SIZE else None)


@blueprint.get("")
def index() -> ResponseReturnValue:
    """Everything that the person may restore, and until when: projects page by page, then machines."""
    vm_bin, actor = services().get_vm_service().bin, current_actor()
    before, after = text_argument("before"), text_argument("projects")
    found = vm_bin.list_binned(me().id, actor=actor, before=before, limit=PAGE_SIZE + 1)
    gone = services().get_project_service().bin
    projects = gone.list_binned(me().id, actor=actor, before=after, limit=PAGE_SIZE + 1) if not before else []
    more = projects[PAGE_SIZE - 1].id if len(projects) > PAGE_SIZE else None
    shown = {
        "projects": projects[:PAGE_SIZE],
        "first_projects_url": here(projects=None) if after else None,
        "next_projects_url": here(projects=more) if more else None,
    }
    return render_template(_template("index"), days=vm_bin.keeps_for.days, **shown, **_paged(found))


@blueprint.route("/vms/<vm_id>/restore", methods=["GET", "POST"])
def restore_vm(vm_id: str) -> ResponseReturnValue:
    """Bring a machine back, under another name if its own is taken."""
    actor, vm_bin = current_actor(), services().get_vm_service().bin
    vm = vm_bin.get_binned(vm_id, actor=actor)
    form = RestoreForm(data={"name": vm.name})
    if request.method == "POST" and form.submit(lambda: vm_bin.restore(vm_id, form.text("name"), actor=actor)):
        success(f"{form.result.name} is back. It is stopped: start it when you like.")
        return go_to(url_for("vms.show", vm_id=vm_id))
    return render_template(_template("restore_vm"), vm=vm, form=form), form.status


@blueprint.route("/vms/<vm_id>/purge", methods=["GET", "POST"])
def purge_vm(vm_id: str) -> ResponseReturnValue:
    """Delete a machine in the bin for good, after its name was typed."""
    actor, vm_bin = current_actor(), services().get_vm_service().bin
    vm = vm_bin.get_binned(vm_id, actor=actor)
    form = PurgeForm()
    if request.method == "POST" and form.submit(lambda: vm_bin.purge(vm_id, form.text("confirm_name"), actor=actor)):
        success(f"{vm.name} is being deleted for good.")
        return go_to(url_for("bin.index"))
    return render_template(_template("purge_vm"), vm=vm, form=form), form.status


@blueprint.get("/projects/<project_id>")
def project(project_id: str) -> ResponseReturnValue:
    """A project that was deleted: how far that has come, and what went with it."""
    found, vms = (
        services()
        .get_project_service()
        .bin.get_binned(project_id, actor=current_actor(), before=text_argument("before"), limit=PAGE_SIZE + 1)
    )
    return render_template(_template("project"), project=found, **_paged(vms))


@blueprint.route("/projects/<project_id>/restore", methods=["GET", "POST"])
def restore_project(project_id: str) -> ResponseReturnValue:
    """Bring a project back with its machines, under another name if its own is taken."""
    actor, bins = current_actor(), services().get_project_service().bin
    found, _ = bins.get_binned(project_id, actor=actor)
    form = RestoreProjectForm(data={"name": found.name})
    if request.method == "POST" and form.submit(lambda: bins.restore(project_id, form.text("name"), actor=actor)):
        success(f"{form.result.name} is back. Its machines are stopped.")
        return go_to(url_for("projects.show", project_id=project_id))
    return render_template(_template("restore_project"), project=found, form=form), form.status


@blueprint.route("/projects/<project_id>/purge", methods=["GET", "POST"])
def purge_project(project_id: str) -> ResponseReturnValue:
    """Delete a project in the bin for good, after its name was typed."""
    actor, bins = current_actor(), services().get_project_service().bin
    found, _ = bins.get_binned(project_id, actor=actor)
    form = PurgeProjectForm()
    if request.method == "POST" and form.submit(lambda: bins.purge(project_id, form.text("confirm"), actor=actor)):
        success(f"{found.name} is being deleted for good.")
        return go_to(url_for("bin.index"))
    return render_template(_template("purge_project"), project=found, form=form), form.status
