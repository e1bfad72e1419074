"""Refunds one by one as the provider tells of them: one that fails is taken off again"""

import sqlalchemy as sa
from alembic import op

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("payment", sa.Column("refund_told_minor", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("payment", sa.Column("refunded_at", sa.BigInteger(), nullable=True))
    op.execute("UPDATE payment SET refund_told_minor = refunded_minor")
    op.create_table(
        "payment_refund_told",
        sa.Column("provider", sa.String(20), nullable=False),
        sa.Column("ref", sa.String(120), nullable=False),
        sa.Column("payment_id", sa.String(40), nullable=False),
        sa.Column("minor", sa.BigInteger(), nullable=False),
        sa.Column("has_failed", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["payment_id"], ["payment.id"], name=op.f("fk_payment_refund_told_payment_id_payment")),
        sa.PrimaryKeyConstraint("provider", "ref", name=op.f("pk_payment_refund_told")),
    )
    op.create_index(op.f("ix_payment_refund_told_payment_id"), "payment_refund_told", ["payment_id"])


def downgrade() -> None:
    op.drop_table("payment_refund_told")
    op.drop_column("payment", "refunded_at")
    op.drop_column("payment", "refund_told_minor")
