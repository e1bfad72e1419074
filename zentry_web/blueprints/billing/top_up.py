"""Top-up by payment: choosing an amount, stored cards, automatic top-up. Paying itself is in pay.py."""

import secrets
from typing import ClassVar

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from wtforms import BooleanField, HiddenField, IntegerField, SelectField
from wtforms.validators import InputRequired, Length, NumberRange, Optional

from zentry_web.blueprints.billing.forms import redeem_form
from zentry_web.blueprints.billing.routes import blueprint
from zentry_web.domain.money import format_credits
from zentry_web.domain.payments import AutoTopUp, StoredMethod
from zentry_web.web.actor import current_actor, me
from zentry_web.web.flash import success
from zentry_web.web.forms import BaseForm, CreditsField, SelectChoice, as_key, without_nul
from zentry_web.web.htmx import go_to
from zentry_web.web.paging import last_key, pages, text_argument
from zentry_web.web.services import services

PAYMENTS_SHOWN = 20


class TopUpForm(BaseForm):
    amount = CreditsField("Credits", validators=[InputRequired("Enter an amount.")])
    keep = BooleanField("Keep this card for later and for automatic top-up")
    idempotency_key = HiddenField(validators=[Length(max=100)], filters=[as_key])


class AutoTopUpForm(BaseForm):
    fields_of_service: ClassVar = {
        "threshold_micro": "threshold",
        "runway_hours": "hours",
        "amount_micro": "sum",
        "amount": "sum",
        "ceiling_micro": "ceiling",
        "method_id": "method",
    }

    enabled = BooleanField("Top up automatically")
    threshold = CreditsField("When my balance is below", validators=[InputRequired("Enter an amount.")])
    hours = IntegerField("Or when credits last for fewer hours than", validators=[Optional(), NumberRange(min=0)])
    sum = CreditsField("Add", validators=[InputRequired("Enter an amount.")])
    ceiling = CreditsField("In a month at most", validators=[InputRequired("Enter an amount.")])
    method = SelectField(
        "Card",
        choices=[],
        validate_choice=False,
        filters=[without_nul],
        validators=[InputRequired("Keep a card first: tick that with your next payment.")],
    )

    @classmethod
    def of(cls, now: AutoTopUp, methods: list[StoredMethod], **more: None) -> "AutoTopUpForm":
        """The form with the settings as they are, or what was sent."""
        amounts = {"threshold": now.threshold_micro, "sum": now.amount_micro, "ceiling": now.ceiling_micro}
        shown: dict[str, object] = {name: format_credits(micro).replace(",", "") for name, micro in amounts.items()}
        shown |= {"enabled": now.enabled, "hours": now.runway_hours, "method": now.method_id}
        form = cls(data=shown, **more)
        form.method.choices = [SelectChoice(each.id, f"{each.label}, {each.expiry}") for each in methods]
        return form

    def wanted(self) -> AutoTopUp:
        """What was sent, as settings."""
        return AutoTopUp(
            enabled=bool(self.enabled.data),
            threshold_micro=self.threshold.micro or 0,
            runway_hours=self.hours.data or 0,
            amount_micro=self.sum.micro or 0,
            ceiling_micro=self.ceiling.micro or 0,
            method_id=self.text("method"),
        )


@blueprint.route("/top-up", methods=["GET", "POST"])
def top_up() -> ResponseReturnValue:
    """The page; a POST begins a payment and leads to where it is paid."""
    user, actor, payments = me(), current_actor(), services().get_billing_service().payments
    form = TopUpForm(data=_fresh())
    if request.method == "POST":
        key = form.idempotency_key.data or None
        if form.submit(
            lambda: payments.start_top_up(
                user.id, form.amount.micro or 0, save_method=bool(form.keep.data), actor=actor, idempotency_key=key
            )
        ):
            return go_to(url_for("billing.pay", payment_id=form.result.id))
    return _page(form=form), form.status


@blueprint.post("/top-up/automatic")
def auto_top_up() -> ResponseReturnValue:
    """When and how much to pay automatically."""
    user, actor, billing = me(), current_actor(), services().get_billing_service()
    form = AutoTopUpForm.of(AutoTopUp(), billing.payments.list_methods(user.id, actor=actor))
    if form.submit(lambda: billing.auto_top_ups.set_settings(user.id, form.wanted(), actor=actor)):
        success("Automatic top-up is on." if form.wanted().enabled else "Automatic top-up is off.")
        return go_to(url_for("billing.top_up", _anchor="automatic"))
    return _page(auto_form=form), form.status


@blueprint.post("/methods/<method_id>/remove")
def remove_method(method_id: str) -> ResponseReturnValue:
    """Forget a means of payment."""
    services().get_billing_service().payments.remove_method(me().id, method_id, actor=current_actor())
    success("The card is removed.")
    return redirect(url_for("billing.top_up"), 303)


def _page(form: TopUpForm | None = None, auto_form: AutoTopUpForm | None = None) -> str:
    user, actor, billing = me(), current_actor(), services().get_billing_service()
    payments, before = billing.payments, text_argument("before") or None
    found = payments.list_payments(user.id, actor=actor, before=before, limit=PAYMENTS_SHOWN)
    now, methods = billing.auto_top_ups.get_settings(user.id, actor=actor), payments.list_methods(user.id, actor=actor)
    return render_template(
        "billing/top_up.html",
        payments=found,
        methods=methods,
        service=payments,
        now=now,
        spent_micro=billing.auto_top_ups.count_this_month(user.id),
        form=form or TopUpForm(data=_fresh(), formdata=None),
        auto_form=auto_form or AutoTopUpForm.of(now, methods, formdata=None),
        redeem_form=redeem_form(),
        **pages(last_key(found, "id", PAYMENTS_SHOWN)),
    )


def _fresh() -> dict[str, str]:
    return {"amount": "20", "idempotency_key": secrets.token_hex(16)}
