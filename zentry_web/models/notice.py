"""What people are told: the list in the app, the mail to send, and how far each landing has been announced."""

from datetime import datetime

from sqlalchemy import BigInteger, Boolean, ForeignKey, Index, Integer, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from zentry_web.db import Base
from zentry_web.models.types import UTCDateTime

_UNREAD = text("read_at IS NULL")
_UNSENT = text("sent_at IS NULL AND refused_at IS NULL")


class DbNotice(Base):
    """One thing a person was told. The unique index makes each notice happen once."""

    __tablename__ = "notice"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("user.id"))
    kind: Mapped[str] = mapped_column(String(30))
    key: Mapped[str] = mapped_column(String(120))
    at: Mapped[datetime] = mapped_column(UTCDateTime)
    title: Mapped[str] = mapped_column(String(200))
    body: Mapped[str] = mapped_column(Text)
    target: Mapped[str] = mapped_column(String(200))  # as domain/target.py writes it
    read_at: Mapped[datetime | None] = mapped_column(UTCDateTime)

    __table_args__ = (
        Index("uq_notice_user_id_kind_key", "user_id", "kind", "key", unique=True),
        Index("ix_notice_user_id_id", "user_id", "id"),
        Index("ix_notice_unread", "user_id", sqlite_where=_UNREAD, postgresql_where=_UNREAD),
    )


class DbOutbox(Base):
    """A mail to hand to the mail server at least once; its id makes the Message-ID, so a repeat is recognised."""

    __tablename__ = "outbox"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("user.id"), index=True)
    to_address: Mapped[str] = mapped_column(String(254))
    subject: Mapped[str] = mapped_column(String(200))
    body: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    sent_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    refused_at: Mapped[datetime | None] = mapped_column(UTCDateTime)  # for good: not tried again
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    run_at: Mapped[datetime] = mapped_column(UTCDateTime)
    error: Mapped[str] = mapped_column(Text, default="")

    __table_args__ = (Index("ix_outbox_unsent", "run_at", sqlite_where=_UNSENT, postgresql_where=_UNSENT),)


class DbMailChoice(Base):
    """Whether a person wants a topic's mails; no row: as the topic has it."""

    __tablename__ = "mail_choice"

    user_id: Mapped[str] = mapped_column(ForeignKey("user.id"), primary_key=True)
    topic: Mapped[str] = mapped_column(String(20), primary_key=True)
    mail: Mapped[bool] = mapped_column(Boolean)


class DbLanding(Base):
    """How far a person has been told of credits coming to an end, and the balance they want to be told at."""

    __tablename__ = "landing"

    user_id: Mapped[str] = mapped_column(ForeignKey("user.id"), primary_key=True)
    episode: Mapped[int] = mapped_column(Integer, default=0)
    told_seconds: Mapped[int | None] = mapped_column(Integer)  # the shortest runway told in this episode
    low_micro: Mapped[int | None] = mapped_column(BigInteger)  # None: not wanted
    low_told: Mapped[bool] = mapped_column(Boolean, default=False)
