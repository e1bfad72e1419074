"""What is done with machines at set times"""

import sqlalchemy as sa
from alembic import op

revision = "0062"
down_revision = "0061"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "timer",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("vm_id", sa.String(40), nullable=False),
        sa.Column("action", sa.String(10), nullable=False),
        sa.Column("repeat", sa.String(10), nullable=False),
        sa.Column("first", sa.String(16), nullable=False),
        sa.Column("time_zone", sa.String(60), nullable=False),
        sa.Column("catches_up", sa.Boolean(), nullable=False),
        sa.Column("next_at", sa.BigInteger(), nullable=True),
        sa.Column("last_at", sa.BigInteger(), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=False),
        sa.Column("told_seconds", sa.Integer(), nullable=True),
        sa.Column("created_by", sa.String(40), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["vm_id"], ["vm.id"], name=op.f("fk_timer_vm_id_vm")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_timer")),
    )
    waiting = sa.text("next_at IS NOT NULL")
    op.create_index("ix_timer_vm_id", "timer", ["vm_id"])
    op.create_index("ix_timer_next_at", "timer", ["next_at"], sqlite_where=waiting, postgresql_where=waiting)


def downgrade() -> None:
    op.drop_table("timer")
