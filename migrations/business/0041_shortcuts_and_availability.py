"""Whether somebody wants keys without Ctrl, and how the parts of Zentry were, day by day"""

import sqlalchemy as sa
from alembic import op

revision = "0041"
down_revision = "0040"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("user", sa.Column("shortcuts", sa.Boolean(), nullable=False, server_default=sa.true()))
    op.create_table(
        "availability",
        sa.Column("part", sa.String(20), nullable=False),
        sa.Column("day", sa.String(10), nullable=False),
        sa.Column("up_seconds", sa.Integer(), nullable=False),
        sa.Column("down_seconds", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("part", "day", name="pk_availability"),
    )
    op.create_table(
        "part_state",
        sa.Column("part", sa.String(20), nullable=False),
        sa.Column("ok", sa.Boolean(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("checked_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("part", name="pk_part_state"),
    )


def downgrade() -> None:
    op.drop_table("part_state")
    op.drop_table("availability")
    op.drop_column("user", "shortcuts")
