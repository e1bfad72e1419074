"""Projects, who belongs to them, and who is invited."""

from datetime import datetime

from sqlalchemy import Boolean, ForeignKey, Index, Integer, String, Text, false, text
from sqlalchemy.orm import Mapped, mapped_column

from zentry_web.db import Base
from zentry_web.models.types import UTCDateTime

_NOT_DELETED = text("deleted_at IS NULL")
_BINNED = text("purge_at IS NOT NULL")
_OWNER = text("role = 'owner'")
_OPEN = text("ended_at IS NULL")
_WAITING = text("run_at IS NOT NULL")


class DbProject(Base):
    __tablename__ = "project"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    owner_id: Mapped[str] = mapped_column(ForeignKey("user.id"))
    name: Mapped[str] = mapped_column(String(60))
    name_key: Mapped[str] = mapped_column(String(60))
    description: Mapped[str] = mapped_column(String(500), default="", server_default="")
    colour: Mapped[str] = mapped_column(String(10), default="", server_default="")  # '': none
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    archived_at: Mapped[datetime | None] = mapped_column(UTCDateTime)  # nothing begins in it
    deleted_at: Mapped[datetime | None] = mapped_column(UTCDateTime)  # its deleted VMs and their charges still name it
    purge_at: Mapped[datetime | None] = mapped_column(UTCDateTime)  # in the recycle bin until then; None: not in it
    deleted_by: Mapped[str | None] = mapped_column(String(40))
    protected: Mapped[bool] = mapped_column(Boolean, default=False, server_default=false())

    __table_args__ = (
        Index(
            "uq_project_owner_id_name_key",
            "owner_id",
            "name_key",
            unique=True,
            sqlite_where=_NOT_DELETED,
            postgresql_where=_NOT_DELETED,
        ),
        Index("ix_project_purge_at", "purge_at", sqlite_where=_BINNED, postgresql_where=_BINNED),
    )


class DbProjectMember(Base):
    """Who may do what in a project. Exactly one member is its owner: the same as ``project.owner_id``."""

    __tablename__ = "project_member"

    project_id: Mapped[str] = mapped_column(ForeignKey("project.id"), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("user.id"), primary_key=True)
    role: Mapped[str] = mapped_column(String(10))
    since: Mapped[datetime] = mapped_column(UTCDateTime)
    added_by: Mapped[str] = mapped_column(String(40))

    __table_args__ = (
        Index("ix_project_member_user_id", "user_id"),
        Index("uq_project_member_owner", "project_id", unique=True, sqlite_where=_OWNER, postgresql_where=_OWNER),
    )


class DbProjectInvitation(Base):
    """An open door for whoever has the secret, of which only a hash is kept; or the offer of ownership to a member."""

    __tablename__ = "project_invitation"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    project_id: Mapped[str] = mapped_column(ForeignKey("project.id"))
    role: Mapped[str] = mapped_column(String(10))  # 'owner': an offer of ownership to ``user_id``, without a secret
    email: Mapped[str] = mapped_column(String(254))
    email_key: Mapped[str] = mapped_column(String(254))
    invited_by: Mapped[str] = mapped_column(ForeignKey("user.id"))
    user_id: Mapped[str | None] = mapped_column(ForeignKey("user.id"))
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    expires_at: Mapped[datetime] = mapped_column(UTCDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    signed_up_at: Mapped[datetime | None] = mapped_column(UTCDateTime)  # when it let somebody make an account
    outcome: Mapped[str] = mapped_column(String(10), default="")
    token_hash: Mapped[str | None] = mapped_column(String(64), unique=True)
    run_at: Mapped[datetime | None] = mapped_column(UTCDateTime)  # when its mail is due; None: none to send
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    error: Mapped[str] = mapped_column(Text, default="", server_default="")

    __table_args__ = (
        Index(
            "uq_project_invitation_open",
            "project_id",
            "email_key",
            unique=True,
            sqlite_where=_OPEN,
            postgresql_where=_OPEN,
        ),
        Index("ix_project_invitation_to", "email_key", sqlite_where=_OPEN, postgresql_where=_OPEN),
        Index("ix_project_invitation_mail", "run_at", sqlite_where=_WAITING, postgresql_where=_WAITING),
    )
