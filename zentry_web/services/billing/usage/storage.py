"""What is stored beside the machines' disks: paid by the GiB and hour, as usage intervals of their own (ADR 0035).

Callers hold the lock of the owner's wallet where they write. Amounts are micro-credits, times aware UTC.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import ColumnElement, Select, Table, func, insert, select, update
from sqlalchemy.orm import Session

from zentry_web.domain.credits.storage import NewStored, StoragePrice, Stored, StoredKind, begun_gib
from zentry_web.domain.credits.usage import Interval, UsageState, whole_second
from zentry_web.domain.event import Subject
from zentry_web.domain.language import _
from zentry_web.domain.money import MAX_DISK_RATE
from zentry_web.domain.user import Actor
from zentry_web.models import DbStoragePrice, DbStored, DbUser, DbVM
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.billing.ledger.posting import lock_accounts, require_funds
from zentry_web.services.billing.usage.holds import hold_price
from zentry_web.services.billing.usage.interval_rows import Priced, end_intervals, interval_row
from zentry_web.services.billing.usage.intervals import note_changes
from zentry_web.services.billing.usage.settlement import INTERVAL, items_query, read_items, settle_items
from zentry_web.services.shared.access import require_admin
from zentry_web.services.shared.fields import check_micro

STORED = cast(Table, DbStored.__table__)
KEPT = DbStored.ended_at.is_(None)
_OPEN = INTERVAL.c.end_at.is_(None)


class Storage(BaseService):
    """A part of BillingService."""

    name = "storage"

    def __init__(self, core: Core, *, window: timedelta) -> None:
        super().__init__(core)
        self._window = window

    # -- prices ---------------------------------------------------------------------------------

    def list_prices(self) -> dict[StoredKind, StoragePrice]:
        """By kind, the price for what is stored from now on. One statement."""
        with self.reading() as session:
            return _read_prices(session, self.now())

    def publish(self, kind: StoredKind, micro_per_gib_hour: int, *, actor: Actor) -> None:
        """Set the price for what is stored from now on; what is stored keeps its price. Admins only.

        Raises ValidationError (``micro_per_gib_hour``).
        """
        require_admin(actor)
        micro = check_micro("micro_per_gib_hour", micro_per_gib_hour, most=MAX_DISK_RATE)
        with self.transaction() as session:
            now = self.now()
            mine = DbStoragePrice.kind == kind
            newest = session.scalars(
                select(DbStoragePrice).where(mine).order_by(DbStoragePrice.number.desc()).limit(1)
            ).one_or_none()
            if newest is not None and newest.micro_per_gib_hour == micro:
                return
            number = (newest.number if newest else 0) + 1
            row = {"id": self.new_id("sprice"), "kind": kind, "number": number, "micro_per_gib_hour": micro}
            by = {"starts_at": now, "created_by": actor.id, "created_at": now}
            session.execute(insert(DbStoragePrice), [row | by])
            details = {"version": number, "micro_per_gib_hour": micro}
            self.audit("price.storage", Subject("storage", kind), details, actor=actor)

    def require_funds(self, owner_id: str, kind: StoredKind, size_bytes: int) -> None:
        """Lock the wallet; raise InsufficientCreditsError unless it pays that much storage over the hold window."""
        rate = self.list_prices()[kind].micro_per_gib_hour * begun_gib(size_bytes)
        with self.transaction() as session:
            wallet = lock_accounts(session, [owner_id])[owner_id].wallet
        require_funds(wallet, hold_price(rate, self._window), self._too_little())

    def _too_little(self) -> str:
        minutes = self._window // timedelta(minutes=1)
        return _("There are not enough credits to pay what is stored for %(minutes)s minutes.", minutes=minutes)

    # -- what is stored -------------------------------------------------------------------------

    def begin(self, session: Session, thing: NewStored, event_id: str) -> Stored:
        """From now on ``thing`` is stored and paid for by its owner; in the caller's transaction. Once per id: what is
        there already is answered as it is."""
        lock_accounts(session, [thing.owner_id])
        known = _read(session, DbStored.id == thing.id)
        if known:
            return known[0]
        gib, price = begun_gib(thing.size_bytes), _read_prices(session, self.now())[thing.kind]
        row = DbStored(
            id=thing.id,
            kind=thing.kind,
            vm_id=thing.vm_id,
            owner_id=thing.owner_id,
            project_id=thing.project_id,
            name=thing.name,
            gib=gib,
            price_id=price.id,
            rate_micro_per_hour=gib * price.micro_per_gib_hour,
        )
        session.add(row)
        session.flush()
        (stored,) = _read(session, DbStored.id == thing.id)
        self._open(session, [stored], event_id)
        return stored

    def end(self, session: Session, stored_ids: Collection[str], event_id: str, *, at: datetime | None = None) -> None:
        """These things are stored no longer: charged up to ``at`` (now), then gone; in the caller's transaction."""
        if not stored_ids:
            return
        self._lock(session, DbStored.id.in_(stored_ids))
        self._close(session, INTERVAL.c.stored_id.in_(stored_ids), at or self.now(), event_id)
        gone = update(STORED).where(STORED.c.id.in_(stored_ids), STORED.c.ended_at.is_(None))
        session.execute(gone.values(ended_at=self.now(), kept_until=None))

    def pause(
        self, session: Session, ends: Mapping[str, datetime], event_ids: Mapping[str, str], *, backups: bool
    ) -> None:
        """Nothing is charged for the snapshots of these machines of one owner, each from its moment on: they are
        deleted, or in the bin. So it is with their ``backups``, unless the machine alone is gone."""
        for vm_id, ids in _by_machine(session, ends, backups=backups).items():
            self._close(session, INTERVAL.c.stored_id.in_(ids), ends[vm_id], event_ids[vm_id])
            session.execute(update(STORED).where(STORED.c.id.in_(ids)).values(kept_until=None))

    def resume(self, session: Session, vm_ids: Collection[str], event_ids: Mapping[str, str]) -> None:
        """The snapshots and backups of these machines are paid for again from now on, if they were not because the
        machines were not; those that are kept for nothing still are."""
        for vm_id, ids in _by_machine(session, vm_ids).items():
            unpaid = DbStored.kept_until.is_(None), _is_unpaid()
            self._open(session, _read(session, DbStored.id.in_(ids), *unpaid), event_ids[vm_id])

    def follow(self, session: Session, vm_id: str, event_id: str) -> None:
        """A machine's snapshots and backups go with it into the project that it is in by now."""
        ids = _by_machine(session, [vm_id]).get(vm_id, [])
        if ids:
            project_id = session.scalars(select(DbVM.project_id).where(DbVM.id == vm_id)).one()
            self._rehome(session, ids, event_id, project_id=project_id)

    def hand_over(self, session: Session, project_id: str, owner_id: str, event_id: str) -> None:
        """All that is stored in a project is paid for by ``owner_id`` from now on, also what nobody could pay. Both
        wallets are locked. Raises InsufficientCreditsError: not for a hold window."""
        ids = list(session.scalars(select(DbStored.id).where(DbStored.project_id == project_id, KEPT)))
        if not ids:
            return
        wallet = lock_accounts(session, [owner_id])[owner_id].wallet
        require_funds(wallet, self.price_of_project(project_id), self._too_little())
        self._rehome(session, ids, event_id, owner_id=owner_id)

    def price_of_project(self, project_id: str) -> int:
        """What all that is stored in a project costs over the hold window. One statement."""
        with self.reading() as session:
            query = select(func.sum(DbStored.rate_micro_per_hour)).where(DbStored.project_id == project_id, KEPT)
            return hold_price(int(session.scalar(query) or 0), self._window)

    def _rehome(self, session: Session, ids: Sequence[str], event_id: str, **values: str) -> None:
        """Other columns for these things: what is open is closed, and goes on with them."""
        paid = session.scalars(select(INTERVAL.c.stored_id).where(INTERVAL.c.stored_id.in_(ids), _OPEN))
        kept = session.scalars(select(DbStored.id).where(DbStored.id.in_(ids), DbStored.kept_until.is_not(None)))
        again = [*paid, *(kept if "owner_id" in values else ())]
        self._close(session, INTERVAL.c.stored_id.in_(again), self.now(), event_id)
        session.execute(update(STORED).where(STORED.c.id.in_(ids)).values(**values))
        if "owner_id" in values:  # another wallet
            session.execute(update(STORED).where(STORED.c.id.in_(ids)).values(kept_until=None))
        self._open(session, _read(session, DbStored.id.in_(again)), event_id)

    def list_of_vm(self, vm_id: str, kind: StoredKind | None = None) -> list[Stored]:
        """What is stored of a machine, the oldest first. Callers have checked who asks. One statement."""
        mine = DbStored.vm_id == vm_id, KEPT
        with self.reading() as session:
            return _read(session, *mine, *([DbStored.kind == kind] if kind else []))

    # -- credits that end, and come back --------------------------------------------------------

    def keep_unpaid(self, session: Session, stored: Sequence[Stored], end: datetime, until: datetime) -> None:
        """These things are charged up to ``end``, and kept for nothing until then: the wallet has nothing left."""
        for each in stored:
            event_id = self.audit("storage.kept", _subject(each), {"name": each.name})
            self._close(session, INTERVAL.c.stored_id == each.id, end, event_id)
        ids = [each.id for each in stored]
        session.execute(update(STORED).where(STORED.c.id.in_(ids)).values(kept_until=until))

    def pay_again(self, session: Session, stored: Sequence[Stored]) -> None:
        """What was kept for nothing is paid for from now on."""
        ids = [each.id for each in stored]
        session.execute(update(STORED).where(STORED.c.id.in_(ids)).values(kept_until=None))
        for each in stored:
            self._open(session, [each], self.audit("storage.resumed", _subject(each), {"name": each.name}))

    # -- inside ---------------------------------------------------------------------------------

    def _lock(self, session: Session, which: ColumnElement[bool]) -> None:
        session.flush()
        lock_accounts(session, set(session.scalars(select(DbStored.owner_id).where(which).distinct())))

    def _close(self, session: Session, which: ColumnElement[bool], at: datetime, event_id: str) -> None:
        items = read_items(session, items_query().where(which, _OPEN).order_by(INTERVAL.c.id))
        closed = [
            replace(item, interval=item.interval.closed(item.interval.earliest_end(at), charge_minimum=False))
            for item in items
        ]
        if not closed:
            return
        end_intervals(session, [(item.interval, event_id) for item in closed])
        funds = lock_accounts(session, {item.interval.owner_id for item in closed})
        settle_items(session, closed, funds, self.now(), self.now())
        note_changes(session, {item.interval.project_id for item in closed}, self.now())

    def _open(self, session: Session, stored: Sequence[Stored], event_id: str) -> None:
        if not stored:
            return
        ids = [each.id for each in stored]
        ends = select(INTERVAL.c.stored_id, func.max(INTERVAL.c.end_at)).where(INTERVAL.c.stored_id.in_(ids))
        last: dict[str, datetime | None] = dict(session.execute(ends.group_by(INTERVAL.c.stored_id)).all())
        owners = {each.owner_id for each in stored}
        zones = dict(session.execute(select(DbUser.id, DbUser.time_zone).where(DbUser.id.in_(owners))).all())
        vms = session.scalars(select(DbVM).where(DbVM.id.in_({each.vm_id for each in stored}))).all()
        by_id: dict[str, Priced] = {vm.id: vm for vm in vms}
        rows = []
        for each in stored:
            ended = last.get(each.id)
            start = max(whole_second(self.now()), ended) if ended else whole_second(self.now())
            interval = Interval(
                id=self.new_id("use"),
                vm_id=each.vm_id,
                owner_id=each.owner_id,
                project_id=each.project_id,
                state=UsageState(each.kind),
                rate_micro_per_hour=each.rate_micro_per_hour,
                start=start,
                end=None,
                settled_until=start,
                minimum_seconds=0,
                zone=zones[each.owner_id],
                stored_id=each.id,
            )
            rows.append(interval_row(interval, by_id[each.vm_id], event_id))
        session.execute(insert(INTERVAL), rows)
        note_changes(session, {each.project_id for each in stored}, self.now())


