"""What sizes and images cost now and next, for the catalogue: billing keeps the prices, VMService the things."""

from datetime import UTC, datetime

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from zentry_web.domain.event import Subject
from zentry_web.domain.user import SYSTEM, Actor
from zentry_web.models import DbImage, DbImagePriceVersion, DbPriceVersion, DbSize
from zentry_web.services.base_service import BaseService
from zentry_web.services.billing.usage import price_versions
from zentry_web.services.shared.access import require_admin


class PriceList(BaseService):
    """A part of BillingService. What looks is statements, to be narrowed down and executed together with what they are
    asked for."""

    name = "price_list"

    def sizes(self) -> Select[DbSize, DbPriceVersion]:
        """Sizes, each with its price in force."""
        newest = price_versions.numbers_in_force(self.now()).subquery()
        return (
            select(DbSize, DbPriceVersion)
            .join(newest, newest.c.size_id == DbSize.id)
            .join(DbPriceVersion, (DbPriceVersion.size_id == DbSize.id) & (DbPriceVersion.number == newest.c.number))
        )

    def images(self) -> Select[DbImage, DbImagePriceVersion | None]:
        """Images, each with what it adds to a running hour; None: nothing."""
        newest, price = price_versions.image_numbers_in_force(self.now()).subquery(), DbImagePriceVersion
        return (
            select(DbImage, price)
            .outerjoin(newest, newest.c.image_id == DbImage.id)
            .outerjoin(price, (price.image_id == DbImage.id) & (price.number == newest.c.number))
        )

    def next_of_sizes(self, session: Session) -> dict[str, DbPriceVersion]:
        """By size, the next price that is announced and has not begun."""
        return {row.size_id: row for row in reversed(price_versions.read_coming(session, self.now()))}

    def next_of_images(self, session: Session) -> dict[str, DbImagePriceVersion]:
        """By image, the next surcharge that is announced and has not begun."""
        return {row.image_id: row for row in reversed(price_versions.read_coming_surcharges(session, self.now()))}

    def take_over(self, session: Session, image_id: str, micro_per_hour: int) -> None:
        """What an image made of a machine adds from now on: what that machine's own adds; in the caller's
        transaction."""
        now = self.now()
        price_versions.add_image_version(session, image_id, micro_per_hour, price_versions.Origin(now, now, SYSTEM.id))

    def publish(
        self,
        size_id: str,
        running_micro_per_hour: int,
        disk_micro_per_gib_hour: int,
        *,
        starts_at: datetime | None = None,
        actor: Actor,
    ) -> None:
        """Add the next version of a size's price, from now or a later moment on; admins only. VMs keep theirs.

        Raises ValidationError, NotFoundError.
        """
        require_admin(actor)
        fields = "running_micro_per_hour", "disk_micro_per_gib_hour"
        running, disk = price_versions.check_prices(fields, running_micro_per_hour, disk_micro_per_gib_hour)
        now = self.now()
        origin = price_versions.Origin((starts_at or now).astimezone(UTC), now, actor.id)
        with self.transaction() as session:
            number = price_versions.add_version(session, size_id, running, disk, origin)
            details = {"version": number, "running": running, "disk": disk}
            self.audit("price.publish", Subject("size", size_id), details, actor=actor)
