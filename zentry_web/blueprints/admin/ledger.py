"""For admins: the ledger, searched in the address; one transfer opened; the same as CSV."""

from flask import Response, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from zentry_web.blueprints.admin.routes import blueprint
from zentry_web.domain.credits.bill_csv import iso
from zentry_web.domain.credits.billing import AccountKind, TransferKind
from zentry_web.domain.credits.books import LedgerFilter
from zentry_web.domain.list_keys import LEDGER, ledger_filter
from zentry_web.domain.people.saved_view import ListKind
from zentry_web.domain.query_language import ListSearch
from zentry_web.services.errors import ValidationError
from zentry_web.web.input.columns import LEDGER as LIST_COLUMNS
from zentry_web.web.input.columns import stays
from zentry_web.web.input.paging import PAGE_SIZE, last_key, number_argument, pages, rows_asked
from zentry_web.web.input.saved_views import list_saved, opening, view_context
from zentry_web.web.input.search import Searched, read_list, stay
from zentry_web.web.output.files import csv_file
from zentry_web.web.output.filters import viewer_zone
from zentry_web.web.output.htmx import is_htmx
from zentry_web.web.services import services
from zentry_web.web.session.actor import current_actor

COLUMNS = (
    "seq", "transfer_id", "at", "kind", "person_id", "person", "actor_id", "reason", "idempotency_key", "account",
    "account_id", "amount_micro", "balance_after_micro",
)  # fmt: skip


FIELDS = ("person", "kind", "account", "actor")  # of the plain form, of older addresses and of links


def _asked() -> tuple[Searched, LedgerFilter]:
    searched = read_list(LEDGER, FIELDS)
    try:
        return searched, ledger_filter(ListSearch(searched.terms, viewer_zone()))
    except ValueError as error:
        return Searched(searched.text, problem=str(error)), LedgerFilter()


@blueprint.get("/ledger")
def ledger() -> ResponseReturnValue:
    """Transfers that fit the address, newest first."""
    if chosen := LIST_COLUMNS.chosen_address():
        return redirect(chosen)
    searched, wanted = _asked()
    if searched.problem and is_htmx():
        return stay(searched)
    views = list_saved(ListKind.LEDGER)
    if opens := opening(views):
        return redirect(opens)
    limit, before, browser = rows_asked(PAGE_SIZE), number_argument("before"), services().billing.books.ledger
    rows = []
    if not searched.problem:
        rows = browser.list_transfers(wanted, actor=current_actor(), before=before, limit=limit)
    file_url = url_for("admin.ledger_file", q=searched.text or None)
    shown = {"rows": rows, "searched": searched, "kinds": list(TransferKind), "accounts": list(AccountKind)}
    shown |= {"shown": LIST_COLUMNS.shown(), "keep": stays()}
    shown |= view_context(ListKind.LEDGER, views, q=searched.text)
    return render_template("admin/ledger.html", **shown, file_url=file_url, **pages(last_key(rows, "seq", limit)))


@blueprint.get("/ledger.csv")
def ledger_file() -> Response:
    """Every entry of the transfers that fit."""
    searched, wanted = _asked()
    if searched.problem:
        raise ValidationError(searched.problem)
    found = services().billing.books.ledger.export(wanted, actor=current_actor())
    rows = (
        (
            row.seq, row.id, iso(row.at), str(row.kind), row.owner_id, row.owner_email, row.actor_id, row.reason, key,
            str(entry.account), entry.account_id, entry.amount_micro, entry.balance_after_micro,
        )
        for row, key, entry in found
    )  # fmt: skip
    return csv_file("zentry-ledger", COLUMNS, rows)


@blueprint.get("/ledger/<transfer_id>")
def ledger_transfer(transfer_id: str) -> ResponseReturnValue:
    """One transfer: its entries, who, why, and the charges behind it."""
    found = services().billing.books.ledger.get_transfer(transfer_id, actor=current_actor())
    return render_template("admin/ledger_transfer.html", transfer=found)