def read_paid(session: Session, owner_id: str) -> list[tuple[Stored, datetime]]:
    """What is stored and paid for by an owner, each with the second up to which it is charged."""
    query = _query().add_columns(INTERVAL.c.settled_until).join(INTERVAL, (INTERVAL.c.stored_id == DbStored.id) & _OPEN)
    rows = session.execute(query.where(DbStored.owner_id == owner_id, KEPT).order_by(DbStored.id))
    return [(_as_stored(row[:-1]), row[-1]) for row in rows]


def read_unpaid(session: Session, owner_id: str) -> list[Stored]:
    """What is kept for an owner without a charge."""
    return _read(session, DbStored.owner_id == owner_id, DbStored.kept_until.is_not(None))


def _by_machine(session: Session, vm_ids: Iterable[str], *, backups: bool = True) -> dict[str, list[str]]:
    """The snapshots of these machines, and their ``backups``, by machine: they go where it goes. One statement."""
    found: dict[str, list[str]] = {}
    kinds = [StoredKind.SNAPSHOT, *([StoredKind.BACKUP] if backups else [])]
    query = select(DbStored.vm_id, DbStored.id).where(DbStored.vm_id.in_(list(vm_ids)), DbStored.kind.in_(kinds), KEPT)
    for vm_id, stored_id in session.execute(query.order_by(DbStored.vm_id, DbStored.id)):
        found.setdefault(vm_id, []).append(stored_id)
    return found


