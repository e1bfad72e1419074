"""Several machines at once: tick them in a list, look at which and what, then do it."""

from dataclasses import replace
from typing import Any

from flask import render_template, request, url_for
from flask.typing import ResponseReturnValue

from zentry_web.blueprints.vms.forms import BulkForm
from zentry_web.blueprints.vms.listing import all_ids
from zentry_web.blueprints.vms.routes import blueprint
from zentry_web.domain.language import _, ngettext
from zentry_web.domain.projects.project import ProjectAction
from zentry_web.domain.query_language import MAX_SEARCH
from zentry_web.domain.vms.fleet import MAX_ORDERED, PLANNED, Change, Wanted, can_be, confirmation, rates_of
from zentry_web.domain.vms.plan import ChangePlan, facts_of_several
from zentry_web.domain.vms.state import VMState
from zentry_web.domain.vms.vm import VM
from zentry_web.services.errors import NotFoundError
from zentry_web.services.shared.one_by_one import Became, EachOutcome, count_outcomes
from zentry_web.web.output.flash import success
from zentry_web.web.output.htmx import go_to
from zentry_web.web.output.outcomes import outcomes, sum_up
from zentry_web.web.services import services
from zentry_web.web.session.actor import current_actor, me


@blueprint.route("/bulk", methods=["GET", "POST"])
def bulk() -> ResponseReturnValue:
    """Which machines it is for and what it costs; then do it."""
    change, actor, service = _change(), current_actor(), services().vms.bulk
    ids, form = _ids(), BulkForm()
    chosen = service.list_chosen(ids, actor=actor)
    if change == Change.MOVE:
        form.offer(services().projects.list_choices(me().id, actor=actor, action=ProjectAction.LAUNCH))
    if request.method == "POST":
        labels, project_id, confirm = (form.text(name) for name in ("labels", "project_id", "confirm"))
        wanted = Wanted(change, labels, project_id, confirm, form.price_shown, form.plan_shown)
        together = services().vms.undo.new_id("all")
        if form.submit(lambda: service.run(wanted, ids, actor=actor, together=together)):
            return _told(change, form.result, len(set(ids)), services().vms.undo.find_together(together))
    able = [vm for vm in chosen if can_be(change, vm)]
    words = confirmation(chosen) if chosen else ""
    shown: dict[str, Any] = {
        "form": form,
        "change": change,
        "chosen": chosen,
        "able": able,
        "words": words,
        "back": _back(),
    }
    shown["rates"], shown["plan"] = rates_of(able), _plan(change, able)
    return render_template("vms/bulk.html", days=services().vms.bin.keeps_for.days, **shown), form.status


def _plan(change: Change, able: list[VM]) -> ChangePlan | None:
    """What changes for those it can be done to; None where it changes nothing that is paid or had."""
    if change not in PLANNED or not able:
        return None
    becomes = {
        Change.START: [replace(vm, state=VMState.RUNNING) for vm in able],
        Change.STOP: [replace(vm, state=VMState.STOPPED) for vm in able],
        Change.MOVE: able,
        Change.DELETE: [],
    }[change]
    keeps = services().vms.bin.keeps_for.days > 0
    facts = facts_of_several(able)
    return services().vms.planning.compare(able, becomes, facts, actor=current_actor(), keeps_disks=keeps)


def _ids() -> list[str]:
    """Those that were ticked; with ``all`` every one that the list shows, which the next form names one by one."""
    if request.method == "GET" and request.args.get("all"):
        return all_ids(_project_id())
    return request.values.getlist("id")[: MAX_ORDERED + 1]


def _told(change: Change, results: list[Became[VM]], asked: int, undo: str) -> ResponseReturnValue:
    """Back to the list when all went well; otherwise what became of each. ``undo``: the id by which it is undone."""
    counts, missing = count_outcomes(results), asked - len(results)
    done = counts[EachOutcome.DONE]
    summary = sum_up(_done(change, done) if done else "", counts, missing)
    if not counts[EachOutcome.REFUSED] and not missing:
        action = _("Open the recycle bin") if change == Change.DELETE else ""
        success(f"{summary}.", action, url_for("bin.index"), undo=undo)
        return go_to(_back())
    shown = {"summary": summary, "missing": missing, "back": _back(), "undo_id": undo}
    return render_template("vms/bulk_done.html", **shown, **outcomes(results))


def _done(change: Change, count: int) -> str:
    return {
        Change.START: ngettext("%(num)s machine is starting", "%(num)s machines are starting", count),
        Change.STOP: ngettext(
            "%(num)s machine is asked to shut down", "%(num)s machines are asked to shut down", count
        ),
        Change.LABEL: ngettext("%(num)s machine has the labels", "%(num)s machines have the labels", count),
        Change.UNLABEL: ngettext("%(num)s machine lost the labels", "%(num)s machines lost the labels", count),
        Change.MOVE: ngettext("%(num)s machine is moved", "%(num)s machines are moved", count),
        Change.DELETE: ngettext("%(num)s machine is deleted", "%(num)s machines are deleted", count),
    }[change]


def _back() -> str:
    """The list that it was chosen in."""
    project_id = _project_id()
    if project_id:
        return url_for("projects.show", project_id=project_id)
    return url_for("vms.index", q=request.values.get("q", "")[:MAX_SEARCH] or None)


def _project_id() -> str:
    return request.values.get("list", "")[:40]


def _change() -> Change:
    found = request.values.get("do", "")
    if found not in list(Change):
        raise NotFoundError(_("There is no such change."))
    return Change(found)
