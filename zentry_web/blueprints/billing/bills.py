"""Bills: the intervals of a period, one interval or payment opened to the second, and the same as CSV."""

from flask import render_template, request
from flask.typing import ResponseReturnValue

from zentry_web.blueprints.billing.routes import blueprint
from zentry_web.domain.bill_csv import bill_csv, total_record
from zentry_web.web.activity import activity_lines
from zentry_web.web.actor import current_actor, me
from zentry_web.web.files import csv_answer
from zentry_web.web.htmx import is_htmx
from zentry_web.web.paging import text_argument
from zentry_web.web.period import Period, has_period
from zentry_web.web.services import services


@blueprint.get("/bill")
def bill() -> ResponseReturnValue:
    """Every interval that was charged in a period."""
    user, actor, period = me(), current_actor(), Period.from_request(services().clock.now())
    vm_id = text_argument("vm")
    found = services().get_billing_service().bills.get_bill(
        user.id, period.start, period.end, vm_id=vm_id or None, actor=actor
    )  # fmt: skip
    return render_template("billing/bill.html", bill=found, period=period, vm_id=vm_id)


@blueprint.get("/bill.csv")
def bill_file() -> ResponseReturnValue:
    """The period's charges with all their inputs."""
    user, period = me(), Period.from_request(services().clock.now())
    charges = services().get_billing_service().bills.list_charges(
        user.id, period.start, period.end, vm_id=text_argument("vm") or None, actor=current_actor()
    )  # fmt: skip
    text = bill_csv(charges, until=services().clock.now(), after=[total_record(charges)])
    return csv_answer(text, f"zentry-charges-{period.first}-{period.last}")


@blueprint.get("/bill/<interval_id>")
def interval(interval_id: str) -> ResponseReturnValue:
    """One line of a bill, opened; with ``recompute`` it is worked out again before the person's eyes."""
    user, actor = me(), current_actor()
    period = Period.from_request(services().clock.now()) if has_period() else None
    bounds = {"start": period.start, "end": period.end} if period else {}
    opened = services().get_billing_service().bills.get_interval(user.id, interval_id, actor=actor, **bounds)
    events = [event for event in (opened.opened, opened.closed) if event]
    template = "billing/_interval.html" if is_htmx() else "billing/interval.html"
    return render_template(
        template,
        opened=opened,
        period=period,
        lines=activity_lines(events, viewer_id=actor.id),
        recompute="recompute" in request.args,
    )


@blueprint.get("/transactions/<transfer_id>")
def transaction(transfer_id: str) -> ResponseReturnValue:
    """A payment for usage, opened into its charges."""
    opened = services().get_billing_service().bills.get_transfer(me().id, transfer_id, actor=current_actor())
    template = "billing/_transaction.html" if is_htmx() else "billing/transaction.html"
    return render_template(template, opened=opened, recompute="recompute" in request.args)
