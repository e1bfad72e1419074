"""One payment: where it is paid, and its receipt."""

from flask import make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from zentry_web.blueprints.billing.routes import blueprint
from zentry_web.domain.payments import PaymentState
from zentry_web.services.errors import ConflictError
from zentry_web.web.actor import current_actor, me
from zentry_web.web.flash import warning
from zentry_web.web.headers import policy
from zentry_web.web.htmx import is_htmx
from zentry_web.web.services import services


@blueprint.get("/top-up/<payment_id>")
def payment(payment_id: str) -> ResponseReturnValue:
    """One payment: how it stands, and its receipt."""
    found = services().get_billing_service().payments.get_payment(me().id, payment_id, actor=current_actor())
    template = "billing/_payment.html" if is_htmx() else "billing/payment.html"
    return render_template(template, payment=found)


@blueprint.get("/top-up/<payment_id>/pay")
def pay(payment_id: str) -> ResponseReturnValue:
    """Where it is paid: the test provider's buttons, or the real provider's card form.

    This page alone may load the provider's script; every other keeps the strict policy (docs/adr/0012).
    """
    try:
        page = services().get_billing_service().payments.get_pay_page(me().id, payment_id, actor=current_actor())
    except ConflictError as error:
        return _receipt_of_one_over(payment_id, error)
    script = page.script
    if script is None:
        return render_template("billing/pay_test.html", payment=page.payment)
    answer = make_response(render_template("billing/pay_card.html", page=page, payment=page.payment))
    hosts = policy(script=script.script, frame=script.frame, connect=script.connect)
    answer.headers["Content-Security-Policy"] = hosts
    return answer


@blueprint.post("/top-up/<payment_id>/again")
def pay_again(payment_id: str) -> ResponseReturnValue:
    """After a decline: on to paying once more."""
    try:
        services().get_billing_service().payments.try_again(me().id, payment_id, actor=current_actor())
    except ConflictError as error:
        return _receipt_of_one_over(payment_id, error)
    return redirect(url_for("billing.pay", payment_id=payment_id), 303)


@blueprint.post("/top-up/<payment_id>/test")
def pay_test(payment_id: str) -> ResponseReturnValue:
    """A button of the test provider."""
    payments = services().get_billing_service().payments
    action, card = request.form.get("action", ""), request.form.get("card", "")
    try:
        found = payments.press_test_button(me().id, payment_id, action, card, actor=current_actor())
    except ConflictError as error:
        return _receipt_of_one_over(payment_id, error)
    if found.state == PaymentState.FAILED:
        warning("The payment was declined. Nothing was charged.")
    return redirect(url_for("billing.payment", payment_id=payment_id), 303)


def _receipt_of_one_over(payment_id: str, error: ConflictError) -> ResponseReturnValue:
    """Who comes back to where a payment was made (reload, back, a second click) sees how it ended."""
    found = services().get_billing_service().payments.get_payment(me().id, payment_id, actor=current_actor())
    if found.state not in (PaymentState.SUCCEEDED, PaymentState.CANCELLED):
        raise error
    return redirect(url_for("billing.payment", payment_id=payment_id), 303)
