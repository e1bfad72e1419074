"""What usage has cost: balances, burn rates, sums per VM and project. Only reads; a constant number of statements."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Row,
    Select,
    Table,
    bindparam,
    case,
    func,
    literal,
    select,
    type_coerce,
    union_all,
)
from sqlalchemy.orm import Session

from zentry_web.domain.credits.billing import AccountKind, Balance, UsageLine, UsageState, UsageSummary
from zentry_web.domain.credits.usage import (
    EPOCH,
    ChargeKind,
    day_start,
    local_month,
    month_start,
    next_month_start,
    seconds_between,
    whole_second,
)
from zentry_web.domain.language import _
from zentry_web.domain.money import SECONDS_PER_HOUR
from zentry_web.domain.projects.project import Spend
from zentry_web.domain.vms.vm import VM
from zentry_web.models import DbProject, DbUser, DbVM
from zentry_web.services.base_service import BaseService
from zentry_web.services.billing.ledger import promotions
from zentry_web.services.billing.ledger.posting import ACCOUNT
from zentry_web.services.billing.usage.settlement import CHARGE, INTERVAL, MONTH, OF_MACHINE, PROJECT_MONTH, UNSETTLED
from zentry_web.services.errors import NotFoundError


class Reports(BaseService):
    """What projects have cost, charged and accrued to the second; a part of BillingService. Amounts are micro-credits.
    Callers have checked who may know."""

    name = "reports"

    def month_spend_by_project(self, user_id: str, zone: str | None = None) -> dict[str, int]:
        """What each of a person's projects has cost since the month began. One statement, and one for ``zone``, the
        account's time zone, unless it is known. Raises NotFoundError."""
        with self.reading() as session:
            return _month_spend(session, user_id, self.now(), zone or time_zone_of(session, user_id))

    def project_month_spend(self, project_id: str) -> int:
        """What one project has cost since the month began. Two statements. Raises NotFoundError."""
        with self.reading() as session:
            owner = session.execute(
                select(DbUser.id, DbUser.time_zone)
                .join(DbProject, DbProject.owner_id == DbUser.id)
                .where(DbProject.id == project_id)
            ).one_or_none()
            if owner is None:
                raise NotFoundError(_("There is no such project."))
            return _month_spend(session, owner.id, self.now(), owner.time_zone, project_id).get(project_id, 0)

    def project_spend(self, project_id: str, owner_id: str) -> Spend:
        """What a project costs its owner now, and has cost them today (charges that began today) and this month.

        Two statements. Raises NotFoundError.
        """
        with self.reading() as session:
            zone = time_zone_of(session, owner_id)
        return self._spend(owner_id, zone, "project_id", project_id)

    def vm_spend(self, vm_id: str, owner_id: str, zone: str | None = None) -> Spend:
        """The same of one VM. One statement, and one for ``zone``, the owner's time zone, unless it is known. Raises
        NotFoundError."""
        if zone is None:
            with self.reading() as session:
                zone = time_zone_of(session, owner_id)
        return self._spend(owner_id, zone, "vm_id", vm_id)

    def month_of_vms(self, vms: Sequence[VM], zone: str) -> dict[str, int]:
        """What each of these VMs has cost since the month began in ``zone``, the account's that looks. One statement;
        none for none."""
        now, ids = self.now(), [vm.id for vm in vms]
        owners = {vm.owner_id for vm in vms}
        month = select(MONTH.c.vm_id, func.sum(MONTH.c.amount)).where(
            MONTH.c.owner_id.in_(owners), MONTH.c.vm_id.in_(ids), MONTH.c.month == local_month(now, zone)
        )
        accrued = select(INTERVAL.c.vm_id, func.sum(cost_of(unsettled_seconds(now, month_start(now, zone))))).where(
            INTERVAL.c.owner_id.in_(owners), INTERVAL.c.vm_id.in_(ids), UNSETTLED
        )
        found = dict.fromkeys(ids, 0)
        if not ids:
            return found
        parts = month.group_by(MONTH.c.vm_id), accrued.group_by(INTERVAL.c.vm_id)
        with self.reading() as session:
            for vm_id, micro in session.execute(union_all(*parts)):
                found[vm_id] += int(micro or 0)
        return found

    def _spend(self, owner_id: str, zone: str, of: str, thing: str) -> Spend:
        now = self.now()
        today, month = day_start(now, zone), month_start(now, zone)
        asked = _asked(owner_id, now, zone) | {"thing": thing, "day": today, "today": seconds_between(EPOCH, today)}
        sums = [0, 0, 0]
        with self.reading() as session:
            for row in session.execute(_SPEND[of], asked):
                sums = [total + int(part or 0) for total, part in zip(sums, row, strict=True)]
        return Spend(sums[2], sums[1], sums[0], next_month_start(month, zone), now)

    def spend_by_project(self, projects: Mapping[str, tuple[str, str]]) -> dict[str, int]:
        """What projects of several owners have cost their owners since the month began.

        ``projects``: id to (owner's id, owner's time zone), which says when it began. One statement; none for none.
        """
        now, zones = self.now(), dict[str, list[str]]()
        for project_id, (_owner, zone) in projects.items():
            zones.setdefault(zone, []).append(project_id)
        parts: list[Select[Any]] = []
        for zone, ids in zones.items():
            owners = {projects[project_id][0] for project_id in ids}
            seconds = unsettled_seconds(now, month_start(now, zone))
            parts += [
                select(PROJECT_MONTH.c.project_id, PROJECT_MONTH.c.owner_id, PROJECT_MONTH.c.amount).where(
                    PROJECT_MONTH.c.owner_id.in_(owners),
                    PROJECT_MONTH.c.project_id.in_(ids),
                    PROJECT_MONTH.c.month == local_month(now, zone),
                ),
                select(INTERVAL.c.project_id, INTERVAL.c.owner_id, func.sum(cost_of(seconds)))
                .where(INTERVAL.c.owner_id.in_(owners), INTERVAL.c.project_id.in_(ids), UNSETTLED)
                .group_by(INTERVAL.c.project_id, INTERVAL.c.owner_id),
            ]
        spend: dict[str, int] = {}
        with self.reading() as session:
            for project_id, owner_id, amount in session.execute(union_all(*parts)) if parts else ():
                if owner_id == projects[project_id][0]:
                    spend[project_id] = spend.get(project_id, 0) + int(amount)
        return spend


