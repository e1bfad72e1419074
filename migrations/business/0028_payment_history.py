"""Payments that came in before their history was asked for: looked at from now on, those of the last 120 days"""

import time

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

_DAYS = 120


def upgrade() -> None:
    now = time.time_ns() // 1000
    since = now - _DAYS * 86_400 * 1_000_000
    statement = sa.text(
        "UPDATE payment SET look_at = :now WHERE state = 'succeeded' AND look_at IS NULL AND created_at > :since"
    )
    op.get_bind().execute(statement, {"now": now, "since": since})


def downgrade() -> None:
    op.execute("UPDATE payment SET look_at = NULL WHERE state = 'succeeded'")
