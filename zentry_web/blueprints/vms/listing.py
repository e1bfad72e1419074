"""The list of a person's machines: searched, sorted and paged by the address."""

from dataclasses import replace
from typing import Any

from flask import redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from zentry_web.blueprints.vms.routes import blueprint
from zentry_web.domain.language import _
from zentry_web.domain.people.saved_view import ListKind
from zentry_web.domain.vms.fleet import MAX_ORDERED, VMFilter, VMList, VMSort
from zentry_web.domain.vms.search import HINTS, KEYS, SEARCHED_STATES
from zentry_web.services.errors import ValidationError
from zentry_web.web.input.columns import MACHINES, machines_shown, stays
from zentry_web.web.input.paging import PAGE_SIZE, here, pages, rows_asked, sort_heads, text_argument, ticking
from zentry_web.web.input.saved_views import list_saved, opening, view_context
from zentry_web.web.input.search import Completion, Searched, asked_part, offer_keys, offer_values, read_search, stay
from zentry_web.web.output.htmx import is_htmx
from zentry_web.web.output.vm_csv import vm_file
from zentry_web.web.services import services
from zentry_web.web.session.actor import current_actor, me

SORTS: dict[str, tuple[str, str]] = {
    "name": (VMSort.NAME, VMSort.NAME_DOWN),
    "state": (VMSort.STATE, VMSort.STATE_DOWN),
    "size": (VMSort.SMALLEST, VMSort.LARGEST),
    "rate": (VMSort.DEAREST, VMSort.CHEAPEST),
    "created": (VMSort.NEWEST, VMSort.OLDEST),
}
OWN_KEYS = {name: check for name, check in KEYS.items() if name != "owner"}
FIELDS = ("state", "label", "project")  # of the plain form and of older addresses


@blueprint.get("")
def index() -> ResponseReturnValue:
    """The person's machines."""
    if chosen := MACHINES.chosen_address():
        return redirect(chosen)
    searched, wanted = wanted_vms()
    if searched.problem and is_htmx():  # while somebody types: the list stays as it is
        return stay(searched)
    views = list_saved(ListKind.VMS)
    if opens := opening(views):
        return redirect(opens)
    context = _context(searched, wanted) | view_context(ListKind.VMS, views, q=searched.text)
    context["keep"] = stays("sort")
    context["file_url"] = url_for("vms.file", q=searched.text or None, sort=context["keep"]["sort"] or None)
    if is_htmx():
        return render_template("vms/_table.html", **context)
    return render_template("vms/index.html", states=SEARCHED_STATES, **context)


def _context(searched: Searched, wanted: VMFilter) -> dict[str, Any]:
    """What the table shows."""
    found, tick = _found(searched, wanted), ticking()
    keep: dict[str, Any] = {name: value or None for name, value in stays().items()}
    row_url = url_for("vms.row", vm_id="*", **keep, ticked=tick["ticked"] or None)
    heads = sort_heads(SORTS, wanted.sort)
    context = {"wanted": wanted, "searched": searched, "found": found, "row_url": row_url, "heads": heads}
    context |= tick | pages(found.next_before) | {"this_url": here(), "shown": machines_shown(found.vms, heads=heads)}
    context |= {"most": MAX_ORDERED, "sum_micro": 0}
    context["projects"] = services().projects.list_choices(me().id, actor=current_actor())
    if tick["ticked"] == "all":
        context["sum_micro"] = services().vms.sum_vms(me().id, actor=current_actor(), wanted=wanted)[1]
    return context


@blueprint.get("/list.csv")
def file() -> ResponseReturnValue:
    """The same machines, all of them, as a file."""
    searched, wanted = wanted_vms()
    if searched.problem:
        raise ValidationError(searched.problem)
    return vm_file(services().vms.fleet.export(wanted, me().id, actor=current_actor()))


@blueprint.get("/complete")
def complete() -> ResponseReturnValue:
    """What can complete the search box, for the place where somebody types in it."""
    text, part = asked_part()
    offers: list[Completion] = offer_keys(text, part, {name: HINTS[name] for name in OWN_KEYS})
    if part.key is not None:
        offers = offer_values(text, part, _values(part.key))
    return render_template("shared/_offers.html", offers=offers)


def _values(key: str) -> list[tuple[str, str]]:
    """What a key's values can be, each with a note."""
    vms, actor = services().vms, current_actor()
    if key == "state":
        return [(state, "") for state in SEARCHED_STATES]
    if key == "label":
        return [(label.text, "") for label in vms.labels.list_in_use(me().id, actor=actor)]
    if key == "project":
        return [(project.name, "") for project in services().projects.list_choices(me().id, actor=actor)]
    if key == "size":
        return [(size.name, f"{size.vcpus} vCPU") for size in vms.list_sizes()]
    if key == "image":
        return [(image.name, "") for image in vms.list_images()]
    return [(">0.1", _("more than that per hour")), ("<0.01", _("less than that per hour"))] if key == "cost" else []


def wanted_vms() -> tuple[Searched, VMFilter]:
    """What the address of one's list asks for."""
    searched, sort = read_search(OWN_KEYS, FIELDS), text_argument("sort")
    orders = {order for both in SORTS.values() for order in both}
    return searched, VMFilter(terms=searched.terms, sort=VMSort(sort) if sort in orders else VMSort.NEWEST)


def _found(searched: Searched, wanted: VMFilter) -> VMList:
    if searched.problem:
        return VMList([], 0, None)
    before = text_argument("before") or None
    return services().vms.list_vms(
        me().id, actor=current_actor(), wanted=wanted, before=before, limit=rows_asked(PAGE_SIZE)
    )


def all_ids(project_id: str = "") -> list[str]:
    """The ids of all machines that the list's address asks for, as many as can be changed at once; with a project of
    all in it."""
    searched, wanted = wanted_vms()
    if searched.problem:
        return []
    person, wanted = (None, replace(wanted, project_id=project_id)) if project_id else (me().id, wanted)
    found = services().vms.list_vms(person, actor=current_actor(), wanted=wanted, limit=MAX_ORDERED)
    return [vm.id for vm in found.vms]
