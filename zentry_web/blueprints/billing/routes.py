"""Credits: balance and run-out at a glance, and every transaction."""

from typing import Any

from flask import Blueprint, Response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from zentry_web.blueprints.billing.forms import redeem_form
from zentry_web.domain.credits.bill_csv import iso
from zentry_web.domain.credits.billing import TransferKind
from zentry_web.domain.credits.forecast import month_forecast
from zentry_web.domain.credits.usage import next_month_start
from zentry_web.domain.list_keys import TRANSACTIONS
from zentry_web.domain.people.saved_view import ListKind
from zentry_web.domain.query_language import ListSearch
from zentry_web.services.errors import ValidationError
from zentry_web.web.input.columns import TRANSACTIONS as LIST_COLUMNS
from zentry_web.web.input.columns import stays
from zentry_web.web.input.paging import PAGE_SIZE, here, last_key, pages, rows_asked, text_argument
from zentry_web.web.input.saved_views import list_saved, opening, view_context
from zentry_web.web.input.search import Searched, read_list, stay
from zentry_web.web.output.context import use_balance
from zentry_web.web.output.files import csv_file
from zentry_web.web.output.filters import viewer_zone
from zentry_web.web.output.htmx import is_htmx
from zentry_web.web.services import services
from zentry_web.web.session.actor import current_actor, me

blueprint = Blueprint("billing", __name__, url_prefix="/credits")

NEWEST = 5
HOLDS = (TransferKind.HOLD, TransferKind.RELEASE)
TRANSACTION_COLUMNS = ("id", "at", "kind", "vm_id", "vm", "reason", "amount_micro", "balance_after_micro")


@blueprint.get("")
def index() -> ResponseReturnValue:
    """Balance, burn rate, when credits run out, this month and the newest transactions."""
    if request.args.get("before") or request.args.get("holds"):  # where transactions were once
        old: dict[str, Any] = request.args.to_dict()
        return redirect(url_for("billing.transactions", **old), 301)
    billing, actor, zone = services().billing, current_actor(), viewer_zone().key
    balance = billing.get_runway(actor.id, actor=actor)
    use_balance(balance)
    spent_micro = sum(billing.reports.month_spend_by_project(actor.id, zone).values())
    return render_template(
        "billing/index.html",
        spent_micro=spent_micro,
        forecast_micro=month_forecast(balance, spent_micro, next_month_start(balance.at, zone)),
        transactions=billing.list_transactions(actor.id, actor=actor, with_holds=False, limit=NEWEST),
        redeem_form=redeem_form(),
    )


@blueprint.get("/transactions")
def transactions() -> ResponseReturnValue:
    """What moved the balance and fits the search, newest first; with ``holds`` also what was only set aside and given
    back."""
    if chosen := LIST_COLUMNS.chosen_address():
        return redirect(chosen)
    searched, search, with_holds = _asked()
    if searched.problem and is_htmx():
        return stay(searched)
    views = list_saved(ListKind.TRANSACTIONS)
    if opens := opening(views):
        return redirect(opens)
    limit, before, found = rows_asked(PAGE_SIZE), text_argument("before") or None, []
    if not searched.problem:
        found = services().billing.list_transactions(
            me().id, actor=current_actor(), with_holds=with_holds, search=search, before=before, limit=limit
        )
    return render_template(
        "billing/transactions.html",
        transactions=found,
        searched=searched,
        shown=LIST_COLUMNS.shown(),
        keep=stays() | {"holds": "y" if with_holds else ""},
        kinds=list(TransferKind),
        with_holds=with_holds,
        holds_url=here(holds=None if with_holds else "y", before=None, rows=None),
        file_url=url_for("billing.transactions_file", q=searched.text or None, holds="y" if with_holds else None),
        **view_context(ListKind.TRANSACTIONS, views, q=searched.text),
        **pages(last_key(found, "id", limit)),
    )


@blueprint.get("/transactions.csv")
def transactions_file() -> Response:
    """The same transactions, all of them, as a file."""
    searched, search, with_holds = _asked()
    if searched.problem:
        raise ValidationError(searched.problem)
    found = services().billing.export_transactions(
        me().id, actor=current_actor(), with_holds=with_holds, search=search
    )  # fmt: skip
    rows = (
        (each.id, iso(each.at), str(each.kind), each.vm_id or "", each.vm_name, each.reason, each.amount_micro,
         each.balance_after_micro)
        for each in found
    )  # fmt: skip
    return csv_file("zentry-transactions", TRANSACTION_COLUMNS, rows)


def _asked() -> tuple[Searched, ListSearch, bool]:
    """What is searched for, and whether what was set aside is among it: also where just that is searched for."""
    searched = read_list(TRANSACTIONS, ("kind", "date"))
    holds = any(term.key == "kind" and term.value in HOLDS for term in searched.terms)
    return searched, ListSearch(searched.terms, viewer_zone()), holds or bool(request.args.get("holds"))


@blueprint.get("/balance")
def balance_chip() -> ResponseReturnValue:
    """The balance in the sidebar and in the phone's top bar, by itself."""
    me()
    return render_template("components/_balance_moving.html")
