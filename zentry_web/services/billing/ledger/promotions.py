"""Promotional credit in the ledger (ADR 0026): it lies in the wallet and on holds like any other, and rows beside them
say how much of both it is. Callers hold the lock of the owner's wallet, except where a function only reads.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from sqlalchemy import Row, Select, Table, insert, select
from sqlalchemy.orm import Session

from zentry_web.domain.credits.promotions import Promotion, expiry_of, in_order, notice_due, take
from zentry_web.domain.ids import new_id
from zentry_web.models import DbPromotion, DbPromotionUse
from zentry_web.services.billing.ledger.fast_sql import insert_rows, update_rows
from zentry_web.services.billing.ledger.posting import ACCOUNT, TRANSFER, USER_ACCOUNTS, account_id

PROMOTION = cast(Table, DbPromotion.__table__)
USE = cast(Table, DbPromotionUse.__table__)


@dataclass(frozen=True, slots=True)
class Use:
    """Promotional credits that a transfer took out of a person's wallet or holds."""

    owner_id: str
    transfer_id: str
    micro: int


def give(
    session: Session, owner_id: str, transfer_id: str, micro: int, expires_at: datetime | None, now: datetime
) -> None:
    """Note that what a transfer brought is promotional, until the whole hour at or after ``expires_at``."""
    end = expiry_of(expires_at) if expires_at else None
    row = {
        "id": new_id("prm", now), "owner_id": owner_id, "transfer_id": transfer_id, "amount": micro,
        "remaining": micro, "expires_at": end, "given_at": now,
        "told": (notice_due(end, now, 0) or 0) if end else 0,  # whoever gives says when it ends
    }  # fmt: skip
    session.execute(insert(PROMOTION), [row])
    _add_to_wallets(session, {owner_id: micro})


def read(session: Session, owner_ids: Collection[str], *, used_up: bool = False) -> dict[str, list[Promotion]]:
    """What promotions of these people have left, in the order in which they are used. One statement; only reads."""
    query = _query().where(PROMOTION.c.owner_id.in_(owner_ids))
    if not used_up:
        query = query.where(PROMOTION.c.remaining > 0)
    found: dict[str, list[Promotion]] = {}
    for row in session.execute(query) if owner_ids else ():
        found.setdefault(row.owner_id, []).append(_as_promotion(row))
    return {owner_id: in_order(promotions) for owner_id, promotions in found.items()}


def read_ending(session: Session, owner_ids: Collection[str]) -> dict[str, list[Promotion]]:
    """The promotions that end of those of these people whose promotions do not all stay. One statement; only reads."""
    query = _query().where(PROMOTION.c.remaining > 0, PROMOTION.c.expires_at.is_not(None))
    found: dict[str, list[Promotion]] = {}
    for row in session.execute(query):
        if row.owner_id in owner_ids:
            found.setdefault(row.owner_id, []).append(_as_promotion(row))
    return {owner_id: in_order(promotions) for owner_id, promotions in found.items()}


def read_one(session: Session, promotion_id: str) -> tuple[str, Promotion] | None:
    """A promotion and whose it is. Only reads."""
    row = session.execute(_query().where(PROMOTION.c.id == promotion_id)).one_or_none()
    return (row.owner_id, _as_promotion(row)) if row else None


def use(session: Session, uses: Sequence[Use]) -> None:
    """Count what these transfers, one for each person, used: of what expires soonest first."""
    if not uses:
        return
    left = read(session, [each.owner_id for each in uses])
    take_parts(session, [(each, take(left[each.owner_id], each.micro)) for each in uses])


def take_parts(session: Session, taken: Sequence[tuple[Use, list[tuple[Promotion, int]]]]) -> None:
    """Count what transfers used of which promotions. Raises ValueError where that is not all they used."""
    rows: list[dict[str, Any]] = []
    for use_, parts in taken:
        if sum(part for _, part in parts) != use_.micro:
            raise ValueError(f"promotions of {use_.owner_id} have less left than their wallet says")
        rows += [{"promotion_id": each.id, "transfer_id": use_.transfer_id, "amount": part} for each, part in parts]
    insert_rows(session, USE, rows)
    update_rows(
        session, PROMOTION, [{"id": row["promotion_id"], "remaining": -row["amount"]} for row in rows],
        add=("remaining",),
    )  # fmt: skip
    gone: dict[str, int] = {}
    for use_, _ in taken:
        gone[use_.owner_id] = gone.get(use_.owner_id, 0) - use_.micro
    _add_to_wallets(session, gone)


def _add_to_wallets(session: Session, gains: dict[str, int]) -> None:
    wallet = USER_ACCOUNTS[0]
    rows = [{"id": account_id(wallet, owner_id), "promo": gain} for owner_id, gain in sorted(gains.items())]
    update_rows(session, ACCOUNT, rows, add=("promo",))


def _query() -> Select[Any]:
    return select(PROMOTION, TRANSFER.c.reason).join(TRANSFER, TRANSFER.c.id == PROMOTION.c.transfer_id)


def _as_promotion(row: Row[Any]) -> Promotion:
    return Promotion(row.id, row.amount, row.remaining, row.expires_at, row.given_at, row.reason)
