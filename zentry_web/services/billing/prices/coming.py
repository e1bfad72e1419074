"""What machines will cost: announced changes, one after the other as they come to count for each owner."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from zentry_web.domain.credits.prices import ComingVMPrice
from zentry_web.domain.credits.usage import whole_second
from zentry_web.models import DbPriceChange, DbPriceTold, DbSize, DbVM
from zentry_web.services.billing.usage.price_switch import NewPrice, affected_query, as_new_price


def pending() -> tuple[Any, ...]:
    """SQL conditions: published changes with somebody left to tell or to switch."""
    return (
        DbPriceChange.published_at.is_not(None),
        DbPriceChange.withdrawn_at.is_(None),
        DbPriceChange.finished_at.is_(None),
    )


_PENDING = select(DbPriceChange).where(*pending())  # built once: every machine's page asks it


def read_coming(
    session: Session, owner_ids: Sequence[str], now: datetime, vm_id: str | None = None
) -> list[ComingVMPrice]:
    """The new prices that these owners' machines do not have yet, in the order in which they come.

    Each starts from what the one before it brings that machine. Who was not told yet is taken to be told now. A
    statement, and one per announced change.
    """
    found = []
    for change in session.scalars(_PENDING).all():
        for row in session.execute(_machines(change.id, owner_ids, vm_id)):
            at = row.effective_at or max(change.starts_at, whole_second(now))
            found.append(((at, change.starts_at, change.id), change, row))
    found.sort(key=lambda each: each[0])  # the order of price_switch.read_due; it leaves machines in theirs
    standing: dict[str, tuple[NewPrice, datetime]] = {}
    coming = []
    for (at, *_), change, row in found:
        before, since = standing.get(row.id, (None, None))
        new = as_new_price(row, before)
        if before is not None and (new.size_begins, new.image_begins) == (before.size_begins, before.image_begins):
            continue  # told too late: what began after it counts already
        standing[row.id] = (new, at)
        coming.append(
            ComingVMPrice(
                new.vm_id, new.owner_id, row.vm_name, row.size_name, change.id, change.title, at, new.running_before,
                new.stopped_before, new.running, new.stopped, since,
            )
        )  # fmt: skip
    return coming


def _machines(change_id: str, owner_ids: Sequence[str], vm_id: str | None) -> Select[Any]:
    told = (DbPriceTold.change_id == change_id) & (DbPriceTold.owner_id == DbVM.owner_id)
    query = (
        affected_query(change_id)
        .add_columns(DbVM.name.label("vm_name"), DbSize.name.label("size_name"), DbPriceTold.effective_at)
        .join(DbSize, DbSize.id == DbVM.size_id)
        .outerjoin(DbPriceTold, told)
        .where(DbVM.owner_id.in_(owner_ids))
        .order_by(DbVM.owner_id, DbVM.name, DbVM.id)
    )
    return query if vm_id is None else query.where(DbVM.id == vm_id)
