"""Prices are versions: a new one is added with its start, none is ever changed."""

from datetime import datetime

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from zentry_web.domain.ids import new_id
from zentry_web.domain.money import MAX_AMOUNT
from zentry_web.models import DbPriceVersion, DbSize
from zentry_web.services.errors import NotFoundError, ValidationError


def check_micro(field: str, value: object, *, least: int = 0) -> int:
    """``value`` if it is a whole number of micro-credits in range. Raises ValidationError on ``field``."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValidationError("Amounts are whole micro-credits.", details={field: "Enter a whole number."})
    if not least <= value <= MAX_AMOUNT:
        message = "Enter an amount above zero." if value < least else "That amount is out of range."
        raise ValidationError(message, details={field: message})
    return value


def add_version(
    session: Session, size_id: str, running: int, disk: int, starts_at: datetime, now: datetime, created_by: str
) -> int:
    """Write the next version of a size's price; returns its number. Raises NotFoundError, ValidationError."""
    size = session.scalars(select(DbSize.id).where(DbSize.id == size_id).with_for_update(key_share=True)).one_or_none()
    if size is None:
        raise NotFoundError("There is no such size.")
    last = session.execute(
        select(DbPriceVersion.number, DbPriceVersion.starts_at)
        .where(DbPriceVersion.size_id == size_id)
        .order_by(DbPriceVersion.number.desc())
        .limit(1)
    ).one_or_none()
    if starts_at < now or (last and starts_at < last.starts_at):
        message = "A new price starts now or later, and not before the version before it."
        raise ValidationError(message, details={"starts_at": message})
    number = last.number + 1 if last else 1
    row = {
        "id": new_id("price", now),
        "size_id": size_id,
        "number": number,
        "running_micro_per_hour": running,
        "disk_micro_per_gib_hour": disk,
        "starts_at": starts_at,
        "created_by": created_by,
        "created_at": now,
    }
    session.execute(insert(DbPriceVersion), [row])
    return number