def unsettled_seconds(
    now: datetime | ColumnElement[int], since: datetime | ColumnElement[int] | None = None
) -> ColumnElement[int]:
    """SQL: seconds of an open interval not charged yet, up to now; those from ``since`` on, if given. Both may be
    epoch seconds of the statement's."""
    begin: ColumnElement[int] = type_coerce(INTERVAL.c.settled_until, BigInteger)
    until = _epoch_second(now)
    if since is not None:
        earliest = _epoch_second(since)
        begin = case((begin < earliest, earliest), else_=begin)
    return case((until > begin, until - begin), else_=0)


def _epoch_second(moment: datetime | ColumnElement[int]) -> ColumnElement[int]:
    return literal(seconds_between(EPOCH, moment), BigInteger) if isinstance(moment, datetime) else moment


def cost_of(seconds: ColumnElement[int], rate: ColumnElement[int] | None = None) -> ColumnElement[int]:
    """SQL: what seconds at the interval's (or another) rate cost, rounded half to even.

    On purpose a second reading of ``domain.money.cost``: sums over many intervals are made where these lie.
    """
    used = (INTERVAL.c.rate_micro_per_hour if rate is None else rate) * seconds
    half = SECONDS_PER_HOUR // 2
    # Half up, but for a half above an even number. Said shortly: SQLite works each mention of ``used`` out anew.
    return (used + half) // SECONDS_PER_HOUR - case((used % (2 * SECONDS_PER_HOUR) == half, 1), else_=0)


def accrued_of(now: datetime) -> ColumnElement[int]:
    """SQL: of an open interval, micro-credits since it was charged, times 3600."""
    second = seconds_between(EPOCH, whole_second(now))
    return INTERVAL.c.rate_micro_per_hour * (second - type_coerce(INTERVAL.c.settled_until, BigInteger))


