"""An index of what was used and has ended, by when: for the spend of the last days, however long the history is."""

import sqlalchemy as sa
from alembic import op

revision = "0045"
down_revision = "0044"
branch_labels = None
depends_on = None

_NAME, _TABLE = "ix_usage_interval_ended", "usage_interval"


def upgrade() -> None:
    settled = sa.text("settled")
    op.create_index(_NAME, _TABLE, ["owner_id", "settled_until"], sqlite_where=settled, postgresql_where=settled)


def downgrade() -> None:
    op.drop_index(_NAME, _TABLE)
