"""When a console was last seen to grow: not the same as when it was last read"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("console", sa.Column("output_at", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    op.drop_column("console", "output_at")
