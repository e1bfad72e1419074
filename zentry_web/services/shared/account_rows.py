"""From an account's row to the User that services hand out."""

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from zentry_web.domain.language import _
from zentry_web.domain.user import Role, User
from zentry_web.models import DbUser
from zentry_web.services.errors import NotFoundError


def as_user(row: Any) -> User:
    """The account without its secrets; ``row`` is a DbUser, or has its columns by their names."""
    return User(
        id=row.id,
        email=row.email,
        name=row.name,
        role=Role(row.role),
        time_zone=row.time_zone,
        created_at=row.created_at,
        disabled_at=row.disabled_at,
        region=row.region,
        language=row.language,
        theme=row.theme,
        shortcuts=row.shortcuts,
        mail_refused=row.mail_refused,
        mail_refused_at=row.mail_refused_at,
    )


def read_zone(session: Session, *user_ids: str) -> str:
    """The time zone of the first of these that is an account; UTC where none is."""
    query = select(DbUser.id, DbUser.time_zone).where(DbUser.id.in_(user_ids))
    zones = dict(session.execute(query).all())
    return next((zones[user_id] for user_id in user_ids if zones.get(user_id)), "UTC")


def require_user_row(session: Session, user_id: str, *, lock: bool = False) -> DbUser:
    """The row of an account. Raises NotFoundError. ``lock`` takes a row lock on PostgreSQL."""
    query = select(DbUser).where(DbUser.id == user_id)
    if lock:
        query = query.with_for_update().execution_options(populate_existing=True)
    row = session.scalar(query)
    if row is None:
        raise NotFoundError(_("There is no such account."))
    return row
