"""For admins: the machines of all, as a list and a file, and orders to some of them with a reason."""

import secrets
from typing import Any

from flask import Response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from wtforms import HiddenField, StringField
from wtforms.validators import InputRequired, Length

from zentry_web.blueprints.admin.routes import blueprint
from zentry_web.domain.language import _, lazy, ngettext
from zentry_web.domain.people.saved_view import ListKind
from zentry_web.domain.query_language import MAX_SEARCH
from zentry_web.domain.vms.fleet import MAX_ORDERED, MAX_WHY, ORDERS, VMFilter, VMList, VMSort
from zentry_web.domain.vms.operation import OperationKind
from zentry_web.domain.vms.search import HINTS, KEYS, SEARCHED_STATES
from zentry_web.domain.vms.vm import VM
from zentry_web.services.errors import NotFoundError, ValidationError
from zentry_web.services.shared.one_by_one import Became, EachOutcome
from zentry_web.web.input.columns import ALL_MACHINES, machines_shown, stays
from zentry_web.web.input.forms import BaseForm, as_key
from zentry_web.web.input.paging import PAGE_SIZE, pages, rows_asked, sort_heads, text_argument, ticking
from zentry_web.web.input.saved_views import list_saved, opening, view_context
from zentry_web.web.input.search import Searched, asked_part, offer_keys, offer_values, read_search
from zentry_web.web.output.flash import success
from zentry_web.web.output.htmx import go_to
from zentry_web.web.output.outcomes import outcomes
from zentry_web.web.output.vm_csv import vm_file
from zentry_web.web.services import services
from zentry_web.web.session.actor import current_actor

FIELDS = ("state", "label", "project", "size", "owner")  # of older addresses
SORTS: dict[str, tuple[str, str]] = {
    "name": (VMSort.NAME, VMSort.NAME_DOWN),
    "state": (VMSort.STATE, VMSort.STATE_DOWN),
    "owner": (VMSort.OWNER, VMSort.OWNER_DOWN),
    "size": (VMSort.SMALLEST, VMSort.LARGEST),
    "rate": (VMSort.DEAREST, VMSort.CHEAPEST),
    "created": (VMSort.NEWEST, VMSort.OLDEST),
}

_ORDERED = {
    OperationKind.START: lazy("start"),
    OperationKind.STOP: lazy("stop"),
    OperationKind.REBOOT: lazy("reboot"),
    OperationKind.FORCE_OFF: lazy("force off"),
    OperationKind.DELETE: lazy("delete"),
}


class OrderForm(BaseForm):
    why = StringField(
        lazy("Reason"), validators=[InputRequired(lazy("Say why: the owner reads it.")), Length(max=MAX_WHY)]
    )
    count = StringField(lazy("How many"), validators=[Length(max=10)])
    vms = HiddenField()
    key = HiddenField(validators=[Length(max=100)], filters=[as_key])


@blueprint.get("/vms")
def vms() -> ResponseReturnValue:
    """Everybody's machines."""
    if chosen := ALL_MACHINES.chosen_address():
        return redirect(chosen)
    searched, wanted = _wanted()
    found = VMList([], 0, None)
    if not searched.problem:
        before = text_argument("before") or None
        found = services().vms.list_vms(
            actor=current_actor(), wanted=wanted, before=before, limit=rows_asked(PAGE_SIZE)
        )
    views = list_saved(ListKind.ALL_VMS)
    if opens := opening(views):
        return redirect(opens)
    heads = sort_heads(SORTS, wanted.sort)
    context: dict[str, Any] = {"found": found, "wanted": wanted, "searched": searched, "heads": heads}
    context |= ticking() | {"most": MAX_ORDERED, "sum_micro": 0}
    if context["ticked"] == "all":
        context["sum_micro"] = services().vms.sum_vms(actor=current_actor(), wanted=wanted)[1]
    context |= pages(found.next_before) | view_context(ListKind.ALL_VMS, views, q=searched.text)
    keep, context["shown"] = stays("sort"), machines_shown(found.vms, ALL_MACHINES, heads=heads)
    file_url = url_for("admin.vms_file", q=searched.text or None, sort=keep["sort"] or None)
    return render_template("admin/vms.html", keep=keep, file_url=file_url, **context)


