"""Rehearsing a change of prices: a past month's use at the new prices, for all owners at once. Only reads.

An interval's charges follow from its ends: a first piece, whole hours, a last piece, the minimum (docs/adr/0009). So
the database works every interval out by arithmetic, and the number of statements does not grow with owners or VMs:
on purpose a second reading, in SQL, of the rules of domain/credits/usage.py.
"""

from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Select,
    Subquery,
    case,
    func,
    literal,
    select,
    type_coerce,
    union_all,
)
from sqlalchemy.orm import Session, aliased

from zentry_web.domain.credits.prices import OwnerEffect, Rehearsal
from zentry_web.domain.credits.usage import (
    EPOCH,
    SECOND,
    UsageState,
    hour_start,
    month_start,
    next_month_start,
    seconds_between,
)
from zentry_web.domain.language import _
from zentry_web.domain.money import SECONDS_PER_HOUR
from zentry_web.domain.user import Actor
from zentry_web.models import DbImagePriceVersion, DbPriceChange, DbPriceItem, DbPriceVersion, DbUser, DbVM
from zentry_web.services.base_service import BaseService
from zentry_web.services.billing.ledger.posting import ACCOUNT, USER_ACCOUNTS
from zentry_web.services.billing.usage.price_versions import Versions, stands
from zentry_web.services.billing.usage.reports import cost_of, unsettled_seconds
from zentry_web.services.billing.usage.settlement import INTERVAL, UNSETTLED
from zentry_web.services.errors import NotFoundError
from zentry_web.services.shared.access import require_admin
from zentry_web.services.shared.rate_limits import RateLimiter

Number = ColumnElement[int]
RateColumns = tuple[Any, Any, Any]  # of a size running, what an image adds, of a GiB of disk
_SIZE_ITEM, _IMAGE_ITEM = aliased(DbPriceItem), aliased(DbPriceItem)
_ITEMS: RateColumns = (
    _SIZE_ITEM.running_micro_per_hour,
    _IMAGE_ITEM.running_micro_per_hour,
    _SIZE_ITEM.disk_micro_per_gib_hour,
)
_CHARGED: RateColumns = (
    DbPriceVersion.running_micro_per_hour,
    DbImagePriceVersion.micro_per_hour,
    DbPriceVersion.disk_micro_per_gib_hour,
)


class PriceRehearsal(BaseService):
    """Amounts are micro-credits, times aware UTC."""

    name = "price_rehearsal"

    def rehearse(
        self, change_id: str, *, start: datetime | None = None, end: datetime | None = None, actor: Actor
    ) -> Rehearsal:
        """What a period would have cost each owner at the new prices, and how long their credits last then.

        By default the last whole month of UTC; else from the whole hour of ``start`` to that of ``end`` (now at the
        latest). What was charged in it counts, to the micro-credit; only where other new prices are announced to come
        first (``since``), the difference is to those. Admins only. Raises NotFoundError, RateLimitedError.
        """
        require_admin(actor)
        RateLimiter(self._core).check_actor("rehearse", actor)
        now = self.now()
        last = hour_start(min(end, now)) if end else month_start(now)
        first = hour_start(start) if start else month_start(last - SECOND)
        with self.reading() as session:
            change = session.get(DbPriceChange, change_id)
            if change is None:
                raise NotFoundError(_("There is no such change of prices."))
            table = _Table(change, now)
            since = session.scalar(table.since())
            used = _read_use(session, table, first, last)
            burns = _read_burns(session, table, now)
            owners = set(used) | set(burns)
            credits, people = _read_credits(session), _read_people(session, owners)
        effects = []
        for owner_id in owners:
            email, name = people[owner_id]
            accrued, before, after = burns.get(owner_id, (0, 0, 0))
            left = max(0, credits.get(owner_id, 0) - accrued)
            effects.append(OwnerEffect(owner_id, email, name, *used.get(owner_id, (0, 0)), left, before, after, now))
        effects.sort(key=lambda effect: (-effect.difference_micro, effect.email, effect.owner_id))
        return Rehearsal(first, last, tuple(effects), since)


