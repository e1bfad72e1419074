"""Giving back what was charged: never more of a charge than was paid of it and not given back before.

A refund is spread over charges, the latest first, so that two refunds that meet on one charge, by its interval or by
the transfer that paid it, see each other. All under the lock of the owner's wallet.
"""

from typing import Any

from sqlalchemy import ColumnElement, func, insert, select
from sqlalchemy.orm import Session

from zentry_web.domain.credits.billing import AccountKind, Transaction
from zentry_web.domain.credits.books import ByHand, Refundable, spread_refund
from zentry_web.domain.credits.statement import promoted_parts, unpaid_parts
from zentry_web.domain.language import _
from zentry_web.domain.money import format_credits
from zentry_web.domain.notice_texts import say
from zentry_web.domain.target import Place, Target
from zentry_web.domain.user import SYSTEM, Actor
from zentry_web.models import DbRefund
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.billing.ledger import posting as ledger
from zentry_web.services.billing.ledger.by_hand import ByHandPosting, body_of
from zentry_web.services.billing.ledger.posting import ENTRY, account_id
from zentry_web.services.billing.usage.settlement import CHARGE
from zentry_web.services.errors import NotFoundError, ValidationError
from zentry_web.services.shared.access import require_admin
from zentry_web.services.shared.notices import Notices

_WRITE_OFF = account_id(AccountKind.WRITE_OFF)


class Refunds(BaseService):
    """Amounts are micro-credits. ``target``: 'transfer:ID' or 'interval:ID'."""

    name = "refunds"

    def __init__(self, core: Core, posting: ByHandPosting, notices: Notices) -> None:
        super().__init__(core)
        self._posting = posting
        self._notices = notices

    def owner_of(self, target: str, *, actor: Actor = SYSTEM) -> str:
        """Whose charges these are. Raises NotFoundError when nothing was charged there."""
        require_admin(actor)
        with self.reading() as session:
            owner_id: str | None = session.scalar(select(CHARGE.c.owner_id).where(_of(target)).limit(1))
        if owner_id is None:
            raise NotFoundError(_("Nothing was charged there."))
        return owner_id

    def left_of(self, target: str, *, actor: Actor = SYSTEM) -> int:
        """What of these charges was paid and can still be given back."""
        require_admin(actor)
        with self.reading() as session:
            return sum(charge.left_micro for charge in _read(session, target))

    def check(self, asked: ByHand) -> list[Refundable]:
        """The charges a refund can be spread over, in the caller's transaction. Raises ValidationError (amount)."""
        with self.transaction() as session:
            charges = _read(session, asked.target, asked.user_id)
        left = sum(charge.left_micro for charge in charges)
        if asked.amount > left:
            message = _(
                "At most %(left)s can be given back: what was paid and not refunded before.", left=format_credits(left)
            )
            raise ValidationError(message, details={"amount": message})
        return charges

    def post(self, asked: ByHand, key: str, *, actor: Actor) -> Transaction:
        """Give the credits back once per ``key`` and tell the person; joins the caller's transaction.

        Raises NotFoundError, ConflictError (key used for something else), ValidationError (amount: more than is left).
        """
        with self.transaction() as session:
            ledger.lock_accounts(session, [asked.user_id])
            is_new = ledger.find_posted(session, key, body_of(asked)) is None
            charges = self.check(asked) if is_new else []
            transaction = self._posting.post(asked, key, actor=actor)
            if is_new:
                rows = [_part(transaction.id, charge, part) for charge, part in spread_refund(charges, asked.amount)]
                session.execute(insert(DbRefund), rows)
                words = say("credits_refunded", credits=format_credits(asked.amount), reason=asked.reason)
                what, _, which = asked.target.partition(":")
                target = Target(Place.CHARGES if what == "interval" else Place.TRANSACTION, which)
                self._notices.tell(asked.user_id, "refund", transaction.id, *words, target=target)
            return transaction


def _of(target: str) -> ColumnElement[bool]:
    what, _, found = target.partition(":")
    column = CHARGE.c.interval_id if what == "interval" else CHARGE.c.transfer_id
    return column == found


def _read(session: Session, target: str, owner_id: str | None = None) -> list[Refundable]:
    """The charges with what was paid of each and what was given back of it. Three statements."""
    keys = (CHARGE.c.interval_id, CHARGE.c.from_at, CHARGE.c.kind)
    refunded = (
        select(func.coalesce(func.sum(DbRefund.amount), 0))
        .where(DbRefund.interval_id == keys[0], DbRefund.from_at == keys[1], DbRefund.kind == keys[2])
        .scalar_subquery()
    )
    query = select(*keys, CHARGE.c.amount, refunded.label("refunded")).where(_of(target))
    if owner_id is not None:
        query = query.where(CHARGE.c.owner_id == owner_id)
    rows = session.execute(query).all()
    unpaid = _unpaid(session, target)
    return [
        Refundable(
            row.interval_id, row.from_at, row.kind, row.amount - unpaid.get(tuple(row[:3]), 0), int(row.refunded)
        )
        for row in rows
    ]


def _unpaid(session: Session, target: str) -> dict[tuple[Any, ...], int]:
    """How much of which charges nobody's own credits paid: written off, or paid by promotions."""
    transfers = select(CHARGE.c.transfer_id).where(_of(target))
    written = session.execute(
        select(ENTRY.c.transfer_id, ENTRY.c.account_id, ENTRY.c.amount).where(
            ENTRY.c.account_id.in_((_WRITE_OFF, account_id(AccountKind.PROMO_USED))),
            ENTRY.c.transfer_id.in_(transfers),
        )
    ).all()
    if not written:
        return {}
    of: dict[str, list[Any]] = {row.transfer_id: [] for row in written}
    query = select(CHARGE).where(CHARGE.c.transfer_id.in_(of))
    for row in session.execute(query.order_by(CHARGE.c.from_at, CHARGE.c.interval_id, CHARGE.c.kind.desc())):
        of[row.transfer_id].append(row)
    found: dict[tuple[Any, ...], int] = {}
    for transfer_id, account, amount in written:
        amounts = [row.amount for row in of[transfer_id]]
        written_off = account == _WRITE_OFF
        parts = unpaid_parts(amounts, -int(amount)) if written_off else promoted_parts(amounts, int(amount))
        for row, part in zip(of[transfer_id], parts, strict=True):
            key = (row.interval_id, row.from_at, row.kind)
            found[key] = found.get(key, 0) + part
    return found


def _part(transfer_id: str, charge: Refundable, amount: int) -> dict[str, Any]:
    return {
        "transfer_id": transfer_id,
        "interval_id": charge.interval_id,
        "from_at": charge.from_at,
        "kind": charge.kind,
        "amount": amount,
    }
