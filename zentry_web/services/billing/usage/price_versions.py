"""Prices are versions: a new one is added with its start, none is ever changed (docs/adr/0009)."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, func, insert, select
from sqlalchemy.orm import Session

from zentry_web.domain.ids import new_id
from zentry_web.domain.language import _, lazy
from zentry_web.domain.money import MAX_DISK_RATE, MAX_RATE
from zentry_web.models import DbImage, DbImagePriceVersion, DbPriceChange, DbPriceVersion, DbSize
from zentry_web.services.errors import NotFoundError, ValidationError
from zentry_web.services.shared.fields import check_micro

_TOO_EARLY = lazy("A new price starts now or later.")
Versions = type[DbPriceVersion] | type[DbImagePriceVersion]


def check_prices(fields: tuple[str, str], running: object, disk: object) -> tuple[int, int]:
    """Both prices per hour, if what they cost can be computed. Raises ValidationError on the field that is wrong."""
    return check_micro(fields[0], running, most=MAX_RATE), check_micro(fields[1], disk, most=MAX_DISK_RATE)


def stands(table: Versions) -> ColumnElement[bool]:
    """SQL: a version whose change was not withdrawn."""
    withdrawn = select(DbPriceChange.id).where(DbPriceChange.withdrawn_at.is_not(None))
    return table.change_id.is_(None) | table.change_id.not_in(withdrawn)


def follows(new: Any, old: Any) -> ColumnElement[bool]:
    """SQL: a version replaces another. Versions do so in the order of their starts, whenever they were announced; of
    those with one start, the one announced last."""
    later: ColumnElement[bool] = new.starts_at > old.starts_at
    as_late: ColumnElement[bool] = (new.starts_at == old.starts_at) & (new.number > old.number)
    return later | as_late


def numbers_in_force(now: datetime) -> Select[str, int]:
    """Per size (``size_id``), the ``number`` of the version in force: the last that has started."""
    return _in_force(DbPriceVersion, DbPriceVersion.size_id, now)


def image_numbers_in_force(now: datetime) -> Select[str, int]:
    """Per image (``image_id``) that has a price, the ``number`` of the version in force."""
    return _in_force(DbImagePriceVersion, DbImagePriceVersion.image_id, now)


def _in_force(table: Versions, key: Any, now: datetime) -> Select[str, int]:
    order = (table.starts_at.desc(), table.number.desc())
    place = func.row_number().over(partition_by=key, order_by=order).label("place")
    started = select(key, table.number, place).where(table.starts_at <= now, stands(table)).subquery()
    return select(started.c[key.name], started.c.number).where(started.c.place == 1)


@dataclass(frozen=True, slots=True)
class Origin:
    """From when on a version counts, and who adds it when, by which announced change if by one."""

    starts_at: datetime
    now: datetime
    created_by: str
    change_id: str | None = None


def add_version(session: Session, size_id: str, running: int, disk: int, origin: Origin) -> int:
    """Write the next version of a size's price; returns its number. Raises NotFoundError, ValidationError."""
    query = select(DbSize.id).where(DbSize.id == size_id)
    if session.scalars(query.with_for_update(key_share=True)).one_or_none() is None:
        raise NotFoundError(_("There is no such size."))
    prices = {"size_id": size_id, "running_micro_per_hour": running, "disk_micro_per_gib_hour": disk}
    return _add(session, DbPriceVersion, DbPriceVersion.size_id == size_id, new_id("price", origin.now), prices, origin)


def add_image_version(session: Session, image_id: str, micro: int, origin: Origin) -> int:
    """Write the next version of what an image adds; returns its number. Raises NotFoundError, ValidationError."""
    query = select(DbImage.id).where(DbImage.id == image_id)
    if session.scalars(query.with_for_update(key_share=True)).one_or_none() is None:
        raise NotFoundError(_("There is no such image."))
    mine = DbImagePriceVersion.image_id == image_id
    prices = {"image_id": image_id, "micro_per_hour": micro}
    return _add(session, DbImagePriceVersion, mine, new_id("iprice", origin.now), prices, origin)


def _add(
    session: Session, table: Versions, mine: ColumnElement[bool], row_id: str, prices: dict[str, Any], origin: Origin
) -> int:
    number = (session.scalar(select(func.max(table.number)).where(mine)) or 0) + 1
    if origin.starts_at < origin.now:
        raise ValidationError(_TOO_EARLY, details={"starts_at": _TOO_EARLY})
    row = {"id": row_id, "number": number, "starts_at": origin.starts_at, "change_id": origin.change_id}
    session.execute(insert(table), [row | prices | {"created_by": origin.created_by, "created_at": origin.now}])
    return number


def read_coming(session: Session, now: datetime, size_ids: Collection[str] | None = None) -> list[DbPriceVersion]:
    """Versions of sizes announced but not started, in the order of their start."""
    query = select(DbPriceVersion).where(DbPriceVersion.starts_at > now, stands(DbPriceVersion))
    if size_ids is not None:
        query = query.where(DbPriceVersion.size_id.in_(size_ids))
    return list(session.scalars(query.order_by(DbPriceVersion.starts_at, DbPriceVersion.number)))


def read_coming_surcharges(session: Session, now: datetime) -> list[DbImagePriceVersion]:
    """Versions of images announced but not started, in the order of their start."""
    query = select(DbImagePriceVersion).where(DbImagePriceVersion.starts_at > now, stands(DbImagePriceVersion))
    return list(session.scalars(query.order_by(DbImagePriceVersion.starts_at, DbImagePriceVersion.number)))
