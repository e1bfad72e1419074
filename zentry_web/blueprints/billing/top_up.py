"""Top-up by payment: choosing an amount, stored cards, automatic top-up. Paying itself is in pay.py."""

import secrets
from typing import ClassVar

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.datastructures import MultiDict
from wtforms import BooleanField, HiddenField, SelectField
from wtforms.validators import InputRequired, Length, NumberRange, Optional

from zentry_web.blueprints.billing.forms import redeem_form
from zentry_web.blueprints.billing.routes import blueprint
from zentry_web.domain.credits.payments import AutoTopUp, CreditPrice, StoredMethod
from zentry_web.domain.language import _, lazy
from zentry_web.domain.money import MICRO, format_credits
from zentry_web.web.input.forms import BaseForm, CreditsField, SelectChoice, WholeNumberField, as_key
from zentry_web.web.input.paging import last_key, pages, text_argument
from zentry_web.web.input.questions import Question, ask, one_of
from zentry_web.web.output.flash import success
from zentry_web.web.output.htmx import go_to
from zentry_web.web.services import services
from zentry_web.web.session.actor import current_actor, me

PAYMENTS_SHOWN = 20
PRESETS = (10, 20, 50, 100)  # credits


class TopUpForm(BaseForm):
    amount = CreditsField(lazy("Credits"), validators=[InputRequired(lazy("Enter an amount."))])
    keep = BooleanField(lazy("Keep this card for later and for automatic top-up"))
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

    enabled = BooleanField(lazy("Top up automatically"))
    threshold = CreditsField(lazy("When my balance is below"), validators=[InputRequired(lazy("Enter an amount."))])
    hours = WholeNumberField(
        lazy("Or when credits last for fewer hours than"), validators=[Optional(), NumberRange(min=0)]
    )
    sum = CreditsField(lazy("Add"), validators=[InputRequired(lazy("Enter an amount."))])
    ceiling = CreditsField(lazy("In a month at most"), validators=[InputRequired(lazy("Enter an amount."))])
    method = SelectField(
        lazy("Card"),
        choices=[],
        validate_choice=False,
        validators=[InputRequired(lazy("Keep a card first: tick that with your next payment."))],
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
    user, actor, payments = me(), current_actor(), services().billing.payments
    form = TopUpForm(data=_fresh(), formdata=_chosen() if request.method == "POST" else None)
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
    user, actor, billing = me(), current_actor(), services().billing
    form = AutoTopUpForm.of(AutoTopUp(), billing.payments.list_methods(user.id, actor=actor))
    if form.submit(lambda: billing.auto_top_ups.set_settings(user.id, form.wanted(), actor=actor)):
        success(_("Automatic top-up is on.") if form.wanted().enabled else _("Automatic top-up is off."))
        return go_to(url_for("billing.top_up", _anchor="automatic"))
    return _page(auto_form=form), form.status


@blueprint.route("/methods/<method_id>/remove", methods=["GET", "POST"])
def remove_method(method_id: str) -> ResponseReturnValue:
    """Forget a means of payment."""
    if request.method == "GET":
        found = services().billing.payments.list_methods(me().id, actor=current_actor())
        label = one_of(found, method_id).label
        text = _(
            "Nothing is charged to it any more; automatic top-up with it ends. It can be kept again with a payment."
        )
        title = _("Remove %(name)s?", name=label)
        return ask(Question(title, text, _("Remove"), url_for("billing.top_up"), "billing", icon="trash"))
    services().billing.payments.remove_method(me().id, method_id, actor=current_actor())
    success(_("Card removed."))
    return redirect(url_for("billing.top_up"), 303)


def _page(form: TopUpForm | None = None, auto_form: AutoTopUpForm | None = None) -> str:
    user, actor, billing = me(), current_actor(), services().billing
    payments, before = billing.payments, text_argument("before") or None
    found = payments.list_payments(user.id, actor=actor, before=before, limit=PAYMENTS_SHOWN)
    now, methods = billing.auto_top_ups.get_settings(user.id, actor=actor), payments.list_methods(user.id, actor=actor)
    return render_template(
        "billing/top_up.html",
        payments=found,
        methods=methods,
        service=payments,
        presets=_presets(payments.price),
        tax=payments.taxes.tax_on(user.id, payments.price.minor_per_credit, actor=actor),
        now=now,
        spent_micro=billing.auto_top_ups.count_this_month(user.id),
        form=form or TopUpForm(data=_fresh(), formdata=None),
        auto_form=auto_form or AutoTopUpForm.of(now, methods, formdata=None),
        redeem_form=redeem_form(),
        **pages(last_key(found, "id", PAYMENTS_SHOWN)),
    )


def _chosen() -> MultiDict[str, str]:
    """What was sent, with the amount of the card that was chosen; without one, what was typed."""
    sent = MultiDict(request.form)
    preset = sent.get("preset", "")
    if preset in [f"{credits}" for credits in PRESETS]:
        sent["amount"] = preset
    return sent


def _presets(price: CreditPrice) -> list[tuple[int, int]]:
    """(micro-credits, minor units) of the amounts to choose from, but for what the provider could not take exactly."""
    amounts = [(credits * MICRO, price.minor_of(credits * MICRO)) for credits in PRESETS]
    return [(micro, minor) for micro, minor in amounts if minor is not None]


def _fresh() -> dict[str, str]:
    return {"amount": "20", "idempotency_key": secrets.token_hex(16)}
