"""What usage has cost: balances, burn rates, sums per VM and project. Only reads; a constant number of statements."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Row, Select, and_, case, func, literal, select, type_coerce, union_all
from sqlalchemy.orm import Session

from zentry_web.domain.billing import AccountKind, Balance, UsageLine, UsageState, UsageSummary
from zentry_web.domain.money import SECONDS_PER_HOUR
from zentry_web.domain.project import Spend
from zentry_web.domain.usage import (
    EPOCH,
    ChargeKind,
    day_start,
    local_month,
    month_start,
    next_month_start,
    seconds_between,
)
from zentry_web.models import DbUser, DbVM
from zentry_web.services.errors import NotFoundError
from zentry_web.services.ledger import ACCOUNT, USER_ACCOUNTS
from zentry_web.services.settlement import CHARGE, INTERVAL, MONTH, UNSETTLED


def unsettled_seconds(now: datetime, since: datetime | None = None) -> ColumnElement[int]:
    """SQL: seconds of an open interval not charged yet, up to now; those from ``since`` on, if given."""
    begin: ColumnElement[int] = type_coerce(INTERVAL.c.settled_until, BigInteger)
    until = literal(seconds_between(EPOCH, now), BigInteger)
    if since is not None:
        earliest = literal(seconds_between(EPOCH, since), BigInteger)
        begin = case((begin < earliest, earliest), else_=begin)
    return case((until > begin, until - begin), else_=0)


def cost_of(seconds: ColumnElement[int], rate: ColumnElement[int] | None = None) -> ColumnElement[int]:
    """SQL: what seconds at the interval's (or another) rate cost, rounded half to even (as domain/money.py does)."""
    used = (INTERVAL.c.rate_micro_per_hour if rate is None else rate) * seconds
    whole, twice = used // SECONDS_PER_HOUR, used % SECONDS_PER_HOUR * 2
    up = (twice > SECONDS_PER_HOUR) | and_(twice == SECONDS_PER_HOUR, whole % 2 == 1)
    return whole + case((up, 1), else_=0)


def read_balance(session: Session, owner_id: str, now: datetime) -> Balance:
    """Wallet, held, and what running and stopped VMs have used since they were last charged. Two statements.

    The accrued amount is exact to a micro-credit per VM while the biller keeps up. Raises NotFoundError.
    """
    rows = session.execute(
        select(ACCOUNT.c.kind, ACCOUNT.c.balance).where(
            ACCOUNT.c.owner_id == owner_id, ACCOUNT.c.kind.in_(USER_ACCOUNTS)
        )
    )
    balances = {row.kind: row.balance for row in rows}
    if not balances:
        raise NotFoundError("There is no such account.")
    accrued, burn = session.execute(
        select(func.sum(cost_of(unsettled_seconds(now))), func.sum(INTERVAL.c.rate_micro_per_hour)).where(
            INTERVAL.c.owner_id == owner_id, UNSETTLED
        )
    ).one()
    return Balance(
        at=now,
        wallet_micro=balances[AccountKind.WALLET],
        held_micro=balances[AccountKind.HELD],
        accrued_micro=int(accrued or 0),
        burn_micro_per_hour=int(burn or 0),
    )


def open_rate(session: Session, vm_id: str) -> int:
    """The rate of the VM's open interval; 0 when there is none."""
    query = select(INTERVAL.c.rate_micro_per_hour).where(INTERVAL.c.vm_id == vm_id, INTERVAL.c.end_at.is_(None))
    return session.scalars(query).one_or_none() or 0


def time_zone_of(session: Session, user_id: str) -> str:
    """The account's time zone. Raises NotFoundError."""
    zone = session.scalars(select(DbUser.time_zone).where(DbUser.id == user_id)).one_or_none()
    if zone is None:
        raise NotFoundError("There is no such account.")
    return zone


def month_spend(
    session: Session, owner_id: str, now: datetime, zone: str, project_id: str | None = None
) -> dict[str, int]:
    """Micro-credits since the month began, charged and accrued, per project (or of one). One statement."""
    charged: Select[Any] = (
        select(MONTH.c.project_id, func.sum(MONTH.c.amount))
        .where(MONTH.c.owner_id == owner_id, MONTH.c.month == local_month(now, zone))
        .group_by(MONTH.c.project_id)
    )
    accrued: Select[Any] = (
        select(INTERVAL.c.project_id, func.sum(cost_of(unsettled_seconds(now, month_start(now, zone)))))
        .where(INTERVAL.c.owner_id == owner_id, UNSETTLED)
        .group_by(INTERVAL.c.project_id)
    )
    if project_id is not None:
        charged = charged.where(MONTH.c.project_id == project_id)
        accrued = accrued.where(INTERVAL.c.project_id == project_id)
    spend: dict[str, int] = {}
    for project, amount in session.execute(union_all(charged, accrued)):
        spend[project] = spend.get(project, 0) + int(amount)
    return spend


