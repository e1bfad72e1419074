"""What the landing plan reads: what burns how fast, who has something, whose machines wait for it."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, func, select, type_coerce
from sqlalchemy.orm import Session

from zentry_web.domain.billing import AccountKind, UsageState
from zentry_web.domain.landing import Lander, seconds_of
from zentry_web.domain.usage import EPOCH, OpenHold, whole_second
from zentry_web.models import DbProject, DbVM
from zentry_web.services import ledger
from zentry_web.services.settlement import HOLD, INTERVAL


def as_lander(row: Any) -> Lander:
    vm: DbVM = row["DbVM"]
    hold = None
    if row[HOLD.c.id] is not None:
        hold = OpenHold(
            row[HOLD.c.id], vm.id, row[HOLD.c.rate_micro_per_hour], row[HOLD.c.remaining],
            row[HOLD.c.paid_until], row[INTERVAL.c.settled_until], row[INTERVAL.c.time_zone],
        )  # fmt: skip
    disk = vm.stopped_micro_per_hour if row[INTERVAL.c.state] == UsageState.STOPPED else 0
    return Lander(vm.id, vm.name, vm.importance, hold, disk, vm.disk_until, row[DbProject.name])


def waiting_owners(condition: Any) -> Any:
    """Owners with something in their wallet who have VMs like that."""
    return (
        select(DbVM.owner_id)
        .distinct()
        .join(ledger.ACCOUNT, ledger.ACCOUNT.c.owner_id == DbVM.owner_id)
        .where(condition, ledger.ACCOUNT.c.kind == AccountKind.WALLET, ledger.ACCOUNT.c.balance > 0)
        .order_by(DbVM.owner_id)
    )


def burn_of(session: Session, owner_id: str) -> int:
    query = select(func.sum(INTERVAL.c.rate_micro_per_hour))
    return int(session.scalar(query.where(INTERVAL.c.owner_id == owner_id, INTERVAL.c.end_at.is_(None))) or 0)


def read_burn(session: Session, now: datetime) -> dict[str, tuple[int, int]]:
    """Of each owner with something that costs: micro-credits per hour, and what has accrued since it was charged."""
    query = select(INTERVAL.c.owner_id, func.sum(INTERVAL.c.rate_micro_per_hour), func.sum(used_of(now)))
    rows = session.execute(query.where(INTERVAL.c.end_at.is_(None)).group_by(INTERVAL.c.owner_id))
    return {owner_id: (int(burn), int(accrued) // 3600) for owner_id, burn, accrued in rows}


def used_of(now: datetime) -> ColumnElement[int]:
    """Of an open interval: micro-credits since it was charged, times 3600."""
    return INTERVAL.c.rate_micro_per_hour * (
        seconds_of(whole_second(now) - EPOCH) - type_coerce(INTERVAL.c.settled_until, BigInteger)
    )


def read_totals(session: Session, owner_ids: Iterable[str]) -> dict[str, int]:
    owners = set(owner_ids)
    accounts = ledger.ACCOUNT
    query = select(accounts.c.owner_id, func.sum(accounts.c.balance)).where(accounts.c.owner_id.is_not(None))
    if len(owners) <= 500:
        query = query.where(accounts.c.owner_id.in_(owners))
    rows = session.execute(query.group_by(accounts.c.owner_id))
    return {owner: int(total) for owner, total in rows if owner in owners}