def _is_unpaid() -> ColumnElement[bool]:
    paid = select(INTERVAL.c.id).where(INTERVAL.c.stored_id == DbStored.id, _OPEN)
    return ~paid.exists()


def _query() -> Select[Any]:
    """The columns of Stored, in its order."""
    columns: tuple[Any, ...] = (
        DbStored.id, DbStored.kind, DbStored.vm_id, DbStored.owner_id, DbStored.project_id, DbStored.name, DbStored.gib,
        DbStoragePrice.number, DbStored.rate_micro_per_hour, DbStored.kept_until,
    )  # fmt: skip
    return select(*columns).join(DbStoragePrice, DbStoragePrice.id == DbStored.price_id)


def _read(session: Session, *which: ColumnElement[bool]) -> list[Stored]:
    return [_as_stored(row) for row in session.execute(_query().where(*which).order_by(DbStored.id))]


def _as_stored(row: Sequence[Any]) -> Stored:
    stored_id, kind, *rest = row
    return Stored(stored_id, StoredKind(kind), *rest)


def _read_prices(session: Session, now: datetime) -> dict[StoredKind, StoragePrice]:
    table = DbStoragePrice
    rows = session.scalars(select(table).where(table.starts_at <= now).order_by(table.kind, table.number))
    return {
        StoredKind(row.kind): StoragePrice(
            row.id, StoredKind(row.kind), row.number, row.micro_per_gib_hour, row.starts_at
        )
        for row in rows
    }


def _subject(stored: Stored) -> Subject:
    return Subject("vm", stored.vm_id, stored.owner_id, stored.project_id, stored.vm_id)
