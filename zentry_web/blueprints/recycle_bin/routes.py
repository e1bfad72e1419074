"""The recycle bin: what was deleted and when it goes for good, restoring it, purging it."""

from typing import Any

from flask import Blueprint, Response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from zentry_web.blueprints.recycle_bin.forms import PurgeForm, PurgeProjectForm, RestoreForm, RestoreProjectForm
from zentry_web.domain.language import _
from zentry_web.domain.list_keys import BIN
from zentry_web.domain.people.saved_view import ListKind
from zentry_web.domain.query_language import ListSearch
from zentry_web.domain.vms.bin import BinnedVM, BinSort
from zentry_web.domain.vms.fleet import MAX_ORDERED
from zentry_web.services.errors import NotFoundError
from zentry_web.web.errors import on_service_error
from zentry_web.web.input.columns import BIN as LIST_COLUMNS
from zentry_web.web.input.columns import stays
from zentry_web.web.input.paging import PAGE_SIZE, here, pages, rows_asked, sort_heads, text_argument, ticking
from zentry_web.web.input.saved_views import list_saved, opening, view_context
from zentry_web.web.input.search import read_list, stay
from zentry_web.web.output.filters import viewer_zone
from zentry_web.web.output.flash import success
from zentry_web.web.output.htmx import go_to, is_htmx
from zentry_web.web.services import services
from zentry_web.web.session.actor import current_actor, me

blueprint = Blueprint("bin", __name__, url_prefix="/bin")


@blueprint.errorhandler(NotFoundError)
def gone(error: NotFoundError) -> ResponseReturnValue:
    """What was restored or purged while its dialog was open: back to the bin."""
    if is_htmx() and request.method == "GET":
        return Response(status=404, headers={"HX-Redirect": url_for("bin.index")})
    return on_service_error(error)


SORTS: dict[str, tuple[str, str]] = {
    "name": (BinSort.NAME, BinSort.NAME_DOWN),
    "deleted": (BinSort.LATEST, BinSort.EARLIEST),
    "until": (BinSort.SOONEST, BinSort.LONGEST),
}


def sort_asked() -> BinSort:
    """How the address has the machines sorted."""
    asked = text_argument("sort")
    return BinSort(asked) if asked in list(BinSort) else BinSort.LATEST


def _paged(found: list[BinnedVM]) -> dict[str, Any]:
    """A page of machines, of which one more was asked for: whether others follow."""
    limit = rows_asked(PAGE_SIZE)
    vms = found[:limit]
    return {"vms": vms, "this_url": here()} | pages(vms[-1].id if len(found) > limit else None)


@blueprint.get("")
def index() -> ResponseReturnValue:
    """Everything that the person may restore and that fits the search: projects page by page, then machines."""
    if chosen := LIST_COLUMNS.chosen_address():
        return redirect(chosen)
    searched = read_list(BIN)
    if searched.problem and is_htmx():
        return stay(searched)
    views = list_saved(ListKind.BIN)
    if opens := opening(views):
        return redirect(opens)
    days = services().vms.bin.keeps_for.days
    if searched.problem:
        shown: dict[str, Any] = {"projects": [], "first_projects_url": None, "next_projects_url": None}
        shown |= {"total": 0} | _paged([])
    else:
        shown = _binned(ListSearch(searched.terms, viewer_zone()))
    heads = sort_heads(SORTS, sort_asked())
    shown |= {"heads": heads, "shown": LIST_COLUMNS.shown(heads), "keep": stays("sort")} | ticking()
    shown |= {"most": MAX_ORDERED, "file_url": _file_url(searched.text)}
    shown |= view_context(ListKind.BIN, views, q=searched.text)
    return render_template("recycle_bin/index.html", days=days, searched=searched, **shown)


def _file_url(text: str) -> str:
    return url_for("bin.file", q=text or None, sort=text_argument("sort") or None)


