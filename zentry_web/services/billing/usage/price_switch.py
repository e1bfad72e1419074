"""The moment a published price begins to count for the VMs there are: intervals are cut there (docs/adr/0009).

Callers hold the locks of the wallets concerned. Statements do not grow in number with VMs.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, cast

from sqlalchemy import Row, Select, Table, bindparam, func, insert, or_, select, update
from sqlalchemy.orm import Session, aliased

from zentry_web.domain.credits.usage import BilledVM, Interval, UsageState, seconds_between
from zentry_web.domain.event import Outcome
from zentry_web.domain.ids import new_id
from zentry_web.domain.user import SYSTEM
from zentry_web.models import (
    DbEvent,
    DbImagePriceVersion,
    DbPriceChange,
    DbPriceTold,
    DbPriceVersion,
    DbUser,
    DbVM,
)
from zentry_web.services.billing.ledger.posting import lock_accounts
from zentry_web.services.billing.usage import holds
from zentry_web.services.billing.usage.interval_rows import Meter, end_intervals, interval_row
from zentry_web.services.billing.usage.price_versions import follows
from zentry_web.services.billing.usage.settlement import (
    HOLD,
    INTERVAL,
    OF_MACHINE,
    Item,
    items_query,
    read_items,
    settle_items,
)

TOLD = cast(Table, DbPriceTold.__table__)
VM = cast(Table, DbVM.__table__)


@dataclass(frozen=True, slots=True)
class Due:
    """A change that counts for an owner from ``effective_at`` on, and is not made yet."""

    change_id: str
    owner_id: str
    effective_at: datetime


@dataclass(frozen=True, slots=True)
class NewPrice:
    """A VM that a change concerns, with the price it has and the one it gets."""

    vm_id: str
    owner_id: str
    project_id: str
    running_before: int
    stopped_before: int
    price_version_id: str
    image_price_version_id: str | None
    size_running: int
    surcharge: int  # what the image adds while it runs
    stopped: int
    size_begins: tuple[datetime, int] | None = None  # place of the new version in their order; None: it has no new one
    image_begins: tuple[datetime, int] | None = None

    @property
    def running(self) -> int:
        """Micro-credits per hour while it runs."""
        return self.size_running + self.surcharge

    def rate(self, state: UsageState) -> int:
        """Micro-credits per hour in that state, at the new price."""
        return self.running if state == UsageState.RUNNING else self.stopped


@dataclass(frozen=True, slots=True)
class _Cut:
    """An open interval as it is closed, and the one that goes on at the same second."""

    item: Item
    closed: Interval
    next: Interval
    event_id: str
    price: NewPrice


def read_due(session: Session, until: datetime, owner_ids: Collection[str] | None = None) -> list[Due]:
    """Switches to be made by ``until``, in their order. One statement on a partial index."""
    query = (
        select(TOLD.c.change_id, TOLD.c.owner_id, TOLD.c.effective_at)
        .join(DbPriceChange, DbPriceChange.id == TOLD.c.change_id)
        .where(TOLD.c.done_at.is_(None), TOLD.c.effective_at <= until, DbPriceChange.withdrawn_at.is_(None))
        .order_by(TOLD.c.effective_at, DbPriceChange.starts_at, TOLD.c.change_id, TOLD.c.owner_id)
    )
    if owner_ids is not None:
        query = query.where(TOLD.c.owner_id.in_(owner_ids))
    return [Due(*row) for row in session.execute(query)]


def owners_waiting(session: Session, owner_ids: Collection[str], until: datetime) -> set[str]:
    """Those of these owners of whom nothing may be charged up to ``until`` before a switch is made."""
    return {due.owner_id for due in read_due(session, until, owner_ids) if due.effective_at < until}


def read_unclear(session: Session, owner_ids: Collection[str]) -> dict[str, datetime]:
    """Of these owners, those with a VM that the hypervisor cannot tell of: its last confirmed moment."""
    query = select(DbVM.owner_id, func.min(DbVM.confirmed_until)).where(DbVM.confirmed_until.is_not(None))
    found = session.execute(query.where(DbVM.owner_id.in_(owner_ids)).group_by(DbVM.owner_id))
    return {owner_id: confirmed for owner_id, confirmed in found if confirmed is not None}


def affected_query(change_id: str) -> Select[Any]:
    """The VMs on prices that those of a published change replace, with both; see ``as_new_price``."""
    old, new = aliased(DbPriceVersion), aliased(DbPriceVersion)
    old_image, new_image = aliased(DbImagePriceVersion), aliased(DbImagePriceVersion)
    is_newer = old_image.number.is_(None) | follows(new_image, old_image)
    columns: tuple[Any, ...] = (
        DbVM.id, DbVM.owner_id, DbVM.project_id, DbVM.disk_gib,
        DbVM.running_micro_per_hour, DbVM.stopped_micro_per_hour, DbVM.price_version_id, DbVM.image_price_version_id,
        old.running_micro_per_hour.label("old_running"), new.id.label("new_id"),
        new.running_micro_per_hour.label("new_running"), new.disk_micro_per_gib_hour.label("new_disk"),
        new.starts_at.label("new_starts_at"), new.number.label("new_number"),
        old_image.micro_per_hour.label("old_surcharge"), new_image.id.label("new_image_id"),
        new_image.micro_per_hour.label("new_surcharge"),
        new_image.starts_at.label("new_image_starts_at"), new_image.number.label("new_image_number"),
    )  # fmt: skip
    return (
        select(*columns)
        .join(old, old.id == DbVM.price_version_id)
        .outerjoin(new, (new.change_id == change_id) & (new.size_id == DbVM.size_id) & follows(new, old))
        .outerjoin(old_image, old_image.id == DbVM.image_price_version_id)
        .outerjoin(new_image, (new_image.change_id == change_id) & (new_image.image_id == DbVM.image_id) & is_newer)
        .where(DbVM.deleted_at.is_(None), or_(new.id.is_not(None), new_image.id.is_not(None)))
    )


def as_new_price(row: Row[Any], before: NewPrice | None = None) -> NewPrice:
    """A row of ``affected_query``, worked out: on top of ``before``, which another change brings that VM first."""
    now = before or _as_it_is(row)
    new = replace(now, running_before=now.running, stopped_before=now.stopped)
    begins = (row.new_starts_at, row.new_number)
    if row.new_id is not None and (now.size_begins is None or now.size_begins < begins):
        stopped = row.new_disk * row.disk_gib
        new = replace(
            new, price_version_id=row.new_id, size_running=row.new_running, stopped=stopped, size_begins=begins
        )
    begins = (row.new_image_starts_at, row.new_image_number)
    if row.new_image_id is not None and (now.image_begins is None or now.image_begins < begins):
        surcharge = row.new_surcharge
        new = replace(new, image_price_version_id=row.new_image_id, surcharge=surcharge, image_begins=begins)
    return new


def _as_it_is(row: Row[Any]) -> NewPrice:
    return NewPrice(
        vm_id=row.id,
        owner_id=row.owner_id,
        project_id=row.project_id,
        running_before=row.running_micro_per_hour,
        stopped_before=row.stopped_micro_per_hour,
        price_version_id=row.price_version_id,
        image_price_version_id=row.image_price_version_id,
        size_running=row.old_running,
        surcharge=row.old_surcharge or 0,
        stopped=row.stopped_micro_per_hour,
    )


def catch_up(meter: Meter, owner_id: str, until: Mapping[str, datetime]) -> bool:
    """Make the switches that these VMs of one owner were due by their moments; whether there were any."""
    switched = False
    for due in read_due(meter.session, max(until.values(), default=meter.now), [owner_id]):
        ids = [vm_id for vm_id, at in until.items() if due.effective_at <= at]
        found = meter.session.execute(affected_query(due.change_id).where(DbVM.id.in_(ids))).all()
        switch(meter, [as_new_price(row) for row in found], due)
        switched = switched or bool(found)
    return switched


def read_priced(session: Session, vms: Sequence[BilledVM]) -> list[BilledVM]:
    """``vms`` with the prices that they have by now."""
    columns = (
        VM.c.price_version_id, VM.c.running_micro_per_hour, VM.c.stopped_micro_per_hour, VM.c.image_price_version_id,
    )  # fmt: skip
    rows = session.execute(select(VM.c.id, *columns).where(VM.c.id.in_([vm.vm_id for vm in vms])))
    prices = {vm_id: price for vm_id, *price in rows}
    return [BilledVM(vm.vm_id, vm.owner_id, vm.project_id, *prices[vm.vm_id]) for vm in vms]


def switch(meter: Meter, prices: Sequence[NewPrice], due: Due) -> None:
    """Give these VMs their new prices: open intervals are charged to the moment, and go on at the new rate."""
    if not prices:
        return
    session, now = meter.session, meter.now
    cuts = _plan_cuts(session, prices, due.effective_at, now)
    events = [_event_row(cut.event_id, cut.price, due, now) for cut in cuts]
    if cuts:
        session.execute(insert(DbEvent), events)
        _close(session, cuts, now)
        session.execute(insert(INTERVAL), [interval_row(cut.next, cut.price, cut.event_id) for cut in cuts])
        _carry_holds(meter, cuts)
        cheaper = [c.price.vm_id for c in cuts if c.next.rate_micro_per_hour < c.closed.rate_micro_per_hour]
        holds.trim(session, cheaper, now, "Not needed at its new price")
    session.execute(_REPRICE, [_vm_values(price) for price in prices])


def mark_done(session: Session, due: Due, now: datetime) -> None:
    """All of the owner's VMs have the change's prices."""
    mine = (TOLD.c.change_id == due.change_id) & (TOLD.c.owner_id == due.owner_id)
    session.execute(update(TOLD).where(mine).values(done_at=now))


def _plan_cuts(session: Session, prices: Sequence[NewPrice], at: datetime, now: datetime) -> list[_Cut]:
    by_vm = {price.vm_id: price for price in prices}
    query = items_query().where(INTERVAL.c.vm_id.in_(by_vm), INTERVAL.c.end_at.is_(None), OF_MACHINE)
    items = read_items(session, query.order_by(INTERVAL.c.owner_id, INTERVAL.c.id))
    owners = {item.interval.owner_id for item in items}
    found = session.execute(select(DbUser.id, DbUser.time_zone).where(DbUser.id.in_(owners)))
    zones: dict[str, str] = dict(found.all())
    open_now = (INTERVAL.c.vm_id.in_(by_vm), INTERVAL.c.end_at.is_(None), OF_MACHINE)
    known = session.execute(select(INTERVAL.c.id, INTERVAL.c.price_version_id).where(*open_now))
    versions: dict[str, str] = dict(known.all())
    cuts = []
    for item in items:
        interval, price = item.interval, by_vm[item.interval.vm_id]
        is_running = interval.state == UsageState.RUNNING
        if not is_running and versions[interval.id] == price.price_version_id:
            continue  # what an image adds is for running hours
        end = interval.earliest_end(at)
        ended = replace(interval, end=end)
        left = ended.seconds_missing if is_running else 0
        closed = replace(ended, minimum_seconds=min(ended.minimum_seconds, seconds_between(ended.start, end)))
        following = replace(
            interval,
            id=new_id("use", now),
            rate_micro_per_hour=price.rate(interval.state),
            start=end,
            settled_until=end,
            minimum_seconds=left,
            zone=zones[interval.owner_id],
        )
        cuts.append(_Cut(item, closed, following, new_id("evt", now), price))
    return cuts


def _close(session: Session, cuts: Sequence[_Cut], now: datetime) -> None:
    end_intervals(session, [(cut.closed, cut.event_id) for cut in cuts])
    funds = lock_accounts(session, {cut.closed.owner_id for cut in cuts})
    settle_items(session, [replace(cut.item, interval=cut.closed) for cut in cuts], funds, now, now)


def _carry_holds(meter: Meter, cuts: Sequence[_Cut]) -> None:
    """Holds go on with the run at the new rate: what they have left lasts more or less long, a window at most."""
    by_interval = {cut.closed.id: cut.next for cut in cuts}
    query = select(HOLD.c.id, HOLD.c.interval_id, HOLD.c.remaining)
    rows = meter.session.execute(query.where(HOLD.c.interval_id.in_(by_interval), HOLD.c.closed_at.is_(None)))
    values = []
    for hold_id, interval_id, remaining in rows:
        following = by_interval[interval_id]
        until = holds.lasts_until(meter, following, remaining)
        rate = following.rate_micro_per_hour
        values.append({"hold": hold_id, "interval": following.id, "rate": rate, "until": until})
    if values:
        meter.session.execute(_CARRY, values)


_CARRY = (
    update(HOLD)
    .where(HOLD.c.id == bindparam("hold"))
    .values(interval_id=bindparam("interval"), rate_micro_per_hour=bindparam("rate"), paid_until=bindparam("until"))
)
_REPRICE = (
    update(VM)
    .where(VM.c.id == bindparam("vm"))
    .values(
        price_version_id=bindparam("size_price"),
        image_price_version_id=bindparam("image_price"),
        running_micro_per_hour=bindparam("running"),
        stopped_micro_per_hour=bindparam("stopped"),
    )
)


def _vm_values(price: NewPrice) -> dict[str, Any]:
    return {
        "vm": price.vm_id,
        "size_price": price.price_version_id,
        "image_price": price.image_price_version_id,
        "running": price.running,
        "stopped": price.stopped,
    }


def _event_row(event_id: str, price: NewPrice, due: Due, now: datetime) -> dict[str, Any]:
    """The event at which one interval ends and the next begins; it is in the machine's activity, too."""
    return {
        "id": event_id,
        "at": now,
        "actor_id": SYSTEM.id,
        "action": "vm.price_changed",
        "outcome": Outcome.SUCCEEDED,
        "resource_type": "vm",
        "resource_id": price.vm_id,
        "owner_id": price.owner_id,
        "project_id": price.project_id,
        "vm_id": price.vm_id,
        "operation_id": None,
        "request_id": None,
        "details": {
            "change": due.change_id,
            "since": due.effective_at.isoformat(),
            "running": [price.running_before, price.running],
            "stopped": [price.stopped_before, price.stopped],
        },
        "personal_hash": None,
    }
