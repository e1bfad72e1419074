"""Machines that only the hypervisor has"""

import sqlalchemy as sa
from alembic import op

revision = "0038"
down_revision = "0037"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "stray_machine",
        sa.Column("vm_id", sa.String(64), nullable=False),
        sa.Column("power", sa.String(10), nullable=False),
        sa.Column("name", sa.String(63), nullable=True),
        sa.Column("vcpus", sa.Integer(), nullable=True),
        sa.Column("memory_mib", sa.Integer(), nullable=True),
        sa.Column("disk_gib", sa.Integer(), nullable=True),
        sa.Column("image", sa.String(63), nullable=True),
        sa.Column("first_seen_at", sa.BigInteger(), nullable=False),
        sa.Column("removal_asked_at", sa.BigInteger(), nullable=True),
        sa.Column("error", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("vm_id", name="pk_stray_machine"),
    )


def downgrade() -> None:
    op.drop_table("stray_machine")
