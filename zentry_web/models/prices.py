"""Surcharges of images, and changes of prices: drafted, told to owners, in force from a moment on (docs/adr/0009)."""

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Index, Integer, String, text
from sqlalchemy.orm import Mapped, mapped_column

from zentry_web.db import Base
from zentry_web.models.types import UTCDateTime, UTCSecond

_NOT_DONE = text("done_at IS NULL")


class DbImagePriceVersion(Base):
    """What an image adds to the price of a running hour, from a moment on. Triggers refuse UPDATE and DELETE."""

    __tablename__ = "image_price_version"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    image_id: Mapped[str] = mapped_column(ForeignKey("image.id"))
    number: Mapped[int] = mapped_column(Integer)
    micro_per_hour: Mapped[int] = mapped_column(BigInteger)
    starts_at: Mapped[datetime] = mapped_column(UTCDateTime)
    created_by: Mapped[str] = mapped_column(String(40))
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    change_id: Mapped[str | None] = mapped_column(String(40))

    __table_args__ = (Index("uq_image_price_version_image_id_number", "image_id", "number", unique=True),)


class DbPriceChange(Base):
    """New prices with one start. A draft until ``published_at``; withdrawn only before its start."""

    __tablename__ = "price_change"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    title: Mapped[str] = mapped_column(String(80))  # told to owners
    starts_at: Mapped[datetime] = mapped_column(UTCDateTime)  # a whole second
    created_by: Mapped[str] = mapped_column(String(40))
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    published_by: Mapped[str | None] = mapped_column(String(40))
    published_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    withdrawn_by: Mapped[str | None] = mapped_column(String(40))
    withdrawn_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UTCDateTime)  # nobody is left to tell or to switch


class DbPriceItem(Base):
    """One new price of a change: of a size (running, disk) or of an image (what it adds while running)."""

    __tablename__ = "price_item"

    change_id: Mapped[str] = mapped_column(ForeignKey("price_change.id"), primary_key=True)
    target_id: Mapped[str] = mapped_column(String(40), primary_key=True)  # of a size or an image
    kind: Mapped[str] = mapped_column(String(5))  # 'size' or 'image'
    running_micro_per_hour: Mapped[int] = mapped_column(BigInteger)
    disk_micro_per_gib_hour: Mapped[int] = mapped_column(BigInteger)  # 0 for an image


class DbPriceTold(Base):
    """An owner was told of a change, with their own figures; it holds for their VMs from ``effective_at`` on."""

    __tablename__ = "price_told"

    change_id: Mapped[str] = mapped_column(ForeignKey("price_change.id"), primary_key=True)
    owner_id: Mapped[str] = mapped_column(ForeignKey("user.id"), primary_key=True)
    told_at: Mapped[datetime] = mapped_column(UTCDateTime)
    effective_at: Mapped[datetime] = mapped_column(UTCSecond)
    old_micro_per_hour: Mapped[int] = mapped_column(BigInteger)  # all their machines, as they were when told
    new_micro_per_hour: Mapped[int] = mapped_column(BigInteger)
    done_at: Mapped[datetime | None] = mapped_column(UTCDateTime)  # switched, or told that it was withdrawn

    __table_args__ = (
        Index("ix_price_told_waiting", "owner_id", "effective_at", sqlite_where=_NOT_DONE, postgresql_where=_NOT_DONE),
    )
