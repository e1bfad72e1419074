"""Links that let their bearer set a password once."""

from collections.abc import Collection
from datetime import timedelta
from enum import StrEnum

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from zentry_web.adapters.database import run
from zentry_web.domain.language import lazy
from zentry_web.domain.secret import new_secret, secret_hash
from zentry_web.models import DbOneTimeLink, DbUser
from zentry_web.services.base_service import BaseService
from zentry_web.services.errors import NotFoundError

KEEP_OLD = timedelta(days=30)
GONE = lazy("This link has expired or was used before.")


class LinkPurpose(StrEnum):
    FIRST_ADMIN = "first_admin"  # may also give the account its real e-mail address
    SET_PASSWORD = "set_password"  # noqa: S105 - a purpose, not a password
    RESET_PASSWORD = "reset_password"  # noqa: S105 - the same: asked for by whoever forgot theirs


LIFETIMES = {
    LinkPurpose.FIRST_ADMIN: timedelta(hours=24),
    LinkPurpose.SET_PASSWORD: timedelta(hours=24),
    LinkPurpose.RESET_PASSWORD: timedelta(hours=1),
}
ADMIN_PURPOSES = (LinkPurpose.FIRST_ADMIN, LinkPurpose.SET_PASSWORD)


class OneTimeLinks(BaseService):
    """Makes, shows and uses up links. Only a hash of each link's secret is stored."""

    name = "one_time_links"

    def make(self, user_id: str, purpose: LinkPurpose) -> str:
        """A new link's secret, good as long as LIFETIMES say; older ones of the same purpose stop working."""
        secret = new_secret()
        now = self.now()
        with self.transaction() as session:
            self.void(user_id, purpose)
            session.add(
                DbOneTimeLink(
                    token_hash=secret_hash(secret),
                    user_id=user_id,
                    purpose=purpose,
                    created_at=now,
                    expires_at=now + LIFETIMES[purpose],
                    used_at=None,
                )
            )
        return secret

    def void(self, user_id: str, purpose: LinkPurpose | None = None) -> None:
        """Make the open links of an account useless: those of one purpose, or all."""
        mine = (DbOneTimeLink.user_id == user_id) & DbOneTimeLink.used_at.is_(None)
        if purpose is not None:
            mine &= DbOneTimeLink.purpose == purpose
        with self.transaction() as session:
            run(session, update(DbOneTimeLink).where(mine).values(used_at=self.now()))

    def find(self, secret: str, purposes: Collection[LinkPurpose]) -> tuple[DbUser, LinkPurpose] | None:
        """Whom an open link of one of these purposes is for, or None."""
        with self.reading() as session:
            found = session.execute(
                select(DbUser, DbOneTimeLink.purpose)
                .join(DbUser, DbUser.id == DbOneTimeLink.user_id)
                .where(
                    DbOneTimeLink.token_hash == secret_hash(secret),
                    DbOneTimeLink.purpose.in_(purposes),
                    DbOneTimeLink.used_at.is_(None),
                    DbOneTimeLink.expires_at > self.now(),
                    DbUser.disabled_at.is_(None),
                )
            ).first()
        return None if found is None else (found[0], LinkPurpose(found[1]))

    def require(self, secret: str, purposes: Collection[LinkPurpose]) -> DbUser:
        """Whom an open link of one of these purposes is for. Raises NotFoundError."""
        found = self.find(secret, purposes)
        if found is None:
            raise NotFoundError(GONE)
        return found[0]

    def use(self, session: Session, secret: str, purposes: Collection[LinkPurpose]) -> tuple[DbUser, LinkPurpose]:
        """Use an open link up, in the caller's transaction. Raises NotFoundError; of two at once, one gets it."""
        found = self.find(secret, purposes)
        used = run(
            session,
            update(DbOneTimeLink)
            .where(DbOneTimeLink.token_hash == secret_hash(secret), DbOneTimeLink.used_at.is_(None))
            .values(used_at=self.now()),
        )
        if found is None or used != 1:
            raise NotFoundError(GONE)
        return found

    def prune(self) -> int:
        """Delete links that expired a month ago; returns how many."""
        with self.transaction() as session:
            old = delete(DbOneTimeLink).where(DbOneTimeLink.expires_at < self.now() - KEEP_OLD)
            return run(session, old)
