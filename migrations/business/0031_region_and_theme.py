"""How dates and numbers are written for somebody, and the theme that goes with them from browser to browser"""

import sqlalchemy as sa
from alembic import op

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("user", sa.Column("region", sa.String(2), nullable=False, server_default=""))
    op.add_column("user", sa.Column("theme", sa.String(5), nullable=True))


def downgrade() -> None:
    op.drop_column("user", "theme")
    op.drop_column("user", "region")
