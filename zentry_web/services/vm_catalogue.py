"""The catalogue: sizes with the price in force, and images."""

from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from zentry_web.domain.user import Actor
from zentry_web.domain.vm import ComingPrice, Image, Size
from zentry_web.models import DbImage, DbImagePriceVersion, DbPriceVersion, DbSize
from zentry_web.services import prices
from zentry_web.services.access import require_admin
from zentry_web.services.base_service import BaseService
from zentry_web.services.errors import NotFoundError, ValidationError


class Catalogue(BaseService):
    """Sizes and images: reads for everyone, changes for admins. Prices are published by BillingService."""

    name = "catalogue"

    def list_sizes(self, *, include_inactive: bool = False) -> list[Size]:
        """All sizes on offer, smallest first, each with the price in force and the next one announced."""
        query = self._sizes()
        if not include_inactive:
            query = query.where(DbSize.active)
        with self.reading() as session:
            coming = {row.size_id: row for row in reversed(prices.read_coming(session, self.now()))}
            found = session.execute(query.order_by(DbSize.position)).all()
            return [_size(row, price, coming.get(row.id)) for row, price in found]

    def find_size(self, session: Session, size_id: str) -> Size | None:
        """One size with its price in force, or None."""
        found = session.execute(self._sizes().where(DbSize.id == size_id)).first()
        return _size(*found) if found else None

    def list_images(self, *, include_inactive: bool = False) -> list[Image]:
        """All images on offer, in the catalogue's order, each with what it adds to a running hour now and next."""
        query = self._images().order_by(DbImage.position, DbImage.name)
        if not include_inactive:
            query = query.where(DbImage.active)
        with self.reading() as session:
            coming = {row.image_id: row for row in reversed(prices.read_coming_surcharges(session, self.now()))}
            return [_image(row, price, coming.get(row.id)) for row, price in session.execute(query)]

    def find_image(self, session: Session, image_id: str) -> Image | None:
        """One image with its surcharge in force, or None."""
        found = session.execute(self._images().where(DbImage.id == image_id)).first()
        return _image(*found) if found else None

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
            raise ValidationError("Choose whether it is on offer.", details={"active": "Choose yes or no."})
        with self.transaction() as session:
            row: Any = session.get(table, row_id)
            if row is None:
                raise NotFoundError(f"There is no such {kind}.")
            if row.active == active:
                return
            row.active = active
            self.log_audit_event(
                actor.id, f"{kind}.{'offer' if active else 'withdraw'}", kind, row_id, {"name": row.name}, actor=actor
            )

    def _sizes(self) -> Select[DbSize, DbPriceVersion]:
        newest = prices.numbers_in_force(self.now()).subquery()
        return (
            select(DbSize, DbPriceVersion)
            .join(newest, newest.c.size_id == DbSize.id)
            .join(DbPriceVersion, (DbPriceVersion.size_id == DbSize.id) & (DbPriceVersion.number == newest.c.number))
        )

    def _images(self) -> Select[DbImage, DbImagePriceVersion | None]:
        newest, price = prices.image_numbers_in_force(self.now()).subquery(), DbImagePriceVersion
        return (
            select(DbImage, price)
            .outerjoin(newest, newest.c.image_id == DbImage.id)
            .outerjoin(price, (price.image_id == DbImage.id) & (price.number == newest.c.number))
        )


def _size(row: DbSize, price: DbPriceVersion, coming: DbPriceVersion | None = None) -> Size:
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


def _image(row: DbImage, price: DbImagePriceVersion | None, coming: DbImagePriceVersion | None = None) -> Image:
    return Image(
        id=row.id,
        name=row.name,
        driver_name=row.driver_name,
        description=row.description,
        min_memory_mib=row.min_memory_mib,
        active=row.active,
        surcharge_micro_per_hour=price.micro_per_hour if price else 0,
        price_version_id=price.id if price else None,
        price_version=price.number if price else None,
        coming=ComingPrice(coming.starts_at, coming.micro_per_hour, 0) if coming else None,
    )


def _coming(price: DbPriceVersion, disk_gib: int) -> ComingPrice:
    return ComingPrice(price.starts_at, price.running_micro_per_hour, price.disk_micro_per_gib_hour * disk_gib)
