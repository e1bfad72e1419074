"""From an account's row to the User that services hand out."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from zentry_web.domain.user import Role, User
from zentry_web.models import DbUser
from zentry_web.services.errors import NotFoundError


def to_user(row: DbUser) -> User:
    """The account without its secrets."""
    return User(
        id=row.id,
        email=row.email,
        name=row.name,
        role=Role(row.role),
        time_zone=row.time_zone,
        created_at=row.created_at,
        disabled_at=row.disabled_at,
        region=row.region,
        theme=row.theme,
    )


def require_user_row(session: Session, user_id: str, *, lock: bool = False) -> DbUser:
    """The row of an account. Raises NotFoundError. ``lock`` takes a row lock on PostgreSQL."""
    query = select(DbUser).where(DbUser.id == user_id)
    if lock:
        query = query.with_for_update().execution_options(populate_existing=True)
    row = session.scalar(query)
    if row is None:
        raise NotFoundError("There is no such account.")
    return row
