"""What machines were before they were reverted to a snapshot, kept for an hour"""

import sqlalchemy as sa
from alembic import op

revision = "0058"
down_revision = "0056"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "revert_aside",
        sa.Column("operation_id", sa.String(40), nullable=False),
        sa.Column("vm_id", sa.String(40), nullable=False),
        sa.Column("snapshot_id", sa.String(40), nullable=True),
        sa.Column("has_memory", sa.Boolean(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["vm_id"], ["vm.id"], name=op.f("fk_revert_aside_vm_id_vm")),
        sa.PrimaryKeyConstraint("operation_id", name=op.f("pk_revert_aside")),
    )
    op.create_index("ix_revert_aside_vm_id", "revert_aside", ["vm_id"])
    op.create_index("ix_revert_aside_until", "revert_aside", ["until"])


def downgrade() -> None:
    op.drop_table("revert_aside")
