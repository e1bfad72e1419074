"""If credits run out: what stops when, in the order the owner chooses, and at which balance to be told."""

from collections.abc import Mapping, Sequence
from typing import Any

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from wtforms.validators import Optional

from zentry_web.blueprints.billing.routes import blueprint
from zentry_web.domain.credits.landing import LandingPlan
from zentry_web.domain.language import _, lazy
from zentry_web.domain.money import MICRO, format_credits
from zentry_web.domain.text import whole_number
from zentry_web.web.input.forms import BaseForm, CreditsField
from zentry_web.web.output.flash import success
from zentry_web.web.output.htmx import go_to
from zentry_web.web.services import services
from zentry_web.web.session.actor import current_actor, me

_LEAST, _MOST = MICRO // 100, 1_000_000 * MICRO


class LowBalanceForm(BaseForm):
    low = CreditsField(lazy("Tell me when my balance is down to"), validators=[Optional()])

    def validate(self, extra_validators: Mapping[str, Sequence[Any]] | None = None) -> bool:
        """In range, once it is an amount."""
        if not super().validate(extra_validators):
            return False
        if self.low.micro is None or _LEAST <= self.low.micro <= _MOST:
            return True
        self.low.errors = [_("Give a number of credits from 0.01 to 1000000, or nothing.")]
        return False


def _page(plan: LandingPlan, form: LowBalanceForm) -> ResponseReturnValue:
    changes = services().billing.price_changes
    coming = changes.list_coming(me().id, actor=current_actor())
    return render_template("billing/plan.html", plan=plan, form=form, coming=coming), form.status


@blueprint.route("/plan", methods=["GET", "POST"])
def plan() -> ResponseReturnValue:
    """The plan; a POST sets the balance to be told at."""
    user, actor = me(), current_actor()
    landing = services().billing.landing
    low = landing.get_low_balance(user.id, actor=actor)
    form = LowBalanceForm(data={"low": format_credits(low).replace(",", "") if low is not None else ""})
    if request.method == "POST" and form.submit(lambda: landing.set_low_balance(user.id, form.low.micro, actor=actor)):
        success(_("You will be told.") if form.low.micro else _("You will not be told of a low balance."))
        return go_to(url_for("billing.plan"))
    return _page(landing.get_plan(user.id, actor=actor), form)


@blueprint.post("/plan/order")
def plan_order() -> ResponseReturnValue:
    """Another order: by the numbers typed, or one machine moved up or down."""
    user, actor = me(), current_actor()
    order = _asked_order()
    services().billing.landing.set_order(user.id, order, actor=actor)
    return redirect(url_for("billing.plan", _anchor="order"), 303)


LAST = 999_999  # where no place was typed


def _asked_order() -> list[str]:
    """Machines sorted by the places typed beside them (equal ones as they were), then moved by a button."""
    vm_ids = request.form.getlist("vm")
    typed = [whole_number(text) for text in request.form.getlist("place")]
    places = [number if number is not None and 0 <= number < LAST else LAST for number in typed]
    places += [LAST] * (len(vm_ids) - len(places))
    order = [vm_id for _, _, vm_id in sorted(zip(places, range(len(vm_ids)), vm_ids, strict=False))]
    for name, step in (("up", -1), ("down", 1)):
        moved = request.form.get(name)
        if moved in order:
            place = order.index(moved)
            order.insert(max(0, place + step), order.pop(place))
    return order
