"""The catalogue: sizes with the price in force, and images."""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, select, update
from sqlalchemy.orm import Session, aliased

from zentry_web.domain.event import Subject
from zentry_web.domain.language import _
from zentry_web.domain.user import Actor
from zentry_web.domain.vms import new_size
from zentry_web.domain.vms.catalogue import ComingPrice, Image, Size
from zentry_web.domain.vms.image import UserDataKind, VersionState
from zentry_web.models import DbImage, DbImagePriceVersion, DbImageVersion, DbPriceVersion, DbSize
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.billing_service import BillingService
from zentry_web.services.errors import NotFoundError, ValidationError
from zentry_web.services.shared.access import require_admin
from zentry_web.services.shared.fields import Fields, invalid

FARTHEST = timedelta(days=730)  # as with changes of prices


class Catalogue(BaseService):
    """Sizes and images: reads for everyone, changes for admins. Prices are published by BillingService."""

    name = "catalogue"

    def __init__(self, core: Core, billing: BillingService) -> None:
        super().__init__(core)
        self._prices = billing.price_list

    def list_sizes(self, *, include_inactive: bool = False) -> list[Size]:
        """All sizes on offer, smallest first, each with the price in force and the next one announced."""
        query = self._prices.sizes()
        if not include_inactive:
            query = query.where(DbSize.active)
        with self.reading() as session:
            coming = self._prices.next_of_sizes(session)
            found = session.execute(query.order_by(DbSize.position)).all()
            return [_as_size(row, price, coming.get(row.id)) for row, price in found]

    def list_planned_sizes(self) -> list[Size]:
        """Sizes whose first price has not begun, smallest first; that price is their ``coming`` one."""
        with self.reading() as session:
            coming = self._prices.next_of_sizes(session)
            begun = select(self._prices.sizes().subquery().c.id)
            query = select(DbSize).where(DbSize.id.in_(coming), DbSize.id.not_in(begun)).order_by(DbSize.position)
            return [_as_size(row, coming[row.id], coming[row.id]) for row in session.scalars(query)]

    def find_size(self, session: Session, size_id: str) -> Size | None:
        """One size with its price in force, or None."""
        found = session.execute(self._prices.sizes().where(DbSize.id == size_id)).first()
        return _as_size(*found) if found else None

    def list_images(self, *, include_inactive: bool = False) -> list[Image]:
        """Everybody's images on offer, in the catalogue's order, each with what it adds to a running hour now and next;
        with ``include_inactive`` those withdrawn and those of which no version is ready, too."""
        return self._list_images(DbImage.project_id.is_(None), include_inactive)

    def list_launch_images(self, project_ids: Collection[str]) -> list[Image]:
        """What machines of these projects can be made from: everybody's images on offer, then their own."""
        return self._list_images(DbImage.project_id.is_(None) | DbImage.project_id.in_(project_ids), False)

    def _list_images(self, whose: ColumnElement[bool], include_inactive: bool) -> list[Image]:
        query = self._images().where(whose, DbImage.deleted_at.is_(None))
        query = query.order_by(DbImage.project_id.is_not(None), DbImage.position, DbImage.name)
        if not include_inactive:
            query = query.where(DbImage.active, DbImageVersion.id.is_not(None))
        with self.reading() as session:
            coming = self._prices.next_of_images(session)
            return [as_image(row, price, v, coming.get(row.id)) for row, price, v in session.execute(query)]

    def _images(self) -> Select[Any]:
        """Images, each with its surcharge in force and its newest version that is ready."""
        ready = DbImageVersion.image_id == DbImage.id, DbImageVersion.state == VersionState.READY
        newest = aliased(DbImageVersion)
        number = (
            select(func.max(newest.number))
            .where(newest.image_id == DbImage.id, newest.state == VersionState.READY)
            .correlate(DbImage)
            .scalar_subquery()
        )
        return (
            self._prices.images()
            .outerjoin(DbImageVersion, and_(*ready, DbImageVersion.number == number))
            .add_columns(DbImageVersion)
        )

    def find_image(self, session: Session, image_id: str) -> Image | None:
        """One image with its surcharge in force, or None."""
        found = session.execute(self._images().where(DbImage.id == image_id, DbImage.deleted_at.is_(None))).first()
        return as_image(*found) if found else None

    def read_image(self, session: Session, image_id: str) -> Image:
        """One image, also one that was deleted, with its surcharge in force; it must exist."""
        return as_image(*session.execute(self._images().where(DbImage.id == image_id)).one())

    def create_size(self, data: Mapping[str, Any], *, starts_at: datetime | None = None, actor: Actor) -> str:
        """A new size with its first price, both or neither, on offer from ``starts_at`` on (None: now); returns its id.

        ``data``: name, vcpus, memory_mib (as typed, with its unit), disk_gib, and the prices of PriceList.publish in
        micro-credits per hour. Admins only; audited. Raises ValidationError on the fields that are wrong.
        """
        require_admin(actor)
        fields = Fields(data)
        name = fields.take("name", new_size.parse_name, "")
        takes = {
            "vcpus": fields.take("vcpus", new_size.parse_vcpus, 1),
            "memory_mib": fields.take("memory_mib", new_size.parse_size_memory, 1),
            "disk_gib": fields.take("disk_gib", new_size.parse_disk, 1),
        }
        if starts_at is not None and abs(starts_at - self.now()) > FARTHEST:
            fields.errors["starts_at"] = _("Let it begin within two years from now.")
        fields.check()
        prices: tuple[Any, Any] = data.get("running_micro_per_hour"), data.get("disk_micro_per_gib_hour")
        with self.transaction() as session:
            if session.scalar(select(DbSize.id).where(DbSize.name == name)) is not None:
                raise invalid({"name": _("There is a size of this name. Choose another.")})
            position = _make_room(session, takes)
            row = DbSize(id=self.new_id("size"), name=name, position=position, active=True, **takes)
            session.add(row)
            session.flush()
            self.audit("size.create", Subject("size", row.id), {"name": name, **takes}, actor=actor)
            self._prices.publish(row.id, *prices, starts_at=starts_at, actor=actor)
            return row.id

    def update_size(self, size_id: str, data: dict[str, object], *, actor: Actor) -> None:
        """Offer or withdraw a size (``active``). VMs that have it keep it. Raises NotFoundError."""
        self._set_active(DbSize, "size", size_id, data, actor)

    def update_image(self, image_id: str, data: dict[str, object], *, actor: Actor) -> None:
        """Offer or withdraw an image (``active``). Raises NotFoundError."""
        self._set_active(DbImage, "image", image_id, data, actor)

    def _set_active(
        self, table: type[DbSize] | type[DbImage], kind: str, row_id: str, data: dict[str, object], actor: Actor
    ) -> None:
        require_admin(actor)
        active = data.get("active")
        if not isinstance(active, bool):
            raise ValidationError(_("Choose whether it is on offer."), details={"active": _("Choose yes or no.")})
        with self.transaction() as session:
            row: Any = session.get(table, row_id)
            if row is None:
                raise NotFoundError(_("There is no such size.") if kind == "size" else _("There is no such image."))
            if row.active == active:
                return
            row.active = active
            action = f"{kind}.{'offer' if active else 'withdraw'}"
            self.audit(action, Subject(kind, row_id), {"name": row.name}, actor=actor)


