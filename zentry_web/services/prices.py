"""Prices are versions: a new one is added with its start, none is ever changed (docs/adr/0009)."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, func, insert, select
from sqlalchemy.orm import Session

from zentry_web.domain.ids import new_id
from zentry_web.domain.money import MAX_AMOUNT
from zentry_web.models import DbImage, DbImagePriceVersion, DbPriceChange, DbPriceVersion, DbSize
from zentry_web.services.errors import NotFoundError, ValidationError

_TOO_EARLY = "A new price starts now or later."
Versions = type[DbPriceVersion] | type[DbImagePriceVersion]


def check_micro(field: str, value: object, *, least: int = 0) -> int:
    """``value`` if it is a whole number of micro-credits in range. Raises ValidationError on ``field``."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValidationError("Amounts are whole micro-credits.", details={field: "Enter a whole number."})
    if not least <= value <= MAX_AMOUNT:
        too_small = "Enter an amount above zero." if least else "Enter zero or more."
        message = too_small if value < least else "That amount is out of range."
        raise ValidationError(message, details={field: message})
    return value


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


def add_version(
    session: Session,
    size_id: str,
    running: int,
    disk: int,
    starts_at: datetime,
    now: datetime,
    created_by: str,
    change_id: str | None = None,
) -> int:
    """Write the next version of a size's price; returns its number. Raises NotFoundError, ValidationError."""
    query = select(DbSize.id).where(DbSize.id == size_id)
    if session.scalars(query.with_for_update(key_share=True)).one_or_none() is None:
        raise NotFoundError("There is no such size.")
    number = _next_number(session, DbPriceVersion, DbPriceVersion.size_id == size_id, starts_at, now)
    row = {
        "id": new_id("price", now),
        "size_id": size_id,
        "number": number,
        "running_micro_per_hour": running,
        "disk_micro_per_gib_hour": disk,
        "starts_at": starts_at,
        "created_by": created_by,
        "created_at": now,
        "change_id": change_id,
    }
    session.execute(insert(DbPriceVersion), [row])
    return number


def add_image_version(
    session: Session,
    image_id: str,
    micro: int,
    starts_at: datetime,
    now: datetime,
    created_by: str,
    change_id: str | None = None,
) -> int:
    """Write the next version of what an image adds; returns its number. Raises NotFoundError, ValidationError."""
    query = select(DbImage.id).where(DbImage.id == image_id)
    if session.scalars(query.with_for_update(key_share=True)).one_or_none() is None:
        raise NotFoundError("There is no such image.")
    mine = DbImagePriceVersion.image_id == image_id
    number = _next_number(session, DbImagePriceVersion, mine, starts_at, now)
    row = {
        "id": new_id("iprice", now),
        "image_id": image_id,
        "number": number,
        "micro_per_hour": micro,
        "starts_at": starts_at,
        "created_by": created_by,
        "created_at": now,
        "change_id": change_id,
    }
    session.execute(insert(DbImagePriceVersion), [row])
    return number


def _next_number(
    session: Session, table: Versions, mine: ColumnElement[bool], starts_at: datetime, now: datetime
) -> int:
    last = session.scalar(select(func.max(table.number)).where(mine)) or 0
    if starts_at < now:
        raise ValidationError(_TOO_EARLY, details={"starts_at": _TOO_EARLY})
    return last + 1


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
