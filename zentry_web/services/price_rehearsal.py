"""Rehearsing a change of prices: a past month's use at the new prices, for all owners at once. Only reads.

An interval's charges follow from its ends: a first piece, whole hours, a last piece, the minimum (docs/adr/0009). So
the database works every interval out by arithmetic, and the number of statements does not grow with owners or VMs.
"""

from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Select, case, func, literal, select, type_coerce
from sqlalchemy.orm import Session, aliased

from zentry_web.domain.money import SECONDS_PER_HOUR
from zentry_web.domain.prices import OwnerEffect, Rehearsal
from zentry_web.domain.usage import (
    EPOCH,
    SECOND,
    UsageState,
    hour_start,
    month_start,
    next_month_start,
    seconds_between,
)
from zentry_web.domain.user import Actor
from zentry_web.models import DbImagePriceVersion, DbPriceChange, DbPriceItem, DbPriceVersion, DbUser, DbVM
from zentry_web.services.access import require_admin
from zentry_web.services.base_service import BaseService
from zentry_web.services.errors import NotFoundError
from zentry_web.services.ledger import ACCOUNT, USER_ACCOUNTS
from zentry_web.services.rate_limit import RateLimiter
from zentry_web.services.settlement import INTERVAL, UNSETTLED
from zentry_web.services.usage_reports import cost_of, unsettled_seconds

Number = ColumnElement[int]


class PriceRehearsal(BaseService):
    """Amounts are micro-credits, times aware UTC."""

    name = "price_rehearsal"

    def rehearse(
        self, change_id: str, *, start: datetime | None = None, end: datetime | None = None, actor: Actor
    ) -> Rehearsal:
        """What a period would have cost each owner at the new prices, and how long their credits last then.

        By default the last whole month of UTC; else from the whole hour of ``start`` to that of ``end`` (now at the
        latest). What was charged in it counts, to the micro-credit. Admins only. Raises NotFoundError,
        RateLimitedError.
        """
        require_admin(actor)
        RateLimiter(self._core).check_actor("rehearse", actor)
        now = self.now()
        last = hour_start(min(end, now)) if end else month_start(now)
        first = hour_start(start) if start else month_start(last - SECOND)
        with self.reading() as session:
            if session.get(DbPriceChange, change_id) is None:
                raise NotFoundError("There is no such change of prices.")
            used = _read_use(session, change_id, first, last)
            burns = _read_burns(session, change_id, now)
            owners = set(used) | set(burns)
            credits, people = _read_credits(session), _read_people(session, owners)
        effects = []
        for owner_id in owners:
            email, name = people[owner_id]
            accrued, before, after = burns.get(owner_id, (0, 0, 0))
            left = max(0, credits.get(owner_id, 0) - accrued)
            effects.append(OwnerEffect(owner_id, email, name, *used.get(owner_id, (0, 0)), left, before, after, now))
        effects.sort(key=lambda effect: (-effect.difference_micro, effect.email, effect.owner_id))
        return Rehearsal(first, last, tuple(effects))


def _read_use(session: Session, change_id: str, start: datetime, end: datetime) -> dict[str, tuple[int, int]]:
    """Per owner, what [start, end) cost and would have cost."""
    zones = session.scalars(select(INTERVAL.c.time_zone).where(INTERVAL.c.start_at < end).distinct())
    odd = {zone: inside for zone in zones if (inside := list(_odd_cuts(zone, start, end)))}
    found: dict[str, tuple[int, int]] = {}
    for zone, cuts in [(None, []), *odd.items()]:
        moments = [start, *cuts, end]
        for first, last in pairwise(moments):
            condition = INTERVAL.c.time_zone.not_in(odd) if zone is None else INTERVAL.c.time_zone == zone
            for owner_id, old, new in session.execute(_use_query(change_id, condition, first, last)):
                before, after = found.get(owner_id, (0, 0))
                found[owner_id] = (before + int(old), after + int(new))
    return found


def _odd_cuts(zone: str, start: datetime, end: datetime) -> Iterator[datetime]:
    """Where the account's months begin inside a UTC hour: charges are cut there, too."""
    cut = next_month_start(start - SECOND, zone)
    while cut < end:
        if cut != hour_start(cut) and cut > start:
            yield cut
        cut = next_month_start(cut, zone)


def _use_query(change_id: str, zone: ColumnElement[bool], start: datetime, end: datetime) -> Select[Any]:
    """Old and new amounts per owner. Each interval's seconds are worked out once, then both prices put to them."""
    parts = _with_prices(
        select(
            INTERVAL.c.owner_id,
            INTERVAL.c.rate_micro_per_hour.label("old"),
            _new_rate().label("new"),
            *_parts(start, end),
        ),
        change_id,
    )
    parts = parts.where(zone, INTERVAL.c.start_at < end, INTERVAL.c.settled_until >= start)
    of = parts.cte("parts").prefix_with("MATERIALIZED").c
    sums = (func.sum(_amount(of, of.old)), func.sum(_amount(of, of.new)))
    query: Select[Any] = select(of.owner_id, *sums)
    return query.group_by(of.owner_id)


