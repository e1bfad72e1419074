"""Work in progress: the list of operations, the page of each, aborting one, trying one again."""

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from zentry_web.domain.language import _
from zentry_web.domain.vms.operation import OperationKind
from zentry_web.domain.vms.work import OperationPage
from zentry_web.services.errors import ConflictError, PriceChangedError
from zentry_web.web.errors import error_text
from zentry_web.web.input.forms import price_field, rates_shown
from zentry_web.web.input.paging import last_key, pages, rows_asked, text_argument
from zentry_web.web.input.questions import Question, ask
from zentry_web.web.output.filters import words
from zentry_web.web.output.flash import success
from zentry_web.web.output.regions import credits_text
from zentry_web.web.services import services
from zentry_web.web.session.actor import current_actor, me

blueprint = Blueprint("operations", __name__, url_prefix="/operations")


@blueprint.get("")
def index() -> ResponseReturnValue:
    """What was ordered in one's projects, the newest first; ``show=failed`` only what failed; ``of=all`` everybody's,
    for admins."""
    failed, everybody = request.args.get("show") == "failed", request.args.get("of") == "all"
    lines = services().vms.work.list_of(
        None if everybody else me().id,
        actor=current_actor(),
        failed=failed,
        before=text_argument("before", 40),
        limit=rows_asked(),
    )
    shown = {"lines": lines, "failed": failed, "everybody": everybody}
    return render_template("operations/index.html", **shown, **pages(last_key(lines, "id")))


@blueprint.get("/<operation_id>")
def show(operation_id: str) -> ResponseReturnValue:
    """One operation: its steps, the driver's words, who and why; what can be done about it."""
    page = services().vms.work.get(operation_id, actor=current_actor())
    return render_template("operations/show.html", page=page, operation=page.operation, vm=page.vm)


@blueprint.route("/<operation_id>/abort", methods=["GET", "POST"])
def abort(operation_id: str) -> ResponseReturnValue:
    """Abort it, after a question."""
    work, actor, back = services().vms.work, current_actor(), url_for("operations.show", operation_id=operation_id)
    if request.method == "POST":
        work.abort(operation_id, actor=actor)
        success(_("It is being aborted: what was done is put back."))
        return redirect(back, 303)
    page = work.get(operation_id, actor=actor, to_act=True)
    _require(page.abort_problem, _("It has ended: there is nothing to abort."))
    title = _("Abort: %(operation)s of %(name)s?", operation=words(page.operation.kind).lower(), name=page.vm.name)
    text = _("What was done so far is put back, and nothing more is begun. It can be tried again afterwards.")
    return ask(Question(title, text, _("Abort"), back, "vms", icon="x"))


@blueprint.route("/<operation_id>/again", methods=["GET", "POST"])
def again(operation_id: str) -> ResponseReturnValue:
    """Try it again, as it was asked for; at another price than was shown it asks again."""
    work, actor = services().vms.work, current_actor()
    if request.method == "POST":
        try:
            shown = rates_shown(request.form.get("shown_price"))
            done = work.again(operation_id, actor=actor, shown=shown)
        except PriceChangedError as error:
            return ask(_again(work.get(operation_id, actor=actor), error_text(error)), 409)
        success(_("It is tried again."))
        return redirect(url_for("operations.show", operation_id=done.id), 303)
    page = work.get(operation_id, actor=actor, to_act=True)
    _require(page.again_problem, _("It has not failed: there is nothing to try again."))
    return ask(_again(page, _("The same is ordered once more, as it was.")))


def _require(problem: str | None, nothing: str) -> None:
    if problem != "":
        raise ConflictError(problem or nothing)


def _again(page: OperationPage, text: str) -> Question:
    kind, vm = page.operation.kind, page.vm
    fields = {}
    if kind in (OperationKind.CREATE, OperationKind.START):
        fields = {"shown_price": price_field(vm.rates)}
        text += " " + _(
            "Running, it costs %(credits)s credits per hour.", credits=credits_text(vm.running_micro_per_hour)
        )
    title = _("Try again: %(operation)s of %(name)s?", operation=words(kind).lower(), name=vm.name)
    back = url_for("operations.show", operation_id=page.operation.id)
    return Question(title, text, _("Try again"), back, "vms", fields, False, "refresh")
