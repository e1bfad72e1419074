"""Requests for a second admin carry vouchers, refunds of payments and settings; the limit binds everybody alike"""

import sqlalchemy as sa
from alembic import op

revision = "0036"
down_revision = "0035"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("approval", sa.Column("terms", sa.JSON(), nullable=False, server_default="{}"))
    op.drop_column("setting", "bound_to")
    op.drop_column("setting", "bound_until")


def downgrade() -> None:
    kinds = "('grant', 'deduction', 'refund')"
    others = sa.text(f"SELECT 1 FROM approval WHERE kind NOT IN {kinds} LIMIT 1")  # noqa: S608 - words of our own
    if op.get_bind().execute(others).first():
        raise RuntimeError("requests of these kinds have no way back: restore the backup made before the upgrade")
    op.add_column("setting", sa.Column("bound_until", sa.BigInteger(), nullable=True))
    op.add_column("setting", sa.Column("bound_to", sa.BigInteger(), nullable=True))
    op.drop_column("approval", "terms")
