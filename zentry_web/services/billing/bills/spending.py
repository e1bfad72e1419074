"""Where credits went and how long they will last: spend by VM, project, size and day; balances; what-if. Only reads."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, time, timedelta, tzinfo

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from zentry_web.domain.credits.billing import Balance, TransferKind, UsageState
from zentry_web.domain.credits.bills import BillInterval, PeriodSpend, SpendGroup
from zentry_web.domain.credits.forecast import BalancePoint, Changes, FleetVM, WhatIf, project, what_if
from zentry_web.domain.credits.spend import Lately, add_accrued, sum_by_day
from zentry_web.domain.query_language import EVERYTHING, ListSearch
from zentry_web.domain.user import SYSTEM, Actor
from zentry_web.domain.vms.catalogue import Size
from zentry_web.domain.zones import zone_of
from zentry_web.models import DbImagePriceVersion, DbProject, DbSize, DbVM
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.billing.bills.bills import read_spent
from zentry_web.services.billing.bills.lately import read_money
from zentry_web.services.billing.ledger.posting import ENTRY, TRANSFER, USER_ACCOUNTS, account_id
from zentry_web.services.billing.usage.reports import time_zone_of
from zentry_web.services.billing.usage.runway import Runway
from zentry_web.services.billing.usage.settlement import INTERVAL, OF_MACHINE, UNSETTLED
from zentry_web.services.shared.access import require_self
from zentry_web.services.shared.rate_limits import RateLimiter

INTERNAL = (TransferKind.HOLD, TransferKind.RELEASE, TransferKind.USAGE)


class Spending(BaseService):
    """Amounts are micro-credits, times aware UTC, days the account's."""

    name = "spending"

    def __init__(self, core: Core, runway: Runway, *, window: timedelta) -> None:
        super().__init__(core)
        self._runway = runway
        self._window = window
        self._limiter = RateLimiter(core)

    def get_spend(
        self, user_id: str, start: datetime, end: datetime, *, search: ListSearch = EVERYTHING, actor: Actor = SYSTEM
    ) -> PeriodSpend:
        """What [start, end) cost, as far as it fits, charged and accrued, by VM, project, size and day.

        Raises NotFoundError.
        """
        require_self(actor, user_id)
        with self.reading() as session:
            zone = zone_of(time_zone_of(session, user_id))
            found = read_spent(session, user_id, start, end, self.now(), search)
        days = _days(start, end, zone)
        sums = sum_by_day(days, (run for each in found for run in each.runs))
        for each in found:
            if each.line.accrued_seconds:
                facts, used = each.line.interval, (each.line.accrued_seconds, each.line.accrued_micro)
                add_accrued(sums, days, max(facts.settled_until, start), *used, facts.rate_micro_per_hour)
        lines = [each.line for each in found]
        local = [day.astimezone(zone) for day in days[:-1]]
        return PeriodSpend(
            start,
            end,
            _grouped(lines, lambda line: (line.interval.vm_id, line.vm_name, line.project_name)),
            _grouped(lines, lambda line: (line.interval.project_id, line.project_name, "")),
            _grouped(lines, lambda line: (line.size_name, line.size_name, "")),
            tuple(
                SpendGroup(f"{day:%Y-%m-%d}", f"{day:%-d %b %Y}", amount)
                for day, amount in zip(local, sums, strict=True)
            ),
        )

    def get_money(self, user_id: str, zone: str) -> tuple[Balance, dict[str, int], Lately]:
        """A person's balance, in the week before it ends with what stops first and last; what each of their own
        projects has cost since the month began in ``zone``, theirs; the last days' spend and balances.

        One statement, more where some of the balance is promotional or it ends. Callers have checked who asks. Raises
        NotFoundError.
        """
        with self.reading() as session:
            balance, spend, lately = read_money(session, user_id, self.now(), zone)
        return self._runway.with_ends(user_id, balance), spend, lately

    def get_balances(
        self, user_id: str, *, past: timedelta, future: timedelta, actor: Actor = SYSTEM
    ) -> list[BalancePoint]:
        """The balance at each of the account's midnights in the past, now, and as it will be if nothing changes.

        Charges count from the moment they are for, not from when they were made. Raises NotFoundError.
        """
        require_self(actor, user_id)
        now, balance = self.now(), self._runway.get_balance(user_id)
        with self.reading() as session:
            zone = zone_of(time_zone_of(session, user_id))
            first = (now - past).astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
            gains = _credits_since(session, user_id, first)
            found = read_spent(session, user_id, first.astimezone(UTC), now, now)
        days = [(first + timedelta(days=i)).astimezone(UTC) for i in range(past.days + 2)]
        charged = sum_by_day(days, (run for each in found for run in each.runs))
        gains += [(day, -amount) for day, amount in zip(days[:-1], charged, strict=True)]
        total = balance.wallet_micro + balance.held_micro
        points = [
            BalancePoint(day, max(0, total - sum(amount for at, amount in gains if at >= day)))
            for day in days
            if day < now
        ]
        return [*points, BalancePoint(now, balance.total_micro), *project(balance, now + future, timedelta(hours=12))]

    def what_if(self, user_id: str, changes: Changes, sizes: Sequence[Size], *, actor: Actor = SYSTEM) -> WhatIf:
        """How burn rate and the end of credits would change. Nothing is done.

        The answer has all VMs that cost something now, the dearest first. Looking at things as they are is not
        counted. Raises NotFoundError, RateLimitedError.
        """
        require_self(actor, user_id)
        if changes.count:
            self._limiter.check_actor("what_if", actor)
        balance = self._runway.get_balance(user_id)
        with self.reading() as session:
            fleet = _read_fleet(session, user_id)
        return what_if(balance, fleet, sizes, changes, self._window)


