"""For admins: requests that need a second admin, and giving back what was charged."""

import secrets

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from zentry_web.blueprints.admin.forms import RefundForm
from zentry_web.blueprints.admin.routes import blueprint
from zentry_web.domain.credits.books import Approval, MoveKind
from zentry_web.domain.language import _, lazy
from zentry_web.web.input.paging import last_key, pages, rows_asked, text_argument
from zentry_web.web.input.questions import Question, ask, one_of
from zentry_web.web.output.filters import words
from zentry_web.web.output.flash import success
from zentry_web.web.output.htmx import go_to
from zentry_web.web.services import services
from zentry_web.web.session.actor import current_actor

DONE = {
    MoveKind.PAYMENT: lazy("Approved: the money goes back the way it came."),
    MoveKind.VOUCHERS: lazy("Approved: the vouchers are made."),
    MoveKind.SETTING: lazy("Approved: the setting is changed, for everybody and at once."),
}


@blueprint.get("/approvals")
def approvals() -> ResponseReturnValue:
    """What waits for a decision, and what was decided."""
    service, actor = services().billing.books.approvals, current_actor()
    rows = service.list_approvals(actor=actor, before=text_argument("before") or None, limit=rows_asked())
    shown = {"waiting": service.list_approvals(actor=actor, pending=True), "now": services().clock.now()}
    past = [row for row in rows if not row.is_open]
    return render_template("admin/approvals.html", past=past, **shown, **pages(last_key(rows, "id")))


@blueprint.post("/approvals/<approval_id>/approve")
def approve(approval_id: str) -> ResponseReturnValue:
    """Agree: it is done."""
    done = services().billing.books.approvals.decide(approval_id, True, actor=current_actor())
    changed = _("Approved: the credits of %(email)s are changed.", email=done.user_email)
    success(str(DONE.get(done.move.kind, changed)))
    return redirect(url_for("admin.approvals"), 303)


@blueprint.route("/approvals/<approval_id>/refuse", methods=["GET", "POST"])
def refuse(approval_id: str) -> ResponseReturnValue:
    """Refuse it, or take one's own request back."""
    if request.method == "GET":
        return ask(_refusal(approval_id))
    done = services().billing.books.approvals.decide(approval_id, False, actor=current_actor())
    own = done.asked_by == done.decided_by
    success(_("Your request is taken back.") if own else _("Refused: nothing is booked."))
    return redirect(url_for("admin.approvals"), 303)


def _refusal(approval_id: str) -> Question:
    service, actor = services().billing.books.approvals, current_actor()
    row = one_of(service.list_approvals(actor=actor, pending=True), approval_id)
    asked, reason = str(row.what), row.move.reason
    what = f"{asked[:1].upper()}{asked[1:]}"
    back, nav = url_for("admin.approvals"), "admin.approvals"
    if row.asked_by == actor.id:
        text = _("%(what)s: %(reason)s. Nothing is done; you can ask again.", what=what, reason=reason)
        return Question(_("Take your request back?"), text, _("Take it back"), back, nav)
    text = _("%(what)s: %(reason)s. Nothing is done; it stays in the list as refused.", what=what, reason=reason)
    return Question(_("Refuse the request?"), text, _("Refuse"), back, nav)


@blueprint.get("/intervals/<interval_id>")
def interval(interval_id: str) -> ResponseReturnValue:
    """One line of somebody's bill, opened."""
    billing, actor = services().billing, current_actor()
    target = f"interval:{interval_id}"
    owner_id = billing.books.refunds.owner_of(target, actor=actor)
    opened = billing.bills.get_interval(owner_id, interval_id, actor=actor)
    person = services().users.get_user(owner_id, actor=actor)
    left = billing.books.refunds.left_of(target, actor=actor)
    return render_template("admin/interval.html", opened=opened, person=person, target=target, left=left)


@blueprint.route("/refund/<target>", methods=["GET", "POST"])
def refund(target: str) -> ResponseReturnValue:
    """Give back part of a charge: of an interval or of the transfer that paid it."""
    books, actor = services().billing.books, current_actor()
    owner_id = books.refunds.owner_of(target, actor=actor)
    form = RefundForm(data={"idempotency_key": secrets.token_hex(16)})
    if request.method == "POST":
        reason, key = form.text("description"), form.idempotency_key.data or None
        if form.submit(
            lambda: books.approvals.refund(target, form.amount.micro or 0, reason, actor=actor, idempotency_key=key)
        ):
            return go_to(booked(form.result, _("The credits are given back.")))
    person = services().users.get_user(owner_id, actor=actor)
    left = books.refunds.left_of(target, actor=actor)
    return render_template("admin/refund.html", form=form, person=person, target=target, left=left), form.status


def waiting_url(result: object) -> str:
    """Where to look at a request that waits for a second admin, which the person is told; '' for what was done."""
    if not isinstance(result, Approval):
        return ""
    success(waits(result))
    return url_for("admin.approvals")


def booked(result: object, told: str) -> str:
    """Say what became of it; returns where to look at it."""
    if url := waiting_url(result):
        return url
    success(told)
    return url_for("admin.ledger_transfer", transfer_id=getattr(result, "id", ""))


def waits(request: Approval) -> str:
    """Why it is not done yet; or what was decided, for a form that is sent again."""
    if not request.is_open:
        return _("You have asked for this before: it was %(outcome)s.", outcome=words(request.outcome).lower())
    if request.move.gains(request.asked_by):
        if request.move.kind == MoveKind.PAYMENT:
            return _("This money would be yours: it waits for another admin, who has been told.")
        return _("These credits would be yours: it waits for another admin, who has been told.")
    if request.move.kind in DONE:
        return _("That can come to a large amount: it waits for a second admin, who has been told.")
    return _("That is a large amount: it waits for a second admin, who has been told.")
