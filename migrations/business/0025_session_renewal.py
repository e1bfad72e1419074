"""Sessions get a new secret now and then"""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name, kind in (("next_hash", sa.String(64)), ("previous_hash", sa.String(64))):
        op.add_column("auth_session", sa.Column(name, kind, nullable=True))
        op.create_index(f"ix_auth_session_{name}", "auth_session", [name])
    op.add_column("auth_session", sa.Column("next_at", sa.BigInteger(), nullable=True))
    op.add_column("auth_session", sa.Column("secret_at", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    for name in ("next_hash", "previous_hash"):
        op.drop_index(f"ix_auth_session_{name}", "auth_session")
        op.drop_column("auth_session", name)
    op.drop_column("auth_session", "next_at")
    op.drop_column("auth_session", "secret_at")
