"""Snapshots of machines, and schedules of them"""

import sqlalchemy as sa
from alembic import op

revision = "0053"
down_revision = "0052"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("vm", sa.Column("snapshot_id", sa.String(40), nullable=True))
    op.create_table(
        "snapshot",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("vm_id", sa.String(40), nullable=False),
        sa.Column("name", sa.String(80), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("parent_id", sa.String(40), nullable=True),
        sa.Column("has_memory", sa.Boolean(), nullable=False),
        sa.Column("size_name", sa.String(30), nullable=False),
        sa.Column("is_scheduled", sa.Boolean(), nullable=False),
        sa.Column("created_by", sa.String(40), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["vm_id"], ["vm.id"], name=op.f("fk_snapshot_vm_id_vm")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_snapshot")),
    )
    op.create_index("ix_snapshot_vm_id", "snapshot", ["vm_id", "id"])
    op.create_table(
        "snapshot_schedule",
        sa.Column("vm_id", sa.String(40), nullable=False),
        sa.Column("every", sa.String(10), nullable=False),
        sa.Column("hour", sa.Integer(), nullable=False),
        sa.Column("keep", sa.Integer(), nullable=False),
        sa.Column("time_zone", sa.String(60), nullable=False),
        sa.Column("next_at", sa.BigInteger(), nullable=False),
        sa.Column("last_error", sa.Text(), nullable=False),
        sa.Column("created_by", sa.String(40), nullable=False),
        sa.ForeignKeyConstraint(["vm_id"], ["vm.id"], name=op.f("fk_snapshot_schedule_vm_id_vm")),
        sa.PrimaryKeyConstraint("vm_id", name=op.f("pk_snapshot_schedule")),
    )
    op.create_index("ix_snapshot_schedule_next_at", "snapshot_schedule", ["next_at"])


def downgrade() -> None:
    op.drop_table("snapshot_schedule")
    op.drop_table("snapshot")
    op.drop_column("vm", "snapshot_id")
