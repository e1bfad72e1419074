"""The language in which somebody reads Zentry, and the one in which a mail was asked for"""

import sqlalchemy as sa
from alembic import op

revision = "0046"
down_revision = "0045"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("user", "mail_request"):
        op.add_column(table, sa.Column("language", sa.String(10), nullable=False, server_default=""))


def downgrade() -> None:
    for table in ("mail_request", "user"):
        op.drop_column(table, "language")
