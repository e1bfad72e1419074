"""Quotas that admins have set"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "quota",
        sa.Column("holder_id", sa.String(40), nullable=False),
        sa.Column("resource", sa.String(12), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("amount >= 0", name=op.f("ck_quota_not_below_zero")),
        sa.PrimaryKeyConstraint("holder_id", "resource", name=op.f("pk_quota")),
    )


def downgrade() -> None:
    op.drop_table("quota")
