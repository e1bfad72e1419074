"""One payment: where it is paid, and its receipt."""

from flask import make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from zentry_web.blueprints.billing.routes import blueprint
from zentry_web.domain.credits.payments import PaymentState
from zentry_web.domain.language import _
from zentry_web.services.errors import ConflictError
from zentry_web.web.output.flash import success, warning
from zentry_web.web.output.headers import policy
from zentry_web.web.output.regions import credits_text
from zentry_web.web.services import services
from zentry_web.web.session.actor import current_actor, me


@blueprint.get("/top-up/<payment_id>")
def payment(payment_id: str) -> ResponseReturnValue:
    """One payment: how it stands, and its receipt."""
    payments, actor = services().billing.payments, current_actor()
    found = payments.get_payment(me().id, payment_id, actor=actor)
    receipts = payments.receipts.list_of_payment(me().id, payment_id, actor=actor)
    return render_template("billing/payment.html", payment=found, receipts=receipts)


@blueprint.get("/top-up/<payment_id>/pay")
def pay(payment_id: str) -> ResponseReturnValue:
    """Where it is paid: the test provider's buttons, or the real provider's card form.

    This page alone may load the provider's script; every other keeps the strict policy (docs/adr/0012).
    """
    try:
        page = services().billing.payments.get_pay_page(me().id, payment_id, actor=current_actor())
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
        services().billing.payments.try_again(me().id, payment_id, actor=current_actor())
    except ConflictError as error:
        return _receipt_of_one_over(payment_id, error)
    return redirect(url_for("billing.pay", payment_id=payment_id), 303)


@blueprint.post("/top-up/<payment_id>/test")
def pay_test(payment_id: str) -> ResponseReturnValue:
    """A button of the test provider."""
    payments = services().billing.payments
    action, card = request.form.get("action", ""), request.form.get("card", "")
    try:
        found = payments.press_test_button(me().id, payment_id, action, card, actor=current_actor())
    except ConflictError as error:
        return _receipt_of_one_over(payment_id, error)
    if found.state == PaymentState.FAILED:
        warning(_("The payment was declined. Nothing was charged."))
    elif found.state == PaymentState.SUCCEEDED:
        words = _("%(credits)s credits added to your balance.", credits=credits_text(found.amount_micro))
        success(words, _("See your balance"), url_for("billing.index"))
    return redirect(url_for("billing.payment", payment_id=payment_id), 303)


def _receipt_of_one_over(payment_id: str, error: ConflictError) -> ResponseReturnValue:
    """Who comes back to where a payment was made (reload, back, a second click) sees how it ended."""
    found = services().billing.payments.get_payment(me().id, payment_id, actor=current_actor())
    if found.state not in (PaymentState.SUCCEEDED, PaymentState.CANCELLED):
        raise error
    return redirect(url_for("billing.payment", payment_id=payment_id), 303)