@blueprint.get("/vms.csv")
def vms_file() -> Response:
    """The same machines as a file."""
    searched, wanted = _wanted()
    if searched.problem:
        raise ValidationError(searched.problem)
    return vm_file(services().vms.fleet.export(wanted, actor=current_actor()))


@blueprint.get("/vms/complete")
def complete_vms() -> ResponseReturnValue:
    """What can complete the search box."""
    text, part = asked_part()
    offers = offer_keys(text, part, HINTS)
    if part.key is not None:
        values = [(state, "") for state in SEARCHED_STATES] if part.key == "state" else []
        if part.key == "size":
            values = [(size.name, "") for size in services().vms.list_sizes(include_inactive=True)]
        offers = offer_values(text, part, values)
    return render_template("shared/_offers.html", offers=offers)


@blueprint.get("/vms/<machine_id>/menu")
def vm_menu(machine_id: str) -> ResponseReturnValue:
    """What can be ordered of one: for the menu of its row, or as a page of its own."""
    return render_template("admin/vm_menu.html", vm=services().vms.get_vm(machine_id, actor=current_actor()))


@blueprint.route("/vms/order", methods=["GET", "POST"])
def order_vms() -> ResponseReturnValue:
    """Which machines it is for and why; then the order."""
    kind, ids, actor = _kind(), _ids(), current_actor()
    fleet = services().vms.fleet
    chosen = fleet.list_chosen(ids, actor=actor)
    form = OrderForm(data={"key": secrets.token_hex(16)})
    if request.method == "POST":
        if kind == OperationKind.DELETE and form.text("count").strip() != str(len(chosen)):
            form.validate()
            form.refuse("count", _("Type %(count)s to delete so many machines with their disks.", count=len(chosen)))
        elif form.submit(lambda: fleet.order(kind, ids, form.text("why"), actor=actor, key=form.text("key"))):
            return _told(kind, form.result)
    shown = {"form": form, "kind": kind, "chosen": chosen, "able": [vm for vm in chosen if vm.may(kind)]}
    return render_template("admin/vm_order.html", **shown), form.status


def _ids() -> list[str]:
    """Those that were ticked; with ``all`` every one that the search finds, which the next form names one by one."""
    if request.method == "POST" or not request.args.get("all"):
        return request.values.getlist("id")[: MAX_ORDERED + 1]
    searched, wanted = _wanted()
    if searched.problem:
        return []
    return [vm.id for vm in services().vms.list_vms(actor=current_actor(), wanted=wanted, limit=MAX_ORDERED).vms]


def _told(kind: OperationKind, results: list[Became[VM]]) -> ResponseReturnValue:
    """Back to the list when all went well; otherwise what became of each."""
    if any(each.outcome == EachOutcome.REFUSED for each in results):
        return render_template("admin/vms_ordered.html", kind=kind, **outcomes(results))
    count = len(results)
    order = str(_ORDERED[kind])
    success(
        ngettext(
            "Ordered for %(num)s machine: %(order)s.", "Ordered for %(num)s machines: %(order)s.", count, order=order
        )
    )
    return go_to(url_for("admin.vms", q=request.values.get("q", "")[:MAX_SEARCH] or None))


def _kind() -> OperationKind:
    found = request.values.get("order", "")
    if found not in ORDERS:
        raise NotFoundError(_("There is no such order."))
    return OperationKind(found)


def _wanted() -> tuple[Searched, VMFilter]:
    """What the address asks for; older ones have a field for each key."""
    searched, sort = read_search(KEYS, FIELDS), text_argument("sort")
    return searched, VMFilter(terms=searched.terms, sort=VMSort(sort) if sort in list(VMSort) else VMSort.NEWEST)
