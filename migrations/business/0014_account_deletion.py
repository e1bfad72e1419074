"""When an account is to be deleted"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("user", sa.Column("deletion_at", sa.BigInteger(), nullable=True))
    leaving = sa.text("deletion_at IS NOT NULL")
    op.create_index("ix_user_deletion_at", "user", ["deletion_at"], sqlite_where=leaving, postgresql_where=leaving)


def downgrade() -> None:
    op.drop_index("ix_user_deletion_at", "user")
    op.drop_column("user", "deletion_at")