class _Table:
    """SQL: what an interval's hour costs before and after a change."""

    def __init__(self, change: DbPriceChange, now: datetime) -> None:
        self._change_id = change.id
        self._sizes = _announced(DbPriceVersion, DbPriceVersion.size_id, change, now)
        self._images = _announced(DbImagePriceVersion, DbImagePriceVersion.image_id, change, now)

    def since(self) -> Select[datetime | None]:
        """When the last of the announced prices begins that come before this change."""
        starts = union_all(select(self._sizes.c.starts_at), select(self._images.c.starts_at)).subquery()
        return select(func.max(starts.c.starts_at))

    def join(self, query: Select[Any]) -> Select[Any]:
        """Intervals with the versions that they were charged by, and the new prices of their size and image."""
        size, image, sizes, images = _SIZE_ITEM, _IMAGE_ITEM, self._sizes.c, self._images.c
        return (
            query.select_from(INTERVAL)
            .join(DbVM, DbVM.id == INTERVAL.c.vm_id)
            .join(DbPriceVersion, DbPriceVersion.id == INTERVAL.c.price_version_id)
            .outerjoin(DbImagePriceVersion, DbImagePriceVersion.id == INTERVAL.c.image_price_version_id)
            .outerjoin(self._sizes, sizes.size_id == DbPriceVersion.size_id)
            .outerjoin(self._images, images.image_id == DbVM.image_id)
            .outerjoin(size, (size.change_id == self._change_id) & (size.target_id == DbPriceVersion.size_id))
            .outerjoin(image, (image.change_id == self._change_id) & (image.target_id == DbVM.image_id))
        )

    @property
    def old(self) -> Number:
        """The interval's rate, as charged or as it is announced to be before the change."""
        return _rate(self._announced_rates, _CHARGED)

    @property
    def new(self) -> Number:
        """The interval's rate at the new prices; what the change leaves alone is as before."""
        return _rate(_ITEMS, self._announced_rates, _CHARGED)

    @property
    def _announced_rates(self) -> RateColumns:
        sizes, images = self._sizes.c, self._images.c
        return sizes.running_micro_per_hour, images.micro_per_hour, sizes.disk_micro_per_gib_hour


def _announced(table: Versions, key: Any, change: DbPriceChange, now: datetime) -> Subquery:
    """Per size or image, the last version announced to begin before the change."""
    place = func.row_number().over(partition_by=key, order_by=(table.starts_at.desc(), table.number.desc()))
    coming = select(table, place.label("place")).where(
        table.starts_at > now, table.starts_at < change.starts_at, table.change_id != change.id, stands(table)
    )
    found = coming.subquery()
    return select(found).where(found.c.place == 1).subquery()


def _rate(*sources: RateColumns) -> Number:
    """SQL: an interval's rate, each part by the first that has one."""
    running, surcharge, disk = (func.coalesce(*part) for part in zip(*sources, strict=True))
    charged = DbPriceVersion.disk_micro_per_gib_hour
    gib = case((charged > 0, INTERVAL.c.rate_micro_per_hour // charged), else_=DbVM.disk_gib)  # a resize may change it
    while_running = running + func.coalesce(surcharge, 0)
    is_stored = INTERVAL.c.stored_id.is_not(None)  # what is stored keeps its price
    return case(
        (is_stored, INTERVAL.c.rate_micro_per_hour),
        (INTERVAL.c.state == UsageState.RUNNING, while_running),
        else_=disk * gib,
    )


def _read_use(session: Session, table: _Table, start: datetime, end: datetime) -> dict[str, tuple[int, int]]:
    """Per owner, what [start, end) cost and would have cost."""
    zones = session.scalars(select(INTERVAL.c.time_zone).where(INTERVAL.c.start_at < end).distinct())
    odd = {zone: inside for zone in zones if (inside := list(_odd_cuts(zone, start, end)))}
    found: dict[str, tuple[int, int]] = {}
    for zone, cuts in [(None, []), *odd.items()]:
        moments = [start, *cuts, end]
        for first, last in pairwise(moments):
            condition = INTERVAL.c.time_zone.not_in(odd) if zone is None else INTERVAL.c.time_zone == zone
            for owner_id, old, new in session.execute(_use_query(table, condition, first, last)):
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


def _use_query(table: _Table, zone: ColumnElement[bool], start: datetime, end: datetime) -> Select[Any]:
    """Old and new amounts per owner. Each interval's seconds are worked out once, then both prices put to them."""
    rates = (table.old.label("old"), table.new.label("new"))
    parts = table.join(select(INTERVAL.c.owner_id, *rates, *_parts(start, end)))
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


def _read_burns(session: Session, table: _Table, now: datetime) -> dict[str, tuple[int, int, int]]:
    """Per owner of something that costs: accrued micro-credits, and micro-credits per hour before and after."""
    sums: tuple[Any, ...] = (
        INTERVAL.c.owner_id,
        func.sum(cost_of(unsettled_seconds(now))),
        func.sum(table.old),
        func.sum(table.new),
    )
    query = table.join(select(*sums)).where(UNSETTLED).group_by(INTERVAL.c.owner_id)
    return {row[0]: (int(row[1]), int(row[2]), int(row[3])) for row in session.execute(query)}


def _read_credits(session: Session) -> dict[str, int]:
    query = select(ACCOUNT.c.owner_id, func.sum(ACCOUNT.c.balance)).where(ACCOUNT.c.kind.in_(USER_ACCOUNTS))
    return {owner_id: int(total) for owner_id, total in session.execute(query.group_by(ACCOUNT.c.owner_id))}


def _read_people(session: Session, owner_ids: set[str]) -> dict[str, tuple[str, str]]:
    rows = session.execute(select(DbUser.id, DbUser.email, DbUser.name))
    return {user_id: (email, name) for user_id, email, name in rows if user_id in owner_ids}
