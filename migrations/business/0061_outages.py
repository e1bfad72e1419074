"""When machines were off unasked, whether they are started again, what the hypervisor last said of each, and which
boot of the host was last seen"""

import sqlalchemy as sa
from alembic import op

revision = "0061"
down_revision = "0059"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "outage",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("vm_id", sa.String(40), nullable=False),
        sa.Column("cause", sa.String(10), nullable=False),
        sa.Column("went_at", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=True),
        sa.Column("operation_id", sa.String(40), nullable=True),
        sa.Column("back_at", sa.BigInteger(), nullable=True),
        sa.Column("told_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["vm_id"], ["vm.id"], name=op.f("fk_outage_vm_id_vm")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outage")),
    )
    is_open, untold = sa.text("state IN ('waiting', 'starting')"), sa.text("told_at IS NULL")
    op.create_index("ix_outage_vm_id_id", "outage", ["vm_id", "id"])
    op.create_index("ix_outage_went_at", "outage", ["went_at"])
    op.create_index("ix_outage_open", "outage", ["due_at"], sqlite_where=is_open, postgresql_where=is_open)
    op.create_index("ix_outage_untold", "outage", ["vm_id"], sqlite_where=untold, postgresql_where=untold)
    op.add_column("vm", sa.Column("restart", sa.String(10), nullable=False, server_default="failures"))
    op.add_column("vm", sa.Column("seen", sa.String(10), nullable=False, server_default=""))
    op.add_column("vm", sa.Column("seen_since", sa.BigInteger(), nullable=True))
    op.add_column("compute_status", sa.Column("boot", sa.String(64), nullable=False, server_default=""))


def downgrade() -> None:
    op.drop_column("compute_status", "boot")
    op.drop_column("vm", "seen_since")
    op.drop_column("vm", "seen")
    op.drop_column("vm", "restart")
    op.drop_table("outage")