def _read_fleet(session: Session, owner_id: str) -> list[FleetVM]:
    """The VMs that cost something now, without what is stored of them, the dearest first. One statement."""
    rows = session.execute(
        select(
            DbVM.id,
            DbVM.name,
            DbProject.name,
            DbVM.size_id,
            DbSize.name,
            INTERVAL.c.state,
            INTERVAL.c.rate_micro_per_hour,
            DbVM.stopped_micro_per_hour,
            func.coalesce(DbImagePriceVersion.micro_per_hour, 0),
        )
        .join_from(INTERVAL, DbVM, DbVM.id == INTERVAL.c.vm_id)
        .join(DbProject, DbProject.id == DbVM.project_id)
        .join(DbSize, DbSize.id == DbVM.size_id)
        .outerjoin(DbImagePriceVersion, DbImagePriceVersion.id == DbVM.image_price_version_id)
        .where(INTERVAL.c.owner_id == owner_id, UNSETTLED, INTERVAL.c.end_at.is_(None), OF_MACHINE)
        .order_by(INTERVAL.c.rate_micro_per_hour.desc(), DbVM.name, DbVM.id)
    )
    return [
        FleetVM(vm_id, name, project_name, size_id, size, state == UsageState.RUNNING, *rates)
        for vm_id, name, project_name, size_id, size, state, *rates in rows
    ]


def _grouped(
    lines: Sequence[BillInterval], key_of: Callable[[BillInterval], tuple[str, str, str]]
) -> tuple[SpendGroup, ...]:
    """Lines added up by a key (id, name, note), the dearest first."""
    sums: dict[tuple[str, str, str], list[int]] = {}
    for line in lines:
        found = sums.setdefault(key_of(line), [0, 0, 0])
        found[0] += line.total_micro
        if line.interval.stored_id is None:
            found[1 if line.interval.state == UsageState.RUNNING else 2] += line.used_seconds
    groups = [
        SpendGroup(key, name, micro, running, stopped, note)
        for (key, name, note), (micro, running, stopped) in sums.items()
    ]
    return tuple(sorted(groups, key=lambda group: (-group.amount_micro, group.name, group.key)))


def _days(start: datetime, end: datetime, zone: tzinfo) -> list[datetime]:
    """Where each of the account's days in [start, end) begins, the first at ``start``; last, ``end``."""
    days, day = [start], start.astimezone(zone).date() + timedelta(days=1)
    while (midnight := datetime.combine(day, time(), zone).astimezone(UTC)) < end:
        days += [midnight] if midnight > days[-1] else []
        day += timedelta(days=1)
    return [*days, end]


def _credits_since(session: Session, owner_id: str, since: datetime) -> list[tuple[datetime, int]]:
    """What came in and went out other than for usage, and what was written off, since then."""
    mine = [account_id(kind, owner_id) for kind in USER_ACCOUNTS]
    moved = select(TRANSFER.c.at, func.sum(ENTRY.c.amount)).join(ENTRY, ENTRY.c.transfer_id == TRANSFER.c.id)
    moved = moved.where(TRANSFER.c.owner_id == owner_id, TRANSFER.c.at >= since).group_by(TRANSFER.c.id, TRANSFER.c.at)
    found = session.execute(moved.where(TRANSFER.c.kind.not_in(INTERNAL), ENTRY.c.account_id.in_(mine))).all()
    written_off = session.execute(
        moved.where(TRANSFER.c.kind == TransferKind.USAGE, ENTRY.c.account_id == "acc_write_off")
    ).all()
    return [(at, int(amount)) for at, amount in found] + [(at, -int(amount)) for at, amount in written_off]
