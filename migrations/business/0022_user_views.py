"""Admins looking at the pages of others"""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "user_view",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("session_hash", sa.String(64), nullable=False),
        sa.Column("admin_id", sa.String(40), nullable=False),
        sa.Column("user_id", sa.String(40), nullable=False),
        sa.Column("began_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("page", sa.String(200), nullable=False),
        sa.ForeignKeyConstraint(["admin_id"], ["user.id"], name=op.f("fk_user_view_admin_id_user")),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name=op.f("fk_user_view_user_id_user")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_user_view")),
    )
    is_open = sa.text("ended_at IS NULL")
    op.create_index(
        "uq_user_view_open", "user_view", ["session_hash"], unique=True, sqlite_where=is_open, postgresql_where=is_open
    )


def downgrade() -> None:
    op.drop_table("user_view")
