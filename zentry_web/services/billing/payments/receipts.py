"""Receipts and credit notes: written in the transaction that moves the credits, numbered without a gap, for good."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from zentry_web.adapters.database import upsert
from zentry_web.domain.credits.taxes import (
    BuyerKind,
    Receipt,
    ReceiptKind,
    Tax,
    TaxSum,
    TradeParty,
    full_number,
    part_of,
)
from zentry_web.domain.language import _
from zentry_web.domain.user import SYSTEM, Actor
from zentry_web.models import DbPayment, DbReceipt, DbReceiptSeries
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.errors import NotFoundError
from zentry_web.services.shared.access import require_admin, require_self
from zentry_web.services.shared.parties import Parties, read_details
from zentry_web.services.shared.rate_limits import RateLimiter


class Receipts(BaseService):
    """Money is minor units, times aware UTC."""

    name = "receipts"

    def __init__(self, core: Core, parties: Parties) -> None:
        super().__init__(core)
        self._parties = parties

    # -- written by the payments' book ----------------------------------------------------------

    def issue(self, session: Session, payment: DbPayment) -> str:
        """The receipt of a payment that came in, after its credits were posted; returns its number in full."""
        return self._write(session, payment, ReceiptKind.RECEIPT, tax_kept(session, payment), "")

    def correct(self, session: Session, payment: DbPayment) -> str | None:
        """A credit note about what was given back since the last one, if there is any; its number in full.

        Tax is given back in proportion: each part gets what is due by then less what was given back before. A payment
        from before there were receipts gets none.
        """
        receipt = session.scalar(_of(payment.id).where(DbReceipt.kind == ReceiptKind.RECEIPT))
        if receipt is None:
            return None
        notes = select(
            func.coalesce(func.sum(DbReceipt.net_minor + DbReceipt.tax_minor), 0),
            func.coalesce(func.sum(DbReceipt.tax_minor), 0),
        ).where(DbReceipt.payment_id == payment.id, DbReceipt.kind == ReceiptKind.CREDIT_NOTE)
        gross, tax = (int(each) for each in session.execute(notes).one())
        if payment.refunded_minor == gross:
            return None
        due = part_of(payment.tax_minor, payment.refunded_minor, payment.minor)
        part = payment.refunded_minor - gross
        changed = replace(tax_kept(session, payment), net_minor=part - (due - tax), tax_minor=due - tax)
        of = full_number(ReceiptKind.RECEIPT, receipt.year, receipt.number)
        return self._write(session, payment, ReceiptKind.CREDIT_NOTE, changed, of)

    def _write(self, session: Session, payment: DbPayment, kind: ReceiptKind, tax: Tax, of: str) -> str:
        now = self.now()
        number = _next_number(session, kind, now.year)
        body = {"note": tax.note, "buyer": tax.buyer.as_json(), "seller": self._parties.get_seller().as_json()}
        row = DbReceipt(
            id=self.new_id("rcp"), kind=kind, year=now.year, number=number, at=now, payment_id=payment.id,
            owner_id=payment.owner_id, of_number=of, net_minor=tax.net_minor, tax_minor=tax.tax_minor,
            currency=tax.currency, country=tax.country, buyer_kind=str(tax.kind), basis_points=tax.basis_points,
            label=tax.label, body=body,
        )  # fmt: skip
        session.add(row)
        session.flush()
        return full_number(kind, now.year, number)

    # -- looking --------------------------------------------------------------------------------

    def list_of_payment(self, user_id: str, payment_id: str, *, actor: Actor = SYSTEM) -> list[Receipt]:
        """The receipt of a payment and its credit notes, oldest first. Raises NotFoundError (somebody else's)."""
        require_self(actor, user_id)
        with self.reading() as session:
            owner_id = session.scalar(select(DbPayment.owner_id).where(DbPayment.id == payment_id))
            if owner_id != user_id:
                raise NotFoundError(_("There is no such payment."))
            return [_as_receipt(row) for row in session.scalars(_of(payment_id))]

    def get_for_pdf(self, user_id: str, receipt_id: str, *, actor: Actor = SYSTEM) -> Receipt:
        """One, to be set as a document, which takes a while. Raises NotFoundError, RateLimitedError."""
        require_self(actor, user_id)
        with self.reading() as session:
            row = session.get(DbReceipt, receipt_id)
            if row is None or row.owner_id != user_id:
                raise NotFoundError(_("There is no such receipt."))
            found = _as_receipt(row)
        RateLimiter(self._core).check_actor("statement_pdf", actor)
        return found

    def list_between(self, user_id: str, start: datetime, end: datetime, *, actor: Actor = SYSTEM) -> list[Receipt]:
        """A person's receipts and credit notes of [start, end), oldest first."""
        require_self(actor, user_id)
        mine = DbReceipt.owner_id == user_id, DbReceipt.at >= start, DbReceipt.at < end
        with self.reading() as session:
            return [_as_receipt(row) for row in session.scalars(select(DbReceipt).where(*mine).order_by(DbReceipt.id))]

    def sums(self, start: datetime, end: datetime, *, actor: Actor = SYSTEM) -> list[TaxSum]:
        """What the receipts of [start, end) less the credit notes came to, by month (UTC), country, kind of buyer, rate
        and currency; admins only."""
        require_admin(actor)
        query = select(DbReceipt).where(DbReceipt.at >= start, DbReceipt.at < end)
        with self.reading() as session:
            return add_up(session.scalars(query.execution_options(yield_per=1000)))

    def export(self, start: datetime, end: datetime, *, actor: Actor = SYSTEM) -> list[TaxSum]:
        """The same for a file. Raises PermissionDeniedError, RateLimitedError."""
        require_admin(actor)
        RateLimiter(self._core).check_actor("file", actor)
        return self.sums(start, end, actor=actor)


def tax_kept(session: Session, payment: DbPayment) -> Tax:
    """What was worked out when the payment began; of one from before taxes: none."""
    if payment.tax is not None:
        return Tax.from_json(payment.tax)
    buyer = read_details(session, payment.owner_id)
    return Tax(payment.minor, 0, payment.currency, 0, "", "", buyer, buyer.kind, buyer.country)


def add_up(rows: Iterable[DbReceipt]) -> list[TaxSum]:
    """The sums of receipts less credit notes, in the order of their keys."""
    sums: dict[tuple[Any, ...], list[int]] = {}
    for row in rows:
        key = (f"{row.at:%Y-%m}", row.country, row.buyer_kind, row.basis_points, row.label, row.currency)
        found = sums.setdefault(key, [0, 0, 0, 0])
        is_note = row.kind == ReceiptKind.CREDIT_NOTE
        sign = -1 if is_note else 1
        found[1 if is_note else 0] += 1
        found[2] += sign * row.net_minor
        found[3] += sign * row.tax_minor
    return [
        TaxSum(month, country, BuyerKind(kind), label, points, currency, *found)
        for (month, country, kind, points, label, currency), found in sorted(sums.items())
    ]


def _next_number(session: Session, kind: ReceiptKind, year: int) -> int:
    """The next one of its series. Whoever writes another waits here for this transaction's end: it is rolled back with
    it, so no number is left out. Ledger accounts are locked before it, never after."""
    statement = upsert(session, DbReceiptSeries).values(kind=str(kind), year=year, last=1)
    raised = {"last": DbReceiptSeries.last + 1}
    statement = statement.on_conflict_do_update(index_elements=["kind", "year"], set_=raised)
    return int(session.execute(statement.returning(DbReceiptSeries.last)).scalar_one())


def _of(payment_id: str) -> Any:
    return select(DbReceipt).where(DbReceipt.payment_id == payment_id).order_by(DbReceipt.id)


def _as_receipt(row: DbReceipt) -> Receipt:
    buyer = TradeParty.from_json(row.body["buyer"])
    tax = Tax(
        row.net_minor, row.tax_minor, row.currency, row.basis_points, row.label, row.body["note"], buyer,
        BuyerKind(row.buyer_kind), row.country,
    )  # fmt: skip
    return Receipt(
        row.id, ReceiptKind(row.kind), row.year, row.number, row.at, row.payment_id, row.of_number, tax,
        TradeParty.from_json(row.body["seller"]),
    )  # fmt: skip
