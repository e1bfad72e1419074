"""Undoing what was done to one machine or to several at once: from the toast that tells of it, or from the activity."""

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from zentry_web.domain.language import _, find, ngettext
from zentry_web.domain.vms.undo import Undo
from zentry_web.services.errors import ConflictError
from zentry_web.services.shared.one_by_one import Became, EachOutcome, count_outcomes
from zentry_web.web.input.questions import Question, ask
from zentry_web.web.output.flash import info, success
from zentry_web.web.output.outcomes import outcomes
from zentry_web.web.services import services
from zentry_web.web.session.actor import current_actor

blueprint = Blueprint("undo", __name__, url_prefix="/undo")


@blueprint.route("/<undo_id>", methods=["GET", "POST"])
def undo(undo_id: str) -> ResponseReturnValue:
    """Put back what was; opened, it asks. ``undo_id`` is of one change, or of those of several machines together."""
    service, actor = services().vms.undo, current_actor()
    if request.method != "POST":
        return ask(_question(service.list_of(undo_id, actor=actor)))
    results = service.undo(undo_id, actor=actor)
    if len(results) == 1:
        return _told_one(results[0])
    counts = count_outcomes(results)
    summary = ngettext("%(num)s machine is as it was", "%(num)s machines are as they were", counts[EachOutcome.DONE])
    if counts[EachOutcome.DONE] + counts[EachOutcome.WAITS] == len(results):
        success(_waiting(counts[EachOutcome.WAITS]) or f"{summary}.")
        return redirect(url_for("vms.index"), 303)
    return render_template("vms/undone.html", summary=summary, **outcomes(results))


def _told_one(became: Became[Undo]) -> ResponseReturnValue:
    undone = became.thing
    there = url_for("vms.show", vm_id=undone.vm_id)
    if became.error is not None:
        raise became.error
    if became.outcome == EachOutcome.UNCHANGED:
        info(became.text)
    elif became.outcome == EachOutcome.WAITS:
        success(_("It is undone as soon as what is under way has ended. %(what)s", what=undone.says))
        there = url_for("vms.index") if undone.action == "vm.bin" else there
    else:
        success(_("Undone. %(what)s", what=undone.says))
    return redirect(there, 303)


def _waiting(count: int) -> str:
    if not count:
        return ""
    return ngettext(
        "%(num)s machine is as it was as soon as what is under way has ended.",
        "%(num)s machines are as they were as soon as what is under way has ended.",
        count,
    )


def _question(undos: list[Undo]) -> Question:
    now = services().clock.now()
    can = [undo for undo in undos if undo.used_at is None and undo.until > now]
    if not can:
        used = next((undo for undo in undos if undo.used_at is not None), None)
        late = find(undos[0].problem) or _("It is too long ago to be undone.")
        raise ConflictError(_("It has been undone already.") if used else late)
    text = can[0].says
    back = url_for("vms.index")
    if len(can) > 1:
        text = ngettext(
            "%(num)s machine becomes what it was before, as far as that can be.",
            "%(num)s machines become what they were before, as far as that can be.",
            len(can),
        )
    elif can[0].action != "vm.bin":
        back = url_for("vms.activity", vm_id=can[0].vm_id)
    return Question(_("Undo this?"), text, _("Undo"), back, "vms", is_dangerous=False, icon="arrow-back-up")
