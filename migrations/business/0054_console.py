"""Consoles of machines: tickets, and what became of them"""

import sqlalchemy as sa
from alembic import op

revision = "0054"
down_revision = "0053"
branch_labels = None
depends_on = None

_OPEN = sa.text("opened_at IS NOT NULL AND ended_at IS NULL")


def upgrade() -> None:
    op.create_table(
        "console_session",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("vm_id", sa.String(40), nullable=False),
        sa.Column("user_id", sa.String(40), nullable=False),
        sa.Column("session_hash", sa.String(64), nullable=False),
        sa.Column("as_admin", sa.Boolean(), nullable=False),
        sa.Column("kind", sa.String(10), nullable=False),
        sa.Column("token_hash", sa.String(64), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("opened_at", sa.BigInteger(), nullable=True),
        sa.Column("seen_at", sa.BigInteger(), nullable=True),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["vm_id"], ["vm.id"], name=op.f("fk_console_session_vm_id_vm")),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name=op.f("fk_console_session_user_id_user")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_console_session")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_console_session_token_hash")),
    )
    op.create_index(op.f("ix_console_session_user_id"), "console_session", ["user_id"])
    op.create_index("ix_console_session_open", "console_session", ["vm_id"], sqlite_where=_OPEN, postgresql_where=_OPEN)


def downgrade() -> None:
    op.drop_table("console_session")
