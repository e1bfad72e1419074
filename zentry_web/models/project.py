"""Projects."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from zentry_web.db import Base
from zentry_web.models.types import UTCDateTime

_NOT_DELETED = text("deleted_at IS NULL")


class DbProject(Base):
    __tablename__ = "project"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    owner_id: Mapped[str] = mapped_column(ForeignKey("user.id"))
    name: Mapped[str] = mapped_column(String(60))
    name_key: Mapped[str] = mapped_column(String(60))
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    deleted_at: Mapped[datetime | None] = mapped_column(UTCDateTime)  # its deleted VMs and their charges still name it

    __table_args__ = (
        Index(
            "uq_project_owner_id_name_key",
            "owner_id",
            "name_key",
            unique=True,
            sqlite_where=_NOT_DELETED,
            postgresql_where=_NOT_DELETED,
        ),
    )
