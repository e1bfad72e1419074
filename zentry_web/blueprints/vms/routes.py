"""Virtual machines: list, launch, one machine and its panels, actions, delete."""

import secrets

from flask import Blueprint, Response, jsonify, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from zentry_web.blueprints.vms.forms import DeleteForm, LaunchForm
from zentry_web.blueprints.vms.view import (
    ListView,
    activity_context,
    console_context,
    load_series,
    metrics_context,
    price_context,
    status_context,
    vm_context,
)
from zentry_web.domain.project import ProjectAction
from zentry_web.domain.vm import OperationKind
from zentry_web.services.errors import NotFoundError
from zentry_web.web.actor import current_actor, me
from zentry_web.web.charts import payload
from zentry_web.web.errors import on_service_error
from zentry_web.web.flash import success
from zentry_web.web.htmx import go_to, is_htmx
from zentry_web.web.paging import here, number_argument, pages, ticking
from zentry_web.web.services import services

blueprint = Blueprint("vms", __name__, url_prefix="/vms")

LIVE_PARTS = ("vms.status", "vms.activity", "vms.console")
ORDERED = {
    "start": "The start is ordered.",
    "stop": "The guest is asked to shut down.",
    "reboot": "The reboot is ordered.",
    "force_off": "The power is being cut.",
}


@blueprint.errorhandler(NotFoundError)
def gone(error: NotFoundError) -> ResponseReturnValue:
    """A machine deleted while its page is open: the page leads to the list; its other parts keep quiet."""
    if not is_htmx() or request.endpoint not in LIVE_PARTS:
        return on_service_error(error)
    leave = {"HX-Redirect": url_for("vms.index")} if request.endpoint == "vms.status" else {"HX-Reswap": "none"}
    return Response(status=404, headers=leave)


@blueprint.get("")
def index() -> ResponseReturnValue:
    """The person's machines: searched, filtered, sorted and paged by the address."""
    view = ListView.from_request()
    found = services().get_vm_service().list_vms(me().id, actor=current_actor(), **view.query())
    projects = services().get_project_service().list_choices(me().id, actor=current_actor())
    shown = {"view": view, "found": found, "projects": projects, "this_url": here()}
    shown |= ticking() | pages(found.next_before)
    if is_htmx():
        return render_template("vms/_table.html", **shown)
    in_use = services().get_vm_service().labels.list_in_use(me().id, actor=current_actor())
    return render_template("vms/index.html", labels=in_use, **shown)


@blueprint.route("/new", methods=["GET", "POST"])
def create() -> ResponseReturnValue:
    """Launch a machine. Answers as soon as the order is written down."""
    actor, vms, projects = current_actor(), services().get_vm_service(), services().get_project_service()
    form = LaunchForm(data={"idempotency_key": secrets.token_hex(16), "project_id": request.args.get("project")})
    choices = projects.list_choices(me().id, actor=actor, action=ProjectAction.LAUNCH)
    keys = services().get_user_service().ssh_keys.list_keys(me().id, actor=actor)
    form.offer(choices, vms.list_sizes(), vms.list_images(), keys)
    if request.method == "POST":
        key = form.idempotency_key.data or None
        if form.submit(lambda: vms.create_vm(form.vm_data, me(), actor=actor, idempotency_key=key)):
            return go_to(url_for("vms.show", vm_id=form.result.id))
    sizes, images = vms.list_sizes(), vms.list_images()
    template = "vms/_launch_form.html" if is_htmx() else "vms/launch.html"
    return render_template(
        template, form=form, images=images, keys=keys, **price_context(sizes, images, form.vm_data)
    ), form.status


