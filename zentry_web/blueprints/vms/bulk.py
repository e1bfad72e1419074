"""Several machines at once: tick them in a list, look at which and what, then do it."""

from flask import render_template, request, url_for
from flask.typing import ResponseReturnValue

from zentry_web.blueprints.vms.forms import BulkForm
from zentry_web.blueprints.vms.routes import blueprint
from zentry_web.domain.fleet import MAX_ORDERED, Change, Wanted, can_be, confirmation
from zentry_web.domain.project import ProjectAction
from zentry_web.domain.vm import VM
from zentry_web.services.each import Became, Outcome, count_outcomes
from zentry_web.services.errors import NotFoundError
from zentry_web.web.actor import current_actor, me
from zentry_web.web.flash import success
from zentry_web.web.htmx import go_to
from zentry_web.web.outcomes import outcomes
from zentry_web.web.services import services

DONE = {
    Change.START: ("is starting", "are starting"),
    Change.STOP: ("is asked to shut down", "are asked to shut down"),
    Change.LABEL: ("has the labels", "have the labels"),
    Change.UNLABEL: ("lost the labels", "lost the labels"),
    Change.MOVE: ("is moved", "are moved"),
    Change.DELETE: ("is deleted", "are deleted"),
}


@blueprint.route("/bulk", methods=["GET", "POST"])
def bulk() -> ResponseReturnValue:
    """Which machines it is for and what it costs; then do it."""
    change, actor, service = _change(), current_actor(), services().get_vm_service().bulk
    ids, form = request.values.getlist("id")[: MAX_ORDERED + 1], BulkForm()
    chosen = service.list_chosen(ids, actor=actor)
    if change == Change.MOVE:
        form.offer(services().get_project_service().list_choices(me().id, actor=actor, action=ProjectAction.LAUNCH))
    if request.method == "POST":
        wanted = Wanted(change, form.text("labels"), form.text("project_id"), form.text("confirm"))
        if form.submit(lambda: service.run(wanted, ids, actor=actor)):
            return _told(change, form.result, len(set(ids)))
    able = [vm for vm in chosen if can_be(change, vm)]
    words = confirmation(chosen) if chosen else ""
    shown = {"form": form, "change": change, "chosen": chosen, "able": able, "words": words, "back": _back()}
    return render_template("vms/bulk.html", days=services().get_vm_service().bin.keeps_for.days, **shown), form.status


def _told(change: Change, results: list[Became[VM]], asked: int) -> ResponseReturnValue:
    """Back to the list when all went well; otherwise what became of each."""
    counts, missing = count_outcomes(results), asked - len(results)
    summary = _summary(change, counts, missing)
    if not counts[Outcome.REFUSED] and not missing:
        success(f"{summary}.")
        return go_to(_back())
    return render_template("vms/bulk_done.html", summary=summary, missing=missing, back=_back(), **outcomes(results))


def _summary(change: Change, counts: dict[Outcome, int], missing: int) -> str:
    """Such as ``3 machines are starting, 1 could not``."""
    done, parts = counts[Outcome.DONE], []
    if done:
        one, several = DONE[change]
        parts.append(f"1 machine {one}" if done == 1 else f"{done} machines {several}")
    if so := counts[Outcome.UNCHANGED]:
        parts.append(f"{so} {'was' if so == 1 else 'were'} so already")
    if refused := counts[Outcome.REFUSED]:
        parts.append(f"{refused} could not")
    if missing:
        parts.append(f"{missing} {'is' if missing == 1 else 'are'} gone")
    return ", ".join(parts)


def _back() -> str:
    """The list that it was chosen in."""
    project_id = request.values.get("list", "").replace("\x00", "")[:40]
    return url_for("projects.show", project_id=project_id) if project_id else url_for("vms.index")


def _change() -> Change:
    found = request.values.get("do", "")
    if found not in list(Change):
        raise NotFoundError("There is no such change.")
    return Change(found)
