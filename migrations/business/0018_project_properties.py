"""Description, colour and archive of projects"""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("project", sa.Column("description", sa.String(500), nullable=False, server_default=""))
    op.add_column("project", sa.Column("colour", sa.String(10), nullable=False, server_default=""))
    op.add_column("project", sa.Column("archived_at", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    op.drop_column("project", "archived_at")
    op.drop_column("project", "colour")
    op.drop_column("project", "description")