@blueprint.get("/new/quote")
def quote() -> ResponseReturnValue:
    """What the chosen size and image would cost in the chosen project: the part that moves while choosing."""
    vms = services().get_vm_service()
    chosen = {name: request.args.get(name) for name in ("project_id", "size_id", "image_id")}
    context = price_context(vms.list_sizes(), vms.list_images(), chosen)
    if context["size"] is None:
        raise NotFoundError("That size is not on offer any more.")
    return render_template("vms/_quote_moved.html" if is_htmx() else "vms/_quote.html", **context)


@blueprint.get("/<vm_id>")
def show(vm_id: str) -> ResponseReturnValue:
    """One machine: state, figures, charts, activity, console."""
    chosen = request.args.get("range", "")
    context = vm_context(vm_id)
    return render_template("vms/show.html", **context, **metrics_context(context["vm"], chosen))


@blueprint.get("/<vm_id>/status")
def status(vm_id: str) -> ResponseReturnValue:
    """The moving parts of a machine's page: state, buttons, steps, facts."""
    return render_template("vms/_moving.html", **status_context(vm_id))


@blueprint.get("/<vm_id>/activity")
def activity(vm_id: str) -> ResponseReturnValue:
    """Who did what with it, newest first. A page of its own for what is older."""
    before = number_argument("before")
    context = activity_context(vm_id, before=before)
    template = "vms/_activity.html" if is_htmx() else "vms/activity.html"
    return render_template(template, **context, **pages(context["older_before"]))


@blueprint.get("/<vm_id>/console")
def console(vm_id: str) -> ResponseReturnValue:
    """The serial console's last 64 KiB as the worker collected it."""
    template = "vms/_console.html" if is_htmx() else "vms/console.html"
    return render_template(template, **console_context(vm_id))


@blueprint.get("/<vm_id>/metrics.json")
def metrics(vm_id: str) -> ResponseReturnValue:
    """Figures for the charts as compact columns; with ``after`` (epoch seconds) only newer points."""
    return jsonify(
        payload(load_series(vm_id, request.args.get("range", ""), after=request.args.get("after", type=int)))
    )


@blueprint.post("/<vm_id>/<any(start, stop, reboot, force_off):action>")
def act(vm_id: str, action: str) -> ResponseReturnValue:
    """Order a start, stop, reboot or force off."""
    vms = services().get_vm_service()
    order = {
        "start": vms.start_vm, "stop": vms.stop_vm, "reboot": vms.reboot_vm, "force_off": vms.force_off_vm
    }[action]  # fmt: skip
    order(vm_id, actor=current_actor())
    success(ORDERED[action])
    if is_htmx():
        return render_template("vms/_moving.html", **status_context(vm_id))
    return redirect(url_for("vms.show", vm_id=vm_id), 303)


@blueprint.route("/<vm_id>/delete", methods=["GET", "POST"])
def delete(vm_id: str) -> ResponseReturnValue:
    """Delete a machine, after its name was typed: into the recycle bin, or at once where there is none or no disk."""
    vms, actor = services().get_vm_service(), current_actor()
    vm = vms.get_vm(vm_id, actor=actor, action=ProjectAction.DELETE_VM)
    form = DeleteForm()
    if request.method == "POST" and form.submit(lambda: vms.delete_vm(vm_id, form.text("confirm_name"), actor=actor)):
        kept = form.result.kind == OperationKind.BIN
        success(f"{vm.name} is in the recycle bin." if kept else f"{vm.name} is being deleted.")
        return go_to(url_for("vms.index"))
    template = "vms/_delete.html" if is_htmx() else "vms/delete.html"
    return render_template(template, vm=vm, form=form, days=vms.bin.days_kept(vm)), form.status


@blueprint.post("/<vm_id>/protection")
def protect(vm_id: str) -> ResponseReturnValue:
    """Protect the machine from deletion, or no longer."""
    on = request.form.get("protected") == "1"
    services().get_vm_service().bin.set_protection(vm_id, on, actor=current_actor())
    success("The machine is protected from deletion." if on else "The machine can be deleted again.")
    return redirect(url_for("vms.show", vm_id=vm_id), 303)
