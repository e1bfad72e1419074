"""Several machines of the bin at once: tick them in the list, look at which and what, then do it. And the file."""

from flask import Response, render_template, request, url_for
from flask.typing import ResponseReturnValue

from zentry_web.blueprints.recycle_bin.forms import BinBulkForm
from zentry_web.blueprints.recycle_bin.routes import blueprint, sort_asked
from zentry_web.domain.credits.bill_csv import iso
from zentry_web.domain.language import _, ngettext
from zentry_web.domain.list_keys import BIN
from zentry_web.domain.query_language import MAX_SEARCH, ListSearch
from zentry_web.domain.vms.bin import BinChange, BinnedVM, rates_back
from zentry_web.domain.vms.fleet import MAX_ORDERED, confirmation
from zentry_web.services.errors import NotFoundError, ValidationError
from zentry_web.services.shared.one_by_one import Became, EachOutcome, count_outcomes
from zentry_web.web.input.search import read_list
from zentry_web.web.output.files import csv_file
from zentry_web.web.output.filters import viewer_zone
from zentry_web.web.output.flash import success
from zentry_web.web.output.htmx import go_to
from zentry_web.web.output.outcomes import outcomes, sum_up
from zentry_web.web.services import services
from zentry_web.web.session.actor import current_actor, me

COLUMNS = (
    "id", "name", "project", "project_id", "size", "disk_gib", "restored_micro_per_hour", "state", "deleted_at",
    "deleted_by", "kept_until",
)  # fmt: skip


@blueprint.get("/list.csv")
def file() -> Response:
    """The machines that the list shows, all of them."""
    searched = read_list(BIN)
    if searched.problem:
        raise ValidationError(searched.problem)
    search = ListSearch(searched.terms, viewer_zone())
    vms = services().vms.bin_lists.export(me().id, actor=current_actor(), search=search, sort=sort_asked())
    return csv_file("zentry-bin", COLUMNS, (_row(vm) for vm in vms))


def _row(vm: BinnedVM) -> tuple[object, ...]:
    state = "deleting" if vm.is_going else "kept" if vm.is_off else "stopping"
    return (
        vm.id, vm.name, vm.project_name, vm.project_id, vm.size_name, vm.disk_gib, vm.stopped_micro_per_hour, state,
        iso(vm.deleted_at), vm.deleted_by, iso(vm.purge_at),
    )  # fmt: skip


@blueprint.route("/bulk", methods=["GET", "POST"])
def several() -> ResponseReturnValue:
    """Which machines it is for and what it costs; then do it."""
    change, actor, lists = _change(), current_actor(), services().vms.bin_lists
    ids, form = _ids(), BinBulkForm()
    chosen = lists.list_chosen(ids, actor=actor)
    if request.method == "POST" and form.submit(
        lambda: lists.run(change, ids, actor=actor, confirm=form.text("confirm"), shown=form.price_shown)
    ):
        return _told(change, form.result, len(set(ids)))
    able = [vm for vm in chosen if (vm.can_come_back if change == BinChange.RESTORE else not vm.is_going)]
    words = confirmation(chosen) if chosen else ""
    shown = {"change": change, "chosen": chosen, "able": able, "words": words, "back": _back()}
    return render_template("recycle_bin/bulk.html", form=form, rates=rates_back(chosen), **shown), form.status


def _ids() -> list[str]:
    """Those that were ticked; with ``all`` every one that the list shows, which the next form names one by one."""
    if request.method == "GET" and request.args.get("all"):
        searched = read_list(BIN)
        if searched.problem:
            return []
        search = ListSearch(searched.terms, viewer_zone())
        found = services().vms.bin.list_binned(
            me().id, actor=current_actor(), search=search, limit=MAX_ORDERED, sort=sort_asked()
        )
        return [vm.id for vm in found]
    return request.values.getlist("id")[: MAX_ORDERED + 1]


def _told(change: BinChange, results: list[Became[BinnedVM]], asked: int) -> ResponseReturnValue:
    """Back to the list when all went well; otherwise what became of each."""
    counts, missing = count_outcomes(results), asked - len(results)
    done = counts[EachOutcome.DONE]
    summary = sum_up(_done(change, done) if done else "", counts, missing)
    if not counts[EachOutcome.REFUSED] and not missing:
        is_back = change == BinChange.RESTORE
        success(f"{summary}.", _("Machines") if is_back else "", url_for("vms.index"))
        return go_to(_back())
    shown = {"summary": summary, "missing": missing, "back": _back()}
    return render_template("recycle_bin/bulk_done.html", **shown, **outcomes(results))


def _done(change: BinChange, count: int) -> str:
    if change == BinChange.RESTORE:
        return ngettext("%(num)s machine is back, stopped", "%(num)s machines are back, stopped", count)
    return ngettext("%(num)s machine is being deleted for good", "%(num)s machines are being deleted for good", count)


def _back() -> str:
    """The list that it was chosen in."""
    return url_for("bin.index", q=request.values.get("q", "")[:MAX_SEARCH] or None)


def _change() -> BinChange:
    found = request.values.get("do", "")
    if found not in list(BinChange):
        raise NotFoundError(_("There is no such change."))
    return BinChange(found)
