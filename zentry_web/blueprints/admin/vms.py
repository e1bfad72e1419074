"""For admins: the machines of all, as a list and a file, and orders to some of them with a reason."""

import secrets
from typing import Any

from flask import Response, render_template, request, url_for
from flask.typing import ResponseReturnValue
from wtforms import HiddenField, StringField
from wtforms.validators import InputRequired, Length

from zentry_web.blueprints.admin.routes import blueprint
from zentry_web.domain.bill_csv import iso
from zentry_web.domain.fleet import MAX_ORDERED, MAX_WHY, ORDERS, FleetFilter, FleetSort
from zentry_web.domain.label import written
from zentry_web.domain.vm import VM, OperationKind, VMState
from zentry_web.services.each import Became, Outcome
from zentry_web.services.errors import NotFoundError
from zentry_web.web.actor import current_actor
from zentry_web.web.files import csv_file
from zentry_web.web.flash import success
from zentry_web.web.forms import BaseForm, as_key
from zentry_web.web.htmx import go_to, is_htmx
from zentry_web.web.outcomes import outcomes
from zentry_web.web.paging import PAGE_SIZE, here, pages, text_argument
from zentry_web.web.services import services

COLUMNS = (
    "id", "name", "state", "why", "owner_email", "owner_id", "project", "project_id", "size", "image", "vcpus",
    "memory_mib", "disk_gib", "address", "now_micro_per_hour", "running_micro_per_hour", "created_at", "started_at",
    "stopped_at", "labels",
)  # fmt: skip
STATES = [state for state in VMState if state != VMState.DELETED]


class OrderForm(BaseForm):
    why = StringField("Reason", validators=[InputRequired("Say why: the owner reads it."), Length(max=MAX_WHY)])
    count = StringField("How many", validators=[Length(max=10)])
    vms = HiddenField()
    key = HiddenField(validators=[Length(max=100)], filters=[as_key])


@blueprint.get("/vms")
def vms() -> ResponseReturnValue:
    """Everybody's machines."""
    wanted, sort = _wanted(), _sort()
    found = services().get_vm_service().fleet.list_fleet(
        wanted, actor=current_actor(), sort=sort, before=text_argument("before") or None, limit=PAGE_SIZE
    )  # fmt: skip
    template = "admin/_vms.html" if is_htmx() else "admin/vms.html"
    shown = {"found": found, "wanted": wanted, "sort": sort, "states": STATES, "this_url": here()}
    sizes = services().get_vm_service().list_sizes(include_inactive=True)
    file_url = url_for("admin.vms_file", **_fields(wanted), sort=sort)
    return render_template(template, **shown, sizes=sizes, file_url=file_url, **pages(found.next_before))


@blueprint.get("/vms.csv")
def vms_file() -> Response:
    """The same machines as a file."""
    found = services().get_vm_service().fleet.export(_wanted(), actor=current_actor(), sort=_sort())
    return csv_file("zentry-machines", COLUMNS, (_row(vm) for vm in found))


@blueprint.route("/vms/order", methods=["GET", "POST"])
def order_vms() -> ResponseReturnValue:
    """Which machines it is for and why; then the order."""
    kind, ids, actor = _kind(), request.values.getlist("id")[: MAX_ORDERED + 1], current_actor()
    fleet = services().get_vm_service().fleet
    chosen = fleet.list_chosen(ids, actor=actor)
    form = OrderForm(data={"key": secrets.token_hex(16)})
    if request.method == "POST":
        if kind == OperationKind.DELETE and form.text("count").strip() != str(len(chosen)):
            form.validate()
            form.refuse("count", f"Type {len(chosen)} to delete so many machines with their disks.")
        elif form.submit(lambda: fleet.order(kind, ids, form.text("why"), actor=actor, key=form.text("key"))):
            return _told(kind, form.result)
    shown = {"form": form, "kind": kind, "chosen": chosen, "able": [vm for vm in chosen if vm.may(kind)]}
    return render_template("admin/vm_order.html", **shown), form.status


def _told(kind: OperationKind, results: list[Became[VM]]) -> ResponseReturnValue:
    """Back to the list when all went well; otherwise what became of each."""
    if any(each.outcome == Outcome.REFUSED for each in results):
        return render_template("admin/vms_ordered.html", kind=kind, **outcomes(results))
    count = len(results)
    success(f"Ordered for {count} {'machine' if count == 1 else 'machines'}: {str(kind).replace('_', ' ')}.")
    return go_to(url_for("admin.vms"))


def _kind() -> OperationKind:
    found = request.values.get("order", "")
    if found not in ORDERS:
        raise NotFoundError("There is no such order.")
    return OperationKind(found)


def _wanted() -> FleetFilter:
    state = text_argument("state")
    return FleetFilter(
        search=text_argument("q"),
        owner=text_argument("owner"),
        project=text_argument("project"),
        size_id=text_argument("size"),
        label=text_argument("label"),
        state=VMState(state) if state in STATES else None,
    )


def _sort() -> FleetSort:
    sort = text_argument("sort")
    return FleetSort(sort) if sort in list(FleetSort) else FleetSort.NEWEST


def _fields(wanted: FleetFilter) -> dict[str, Any]:
    found = {
        "q": wanted.search, "owner": wanted.owner, "project": wanted.project, "size": wanted.size_id,
        "label": wanted.label, "state": wanted.state,
    }  # fmt: skip
    return {name: str(value) for name, value in found.items() if value}


def _row(vm: VM) -> tuple[object, ...]:
    return (
        vm.id, vm.name, str(vm.state), vm.state_reason, vm.owner_email, vm.owner_id, vm.project_name, vm.project_id,
        vm.size_name, vm.image_name, vm.vcpus, vm.memory_mib, vm.disk_gib, vm.address, vm.rate_micro_per_hour,
        vm.running_micro_per_hour, iso(vm.created_at), iso(vm.started_at), iso(vm.stopped_at),
        written(vm.labels, " "),
    )  # fmt: skip
