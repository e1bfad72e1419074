"""Charges: those of a period by day, one interval or payment opened to the second, and the same as CSV."""

from datetime import date, tzinfo
from typing import Any

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from zentry_web.blueprints.billing.routes import blueprint
from zentry_web.domain.credits.bill_csv import bill_csv, total_record
from zentry_web.domain.credits.bills import charges_by_day
from zentry_web.domain.list_keys import CHARGES
from zentry_web.domain.people.saved_view import ListKind
from zentry_web.domain.query_language import ListSearch, Term
from zentry_web.services.errors import ValidationError
from zentry_web.web.input.columns import CHARGES as LIST_COLUMNS
from zentry_web.web.input.columns import stays
from zentry_web.web.input.paging import PAGE_SIZE, number_argument, pages, rows_asked, text_argument
from zentry_web.web.input.period import Period, has_period
from zentry_web.web.input.saved_views import list_saved, opening, view_context
from zentry_web.web.input.search import Searched, read_list, stay
from zentry_web.web.output.activity import activity_lines
from zentry_web.web.output.files import csv_answer
from zentry_web.web.output.filters import viewer_zone
from zentry_web.web.output.htmx import is_htmx
from zentry_web.web.services import services
from zentry_web.web.session.actor import current_actor, me


@blueprint.get("/bill")
def bill() -> ResponseReturnValue:
    """The days of a period on which something that fits was charged, newest first, and the lines of the newest."""
    if chosen := LIST_COLUMNS.chosen_address():
        return redirect(chosen)
    period, (searched, search) = Period.from_request(services().clock.now()), _asked()
    if searched.problem and is_htmx():
        return stay(searched)
    views = list_saved(ListKind.CHARGES)
    if opens := opening(views):
        return redirect(opens)
    spending, actor = services().billing.spending, current_actor()
    spent = spending.get_spend(me().id, period.start, period.end, search=search, actor=actor)
    before, limit = text_argument("before"), rows_asked(PAGE_SIZE)
    charged = list(spent.by_day)
    if period.first != period.last:
        charged = [day for day in reversed(charged) if day.amount_micro and (not before or day.key < before)]
    opened = _open_day(charged[0].key, search, period.zone) if charged and not before else {"opened": None}
    return render_template(
        "billing/bill.html",
        days=[(day, _here(day.key)) for day in charged[:limit]],
        total_micro=spent.total_micro,
        **opened,
        searched=searched,
        shown=LIST_COLUMNS.shown(),
        keep=stays("vm") | period.query,
        period=period,
        vm_name=spent.by_vm[0].name if spent.by_vm else "",
        file_url=url_for("billing.bill_file", **_kept() | period.query),
        **view_context(ListKind.CHARGES, views, q=searched.text),
        **pages(charged[limit - 1].key if len(charged) > limit else None),
    )


def _asked() -> tuple[Searched, ListSearch]:
    """What is searched for; of one machine's charges only those."""
    searched, vm_id = read_list(CHARGES, tuple(CHARGES)), text_argument("vm")
    return searched, ListSearch((*searched.terms, *([Term("vm", vm_id)] if vm_id else [])))


def _kept() -> dict[str, Any]:
    """What is searched for and how it is shown, as addresses have it."""
    found = {"vm": text_argument("vm"), "q": _asked()[0].text} | stays()
    return {name: value for name, value in found.items() if value}


def _here(day: str, **more: Any) -> str:
    """The address of a day, or of more of its lines."""
    names: dict[str, Any] = _kept() | {"from": day, "to": day} | more
    return url_for("billing.bill", **names)


def _open_day(key: str, search: ListSearch, zone: tzinfo) -> dict[str, Any]:
    """What billing/_lines.html shows of a day; ``line`` in the address is the last line seen."""
    day, before = Period(date.fromisoformat(key), date.fromisoformat(key), zone), text_argument("line") or None
    bills, limit = services().billing.bills, PAGE_SIZE
    found = bills.get_bill(
        me().id, day.start, day.end, search=search, before=before, limit=limit, actor=current_actor()
    )  # fmt: skip
    more_url = _here(key, line=found.lines[-1].interval.id) if found.more else None
    return {"opened": found, "opened_query": day.query, "more_url": more_url}


@blueprint.get("/bill.csv")
def bill_file() -> ResponseReturnValue:
    """The same charges with all their inputs."""
    user, period, (searched, search) = me(), Period.from_request(services().clock.now()), _asked()
    if searched.problem:
        raise ValidationError(searched.problem)
    charges = services().billing.bills.list_charges(
        user.id, period.start, period.end, search=search, actor=current_actor()
    )  # fmt: skip
    text = bill_csv(charges, until=services().clock.now(), after=[total_record(charges)])
    return csv_answer(text, f"zentry-charges-{period.first}-{period.last}")


@blueprint.get("/bill/<interval_id>")
def interval(interval_id: str) -> ResponseReturnValue:
    """One line of a bill, opened; with ``recompute`` it is worked out again before the person's eyes."""
    user, actor = me(), current_actor()
    period = Period.from_request(services().clock.now()) if has_period() else None
    bounds = {"start": period.start, "end": period.end} if period else {}
    opened = services().billing.bills.get_interval(user.id, interval_id, actor=actor, **bounds)
    events = [event for event in (opened.opened, opened.closed) if event]
    before = text_argument("before")
    days = [day for day in charges_by_day(opened.charges, viewer_zone()) if not before or f"{day.day}" < before]
    return render_template(
        "billing/interval.html",
        opened=opened,
        days=days[:PAGE_SIZE],
        **pages(days[PAGE_SIZE - 1].day if len(days) > PAGE_SIZE else None),
        period=period,
        lines=activity_lines(events, reader_id=actor.id),
        recompute="recompute" in request.args,
    )


@blueprint.get("/transactions/<transfer_id>")
def transaction(transfer_id: str) -> ResponseReturnValue:
    """A payment for usage, opened into its charges."""
    opened = services().billing.bills.get_transfer(me().id, transfer_id, actor=current_actor())
    seen = number_argument("before") or 0  # a payment's charges never change: their number is a key
    return render_template(
        "billing/transaction.html",
        opened=opened,
        shown=opened.charges[seen : seen + PAGE_SIZE],
        recompute="recompute" in request.args,
        **pages(seen + PAGE_SIZE if len(opened.charges) > seen + PAGE_SIZE else None),
    )
