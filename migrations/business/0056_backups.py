"""Backups of machines; schedules of snapshots and of backups in one table; what is known of the place for backups"""

import sqlalchemy as sa
from alembic import op

revision = "0056"
down_revision = "0055"
branch_labels = None
depends_on = None


def _schedules(name: str, *key: str) -> None:
    op.create_table(
        name,
        sa.Column("vm_id", sa.String(40), nullable=False),
        *([sa.Column("kind", sa.String(10), nullable=False)] if "kind" in key else []),
        sa.Column("every", sa.String(10), nullable=False),
        sa.Column("hour", sa.Integer(), nullable=False),
        sa.Column("keep", sa.Integer(), nullable=False),
        sa.Column("time_zone", sa.String(60), nullable=False),
        sa.Column("next_at", sa.BigInteger(), nullable=False),
        sa.Column("last_error", sa.Text(), nullable=False),
        sa.Column("created_by", sa.String(40), nullable=False),
        sa.ForeignKeyConstraint(["vm_id"], ["vm.id"], name=op.f(f"fk_{name}_vm_id_vm")),
        sa.PrimaryKeyConstraint(*key, name=op.f(f"pk_{name}")),
    )
    op.create_index(f"ix_{name}_next_at", name, ["next_at"])


def upgrade() -> None:
    op.create_table(
        "backup",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("vm_id", sa.String(40), nullable=False),
        sa.Column("name", sa.String(80), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("is_scheduled", sa.Boolean(), nullable=False),
        sa.Column("size_name", sa.String(30), nullable=False),
        sa.Column("image_id", sa.String(40), nullable=False),
        sa.Column("image_version_id", sa.String(40), nullable=True),
        sa.Column("image_price_version_id", sa.String(40), nullable=True),
        sa.Column("disk_gib", sa.Integer(), nullable=False),
        sa.Column("was_on", sa.Boolean(), nullable=False),
        sa.Column("is_frozen", sa.Boolean(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("made_at", sa.BigInteger(), nullable=True),
        sa.Column("created_by", sa.String(40), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["vm_id"], ["vm.id"], name=op.f("fk_backup_vm_id_vm")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_backup")),
    )
    op.create_index("ix_backup_vm_id", "backup", ["vm_id", "id"])
    _schedules("schedule", "vm_id", "kind")
    op.execute(
        "INSERT INTO schedule (kind, vm_id, every, hour, keep, time_zone, next_at, last_error, created_by)"
        " SELECT 'snapshot', vm_id, every, hour, keep, time_zone, next_at, last_error, created_by"
        " FROM snapshot_schedule"
    )
    op.drop_table("snapshot_schedule")
    op.add_column("compute_status", sa.Column("backups", sa.JSON(), nullable=False, server_default="{}"))


def downgrade() -> None:
    op.drop_column("compute_status", "backups")
    _schedules("snapshot_schedule", "vm_id")
    op.execute(
        "INSERT INTO snapshot_schedule (vm_id, every, hour, keep, time_zone, next_at, last_error, created_by)"
        " SELECT vm_id, every, hour, keep, time_zone, next_at, last_error, created_by"
        " FROM schedule WHERE kind = 'snapshot'"
    )
    op.drop_table("schedule")
    op.drop_table("backup")
