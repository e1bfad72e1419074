"""All that the overview says of money, in one statement: the balance, what projects cost this month, the spend of the
last days and the balance as it was.

Its cost grows with what is used now and what ended since yesterday, not with history: days are reckoned from the two
ends of each interval, balances are those that the ledger wrote down. What is used now is read once, from an index, in
groups that were charged up to the same second at the same rate: a few, however many machines there are.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    bindparam,
    case,
    func,
    literal,
    null,
    select,
    text,
    type_coerce,
    union_all,
)
from sqlalchemy import cast as sql_cast
from sqlalchemy.orm import Session
from sqlalchemy.types import String

from zentry_web.domain.credits.billing import AccountKind, Balance
from zentry_web.domain.credits.spend import Lately
from zentry_web.domain.credits.usage import (
    EPOCH,
    HOUR,
    SECOND,
    day_start,
    hour_start,
    local_month,
    month_start,
    seconds_between,
)
from zentry_web.domain.language import _
from zentry_web.domain.money import SECONDS_PER_HOUR, cost
from zentry_web.models.types import UTCDateTime
from zentry_web.services.billing.ledger import promotions
from zentry_web.services.billing.ledger.posting import ACCOUNT, ENTRY, TRANSFER, account_id
from zentry_web.services.billing.usage.settlement import INTERVAL, PROJECT_MONTH, UNSETTLED
from zentry_web.services.errors import NotFoundError

DAYS = 14  # of the balance's curve, today among them
_SETTLED = text("usage_interval.settled")  # as the partial index spells it
_NOW, _TODAY, _YESTERDAY = (bindparam(name, type_=BigInteger) for name in ("now", "today", "yesterday"))
_OWNER: Any = bindparam("owner")
_CHARGED, _IN_USE, _ENDED, _WAS = "charged", "in use", "ended", "was"  # kinds of rows, beside the accounts'
_WIDTH = 6  # numbers in each row


@dataclass
class _Read:
    """What the rows of the statement add up to."""

    now: int
    since_month: int
    days: tuple[int, int]  # today and yesterday begin
    money: dict[str, int] = field(default_factory=dict)
    spend: dict[str, int] = field(default_factory=dict)
    promo: int = 0
    accrued: int = 0
    burn: int = 0
    used: list[int] = field(default_factory=lambda: [0, 0])  # since today and yesterday began, times 3600
    balances: list[tuple[int, int]] = field(default_factory=list)

    def add(self, kind: str, project_id: str, numbers: list[int | None]) -> None:
        """One row."""
        first, second = numbers[0], numbers[1] or 0
        if kind == _WAS:
            self.balances += [(first or 0, second + (numbers[2] or 0))] if numbers[1] is not None else []
        elif kind == _CHARGED:
            self._spend(project_id, first or 0)
        elif kind == _ENDED:
            self.used = [self.used[0] + (first or 0), self.used[1] + second]
        elif kind == _IN_USE:
            settled, end, *counted = numbers
            self._in_use(project_id, settled or 0, end, [each or 0 for each in counted])
        else:
            self.money[kind], self.promo = first or 0, self.promo + second

    def _in_use(self, project_id: str, settled: int, end: int | None, counted: list[int]) -> None:
        """So many intervals of one rate that were charged up to the same second, and when they began."""
        rate, count, *begins = counted
        accrued = cost(rate, max(0, self.now - settled))
        before = accrued - cost(rate, max(0, self.now - self.since_month)) if settled < self.since_month else 0
        self._spend(project_id, count * (accrued - before))
        self.accrued += count * accrued
        self.burn += count * rate
        until = self.now if end is None else end
        for place, (since, begin) in enumerate(zip(self.days, begins, strict=True)):
            if until > since:  # all of them, as none ends before it began
                self.used[place] += rate * max(0, count * until - begin)

    def _spend(self, project_id: str, micro: int) -> None:
        self.spend[project_id] = self.spend.get(project_id, 0) + micro


def read_money(session: Session, owner_id: str, now: datetime, zone: str) -> tuple[Balance, dict[str, int], Lately]:
    """The balance as ``read_balance`` has it; what each of the person's projects has cost since the month began in
    ``zone``; the last two days' spend and the balance at each of the last midnights there.

    One statement; two where some of the balance is promotional. A balance of a midnight is what was booked by then: up
    to an hour's use is not in it. The days' spend differs from what was charged by less than a micro-credit for each
    interval, and where midnight lies inside a UTC hour by what began in that hour. Raises NotFoundError.
    """
    midnights = [day_start(now, zone)]
    while len(midnights) < DAYS:
        midnights.append(day_start(midnights[-1] - SECOND, zone))
    today, yesterday = (seconds_between(EPOCH, _next_hour(each)) for each in midnights[:2])
    read = _Read(seconds_between(EPOCH, now), seconds_between(EPOCH, month_start(now, zone)), (today, yesterday))
    asked: dict[str, Any] = {
        "owner": owner_id,
        "wallet": account_id(AccountKind.WALLET, owner_id),
        "held": account_id(AccountKind.HELD, owner_id),
        "month": local_month(now, zone),
        "now": read.now,
        "today": today,
        "yesterday": yesterday,
    }
    asked |= {f"midnight{place}": at for place, at in enumerate(reversed(midnights))}
    for kind, project_id, *numbers in session.execute(_MONEY, asked):
        read.add(kind, project_id, [None if each is None else int(each) for each in numbers])
    if AccountKind.WALLET not in read.money:
        raise NotFoundError(_("There is no such account."))
    left = tuple(promotions.read(session, [owner_id]).get(owner_id, ())) if read.promo else ()
    wallet, held = read.money[AccountKind.WALLET], read.money[AccountKind.HELD]
    balance = Balance(now, wallet, held, read.accrued, read.burn, promotions=left)
    spent, since_yesterday = (each // SECONDS_PER_HOUR for each in read.used)
    past = tuple(micro for _place, micro in sorted(read.balances))
    return balance, read.spend, Lately(spent, since_yesterday - spent, past)


def _next_hour(moment: datetime) -> datetime:
    """Where charges are cut at or after ``moment``: what a cut piece costs belongs to the day in which it begins."""
    hour = hour_start(moment)
    return hour if hour == moment else hour + HOUR


def _row(kind: Any, project_id: Any, *numbers: Any) -> Any:
    """SELECT of a row: its kind, its project, and numbers filled up to as many as every part has."""
    kind = sql_cast(literal(kind), String) if kind in (_CHARGED, _IN_USE, _ENDED, _WAS) else kind
    rest = [sql_cast(null(), BigInteger)] * (_WIDTH - len(numbers))
    return select(kind, project_id, *numbers, *rest)


def _begin(since: ColumnElement[int]) -> ColumnElement[int]:
    """SQL: when an interval began, ``since`` at the earliest."""
    begin = type_coerce(INTERVAL.c.start_at, BigInteger)
    return case((begin > since, begin), else_=since)


def _used_with_minimum(since: ColumnElement[int]) -> ColumnElement[int]:
    """SQL: what an interval that is charged to its end cost from ``since`` on, times 3600, with what made it up to its
    minimum then."""
    begin, end = type_coerce(INTERVAL.c.start_at, BigInteger), type_coerce(INTERVAL.c.end_at, BigInteger)
    first, missing = _begin(since), INTERVAL.c.minimum_seconds - (end - begin)
    seconds = case((end > first, end - first), else_=0) + case(((missing > 0) & (end >= since), missing), else_=0)
    return func.sum(INTERVAL.c.rate_micro_per_hour * seconds)


def _was(place: int) -> Any:
    """What wallet and held account had at a midnight: what their last entries until then left."""
    at = bindparam(f"midnight{place}", type_=UTCDateTime)
    older = select(TRANSFER.c.seq).where(TRANSFER.c.at <= at).order_by(TRANSFER.c.at.desc(), TRANSFER.c.seq.desc())
    last = older.limit(1).scalar_subquery()  # of anybody: numbers follow the clock

    def left(account: str) -> ColumnElement[int]:
        entries = select(ENTRY.c.balance_after).join_from(TRANSFER, ENTRY, ENTRY.c.transfer_id == TRANSFER.c.id)
        own = entries.where(
            TRANSFER.c.owner_id == _OWNER, TRANSFER.c.seq <= last, ENTRY.c.account_id == bindparam(account)
        )
        return own.order_by(TRANSFER.c.seq.desc()).limit(1).scalar_subquery()

    return _row(_WAS, sql_cast(null(), String), literal(place, BigInteger), left("wallet"), left("held"))


def _read_money() -> Any:
    nobody = sql_cast(null(), String)
    account = ACCOUNT.c.owner_id == _OWNER, ACCOUNT.c.kind.in_((AccountKind.WALLET, AccountKind.HELD))
    month = PROJECT_MONTH.c.owner_id == _OWNER, PROJECT_MONTH.c.month == bindparam("month")
    settled, end = (type_coerce(INTERVAL.c[name], BigInteger) for name in ("settled_until", "end_at"))
    group = INTERVAL.c.project_id, settled, end, INTERVAL.c.rate_micro_per_hour  # as the index has them
    begins = func.sum(_begin(_TODAY)), func.sum(_begin(_YESTERDAY))
    ended = INTERVAL.c.owner_id == _OWNER, _SETTLED, settled >= _YESTERDAY
    return union_all(
        _row(ACCOUNT.c.kind, nobody, ACCOUNT.c.balance, ACCOUNT.c.promo).where(*account),
        _row(_CHARGED, PROJECT_MONTH.c.project_id, PROJECT_MONTH.c.amount).where(*month),
        _row(_IN_USE, *group, func.count(), *begins).where(INTERVAL.c.owner_id == _OWNER, UNSETTLED).group_by(*group),
        _row(_ENDED, nobody, *(_used_with_minimum(since) for since in (_TODAY, _YESTERDAY))).where(*ended),
        *(_was(place) for place in range(DAYS)),
    )


_MONEY = _read_money()  # built once: each overview asks it
