"""One machine: its page, the panels of it, delete and protection. Launching is in launch.py, the list in listing.py."""

from flask import Blueprint, Response, jsonify, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from zentry_web.blueprints.vms.forms import DeleteVMForm
from zentry_web.blueprints.vms.view import (
    activity_context,
    figures_context,
    load_series,
    metrics_context,
    status_context,
    vm_context,
)
from zentry_web.domain.language import _
from zentry_web.domain.projects.project import ProjectAction
from zentry_web.domain.text import whole_number
from zentry_web.domain.vms.operation import OperationKind
from zentry_web.domain.vms.outage import REASONS, RESTARTS
from zentry_web.domain.vms.plan import deletion_facts
from zentry_web.services.errors import NotFoundError
from zentry_web.web.errors import on_service_error
from zentry_web.web.input.columns import machines_shown
from zentry_web.web.input.paging import number_argument, pages, ticking
from zentry_web.web.output.activity import seen_text
from zentry_web.web.output.charts import payload
from zentry_web.web.output.filters import viewer_zone
from zentry_web.web.output.flash import success
from zentry_web.web.output.htmx import go_to, is_htmx, wants_json
from zentry_web.web.services import services
from zentry_web.web.session.actor import current_actor

blueprint = Blueprint("vms", __name__, url_prefix="/vms")

LIVE_PARTS = ("vms.row", "vms.menu", "vms.status", "vms.figures", "vms.activity", "vms.console")


@blueprint.errorhandler(NotFoundError)
def gone(error: NotFoundError) -> ResponseReturnValue:
    """A machine deleted while its page is open: the page leads to the list; its other parts keep quiet. Its address
    says what became of it, to those who may know."""
    if not is_htmx() or request.endpoint not in LIVE_PARTS:
        return _say_deleted() or on_service_error(error)
    leave = {"HX-Redirect": url_for("vms.index")} if request.endpoint == "vms.status" else {"HX-Reswap": "none"}
    return Response(status=404, headers=leave)


def _say_deleted() -> ResponseReturnValue | None:
    vm_id = (request.view_args or {}).get("vm_id")
    if vm_id is None or request.method != "GET" or is_htmx() or wants_json():
        return None
    vm = services().vms.bin.find_deleted(vm_id, actor=current_actor())
    if vm is None:
        return None
    undo_id = services().vms.undo.find_deletion(vm_id) if vm.may_restore else ""
    return render_template("vms/gone.html", vm=vm, undo_id=undo_id), 410


@blueprint.get("/<vm_id>")
def show(vm_id: str) -> ResponseReturnValue:
    """One machine at a glance: state, cost, how to connect, what happened last."""
    if (chosen := request.args.get("range")) is not None:  # where its charts once were
        return redirect(url_for("vms.charts", vm_id=vm_id, range=chosen), 301)
    return render_template("vms/show.html", **vm_context(vm_id))


@blueprint.get("/<vm_id>/figures")
def figures(vm_id: str) -> ResponseReturnValue:
    """What it cost and what it does, as the machine's page shows it."""
    vm = services().vms.get_vm(vm_id, actor=current_actor())
    return render_template("vms/_figures.html", vm=vm, **figures_context(vm))


@blueprint.get("/<vm_id>/metrics")
def charts(vm_id: str) -> ResponseReturnValue:
    """Its figures over time."""
    vm = services().vms.payer.with_funds(services().vms.get_vm(vm_id, actor=current_actor()))
    return render_template("vms/charts.html", vm=vm, **metrics_context(vm, request.args.get("range", "")))


@blueprint.get("/<vm_id>/settings")
def settings(vm_id: str) -> ResponseReturnValue:
    """What can be changed about it."""
    vms, actor = services().vms, current_actor()
    vm = vms.get_vm_page(vm_id, actor=actor).vm
    aside = vms.rebuilding.find_aside(vm_id, actor=actor) if vm.allows(ProjectAction.DELETE_VM) else None
    restart, outages = vms.outages.find(vm_id, actor=actor)
    context = {"restart": RESTARTS[restart], "outages": outages, "causes": REASONS}
    return render_template("vms/settings.html", vm=vm, aside=aside, **context)


