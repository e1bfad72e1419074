"""For admins: the ledger, filtered in the address; one transfer opened; the same as CSV."""

from dataclasses import dataclass, field
from typing import Any

from flask import Response, render_template, url_for
from flask.typing import ResponseReturnValue

from zentry_web.blueprints.admin.routes import blueprint
from zentry_web.domain.bill_csv import iso
from zentry_web.domain.billing import AccountKind, TransferKind
from zentry_web.domain.books import LedgerFilter
from zentry_web.domain.money import parse_credits
from zentry_web.web.actor import current_actor
from zentry_web.web.files import csv_file
from zentry_web.web.htmx import is_htmx
from zentry_web.web.paging import PAGE_SIZE, last_key, number_argument, pages, text_argument
from zentry_web.web.period import asked_dates, moments
from zentry_web.web.services import services

COLUMNS = (
    "seq", "transfer_id", "at", "kind", "person_id", "person", "actor_id", "reason", "idempotency_key", "account",
    "account_id", "amount_micro", "balance_after_micro",
)  # fmt: skip


@dataclass
class Asked:
    """The filter as it was typed, what it means, and what of it means nothing."""

    typed: dict[str, str]
    wanted: LedgerFilter
    errors: list[str] = field(default_factory=list)


def _asked() -> Asked:
    typed = {name: text_argument(name) for name in ("person", "kind", "account", "actor", "text", "least", "most")}
    first, last = asked_dates()
    typed |= {"from": f"{first or ''}", "to": f"{last or ''}"}
    errors: list[str] = []
    amounts: dict[str, int | None] = {}
    for name in ("least", "most"):
        try:
            amounts[name] = parse_credits(typed[name]) if typed[name] else None
        except ValueError as error:
            amounts[name] = None
            errors.append(str(error))
    start, end = moments(first, last)
    wanted = LedgerFilter(
        person=typed["person"], kind=typed["kind"] if typed["kind"] in set(TransferKind) else "",
        account=typed["account"] if typed["account"] in set(AccountKind) else "", actor=typed["actor"],
        text=typed["text"], least=amounts["least"], most=amounts["most"], start=start, end=end,
    )  # fmt: skip
    return Asked(typed, wanted, errors)


@blueprint.get("/ledger")
def ledger() -> ResponseReturnValue:
    """Transfers that fit the address, newest first."""
    asked = _asked()
    rows = services().get_billing_service().books.ledger.list_transfers(
        asked.wanted, actor=current_actor(), before=number_argument("before"), limit=PAGE_SIZE
    )  # fmt: skip
    template = "admin/_ledger.html" if is_htmx() else "admin/ledger.html"
    shown = {"rows": rows, "asked": asked, "kinds": list(TransferKind), "accounts": list(AccountKind)}
    arguments: dict[str, Any] = {name: text for name, text in asked.typed.items() if text}
    file_url = url_for("admin.ledger_file", **arguments)
    return render_template(template, **shown, file_url=file_url, **pages(last_key(rows, "seq")))


@blueprint.get("/ledger.csv")
def ledger_file() -> Response:
    """Every entry of the transfers that fit."""
    found = services().get_billing_service().books.ledger.export(_asked().wanted, actor=current_actor())
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
    found = services().get_billing_service().books.ledger.get_transfer(transfer_id, actor=current_actor())
    return render_template("admin/ledger_transfer.html", transfer=found)