def read_burn(session: Session, now: datetime, *conditions: ColumnElement[bool]) -> dict[str, tuple[int, int]]:
    """Of each owner with something that costs: micro-credits per hour, and what has accrued since it was charged."""
    query = select(INTERVAL.c.owner_id, func.sum(INTERVAL.c.rate_micro_per_hour), func.sum(accrued_of(now)))
    rows = session.execute(query.where(INTERVAL.c.end_at.is_(None), *conditions).group_by(INTERVAL.c.owner_id))
    return {owner_id: (int(burn), int(accrued) // 3600) for owner_id, burn, accrued in rows}


def read_balance(session: Session, owner_id: str, now: datetime) -> Balance:
    """Wallet, held, and what running and stopped VMs have used since they were last charged. One statement; two
    where some of it is promotional.

    The accrued amount is exact to a micro-credit per VM while the biller keeps up. Raises NotFoundError.
    """
    wallet, held, promo, accrued, burn = session.execute(
        _BALANCE, {"owner": owner_id, "now": seconds_between(EPOCH, now)}
    ).one()
    if wallet is None:
        raise NotFoundError(_("There is no such account."))
    return Balance(
        at=now,
        wallet_micro=wallet,
        held_micro=held,
        accrued_micro=int(accrued or 0),
        burn_micro_per_hour=int(burn or 0),
        promotions=tuple(promotions.read(session, [owner_id]).get(owner_id, ())) if promo else (),
    )


def _read_balance() -> Select[Any]:
    owner: Any = bindparam("owner")
    now = bindparam("now", type_=BigInteger)
    accounts = (
        select(ACCOUNT.c.balance).where(ACCOUNT.c.owner_id == owner, ACCOUNT.c.kind == kind).scalar_subquery()
        for kind in (AccountKind.WALLET, AccountKind.HELD)
    )
    sums = func.sum(cost_of(unsettled_seconds(now))), func.sum(INTERVAL.c.rate_micro_per_hour)
    promo = select(ACCOUNT.c.promo).where(ACCOUNT.c.owner_id == owner, ACCOUNT.c.kind == AccountKind.WALLET)
    return select(*accounts, promo.scalar_subquery(), *sums).where(INTERVAL.c.owner_id == owner, UNSETTLED)


_BALANCE = _read_balance()  # built once: every page says it


def open_rate(session: Session, vm_id: str) -> int:
    """The rate of the VM's open interval, without what is stored of it; 0 when there is none."""
    mine = INTERVAL.c.vm_id == vm_id, INTERVAL.c.end_at.is_(None), OF_MACHINE
    query = select(INTERVAL.c.rate_micro_per_hour).where(*mine)
    return session.scalars(query).one_or_none() or 0


def time_zone_of(session: Session, user_id: str) -> str:
    """The account's time zone. Raises NotFoundError."""
    zone = session.scalars(select(DbUser.time_zone).where(DbUser.id == user_id)).one_or_none()
    if zone is None:
        raise NotFoundError(_("There is no such account."))
    return zone


def _month_spend(
    session: Session, owner_id: str, now: datetime, zone: str, project_id: str | None = None
) -> dict[str, int]:
    """Micro-credits since the month began, charged and accrued, per project (or of one). One statement."""
    asked = _asked(owner_id, now, zone) | {"project": project_id}
    spend: dict[str, int] = {}
    for project, amount in session.execute(_MONTH_SPEND[project_id is not None], asked):
        spend[project] = spend.get(project, 0) + int(amount)
    return spend


def _read_month_spend(*, of_one: bool) -> Any:
    owner: Any = bindparam("owner")
    seconds = unsettled_seconds(_NOW, _SINCE)
    charged: Select[Any] = select(PROJECT_MONTH.c.project_id, PROJECT_MONTH.c.amount).where(
        PROJECT_MONTH.c.owner_id == owner, PROJECT_MONTH.c.month == bindparam("month")
    )
    accrued: Select[Any] = select(INTERVAL.c.project_id, func.sum(cost_of(seconds))).where(
        INTERVAL.c.owner_id == owner, UNSETTLED
    )
    if of_one:
        charged = charged.where(PROJECT_MONTH.c.project_id == bindparam("project"))
        accrued = accrued.where(INTERVAL.c.project_id == bindparam("project"))
    return union_all(charged, accrued.group_by(INTERVAL.c.project_id))


def _asked(owner_id: str, now: datetime, zone: str) -> dict[str, Any]:
    """The parameters of statements on a person's month."""
    since = seconds_between(EPOCH, month_start(now, zone))
    return {"owner": owner_id, "month": local_month(now, zone), "now": seconds_between(EPOCH, now), "since": since}


def _read_spend(months: Table, of: str) -> Any:
    """What a project or a VM cost this month, costs from today on, and costs now: the parts of three sums."""
    owner: Any = bindparam("owner")
    thing: Any = bindparam("thing")
    none = literal(0)
    month = select(func.sum(months.c.amount), none, none).where(
        months.c.owner_id == owner, months.c[of] == thing, months.c.month == bindparam("month")
    )
    day = (
        select(none, func.sum(CHARGE.c.amount), none)
        .join_from(CHARGE, INTERVAL, INTERVAL.c.id == CHARGE.c.interval_id)
        .where(CHARGE.c.owner_id == owner, CHARGE.c.from_at >= bindparam("day"), INTERVAL.c[of] == thing)
    )
    accrued = select(
        func.sum(cost_of(unsettled_seconds(_NOW, _SINCE))),
        func.sum(cost_of(unsettled_seconds(_NOW, bindparam("today", type_=BigInteger)))),
        func.sum(case((INTERVAL.c.end_at.is_(None), INTERVAL.c.rate_micro_per_hour), else_=0)),
    ).where(INTERVAL.c.owner_id == owner, INTERVAL.c[of] == thing, UNSETTLED)
    return union_all(month, day, accrued)


# Built once: every project's and every machine's page asks them.
_NOW: Any = bindparam("now", type_=BigInteger)
_SINCE: Any = bindparam("since", type_=BigInteger)
_SPEND = {"project_id": _read_spend(PROJECT_MONTH, "project_id"), "vm_id": _read_spend(MONTH, "vm_id")}
_MONTH_SPEND = {of_one: _read_month_spend(of_one=of_one) for of_one in (False, True)}


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
        lines[vm_id] = replace(
            line,
            running_seconds=line.running_seconds + (int(seconds) if state == UsageState.RUNNING else 0),
            stopped_seconds=line.stopped_seconds + (int(seconds) if state == UsageState.STOPPED else 0),
            amount_micro=line.amount_micro + int(amount),
        )
    return tuple(sorted(lines.values(), key=lambda line: (-line.amount_micro, line.vm_name, line.vm_id)))