def _amount(of: Any, rate: Number) -> Number:
    """SQL: an hour costs the rate, exactly; the other pieces and the minimum are rounded one by one."""
    rounded: Number = (
        cost_of(of.first_seconds, rate) + cost_of(of.last_seconds, rate) + cost_of(of.missing_seconds, rate)
    )
    whole: Number = rate * of.hours
    return whole + rounded


_SIZE_ITEM, _IMAGE_ITEM = aliased(DbPriceItem), aliased(DbPriceItem)


def _with_prices(query: Select[Any], change_id: str) -> Select[Any]:
    """Intervals with the versions that they were charged by, and the new prices of their size and image."""
    return (
        query.select_from(INTERVAL)
        .join(DbVM, DbVM.id == INTERVAL.c.vm_id)
        .join(DbPriceVersion, DbPriceVersion.id == INTERVAL.c.price_version_id)
        .outerjoin(DbImagePriceVersion, DbImagePriceVersion.id == INTERVAL.c.image_price_version_id)
        .outerjoin(_SIZE_ITEM, (_SIZE_ITEM.change_id == change_id) & (_SIZE_ITEM.target_id == DbPriceVersion.size_id))
        .outerjoin(_IMAGE_ITEM, (_IMAGE_ITEM.change_id == change_id) & (_IMAGE_ITEM.target_id == DbVM.image_id))
    )


def _new_rate() -> Number:
    """SQL: the interval's rate at the new prices; what the change leaves alone stays as it was."""
    disk = DbPriceVersion.disk_micro_per_gib_hour
    gib = case((disk > 0, INTERVAL.c.rate_micro_per_hour // disk), else_=DbVM.disk_gib)  # a resize may have changed it
    running = func.coalesce(_SIZE_ITEM.running_micro_per_hour, DbPriceVersion.running_micro_per_hour)
    surcharge = func.coalesce(_IMAGE_ITEM.running_micro_per_hour, DbImagePriceVersion.micro_per_hour, 0)
    stopped = func.coalesce(_SIZE_ITEM.disk_micro_per_gib_hour, disk) * gib
    return case((INTERVAL.c.state == UsageState.RUNNING, running + surcharge), else_=stopped)


def _parts(start: datetime, end: datetime) -> tuple[Any, ...]:
    """SQL: the charges of an interval that begin in [start, end): seconds to the first whole hour, whole hours, seconds
    after the last, and seconds of the minimum that were missing. Between the two moments it is cut at whole hours only.
    """
    opened = type_coerce(INTERVAL.c.start_at, BigInteger)
    settled = type_coerce(INTERVAL.c.settled_until, BigInteger)
    closed = type_coerce(INTERVAL.c.end_at, BigInteger)
    first_second, last_second = _seconds(start), _seconds(end)
    begin = case((opened < first_second, first_second), else_=opened)
    until = case((settled > last_second, last_second), else_=settled)
    first = (begin + SECONDS_PER_HOUR - 1) // SECONDS_PER_HOUR
    last = until // SECONDS_PER_HOUR
    missing = INTERVAL.c.minimum_seconds - (closed - opened)
    is_short = INTERVAL.c.end_at.is_not(None) & (closed >= first_second) & (closed < last_second) & (missing > 0)
    is_used, is_whole = until > begin, first <= last
    return (
        case((~is_used, 0), (is_whole, first * SECONDS_PER_HOUR - begin), else_=until - begin).label("first_seconds"),
        case((is_used & is_whole, last - first), else_=0).label("hours"),
        case((is_used & is_whole, until - last * SECONDS_PER_HOUR), else_=0).label("last_seconds"),
        case((is_short, missing), else_=0).label("missing_seconds"),
    )


def _seconds(moment: datetime) -> Number:
    return literal(seconds_between(EPOCH, moment), BigInteger)


def _read_burns(session: Session, change_id: str, now: datetime) -> dict[str, tuple[int, int, int]]:
    """Per owner of something that costs: accrued micro-credits, and micro-credits per hour before and after."""
    sums: tuple[Any, ...] = (
        INTERVAL.c.owner_id,
        func.sum(cost_of(unsettled_seconds(now))),
        func.sum(INTERVAL.c.rate_micro_per_hour),
        func.sum(_new_rate()),
    )
    query = _with_prices(select(*sums), change_id).where(UNSETTLED).group_by(INTERVAL.c.owner_id)
    return {row[0]: (int(row[1]), int(row[2]), int(row[3])) for row in session.execute(query)}


def _read_credits(session: Session) -> dict[str, int]:
    query = select(ACCOUNT.c.owner_id, func.sum(ACCOUNT.c.balance)).where(ACCOUNT.c.kind.in_(USER_ACCOUNTS))
    return {owner_id: int(total) for owner_id, total in session.execute(query.group_by(ACCOUNT.c.owner_id))}


def _read_people(session: Session, owner_ids: set[str]) -> dict[str, tuple[str, str]]:
    rows = session.execute(select(DbUser.id, DbUser.email, DbUser.name))
    return {user_id: (email, name) for user_id, email, name in rows if user_id in owner_ids}
