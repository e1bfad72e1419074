"""For admins: all payments, one with what the provider told of it, refunds."""

import secrets
from typing import ClassVar

from flask import render_template, request, url_for
from flask.typing import ResponseReturnValue
from wtforms import HiddenField, StringField
from wtforms.validators import InputRequired, Length

from zentry_web.blueprints.admin.approvals import waiting_url
from zentry_web.blueprints.admin.routes import blueprint
from zentry_web.domain.credits.payments import PaymentState, format_minor, parse_minor
from zentry_web.domain.language import _, lazy
from zentry_web.services.errors import ValidationError
from zentry_web.web.input.forms import BaseForm
from zentry_web.web.input.paging import last_key, pages, rows_asked, text_argument
from zentry_web.web.output.flash import success
from zentry_web.web.output.htmx import go_to
from zentry_web.web.services import services
from zentry_web.web.session.actor import current_actor

SPECIAL = ("refunded", "disputed", "automatic")


class PaymentRefundForm(BaseForm):
    fields_of_service: ClassVar = {"minor": "amount"}

    amount = StringField(lazy("Amount"), validators=[InputRequired(lazy("Enter an amount."))])
    reason = StringField(
        lazy("Reason"), validators=[InputRequired(lazy("Say why: it is written down.")), Length(max=200)]
    )
    idempotency_key = HiddenField(validators=[Length(max=100)])

    def minor(self, currency: str) -> int:
        """What was typed, in minor units. Raises ValidationError for its field."""
        try:
            return parse_minor(self.text("amount"), currency)
        except ValueError as error:
            raise ValidationError(str(error), details={"amount": str(error)}) from None


@blueprint.get("/payments")
def payments() -> ResponseReturnValue:
    """All payments, filtered by state, person and what became of them."""
    state, special, search = text_argument("state"), text_argument("special"), text_argument("q")
    known = PaymentState(state) if state in set(PaymentState) else None
    rows = services().billing.payment_desk.list_payments(
        actor=current_actor(), state=known, search=search, special=special,
        before=text_argument("before") or None, limit=rows_asked(),
    )  # fmt: skip
    shown = {"rows": rows, "search": search, "state": known or "", "special": special}
    shown["states"], shown["specials"] = list(PaymentState), SPECIAL
    return render_template("admin/payments.html", **shown, **pages(last_key(rows, "id")))


@blueprint.route("/payments/<payment_id>", methods=["GET", "POST"])
def payment(payment_id: str) -> ResponseReturnValue:
    """One payment. A POST gives money back, with a reason."""
    desk, actor = services().billing.payment_desk, current_actor()
    found, events, refunds = desk.get_payment(payment_id, actor=actor)
    left = format_minor(found.refundable_minor, found.currency).split()[0].replace(",", "")
    form = PaymentRefundForm(data={"amount": left, "idempotency_key": secrets.token_hex(16)})
    if request.method == "POST":
        key = form.idempotency_key.data or None
        if form.submit(
            lambda: desk.refund(
                payment_id, form.minor(found.currency), form.text("reason"), actor=actor, idempotency_key=key
            )
        ):
            if url := waiting_url(form.result):
                return go_to(url)
            success(_("The money goes back the way it came."))
            return go_to(url_for("admin.payment", payment_id=payment_id))
        found, events, refunds = desk.get_payment(payment_id, actor=actor)
    context = {"payment": found, "events": events, "refunds": refunds}
    return render_template("admin/payment.html", form=form, **context), form.status
