"""Changing prices from a date on: drafted, rehearsed, published, withdrawn (docs/adr/0009)."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn

from sqlalchemy import ColumnElement, delete, func, insert, select
from sqlalchemy.orm import Session

from zentry_web.domain.credits.prices import ComingVMPrice, ItemKind, PriceChange, PriceItem, ToldOwner, seal_of
from zentry_web.domain.credits.usage import whole_second
from zentry_web.domain.event import Subject
from zentry_web.domain.language import _
from zentry_web.domain.projects.project import ProjectAction
from zentry_web.domain.user import SYSTEM, Actor
from zentry_web.domain.vms.vm import VM
from zentry_web.models import (
    DbImage,
    DbImagePriceVersion,
    DbPriceChange,
    DbPriceItem,
    DbPriceTold,
    DbPriceVersion,
    DbSize,
    DbUser,
    DbVM,
)
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.billing.prices.coming import read_coming
from zentry_web.services.billing.usage import price_versions
from zentry_web.services.billing.usage.price_switch import affected_query
from zentry_web.services.errors import ConflictError, NotFoundError, ValidationError
from zentry_web.services.shared.access import require_admin, require_self, require_vm
from zentry_web.services.shared.fields import require_line

_LONGEST_TITLE = 80
FARTHEST = timedelta(days=730)  # nobody knows what is right in years, and dates end in 9999


class PriceChanges(BaseService):
    """Sets of new prices. Amounts are micro-credits per hour, times aware UTC."""

    name = "price_changes"

    def __init__(self, core: Core, *, notice_days: int) -> None:
        super().__init__(core)
        self.notice = timedelta(days=notice_days)

    # -- drafts ---------------------------------------------------------------------------------

    def save_draft(
        self,
        title: str,
        starts_at: datetime,
        items: Sequence[PriceItem],
        *,
        change_id: str | None = None,
        actor: Actor,
    ) -> str:
        """Write a draft, or change one; returns its id. Admins only.

        Raises ValidationError (title, starts_at, items, and each price by its target's id), NotFoundError,
        ConflictError (published meanwhile).
        """
        require_admin(actor)
        _refuse_far(starts_at, self.now())
        title = require_line(title, "title", longest=_LONGEST_TITLE, missing=_("Give it a name: owners read it."))
        if not items:
            message = _("Change at least one price.")
            raise ValidationError(message, details={"items": message})
        for item in items:
            fields = item.target_id, f"{item.target_id}_disk"
            price_versions.check_prices(fields, item.running_micro_per_hour, item.disk_micro_per_gib_hour)
        with self.transaction() as session:
            _require_targets(session, items)
            row = self._draft(session, change_id) if change_id else None
            if row is None:
                row = DbPriceChange(id=self.new_id("chg"), created_by=actor.id, created_at=self.now())
            row.title, row.starts_at = title, whole_second(starts_at)
            session.add(row)
            session.flush()
            session.execute(delete(DbPriceItem).where(DbPriceItem.change_id == row.id))
            session.execute(insert(DbPriceItem), [_item_row(row.id, item) for item in items])
            self.audit("price.draft", Subject("prices", row.id), {"prices": len(items)}, actor=actor)
            return row.id

    def discard_draft(self, change_id: str, *, actor: Actor) -> None:
        """Throw a draft away. Admins only. Raises NotFoundError, ConflictError (it is published)."""
        require_admin(actor)
        with self.transaction() as session:
            row = self._draft(session, change_id)
            session.execute(delete(DbPriceItem).where(DbPriceItem.change_id == row.id))
            session.delete(row)
            self.audit("price.discard", Subject("prices", change_id), actor=actor)

    def _draft(self, session: Session, change_id: str) -> DbPriceChange:
        row = _locked(session, change_id)
        if row.published_at is not None:
            raise ConflictError(_("This change is published: its prices stand as they were announced."))
        return row

    # -- publishing -----------------------------------------------------------------------------

    def count_concerned(self, change_id: str, *, actor: Actor) -> tuple[int, int]:
        """How many owners have machines of what a change prices anew, and how many machines. Admins only."""
        require_admin(actor)
        targets = select(DbPriceItem.target_id).where(DbPriceItem.change_id == change_id)
        query = select(func.count(DbVM.owner_id.distinct()), func.count()).where(
            DbVM.deleted_at.is_(None), DbVM.size_id.in_(targets) | DbVM.image_id.in_(targets)
        )
        with self.reading() as session:
            owners, machines = session.execute(query).one()
        return int(owners), int(machines)

    def publish(self, change_id: str, *, actor: Actor, seal: str | None = None) -> bool:
        """Write a draft's versions with their start; the worker then tells the owners concerned. Admins only.

        False: it was published already, nothing is done. Machines that get dearer must have the notice period. What
        is announced already for a later start stays as it is: prices follow one another in the order of their starts,
        whenever they were published. Raises ValidationError (``starts_at``), NotFoundError, ConflictError (it is
        withdrawn; it is not what was rehearsed: ``seal`` is that of PriceChange, None: nothing was).
        """
        require_admin(actor)
        with self.transaction() as session:
            row = _locked(session, change_id)
            if row.published_at is not None and row.withdrawn_at is None:
                return False
            row = self._draft(session, change_id)
            now = self.now()
            _refuse_far(row.starts_at, now)
            items = [_as_item(item) for item in _items_of(session, [change_id])]
            if seal is not None and seal != seal_of(row.title, row.starts_at, items):
                raise ConflictError(_("These are not the prices that you rehearsed. Look at them here, then publish."))
            origin = price_versions.Origin(row.starts_at, now, actor.id, row.id)
            for item in items:
                running, disk = item.running_micro_per_hour, item.disk_micro_per_gib_hour
                if item.kind == ItemKind.SIZE:
                    price_versions.add_version(session, item.target_id, running, disk, origin)
                else:
                    price_versions.add_image_version(session, item.target_id, running, origin)
            self._refuse_short_notice(session, row, items, now)
            row.published_by, row.published_at = actor.id, now
            details = {"starts_at": row.starts_at.isoformat(), "prices": len(items)}
            self.audit("price.announce", Subject("prices", row.id), details, actor=actor)
            return True

    def _refuse_short_notice(
        self, session: Session, row: DbPriceChange, items: Sequence[PriceItem], now: datetime
    ) -> None:
        days, enough = self.notice.days, now + self.notice
        if row.starts_at < enough and _makes_dearer(session, row.id):
            _refuse_start(
                _("Machines that are there get dearer: announce that %(days)s days before it begins.", days=days)
            )
        if row.starts_at < enough and _rise_after(session, items, row, now):
            _refuse_start(
                _(
                    "Prices announced to come before these are lower: machines would get dearer. Announce that "
                    "%(days)s days before it begins.",
                    days=days,
                )
            )
        if (rise := _rise_too_soon(session, items, row.starts_at, enough)) is not None:
            _refuse_start(
                _(
                    "Prices announced already for %(day)s are higher than these, and begin within %(days)s days: "
                    "machines would get dearer without that notice. Begin after them, or withdraw them first.",
                    day=f"{rise:%-d %b %Y}",
                    days=days,
                )
            )

    def withdraw(self, change_id: str, *, actor: Actor) -> bool:
        """Take back a published change that has not begun: prices stay as they are, and whoever was told is told so.

        False: it was withdrawn already, nothing is done. Admins only. Its versions stay written and are not used.
        Raises NotFoundError, ConflictError (it is a draft, or in force).
        """
        require_admin(actor)
        with self.transaction() as session:
            row = _locked(session, change_id)
            if row.withdrawn_at is not None:
                return False
            if row.published_at is None:
                raise ConflictError(_("Only a change that is announced can be withdrawn."))
            if self.now() >= row.starts_at:
                raise ConflictError(_("These prices are in force. Publish another change instead."))
            row.withdrawn_by, row.withdrawn_at = actor.id, self.now()
            self.audit("price.withdraw", Subject("prices", row.id), actor=actor)
            return True

    # -- looking --------------------------------------------------------------------------------

    def list_changes(self, *, actor: Actor) -> list[PriceChange]:
        """All changes, the newest first. Admins only. Three statements."""
        require_admin(actor)
        with self.reading() as session:
            rows = session.scalars(select(DbPriceChange).order_by(DbPriceChange.id.desc())).all()
            return _changes(session, rows)

    def get_change(self, change_id: str, *, actor: Actor) -> PriceChange:
        """One change. Admins only. Raises NotFoundError."""
        require_admin(actor)
        with self.reading() as session:
            row = session.get(DbPriceChange, change_id)
            if row is None:
                raise NotFoundError(_("There is no such change of prices."))
            return _changes(session, [row])[0]

    def list_told(self, change_id: str, *, limit: int, actor: Actor) -> list[ToldOwner]:
        """The first ``limit`` owners told of a change, by name, with the figures they were told. Admins only."""
        require_admin(actor)
        query = (
            select(
                DbPriceTold.owner_id, DbUser.name, DbUser.email, DbPriceTold.told_at, DbPriceTold.old_micro_per_hour,
                DbPriceTold.new_micro_per_hour,
            )
            .join(DbUser, DbUser.id == DbPriceTold.owner_id)
            .where(DbPriceTold.change_id == change_id)
            .order_by(DbUser.name, DbUser.id)
            .limit(limit)
        )  # fmt: skip
        with self.reading() as session:
            return [ToldOwner(*row) for row in session.execute(query)]

    def list_coming(self, owner_id: str, *, vm_id: str | None = None, actor: Actor = SYSTEM) -> list[ComingVMPrice]:
        """What an owner's machines (or one of them) will cost, change by change in their order.

        What each is compared with is what the one before it brings. A statement, and one per announced change.
        Raises NotFoundError (also for somebody else's).
        """
        require_self(actor, owner_id)
        with self.reading() as session:
            return read_coming(session, [owner_id], self.now(), vm_id)

    def list_coming_of(self, vm_id: str, *, actor: Actor = SYSTEM) -> list[ComingVMPrice]:
        """What one machine will cost, for all who may look at it. Raises NotFoundError."""
        with self.reading() as session:
            owner_id = require_vm(session, actor, vm_id, ProjectAction.VIEW).owner_id
            return self.list_coming(owner_id, vm_id=vm_id)

    def list_coming_of_vm(self, vm: VM) -> list[ComingVMPrice]:
        """The same of a machine that was just loaded for whoever looks: nobody is asked again."""
        return self.list_coming(vm.owner_id, vm_id=vm.id)


def _refuse_far(starts_at: datetime, now: datetime) -> None:
    if starts_at - now > FARTHEST:
        _refuse_start(_("Let them begin within two years from now."))


def _refuse_start(message: str) -> NoReturn:
    raise ValidationError(message, details={"starts_at": message})


def _makes_dearer(session: Session, change_id: str) -> bool:
    """Whether any machine that is there gets dearer, running or stopped. One statement."""
    row = affected_query(change_id).subquery().c
    surcharge = func.coalesce(row.new_surcharge, row.old_surcharge, 0)
    runs_dearer = func.coalesce(row.new_running, row.old_running) + surcharge > row.running_micro_per_hour
    stops_dearer = row.new_disk * row.disk_gib > row.stopped_micro_per_hour
    return session.execute(select(row.id).where(runs_dearer | stops_dearer).limit(1)).first() is not None


def _rise_after(session: Session, items: Sequence[PriceItem], row: DbPriceChange, now: datetime) -> bool:
    """Whether one of ``items`` is more than a price announced already brings that begins before it."""
    for item in items:
        table, mine = _versions_of(item)
        announced = (table.starts_at > now, table.starts_at < row.starts_at, price_versions.stands(table))
        query = select(table).where(mine, *announced).order_by(table.starts_at.desc(), table.number.desc()).limit(1)
        if (standing := session.scalars(query).one_or_none()) is not None and _is_dearer(item, _item_of(standing)):
            return True
    return False


def _rise_too_soon(
    session: Session, items: Sequence[PriceItem], starts_at: datetime, enough: datetime
) -> datetime | None:
    """When a price announced already for later, before ``enough``, would raise one of ``items``; None: never."""
    rises: list[datetime] = []
    for item in items:
        table, mine = _versions_of(item)
        query = select(table).where(mine, table.starts_at > starts_at, price_versions.stands(table))
        following = session.scalars(query.order_by(table.starts_at, table.number.desc()).limit(1)).one_or_none()
        if following is not None and following.starts_at < enough and _is_dearer(_item_of(following), item):
            rises.append(following.starts_at)
    return min(rises, default=None)


def _versions_of(item: PriceItem) -> tuple[Any, ColumnElement[bool]]:
    if item.kind == ItemKind.SIZE:
        return DbPriceVersion, DbPriceVersion.size_id == item.target_id
    return DbImagePriceVersion, DbImagePriceVersion.image_id == item.target_id


def _item_of(version: DbPriceVersion | DbImagePriceVersion) -> PriceItem:
    if isinstance(version, DbImagePriceVersion):
        return PriceItem(ItemKind.IMAGE, version.image_id, version.micro_per_hour)
    rates = (version.running_micro_per_hour, version.disk_micro_per_gib_hour)
    return PriceItem(ItemKind.SIZE, version.size_id, *rates)


def _is_dearer(item: PriceItem, other: PriceItem) -> bool:
    disk = item.disk_micro_per_gib_hour > other.disk_micro_per_gib_hour
    return disk or item.running_micro_per_hour > other.running_micro_per_hour


def _locked(session: Session, change_id: str) -> DbPriceChange:
    query = select(DbPriceChange).where(DbPriceChange.id == change_id).with_for_update()
    row = session.scalars(query.execution_options(populate_existing=True)).one_or_none()
    if row is None:
        raise NotFoundError(_("There is no such change of prices."))
    return row


def _require_targets(session: Session, items: Iterable[PriceItem]) -> None:
    for table, kind in ((DbSize, ItemKind.SIZE), (DbImage, ItemKind.IMAGE)):
        wanted = {item.target_id for item in items if item.kind == kind}
        found = set(session.scalars(select(table.id).where(table.id.in_(wanted))))
        if wanted - found:
            raise NotFoundError(_("There is no such size.") if kind == "size" else _("There is no such image."))


def _item_row(change_id: str, item: PriceItem) -> dict[str, Any]:
    return {
        "change_id": change_id,
        "target_id": item.target_id,
        "kind": item.kind,
        "running_micro_per_hour": item.running_micro_per_hour,
        "disk_micro_per_gib_hour": item.disk_micro_per_gib_hour,
    }


def _as_item(row: DbPriceItem) -> PriceItem:
    return PriceItem(ItemKind(row.kind), row.target_id, row.running_micro_per_hour, row.disk_micro_per_gib_hour)


def _items_of(session: Session, change_ids: Sequence[str]) -> list[DbPriceItem]:
    query = select(DbPriceItem).where(DbPriceItem.change_id.in_(change_ids))
    return list(session.scalars(query.order_by(DbPriceItem.kind.desc(), DbPriceItem.target_id)))


def _changes(session: Session, rows: Sequence[DbPriceChange]) -> list[PriceChange]:
    ids = [row.id for row in rows]
    items: dict[str, list[PriceItem]] = {}
    for item in _items_of(session, ids):
        items.setdefault(item.change_id, []).append(_as_item(item))
    told = DbPriceTold
    counts = session.execute(
        select(told.change_id, func.count(), func.count(told.done_at))
        .where(told.change_id.in_(ids))
        .group_by(told.change_id)
    )
    counted = {change_id: (total, done) for change_id, total, done in counts}
    return [
        PriceChange(
            row.id, row.title, row.starts_at.astimezone(UTC), row.created_at, row.published_at, row.withdrawn_at,
            row.finished_at, tuple(items.get(row.id, ())), *counted.get(row.id, (0, 0)),
        )
        for row in rows
    ]  # fmt: skip