def project_spend(session: Session, project_id: str, owner_id: str, now: datetime, zone: str) -> Spend:
    """What a project costs its owner now, and has cost them today (charges that began today) and this month.

    One statement.
    """
    today, this_month, none = day_start(now, zone), month_start(now, zone), literal(0)
    month = select(func.sum(MONTH.c.amount), none, none).where(
        MONTH.c.owner_id == owner_id, MONTH.c.project_id == project_id, MONTH.c.month == local_month(now, zone)
    )
    day = (
        select(none, func.sum(CHARGE.c.amount), none)
        .join_from(CHARGE, INTERVAL, INTERVAL.c.id == CHARGE.c.interval_id)
        .where(CHARGE.c.owner_id == owner_id, CHARGE.c.from_at >= today, INTERVAL.c.project_id == project_id)
    )
    accrued = select(
        func.sum(cost_of(unsettled_seconds(now, this_month))),
        func.sum(cost_of(unsettled_seconds(now, today))),
        func.sum(case((INTERVAL.c.end_at.is_(None), INTERVAL.c.rate_micro_per_hour), else_=0)),
    ).where(INTERVAL.c.owner_id == owner_id, INTERVAL.c.project_id == project_id, UNSETTLED)
    sums = [0, 0, 0]
    for row in session.execute(union_all(month, day, accrued)):
        sums = [total + int(part or 0) for total, part in zip(sums, row, strict=True)]
    return Spend(sums[2], sums[1], sums[0], next_month_start(now, zone), now)


def spend_by_project(session: Session, projects: Mapping[str, tuple[str, str]], now: datetime) -> dict[str, int]:
    """Micro-credits since the month began that projects of several owners have cost their owners.

    ``projects``: id to (owner's id, owner's time zone), which says when the month began. One statement; none for none.
    """
    zones: dict[str, list[str]] = {}
    for project_id, (_, zone) in projects.items():
        zones.setdefault(zone, []).append(project_id)
    parts: list[Select[Any]] = []
    for zone, ids in zones.items():
        owners = {projects[project_id][0] for project_id in ids}
        seconds = unsettled_seconds(now, month_start(now, zone))
        parts += [
            select(MONTH.c.project_id, MONTH.c.owner_id, func.sum(MONTH.c.amount))
            .where(MONTH.c.owner_id.in_(owners), MONTH.c.project_id.in_(ids), MONTH.c.month == local_month(now, zone))
            .group_by(MONTH.c.project_id, MONTH.c.owner_id),
            select(INTERVAL.c.project_id, INTERVAL.c.owner_id, func.sum(cost_of(seconds)))
            .where(INTERVAL.c.owner_id.in_(owners), INTERVAL.c.project_id.in_(ids), UNSETTLED)
            .group_by(INTERVAL.c.project_id, INTERVAL.c.owner_id),
        ]
    spend: dict[str, int] = {}
    for project_id, owner_id, amount in session.execute(union_all(*parts)) if parts else ():
        if owner_id == projects[project_id][0]:
            spend[project_id] = spend.get(project_id, 0) + int(amount)
    return spend


def read_month(session: Session, owner_id: str, now: datetime, zone: str) -> UsageSummary:
    """Every VM's use since the month began, from the monthly sums and what has accrued since. Two statements."""
    settled = (
        select(*_VM, MONTH.c.project_id, MONTH.c.state, MONTH.c.seconds, MONTH.c.amount)
        .join(DbVM, DbVM.id == MONTH.c.vm_id)
        .where(MONTH.c.owner_id == owner_id, MONTH.c.month == local_month(now, zone))
    )
    start = month_start(now, zone)
    rows = [*session.execute(settled), *session.execute(_accrued(owner_id, now, start))]
    return UsageSummary(start, next_month_start(now, zone), _lines(rows))


def read_period(session: Session, owner_id: str, start: datetime, end: datetime, now: datetime) -> UsageSummary:
    """Every VM's charges that begin in [start, end), and what has accrued in it since. Two statements."""
    settled = (
        select(
            *_VM,
            INTERVAL.c.project_id,
            INTERVAL.c.state,
            func.sum(case((CHARGE.c.kind == ChargeKind.USAGE, CHARGE.c.seconds), else_=0)).label("seconds"),
            func.sum(CHARGE.c.amount).label("amount"),
        )
        .join(INTERVAL, INTERVAL.c.id == CHARGE.c.interval_id)
        .join(DbVM, DbVM.id == CHARGE.c.vm_id)
        .where(CHARGE.c.owner_id == owner_id, CHARGE.c.from_at >= start, CHARGE.c.from_at < end)
        .group_by(*_VM, INTERVAL.c.project_id, INTERVAL.c.state)
    )
    rows = [*session.execute(settled), *session.execute(_accrued(owner_id, min(now, end), start))]
    return UsageSummary(start, end, _lines(rows))


_VM = (DbVM.id, DbVM.name, DbVM.deleted_at)


def _accrued(owner_id: str, until: datetime, since: datetime) -> Select[Any]:
    seconds = unsettled_seconds(until, since)
    return (
        select(
            *_VM, INTERVAL.c.project_id, INTERVAL.c.state, seconds.label("seconds"), cost_of(seconds).label("amount")
        )
        .join(DbVM, DbVM.id == INTERVAL.c.vm_id)
        .where(INTERVAL.c.owner_id == owner_id, UNSETTLED)
    )


def _lines(rows: Sequence[Row[Any]]) -> tuple[UsageLine, ...]:
    """One line per VM, the dearest first."""
    lines: dict[str, UsageLine] = {}
    for row in rows:
        vm_id, name, deleted_at, project_id, state, seconds, amount = tuple(row)
        line = lines.get(vm_id) or UsageLine(vm_id, name, project_id, deleted_at is not None, 0, 0, 0)
        running = int(seconds) if state == UsageState.RUNNING else 0
        lines[vm_id] = replace(
            line,
            running_seconds=line.running_seconds + running,
            stopped_seconds=line.stopped_seconds + int(seconds) - running,
            amount_micro=line.amount_micro + int(amount),
        )
    return tuple(sorted(lines.values(), key=lambda line: (-line.amount_micro, line.vm_name, line.vm_id)))
