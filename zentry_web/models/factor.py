"""Second factors, recovery codes, log-ins that wait for a factor, and the challenges of passkeys."""

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Integer, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from zentry_web.db import Base
from zentry_web.models.types import UTCDateTime


class DbFactor(Base):
    """An authenticator app or a passkey. An app's secret is stored encrypted, a passkey's key is a public one."""

    __tablename__ = "factor"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("user.id"), index=True)
    kind: Mapped[str] = mapped_column(String(10))
    name: Mapped[str] = mapped_column(String(60))
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    last_used_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    secret: Mapped[str | None] = mapped_column(Text)  # of an app
    last_step: Mapped[int | None] = mapped_column(BigInteger)  # of an app: no code of this step or before is taken
    credential_hash: Mapped[str | None] = mapped_column(String(64), unique=True)  # of a passkey, as all below
    credential_id: Mapped[str | None] = mapped_column(Text)
    public_key: Mapped[str | None] = mapped_column(Text)
    sign_count: Mapped[int | None] = mapped_column(BigInteger)
    transports: Mapped[str] = mapped_column(String(100), default="")


class DbRecoveryCode(Base):
    """One of the codes for the day the phone is lost. Only a keyed hash is stored."""

    __tablename__ = "recovery_code"

    code_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("user.id"), index=True)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    used_at: Mapped[datetime | None] = mapped_column(UTCDateTime)


class DbPendingLogin(Base):
    """The password (or a link) was right; the factor is still to come. It opens nothing by itself."""

    __tablename__ = "pending_login"

    token_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("user.id"), index=True)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    expires_at: Mapped[datetime] = mapped_column(UTCDateTime)
    attempts: Mapped[int] = mapped_column(Integer, default=0)


class DbPasskeyChallenge(Base):
    """What a passkey is asked to sign, once, in the browser it was given to."""

    __tablename__ = "passkey_challenge"

    challenge_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    purpose: Mapped[str] = mapped_column(String(20))
    bound_to: Mapped[str] = mapped_column(String(64))  # hash of the secret of the session or log-in it belongs to
    user_id: Mapped[str | None] = mapped_column(ForeignKey("user.id"), index=True)
    expires_at: Mapped[datetime] = mapped_column(UTCDateTime, index=True)
