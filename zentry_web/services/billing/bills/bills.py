"""Bills opened down to the second: intervals, their charges and events, and the same as CSV. Only reads."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, case, func, select
from sqlalchemy.orm import Session

from zentry_web.domain.credits.bills import Bill, BillCharge, BillInterval, OpenedInterval, OpenedTransfer
from zentry_web.domain.credits.spend import Run, charged_runs
from zentry_web.domain.credits.usage import SECOND, ChargeKind, ChargeLine, Interval, UsageState
from zentry_web.domain.event import Event
from zentry_web.domain.language import _
from zentry_web.domain.query_language import EVERYTHING, ListSearch
from zentry_web.domain.user import SYSTEM, Actor
from zentry_web.models import (
    DbEvent,
    DbImage,
    DbImagePriceVersion,
    DbPriceVersion,
    DbProject,
    DbSize,
    DbStoragePrice,
    DbStored,
    DbVM,
)
from zentry_web.services.base_service import BaseService
from zentry_web.services.billing.bills.searching import charge_conditions
from zentry_web.services.billing.ledger.posting import ENTRY, TRANSFER, USER_ACCOUNTS, account_id
from zentry_web.services.billing.usage.reports import cost_of, unsettled_seconds
from zentry_web.services.billing.usage.settlement import CHARGE, INTERVAL, INTERVAL_FACTS, UNSETTLED
from zentry_web.services.errors import NotFoundError
from zentry_web.services.shared.access import require_self
from zentry_web.services.shared.event_log import for_viewer, read_events
from zentry_web.services.shared.rate_limits import RateLimiter

MOST_INTERVALS = 500

_FACTS = (
    *INTERVAL_FACTS,
    DbVM.name.label("vm_name"),
    DbProject.name.label("project_name"),
    DbSize.name.label("size_name"),
    DbPriceVersion.number,
    INTERVAL.c.opened_by,
    INTERVAL.c.closed_by,
    DbImage.name.label("image_name"),
    DbImagePriceVersion.number.label("image_price_version"),
    func.coalesce(DbImagePriceVersion.micro_per_hour, 0).label("surcharge"),
    DbStored.name.label("stored_name"),
    DbStoragePrice.number.label("storage_price"),
)
_FOR_INTERVAL = len(INTERVAL_FACTS)


@dataclass(frozen=True, slots=True)
class Spent:
    """An interval with what it cost in a period, and the charges that this is made of."""

    line: BillInterval
    runs: tuple[Run, ...]


def read_spent(
    session: Session, owner_id: str, start: datetime, end: datetime, now: datetime, search: ListSearch = EVERYTHING
) -> list[Spent]:
    """The intervals of an owner that fit and cost something in [start, end), with the charges that begin in it and what
    has accrued in it since.

    Charges are worked out, not read: L8 and L13 say that they are these. One statement over the intervals.
    """
    since = unsettled_seconds(min(now, end), start)
    open_now = UNSETTLED & (INTERVAL.c.settled_until < min(now, end))
    parts = (case((UNSETTLED, cost_of(since)), else_=0), case((UNSETTLED, since), else_=0))
    query = _with_names(select(*_FACTS, INTERVAL.c.settled, *parts).select_from(INTERVAL)).where(
        INTERVAL.c.owner_id == owner_id, INTERVAL.c.start_at < end, (INTERVAL.c.settled_until >= start) | open_now
    )
    found = []
    for row in session.execute(
        query.where(*charge_conditions(search)).order_by(INTERVAL.c.start_at.desc(), INTERVAL.c.id.desc())
    ):
        facts, (is_settled, accrued, accrued_seconds) = row[: len(_FACTS)], row[len(_FACTS) :]
        line = _as_interval(facts)
        runs = tuple(charged_runs(line.interval, is_settled, start, end))
        if not runs and not accrued_seconds:
            continue
        used = sum(run.count * run.seconds for run in runs if run.kind == ChargeKind.USAGE)
        line = replace(
            line,
            charged_seconds=used,
            charged_micro=sum(run.micro for run in runs),
            accrued_micro=int(accrued),
            accrued_seconds=int(accrued_seconds),
            minimum_seconds=sum(run.seconds for run in runs if run.kind == ChargeKind.MINIMUM),
        )
        found.append(Spent(line, runs))
    return found


class Bills(BaseService):
    """What was charged and why. Amounts are micro-credits, times aware UTC."""

    name = "bills"

    def get_bill(
        self,
        user_id: str,
        start: datetime,
        end: datetime,
        *,
        search: ListSearch = EVERYTHING,
        before: str | None = None,
        limit: int = MOST_INTERVALS,
        actor: Actor = SYSTEM,
    ) -> Bill:
        """The intervals that fit, with charges that begin in [start, end), newest first, and what accrued in it since.

        ``before`` is the id of the last interval seen; ``more`` says that there are more than ``limit``.
        Raises NotFoundError (also for somebody else's).
        """
        require_self(actor, user_id)
        with self.reading() as session:
            query = _bill_query(user_id, start, end, self.now()).where(*charge_conditions(search))
            if before is not None:
                query = query.where(_comes_after(before))
            rows = session.execute(query.limit(limit + 1)).all()
        return Bill(start, end, tuple(_as_line(row, start) for row in rows[:limit]), len(rows) > limit)

    def get_interval(
        self,
        user_id: str,
        interval_id: str,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        actor: Actor = SYSTEM,
    ) -> OpenedInterval:
        """One interval, the events that opened and closed it, and its charges: those in [start, end), if given.

        Raises NotFoundError.
        """
        require_self(actor, user_id)
        conditions = [CHARGE.c.interval_id == interval_id, CHARGE.c.owner_id == user_id]
        if start is not None:
            conditions.append(CHARGE.c.from_at >= start)
        if end is not None:
            conditions.append(CHARGE.c.from_at < end)
        with self.reading() as session:
            row = session.execute(
                _facts_query().where(INTERVAL.c.id == interval_id, INTERVAL.c.owner_id == user_id)
            ).one_or_none()
            if row is None:
                raise NotFoundError(_("There is no such line."))
            charges = tuple(read_charges(session, *conditions))
            events = _events(session, [row.opened_by, row.closed_by], actor)
        seconds = sum(each.line.seconds for each in charges if each.line.kind == ChargeKind.USAGE)
        bill = _as_interval(row, seconds, sum(each.line.amount for each in charges))
        closed = events.get(row.closed_by) if row.closed_by else None
        return OpenedInterval(bill, charges, events.get(row.opened_by), closed, start, end)

    def get_transfer(self, user_id: str, transfer_id: str, *, actor: Actor = SYSTEM) -> OpenedTransfer:
        """A payment for usage with the charges it paid. Raises NotFoundError."""
        require_self(actor, user_id)
        mine = [account_id(kind, user_id) for kind in USER_ACCOUNTS]
        with self.reading() as session:
            transfer = session.execute(
                select(TRANSFER.c.at).where(TRANSFER.c.id == transfer_id, TRANSFER.c.owner_id == user_id)
            ).one_or_none()
            charges = tuple(read_charges(session, CHARGE.c.transfer_id == transfer_id, CHARGE.c.owner_id == user_id))
            if transfer is None or not charges:
                raise NotFoundError(_("There is no such payment for usage."))
            entries = dict(
                session.execute(
                    select(ENTRY.c.account_id, ENTRY.c.amount).where(ENTRY.c.transfer_id == transfer_id)
                ).all()
            )
        return OpenedTransfer(
            id=transfer_id,
            at=transfer.at,
            charges=charges,
            paid_micro=-sum(entries.get(account, 0) for account in mine),
            written_off_micro=-entries.get("acc_write_off", 0),
        )

    def list_charges(
        self, user_id: str, start: datetime, end: datetime, *, search: ListSearch = EVERYTHING, actor: Actor = SYSTEM
    ) -> list[BillCharge]:
        """Every charge that fits and begins in [start, end), in order, with its inputs, for a file.

        Raises NotFoundError, RateLimitedError.
        """
        require_self(actor, user_id)
        RateLimiter(self._core).check_actor("file", actor)
        conditions = [CHARGE.c.owner_id == user_id, CHARGE.c.from_at >= start, CHARGE.c.from_at < end]
        with self.reading() as session:
            return list(read_charges(session, *conditions, *charge_conditions(search)))


def _facts_query() -> Select[Any]:
    return _with_names(select(*_FACTS).select_from(INTERVAL))


def _with_names(query: Select[Any]) -> Select[Any]:
    return (
        query.join(DbVM, DbVM.id == INTERVAL.c.vm_id)
        .join(DbProject, DbProject.id == INTERVAL.c.project_id)
        .join(DbPriceVersion, DbPriceVersion.id == INTERVAL.c.price_version_id)
        .join(DbSize, DbSize.id == DbPriceVersion.size_id)
        .join(DbImage, DbImage.id == DbVM.image_id)
        .outerjoin(DbImagePriceVersion, DbImagePriceVersion.id == INTERVAL.c.image_price_version_id)
        .outerjoin(DbStored, DbStored.id == INTERVAL.c.stored_id)
        .outerjoin(DbStoragePrice, DbStoragePrice.id == DbStored.price_id)
    )


def _bill_query(owner_id: str, start: datetime, end: datetime, now: datetime) -> Select[Any]:
    """Intervals with the sums of their charges in the period: first the sums, then the names."""
    used = case((CHARGE.c.kind == ChargeKind.USAGE, CHARGE.c.seconds), else_=0)
    sums = (
        select(
            CHARGE.c.interval_id,
            func.sum(used).label("seconds"),
            func.sum(CHARGE.c.seconds - used).label("minimum"),
            func.sum(CHARGE.c.amount).label("amount"),
            func.min(case((CHARGE.c.kind == ChargeKind.USAGE, CHARGE.c.from_at))).label("first"),
        )
        .where(CHARGE.c.owner_id == owner_id, CHARGE.c.from_at >= start, CHARGE.c.from_at < end)
        .group_by(CHARGE.c.interval_id)
        .subquery()
    )
    since = unsettled_seconds(min(now, end), start)
    parts = {"accrued": cost_of(since), "accrued_seconds": since}
    accrued = [case((UNSETTLED, part), else_=0).label(name) for name, part in parts.items()]
    query: Select[Any] = select(
        *_FACTS,
        func.coalesce(sums.c.seconds, 0).label("seconds"),
        func.coalesce(sums.c.minimum, 0).label("minimum"),
        func.coalesce(sums.c.amount, 0).label("amount"),
        sums.c.first,
        *accrued,
    ).select_from(INTERVAL)
    open_now = UNSETTLED & (INTERVAL.c.settled_until < min(now, end))
    query = _with_names(query.outerjoin(sums, sums.c.interval_id == INTERVAL.c.id)).where(
        INTERVAL.c.owner_id == owner_id, INTERVAL.c.start_at < end, sums.c.interval_id.is_not(None) | open_now
    )
    return query.order_by(INTERVAL.c.start_at.desc(), INTERVAL.c.id.desc())


def _comes_after(interval_id: str) -> ColumnElement[bool]:
    """In a bill's order, behind this interval."""
    start = select(INTERVAL.c.start_at).where(INTERVAL.c.id == interval_id).scalar_subquery()
    return (INTERVAL.c.start_at < start) | ((INTERVAL.c.start_at == start) & (INTERVAL.c.id < interval_id))


def _as_line(row: Row[Any], start: datetime) -> BillInterval:
    """A line with what of its run lies in the period: charges and what has accrued follow each other without a gap."""
    line = replace(
        _as_interval(row, row.seconds, row.amount, row.accrued),
        accrued_seconds=int(row.accrued_seconds),
        minimum_seconds=int(row.minimum),
    )
    first = row.first or (max(line.interval.settled_until, start) if line.accrued_seconds else line.interval.start)
    return replace(line, first=first, last=first + line.used_seconds * SECOND)


def _as_interval(
    row: Row[Any] | Sequence[Any], seconds: int = 0, amount: int = 0, accrued: int = 0, accrued_seconds: int = 0
) -> BillInterval:
    facts = list(row[:_FOR_INTERVAL])
    facts[4] = UsageState(facts[4])
    vm_name, project_name, size_name, version, opened_by, closed_by, *more = list(row)[_FOR_INTERVAL : len(_FACTS)]
    image_name, image_version, surcharge, stored_name, storage_price = more
    if stored_name is not None:  # its price is that of its kind, whatever its machine's is
        size_name, version, image_name = facts[4], storage_price, ""
    return BillInterval(
        Interval(*facts), vm_name, project_name, size_name, version, opened_by, closed_by,
        int(seconds), int(amount), int(accrued), image_name, image_version, surcharge,
        stored_name=stored_name or "",
    )  # fmt: skip


def read_charges(session: Session, *conditions: ColumnElement[bool]) -> Iterator[BillCharge]:
    """Charges in order of time, each with its interval; what belongs to one interval is built once."""
    line = (CHARGE.c.kind, CHARGE.c.from_at, CHARGE.c.to_at, CHARGE.c.seconds, CHARGE.c.amount, CHARGE.c.transfer_id)
    query: Select[Any] = _with_names(
        select(*_FACTS, *line).join_from(CHARGE, INTERVAL, INTERVAL.c.id == CHARGE.c.interval_id)
    )
    query = query.where(*conditions).order_by(CHARGE.c.from_at, CHARGE.c.interval_id, CHARGE.c.kind.desc())
    known: dict[str, BillInterval] = {}
    for row in session.execute(query):
        of = known.get(row[0])
        if of is None:
            of = known[row[0]] = _as_interval(row)
        kind, start, end, seconds, amount, transfer_id = row[len(_FACTS) : len(_FACTS) + 6]
        yield BillCharge(of, ChargeLine(ChargeKind(kind), start, end, seconds, amount), transfer_id)


def _events(session: Session, ids: list[str | None], actor: Actor) -> dict[str, Event]:
    found = read_events(session, DbEvent.id.in_([each for each in ids if each]), limit=len(ids))
    return {event.id: event for event in for_viewer(found, actor)}
