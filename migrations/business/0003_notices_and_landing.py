"""Notices, the mail to send, and what the landing plan keeps"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "notice",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("user_id", sa.String(length=40), nullable=False),
        sa.Column("kind", sa.String(length=30), nullable=False),
        sa.Column("key", sa.String(length=120), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("title", sa.String(length=200), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("url", sa.String(length=200), nullable=False),
        sa.Column("read_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name=op.f("fk_notice_user_id_user")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notice")),
    )
    op.create_index("uq_notice_user_id_kind_key", "notice", ["user_id", "kind", "key"], unique=True)
    op.create_index("ix_notice_user_id_id", "notice", ["user_id", "id"])
    unread = sa.text("read_at IS NULL")
    op.create_index("ix_notice_unread", "notice", ["user_id"], sqlite_where=unread, postgresql_where=unread)
    op.create_table(
        "outbox",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("user_id", sa.String(length=40), nullable=False),
        sa.Column("to_address", sa.String(length=254), nullable=False),
        sa.Column("subject", sa.String(length=200), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("sent_at", sa.BigInteger(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("run_at", sa.BigInteger(), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name=op.f("fk_outbox_user_id_user")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
    )
    unsent = sa.text("sent_at IS NULL")
    op.create_index("ix_outbox_unsent", "outbox", ["run_at"], sqlite_where=unsent, postgresql_where=unsent)
    op.create_index("ix_outbox_user_id", "outbox", ["user_id"])
    op.create_table(
        "landing",
        sa.Column("user_id", sa.String(length=40), nullable=False),
        sa.Column("episode", sa.Integer(), nullable=False),
        sa.Column("told_seconds", sa.Integer(), nullable=True),
        sa.Column("low_micro", sa.BigInteger(), nullable=True),
        sa.Column("low_told", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name=op.f("fk_landing_user_id_user")),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_landing")),
    )
    op.add_column("vm", sa.Column("importance", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("vm", sa.Column("credit_stopped_at", sa.BigInteger(), nullable=True))
    op.add_column("vm", sa.Column("disk_until", sa.BigInteger(), nullable=True))
    grace = sa.text("disk_until IS NOT NULL")
    op.create_index("ix_vm_disk_until", "vm", ["disk_until"], sqlite_where=grace, postgresql_where=grace)
    waiting = sa.text("credit_stopped_at IS NOT NULL")
    op.create_index("ix_vm_credit_stopped", "vm", ["owner_id"], sqlite_where=waiting, postgresql_where=waiting)


def downgrade() -> None:
    op.drop_index("ix_vm_credit_stopped", "vm")
    op.drop_index("ix_vm_disk_until", "vm")
    for column in ("disk_until", "credit_stopped_at", "importance"):
        op.drop_column("vm", column)
    for table in ("landing", "outbox", "notice"):
        op.drop_table(table)
