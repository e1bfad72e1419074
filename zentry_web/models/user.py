"""Accounts, their sessions, one-time links, and counters of attempts."""

from datetime import datetime

from sqlalchemy import Boolean, ForeignKey, Index, Integer, String, Text, text, true
from sqlalchemy.orm import Mapped, mapped_column

from zentry_web.db import Base
from zentry_web.models.types import UTCDateTime

_WAITING = text("done_at IS NULL")
_LEAVING = text("deletion_at IS NOT NULL")


class DbUser(Base):
    __tablename__ = "user"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    email: Mapped[str] = mapped_column(String(254))
    email_key: Mapped[str] = mapped_column(String(254), unique=True)  # folded: what sameness is decided on
    email_proven_at: Mapped[datetime | None] = mapped_column(UTCDateTime)  # its mailbox answered; None: nobody knows
    name: Mapped[str] = mapped_column(String(100))
    password_hash: Mapped[str | None] = mapped_column(Text)  # None until the one-time link was used
    role: Mapped[str] = mapped_column(String(10))
    time_zone: Mapped[str] = mapped_column(String(60), default="UTC")
    region: Mapped[str] = mapped_column(String(2), default="", server_default="")
    language: Mapped[str] = mapped_column(String(10), default="", server_default="")  # '': as the browser says
    theme: Mapped[str | None] = mapped_column(String(5))  # None: never chosen
    shortcuts: Mapped[bool] = mapped_column(Boolean, default=True, server_default=true())  # keys without Ctrl
    mail_refused: Mapped[str] = mapped_column(Text, default="", server_default="")  # what a server said of its address
    mail_refused_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    disabled_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    deletion_at: Mapped[datetime | None] = mapped_column(UTCDateTime)  # asked for by its owner

    __table_args__ = (Index("ix_user_deletion_at", "deletion_at", sqlite_where=_LEAVING, postgresql_where=_LEAVING),)


class DbUserNote(Base):
    """What admins wrote down about an account: theirs to read, and erased with it."""

    __tablename__ = "user_note"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("user.id"), index=True)
    author_id: Mapped[str] = mapped_column(ForeignKey("user.id"))
    at: Mapped[datetime] = mapped_column(UTCDateTime)
    text: Mapped[str] = mapped_column(Text)


class DbAuthSession(Base):
    """One signed-in browser. The cookie carries the secret, this row only its hash."""

    __tablename__ = "auth_session"

    token_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("user.id"), index=True)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    last_seen_at: Mapped[datetime] = mapped_column(UTCDateTime)
    expires_at: Mapped[datetime] = mapped_column(UTCDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    proved_at: Mapped[datetime | None] = mapped_column(UTCDateTime)  # when the person last proved who it is
    address: Mapped[str] = mapped_column(String(64), default="")
    user_agent: Mapped[str] = mapped_column(String(300), default="")
    next_hash: Mapped[str | None] = mapped_column(String(64), index=True)  # given to the browser, not shown by it yet
    next_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    previous_hash: Mapped[str | None] = mapped_column(String(64), index=True)  # whoever still shows it has a copy
    secret_at: Mapped[datetime | None] = mapped_column(UTCDateTime)  # when token_hash took its place


class DbOneTimeLink(Base):
    """A link that lets its bearer set a password once."""

    __tablename__ = "one_time_link"

    token_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("user.id"), index=True)
    purpose: Mapped[str] = mapped_column(String(20))
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    expires_at: Mapped[datetime] = mapped_column(UTCDateTime)
    used_at: Mapped[datetime | None] = mapped_column(UTCDateTime)


class DbApiToken(Base):
    """What a program shows instead of a session. The row has only a hash of the secret."""

    __tablename__ = "api_token"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("user.id"), index=True)
    kind: Mapped[str] = mapped_column(String(10))
    family: Mapped[str | None] = mapped_column(String(40), index=True)  # all that came from one log-in
    name: Mapped[str] = mapped_column(String(100))
    scopes: Mapped[str] = mapped_column(String(200))  # words
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    expires_at: Mapped[datetime] = mapped_column(UTCDateTime)
    last_used_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    used_at: Mapped[datetime | None] = mapped_column(UTCDateTime)  # a refresh token, when it gave the next pair
    ended_at: Mapped[datetime | None] = mapped_column(UTCDateTime)


class DbSshKey(Base):
    """A public key that its owner may tick at a launch. Machines keep copies of their own."""

    __tablename__ = "ssh_key"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("user.id"))
    name: Mapped[str] = mapped_column(String(100))
    kind: Mapped[str] = mapped_column(String(40))
    bits: Mapped[int] = mapped_column(Integer)
    blob: Mapped[str] = mapped_column(Text)  # base64
    comment: Mapped[str] = mapped_column(String(200))
    fingerprint: Mapped[str] = mapped_column(String(60))
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    last_used_at: Mapped[datetime | None] = mapped_column(UTCDateTime)  # of launches

    __table_args__ = (Index("uq_ssh_key_user_id_fingerprint", "user_id", "fingerprint", unique=True),)


class DbSavedView(Base):
    """A list as somebody saved it: what its address asks for, by a name."""

    __tablename__ = "saved_view"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("user.id"))
    kind: Mapped[str] = mapped_column(String(20))  # of ListKind
    name: Mapped[str] = mapped_column(String(40))
    query: Mapped[str] = mapped_column(Text)
    is_default: Mapped[bool] = mapped_column(Boolean)

    __table_args__ = (Index("uq_saved_view_user_id_kind_name", "user_id", "kind", "name", unique=True),)


class DbMailRequest(Base):
    """Somebody asked for a mail to an address that may or may not have an account: the worker finds out.

    A sign-up's secret is stored as a hash; it exists only in the mail. No account is made before it comes back.
    """

    __tablename__ = "mail_request"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    purpose: Mapped[str] = mapped_column(String(20))
    email: Mapped[str] = mapped_column(String(254))
    name: Mapped[str] = mapped_column(String(100))
    language: Mapped[str] = mapped_column(String(10), default="", server_default="")  # of whoever asked
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    run_at: Mapped[datetime] = mapped_column(UTCDateTime)
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    error: Mapped[str] = mapped_column(Text, default="", server_default="")
    invitation_id: Mapped[str | None] = mapped_column(String(40))  # which one lets this sign-up in
    done_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    token_hash: Mapped[str | None] = mapped_column(String(64), unique=True)
    expires_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    used_at: Mapped[datetime | None] = mapped_column(UTCDateTime)

    __table_args__ = (Index("ix_mail_request_waiting", "run_at", sqlite_where=_WAITING, postgresql_where=_WAITING),)


class DbRateCounter(Base):
    """How often something was tried in one window of time; shared by all processes."""

    __tablename__ = "rate_counter"

    key: Mapped[str] = mapped_column(String(100), primary_key=True)  # rule and a hash of whom it counts
    window_start: Mapped[datetime] = mapped_column(UTCDateTime, primary_key=True)
    count: Mapped[int] = mapped_column(Integer)

    __table_args__ = (Index("ix_rate_counter_window_start", "window_start"),)
