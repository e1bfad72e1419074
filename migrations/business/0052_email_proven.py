"""When an account's address was proved by its mailbox, and invitations by their address"""

import sqlalchemy as sa
from alembic import op

revision = "0052"
down_revision = "0051"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("user", sa.Column("email_proven_at", sa.BigInteger(), nullable=True))
    is_open = sa.text("ended_at IS NULL")
    op.create_index(
        "ix_project_invitation_to", "project_invitation", ["email_key"], sqlite_where=is_open, postgresql_where=is_open
    )


def downgrade() -> None:
    op.drop_index("ix_project_invitation_to", "project_invitation")
    op.drop_column("user", "email_proven_at")
