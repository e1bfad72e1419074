"""Disks that a rebuild has put aside, with what their machines were; what an operation needs and nobody may read"""

import sqlalchemy as sa
from alembic import op

revision = "0055"
down_revision = "0054"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("operation", sa.Column("secret", sa.Text(), nullable=False, server_default=""))
    op.add_column("vm", sa.Column("rescued_at", sa.BigInteger(), nullable=True))
    op.create_table(
        "disk_aside",
        sa.Column("operation_id", sa.String(40), nullable=False),
        sa.Column("vm_id", sa.String(40), nullable=False),
        sa.Column("image_id", sa.String(40), nullable=False),
        sa.Column("image_version_id", sa.String(40), nullable=True),
        sa.Column("image_price_version_id", sa.String(40), nullable=True),
        sa.Column("ssh_key", sa.Text(), nullable=False),
        sa.Column("user_data", sa.Text(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["vm_id"], ["vm.id"], name=op.f("fk_disk_aside_vm_id_vm")),
        sa.PrimaryKeyConstraint("operation_id", name=op.f("pk_disk_aside")),
    )
    op.create_index("ix_disk_aside_vm_id", "disk_aside", ["vm_id"])
    op.create_index("ix_disk_aside_until", "disk_aside", ["until"])


def downgrade() -> None:
    op.drop_table("disk_aside")
    op.drop_column("vm", "rescued_at")
    op.drop_column("operation", "secret")
