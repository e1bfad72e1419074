"""When an operation reached its steps and who aborts it; what can be undone, and what is put back then"""

import sqlalchemy as sa
from alembic import op

revision = "0047"
down_revision = "0046"
branch_labels = None
depends_on = None

MOMENTS = sa.BigInteger()


def upgrade() -> None:
    op.add_column("operation", sa.Column("log", sa.JSON(), nullable=False, server_default="[]"))
    op.add_column("operation", sa.Column("aborted_by", sa.String(40), nullable=True))
    op.create_table(
        "undo",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("event_id", sa.String(40), nullable=False),
        sa.Column("together", sa.String(40), nullable=True),
        sa.Column("action", sa.String(40), nullable=False),
        sa.Column("vm_id", sa.String(40), nullable=False),
        sa.Column("put_back", sa.JSON(), nullable=False),
        sa.Column("made_by", sa.String(40), nullable=False),
        sa.Column("made_at", MOMENTS, nullable=False),
        sa.Column("until", MOMENTS, nullable=False),
        sa.Column("used_by", sa.String(40), nullable=True),
        sa.Column("used_at", MOMENTS, nullable=True),
        sa.Column("done_at", MOMENTS, nullable=True),
        sa.Column("problem", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["vm_id"], ["vm.id"], name=op.f("fk_undo_vm_id_vm")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_undo")),
    )
    op.create_index("ix_undo_event_id", "undo", ["event_id"])
    op.create_index("ix_undo_together", "undo", ["together"])
    op.create_index("ix_undo_vm_id_id", "undo", ["vm_id", "id"])
    waiting = sa.text("used_at IS NOT NULL AND done_at IS NULL")
    op.create_index("ix_undo_waiting", "undo", ["vm_id"], sqlite_where=waiting, postgresql_where=waiting)


def downgrade() -> None:
    op.drop_table("undo")
    op.drop_column("operation", "aborted_by")
    op.drop_column("operation", "log")