@blueprint.get("/<vm_id>/row")
def row(vm_id: str) -> ResponseReturnValue:
    """Its row in the list, for a list that moves by itself."""
    vm = services().vms.get_vm_page(vm_id, actor=current_actor()).vm
    return render_template("vms/_row.html", vm=vm, shown=machines_shown([vm]), **ticking())


@blueprint.get("/<vm_id>/menu")
def menu(vm_id: str) -> ResponseReturnValue:
    """What can be done to it: for the menu of its row in a list, or as a page of its own."""
    vms = services().vms
    vm = vms.payer.with_funds(vms.get_vm(vm_id, actor=current_actor()))
    return render_template("vms/menu.html", vm=vm)


@blueprint.get("/<vm_id>/status")
def status(vm_id: str) -> ResponseReturnValue:
    """The moving parts of a machine's page: state, buttons, steps, facts."""
    return render_template("vms/_moving.html", **status_context(vm_id))


@blueprint.get("/<vm_id>/activity")
def activity(vm_id: str) -> ResponseReturnValue:
    """Who did what with it, newest first. A page of its own for what is older."""
    before = number_argument("before")
    context = activity_context(vm_id, before=before) | {"truths": None}
    if before is None and not is_htmx():
        truths = services().vms.truths.get(vm_id, actor=current_actor())
        context |= {
            "truths": truths,
            "differed": [(each, seen_text(each, context["vm"].name)) for each in truths.history],
        }
    return render_template("vms/activity.html", **context, **pages(context["older_before"]))


@blueprint.get("/<vm_id>/metrics.json")
def metrics(vm_id: str) -> ResponseReturnValue:
    """Figures for the charts as compact columns; with ``after`` (epoch seconds) only newer points."""
    after = whole_number(request.args.get("after", ""))
    return jsonify(payload(load_series(vm_id, request.args.get("range", ""), after=after), viewer_zone()))


@blueprint.route("/<vm_id>/delete", methods=["GET", "POST"])
def delete(vm_id: str) -> ResponseReturnValue:
    """Delete a machine, after its name was typed: into the recycle bin, or at once where there is none or no disk."""
    vms, actor = services().vms, current_actor()
    vm = vms.get_vm(vm_id, actor=actor, action=ProjectAction.DELETE_VM)
    form = DeleteVMForm()
    if request.method == "POST" and form.submit(
        lambda: vms.delete_vm(vm_id, form.text("confirm_name"), actor=actor, plan=form.plan_shown)
    ):
        kept = form.result.kind == OperationKind.BIN
        if kept:
            text = _("%(name)s is in the recycle bin.", name=vm.name)
            undo = vms.undo.find_offer(vm_id, actor=actor)
            success(text, _("Restore"), url_for("bin.restore_vm", vm_id=vm_id), asks=True, undo=undo)
        else:
            success(_("%(name)s is being deleted.", name=vm.name))
        return go_to(url_for("vms.index"))
    days = vms.bin.days_kept(vm)
    stored = {name: len(getattr(vms, name).list(vm_id, actor=actor)) for name in ("snapshots", "backups")}
    plan = vms.planning.compare([vm], [], deletion_facts(vm, days), actor=actor, keeps_disks=days > 0)
    return render_template("vms/delete.html", vm=vm, form=form, days=days, plan=plan, **stored), form.status


@blueprint.post("/<vm_id>/protection")
def protect(vm_id: str) -> ResponseReturnValue:
    """Protect the machine from deletion and rebuild, or no longer."""
    on = request.form.get("protected") == "1"
    vms, actor = services().vms, current_actor()
    vms.bin.set_protection(vm_id, on, actor=actor)
    text = _("The machine is protected.") if on else _("The machine can be deleted and rebuilt again.")
    success(text, undo=vms.undo.find_offer(vm_id, actor=actor))
    return redirect(url_for("vms.show", vm_id=vm_id), 303)
