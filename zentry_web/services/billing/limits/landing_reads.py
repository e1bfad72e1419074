"""What the landing plan reads: what burns how fast, who has something, whose machines wait for it."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from zentry_web.domain.credits.billing import AccountKind
from zentry_web.models import DbStored, DbVM
from zentry_web.services.billing.ledger import posting as ledger
from zentry_web.services.billing.usage.settlement import INTERVAL


def waiting_owners(condition: Any) -> Any:
    """Owners with something in their wallet who have VMs like that."""
    return (
        select(DbVM.owner_id)
        .distinct()
        .join(ledger.ACCOUNT, ledger.ACCOUNT.c.owner_id == DbVM.owner_id)
        .where(condition, ledger.ACCOUNT.c.kind == AccountKind.WALLET, ledger.ACCOUNT.c.balance > 0)
        .order_by(DbVM.owner_id)
    )


def storing_owners() -> Any:
    """Owners with something in their wallet for whom something is stored without a charge."""
    return (
        select(DbStored.owner_id)
        .distinct()
        .join(ledger.ACCOUNT, ledger.ACCOUNT.c.owner_id == DbStored.owner_id)
        .where(DbStored.kept_until.is_not(None), ledger.ACCOUNT.c.kind == AccountKind.WALLET)
        .where(ledger.ACCOUNT.c.balance > 0)
    )


def burn_of(session: Session, owner_id: str) -> int:
    query = select(func.sum(INTERVAL.c.rate_micro_per_hour))
    return int(session.scalar(query.where(INTERVAL.c.owner_id == owner_id, INTERVAL.c.end_at.is_(None))) or 0)


def read_totals(session: Session, owner_ids: Iterable[str]) -> dict[str, int]:
    owners = set(owner_ids)
    accounts = ledger.ACCOUNT
    query = select(accounts.c.owner_id, func.sum(accounts.c.balance)).where(accounts.c.owner_id.is_not(None))
    if len(owners) <= 500:
        query = query.where(accounts.c.owner_id.in_(owners))
    rows = session.execute(query.group_by(accounts.c.owner_id))
    return {owner: int(total) for owner, total in rows if owner in owners}
