"""For admins: requests that need a second admin, and giving back what was charged."""

import secrets

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from zentry_web.blueprints.admin.forms import RefundForm
from zentry_web.blueprints.admin.routes import blueprint
from zentry_web.domain.books import Approval
from zentry_web.web.actor import current_actor
from zentry_web.web.flash import success
from zentry_web.web.htmx import go_to
from zentry_web.web.paging import PAGE_SIZE, last_key, pages, text_argument
from zentry_web.web.services import services


@blueprint.get("/approvals")
def approvals() -> ResponseReturnValue:
    """What waits for a decision, and what was decided."""
    service, actor = services().get_billing_service().books.approvals, current_actor()
    rows = service.list_approvals(actor=actor, before=text_argument("before") or None, limit=PAGE_SIZE)
    shown = {"waiting": service.list_approvals(actor=actor, pending=True), "now": services().clock.now()}
    past = [row for row in rows if not row.is_open]
    return render_template("admin/approvals.html", past=past, **shown, **pages(last_key(rows, "id")))


@blueprint.post("/approvals/<approval_id>/approve")
def approve(approval_id: str) -> ResponseReturnValue:
    """Agree: the credits move."""
    done = services().get_billing_service().books.approvals.decide(approval_id, True, actor=current_actor())
    success(f"Approved: the credits of {done.user_email} are changed.")
    return redirect(url_for("admin.approvals"), 303)


@blueprint.post("/approvals/<approval_id>/refuse")
def refuse(approval_id: str) -> ResponseReturnValue:
    """Refuse it, or take one's own request back."""
    done = services().get_billing_service().books.approvals.decide(approval_id, False, actor=current_actor())
    success("Your request is taken back." if done.asked_by == done.decided_by else "Refused: nothing is booked.")
    return redirect(url_for("admin.approvals"), 303)


@blueprint.get("/intervals/<interval_id>")
def interval(interval_id: str) -> ResponseReturnValue:
    """One line of somebody's bill, opened."""
    billing, actor = services().get_billing_service(), current_actor()
    target = f"interval:{interval_id}"
    owner_id = billing.books.refunds.owner_of(target, actor=actor)
    opened = billing.bills.get_interval(owner_id, interval_id, actor=actor)
    person = services().get_user_service().get_user(owner_id, actor=actor)
    left = billing.books.refunds.left_of(target, actor=actor)
    return render_template("admin/interval.html", opened=opened, person=person, target=target, left=left)


@blueprint.route("/refund/<target>", methods=["GET", "POST"])
def refund(target: str) -> ResponseReturnValue:
    """Give back part of a charge: of an interval or of the transfer that paid it."""
    books, actor = services().get_billing_service().books, current_actor()
    owner_id = books.refunds.owner_of(target, actor=actor)
    form = RefundForm(data={"idempotency_key": secrets.token_hex(16)})
    if request.method == "POST":
        reason, key = form.text("description"), form.idempotency_key.data or None
        if form.submit(
            lambda: books.approvals.refund(target, form.amount.micro or 0, reason, actor=actor, idempotency_key=key)
        ):
            return go_to(booked(form.result, "The credits are given back."))
    person = services().get_user_service().get_user(owner_id, actor=actor)
    left = books.refunds.left_of(target, actor=actor)
    return render_template("admin/refund.html", form=form, person=person, target=target, left=left), form.status


def booked(result: object, words: str) -> str:
    """Say what became of it; returns where to look at it."""
    if isinstance(result, Approval):
        success(waits(result))
        return url_for("admin.approvals")
    success(words)
    return url_for("admin.ledger_transfer", transfer_id=getattr(result, "id", ""))


def waits(request: Approval) -> str:
    """Why it is not booked yet."""
    if request.gains(request.asked_by):
        return "These credits would be yours: it waits for another admin, who has been told."
    return "That is a large amount: it waits for a second admin, who has been told."