def _binned(search: ListSearch) -> dict[str, Any]:
    actor, limit = current_actor(), rows_asked(PAGE_SIZE)
    before, after = text_argument("before"), text_argument("projects")
    vms = services().vms.bin.list_binned(
        me().id, actor=actor, search=search, before=before, limit=limit + 1, sort=sort_asked()
    )
    total = services().vms.bin_lists.count(me().id, actor=actor, search=search) if vms else 0
    projects = []
    if not before:
        bin_of_projects = services().projects.bin
        projects = bin_of_projects.list_binned(
            me().id, actor=actor, search=search, before=after, limit=PAGE_SIZE + 1
        )  # fmt: skip
    more = projects[PAGE_SIZE - 1].id if len(projects) > PAGE_SIZE else None
    return {
        "total": total,
        "projects": projects[:PAGE_SIZE],
        "first_projects_url": here(projects=None) if after else None,
        "next_projects_url": here(projects=more) if more else None,
    } | _paged(vms)


@blueprint.route("/vms/<vm_id>/restore", methods=["GET", "POST"])
def restore_vm(vm_id: str) -> ResponseReturnValue:
    """Bring a machine back, under another name if its own is taken."""
    actor, vm_bin = current_actor(), services().vms.bin
    vm = vm_bin.get_binned(vm_id, actor=actor)
    form = RestoreForm(data={"name": vm.name})
    if request.method == "POST" and form.submit(
        lambda: vm_bin.restore(vm_id, form.text("name"), actor=actor, shown=form.price_shown)
    ):
        start = url_for("vms.act", vm_id=vm_id, action="start")
        text = _("%(name)s is back. It is stopped: start it when you like.", name=form.result.name)
        success(text, _("Start"), start, asks=True)
        return go_to(url_for("vms.show", vm_id=vm_id))
    return render_template("recycle_bin/restore_vm.html", vm=vm, form=form), form.status


@blueprint.route("/vms/<vm_id>/purge", methods=["GET", "POST"])
def purge_vm(vm_id: str) -> ResponseReturnValue:
    """Delete a machine in the bin for good, after its name was typed."""
    actor, vm_bin = current_actor(), services().vms.bin
    vm = vm_bin.get_binned(vm_id, actor=actor)
    form = PurgeForm()
    if request.method == "POST" and form.submit(lambda: vm_bin.purge(vm_id, form.text("confirm_name"), actor=actor)):
        success(_("%(name)s is being deleted for good.", name=vm.name))
        return go_to(url_for("bin.index"))
    return render_template("recycle_bin/purge_vm.html", vm=vm, form=form), form.status


@blueprint.get("/projects/<project_id>")
def project(project_id: str) -> ResponseReturnValue:
    """A project that was deleted: how far that has come, and what went with it."""
    found, vms = services().projects.bin.get_binned(
        project_id, actor=current_actor(), before=text_argument("before"), limit=rows_asked(PAGE_SIZE) + 1
    )
    return render_template("recycle_bin/project.html", project=found, **_paged(vms))


@blueprint.route("/projects/<project_id>/restore", methods=["GET", "POST"])
def restore_project(project_id: str) -> ResponseReturnValue:
    """Bring a project back with its machines, under another name if its own is taken."""
    actor, bins = current_actor(), services().projects.bin
    found, _vms = bins.get_binned(project_id, actor=actor)
    form = RestoreProjectForm(data={"name": found.name})
    if request.method == "POST" and form.submit(
        lambda: bins.restore(project_id, form.text("name"), actor=actor, shown=form.price_shown)
    ):
        success(_("%(name)s is back. Its machines are stopped.", name=form.result.name))
        return go_to(url_for("projects.show", project_id=project_id))
    return render_template("recycle_bin/restore_project.html", project=found, form=form), form.status


@blueprint.route("/projects/<project_id>/purge", methods=["GET", "POST"])
def purge_project(project_id: str) -> ResponseReturnValue:
    """Delete a project in the bin for good, after its name was typed."""
    actor, bins = current_actor(), services().projects.bin
    found, _vms = bins.get_binned(project_id, actor=actor)
    form = PurgeProjectForm()
    if request.method == "POST" and form.submit(lambda: bins.purge(project_id, form.text("confirm"), actor=actor)):
        success(_("%(name)s is being deleted for good.", name=found.name))
        return go_to(url_for("bin.index"))
    return render_template("recycle_bin/purge_project.html", project=found, form=form), form.status
