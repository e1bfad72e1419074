"""Top-up by payment: choosing an amount, paying, the receipt, stored means of payment."""

import secrets

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from wtforms import BooleanField, HiddenField
from wtforms.validators import InputRequired, Length

from zentry_web.blueprints.billing.forms import redeem_form
from zentry_web.blueprints.billing.routes import blueprint
from zentry_web.web.actor import current_actor, me
from zentry_web.web.flash import success, warning
from zentry_web.web.forms import BaseForm, CreditsField, without_nul
from zentry_web.web.htmx import go_to, is_htmx
from zentry_web.web.paging import last_key, pages, text_argument
from zentry_web.web.services import services

PAYMENTS_SHOWN = 20


class TopUpForm(BaseForm):
    amount = CreditsField("Credits", validators=[InputRequired("Enter an amount.")])
    keep = BooleanField("Keep this card for later and for automatic top-up")
    idempotency_key = HiddenField(validators=[Length(max=100)], filters=[without_nul])


@blueprint.route("/top-up", methods=["GET", "POST"])
def top_up() -> ResponseReturnValue:
    """The page; a POST begins a payment and leads to where it is paid."""
    user, actor, payments = me(), current_actor(), services().get_billing_service().payments
    form = TopUpForm(data={"amount": "20", "idempotency_key": secrets.token_hex(16)})
    if request.method == "POST":
        key = form.idempotency_key.data or None
        if form.submit(
            lambda: payments.start_top_up(
                user.id, form.amount.micro or 0, save_method=bool(form.keep.data), actor=actor, idempotency_key=key
            )
        ):
            return go_to(url_for("billing.pay", payment_id=form.result.id))
    found = payments.list_payments(
        user.id, actor=actor, before=text_argument("before") or None, limit=PAYMENTS_SHOWN
    )  # fmt: skip
    context = {"payments": found, "methods": payments.list_methods(user.id, actor=actor), "service": payments}
    shown = pages(last_key(found, "id", PAYMENTS_SHOWN))
    context["redeem_form"] = redeem_form()
    return render_template("billing/top_up.html", form=form, **context, **shown), form.status


@blueprint.get("/top-up/<payment_id>")
def payment(payment_id: str) -> ResponseReturnValue:
    """One payment: how it stands, and its receipt."""
    found = services().get_billing_service().payments.get_payment(me().id, payment_id, actor=current_actor())
    template = "billing/_payment.html" if is_htmx() else "billing/payment.html"
    return render_template(template, payment=found)


@blueprint.get("/top-up/<payment_id>/pay")
def pay(payment_id: str) -> ResponseReturnValue:
    """Where it is paid: the test provider's buttons, or the real provider's card form."""
    found = services().get_billing_service().payments.get_pay_page(me().id, payment_id, actor=current_actor())
    return render_template("billing/pay_test.html", payment=found.payment)


@blueprint.post("/top-up/<payment_id>/test")
def pay_test(payment_id: str) -> ResponseReturnValue:
    """A button of the test provider."""
    payments, form = services().get_billing_service().payments, request.form
    found = payments.press_test_button(
        me().id, payment_id, form.get("action", ""), form.get("card", ""), actor=current_actor()
    )  # fmt: skip
    if found.state == "failed":
        warning("The payment was declined. Nothing was charged.")
    return redirect(url_for("billing.payment", payment_id=payment_id), 303)


@blueprint.post("/methods/<method_id>/remove")
def remove_method(method_id: str) -> ResponseReturnValue:
    """Forget a means of payment."""
    services().get_billing_service().payments.remove_method(me().id, method_id, actor=current_actor())
    success("It is removed.")
    return redirect(url_for("billing.top_up", _anchor="methods"), 303)
