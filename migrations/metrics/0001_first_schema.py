"""The first schema of the metrics store"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "console",
        sa.Column("vm_id", sa.String(length=40), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("collected_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("vm_id", name=op.f("pk_console")),
    )
    op.create_table(
        "latest",
        sa.Column("vm_id", sa.String(length=40), nullable=False),
        sa.Column("owner_id", sa.String(length=40), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("cpu_percent", sa.Float(), nullable=False),
        sa.Column("memory_used_bytes", sa.BigInteger(), nullable=True),
        sa.Column("memory_total_bytes", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("vm_id", name=op.f("pk_latest")),
    )
    with op.batch_alter_table("latest", schema=None) as batch_op:
        batch_op.create_index("ix_latest_owner_id_cpu_percent", ["owner_id", "cpu_percent"], unique=False)

    op.create_table(
        "sample",
        sa.Column("vm_id", sa.String(length=40), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("cpu_percent", sa.Float(), nullable=False),
        sa.Column("memory_used_bytes", sa.BigInteger(), nullable=True),
        sa.Column("memory_total_bytes", sa.BigInteger(), nullable=False),
        sa.Column("disk_read_bytes_per_s", sa.Float(), nullable=False),
        sa.Column("disk_write_bytes_per_s", sa.Float(), nullable=False),
        sa.Column("net_rx_bytes_per_s", sa.Float(), nullable=False),
        sa.Column("net_tx_bytes_per_s", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("vm_id", "at", name=op.f("pk_sample")),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("sample", schema=None) as batch_op:
        batch_op.create_index("ix_sample_at", ["at"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("sample", schema=None) as batch_op:
        batch_op.drop_index("ix_sample_at")

    op.drop_table("sample")
    with op.batch_alter_table("latest", schema=None) as batch_op:
        batch_op.drop_index("ix_latest_owner_id_cpu_percent")

    op.drop_table("latest")
    op.drop_table("console")