def _make_room(session: Session, takes: Mapping[str, int]) -> int:
    """The place of a new size in the catalogue: before the first that takes more."""
    wanted = tuple(takes.values())
    rows = session.execute(select(DbSize.position, DbSize.vcpus, DbSize.memory_mib, DbSize.disk_gib)).all()
    larger = [position for position, *has in rows if tuple(has) > wanted]
    if not larger:
        return max((row.position for row in rows), default=-1) + 1
    session.execute(update(DbSize).where(DbSize.position >= min(larger)).values(position=DbSize.position + 1))
    return min(larger)


def _as_size(row: DbSize, price: DbPriceVersion, coming: DbPriceVersion | None = None) -> Size:
    return Size(
        id=row.id,
        name=row.name,
        vcpus=row.vcpus,
        memory_mib=row.memory_mib,
        disk_gib=row.disk_gib,
        active=row.active,
        price_version_id=price.id,
        price_version=price.number,
        running_micro_per_hour=price.running_micro_per_hour,
        disk_micro_per_gib_hour=price.disk_micro_per_gib_hour,
        coming=_coming(coming, row.disk_gib) if coming else None,
    )


def as_image(
    row: DbImage,
    price: DbImagePriceVersion | None = None,
    version: DbImageVersion | None = None,
    coming: DbImagePriceVersion | None = None,
) -> Image:
    """The row with its newest version that is ready."""
    return Image(
        id=row.id,
        name=row.name,
        driver_name=version.driver_name if version else row.driver_name,
        description=row.description,
        min_memory_mib=row.min_memory_mib,
        active=row.active,
        surcharge_micro_per_hour=price.micro_per_hour if price else 0,
        price_version_id=price.id if price else None,
        price_version=price.number if price else None,
        coming=ComingPrice(coming.starts_at, coming.micro_per_hour, 0) if coming else None,
        version_id=version.id if version else None,
        version=version.number if version else None,
        architecture=row.architecture,
        min_disk_gib=row.min_disk_gib,
        default_user=row.default_user,
        first_login=row.first_login,
        user_data=UserDataKind(row.user_data),
        project_id=row.project_id,
    )


def _coming(price: DbPriceVersion, disk_gib: int) -> ComingPrice:
    return ComingPrice(price.starts_at, price.running_micro_per_hour, price.disk_micro_per_gib_hour * disk_gib)
