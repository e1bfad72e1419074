"""Images, and the versions of them that machines are made from."""

from datetime import datetime

from sqlalchemy import BigInteger, Boolean, ForeignKey, Index, Integer, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from zentry_web.db import Base
from zentry_web.models.types import UTCDateTime

_SHARED = text("project_id IS NULL")
_PRIVATE = text("project_id IS NOT NULL AND deleted_at IS NULL")
_WORK = text("state IN ('building', 'importing', 'removing')")


class DbImage(Base):
    """What a machine can be made from: everybody's, or one project's. Prices are the image's, not its versions'."""

    __tablename__ = "image"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    name: Mapped[str] = mapped_column(String(60))
    driver_name: Mapped[str] = mapped_column(String(60))  # that of its first version; later ones add their number
    description: Mapped[str] = mapped_column(Text)
    min_memory_mib: Mapped[int] = mapped_column(Integer)
    position: Mapped[int] = mapped_column(Integer)
    active: Mapped[bool] = mapped_column(Boolean)
    project_id: Mapped[str | None] = mapped_column(ForeignKey("project.id"))  # None: everybody's
    architecture: Mapped[str] = mapped_column(String(10), default="x86_64")
    min_disk_gib: Mapped[int] = mapped_column(Integer, default=1)
    default_user: Mapped[str] = mapped_column(String(32), default="root")
    first_login: Mapped[str] = mapped_column(Text, default="")  # more about it, as an admin wrote it
    user_data: Mapped[str] = mapped_column(String(10), default="script")  # a UserDataKind
    deleted_at: Mapped[datetime | None] = mapped_column(UTCDateTime)

    __table_args__ = (
        Index("uq_image_name", "name", unique=True, sqlite_where=_SHARED, postgresql_where=_SHARED),
        Index(
            "uq_image_project_id_name",
            "project_id",
            "name",
            unique=True,
            sqlite_where=_PRIVATE,
            postgresql_where=_PRIVATE,
        ),
    )


class DbImageVersion(Base):
    """One make of an image. While it is being made its row is the order: what is wanted, how far it is."""

    __tablename__ = "image_version"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    image_id: Mapped[str] = mapped_column(ForeignKey("image.id"))
    number: Mapped[int] = mapped_column(Integer)
    driver_name: Mapped[str] = mapped_column(String(60), unique=True)
    state: Mapped[str] = mapped_column(String(10))  # a VersionState
    source: Mapped[str] = mapped_column(String(10))  # an ImageSource
    reference: Mapped[str] = mapped_column(Text)  # the address, the file, what is built, the id of the machine
    expected_sha256: Mapped[str] = mapped_column(String(64))  # of the file as it comes; '' where nobody named one
    sha256: Mapped[str] = mapped_column(String(64))  # of the disk as it is kept; '' until it is ready
    size_bytes: Mapped[int] = mapped_column(BigInteger)  # what it takes on the host
    disk_bytes: Mapped[int] = mapped_column(BigInteger)  # the disk that a guest sees
    step: Mapped[str] = mapped_column(String(20))
    done_bytes: Mapped[int] = mapped_column(BigInteger)
    total_bytes: Mapped[int] = mapped_column(BigInteger)  # 0: not known
    cancelling: Mapped[bool] = mapped_column(Boolean)
    reason: Mapped[str] = mapped_column(Text)  # why it failed
    created_by: Mapped[str] = mapped_column(String(40))
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UTCDateTime)

    __table_args__ = (
        Index("uq_image_version_image_id_number", "image_id", "number", unique=True),
        Index("ix_image_version_work", "id", sqlite_where=_WORK, postgresql_where=_WORK),
    )
