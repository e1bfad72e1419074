"""When a backup was last booted, and what was seen of it"""

import sqlalchemy as sa
from alembic import op

revision = "0059"
down_revision = "0060"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("backup", sa.Column("proof_asked_at", sa.BigInteger(), nullable=True))
    op.add_column("backup", sa.Column("proved_at", sa.BigInteger(), nullable=True))
    op.add_column("backup", sa.Column("proof", sa.String(10), nullable=False, server_default=""))
    op.add_column("backup", sa.Column("proof_seconds", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("backup", sa.Column("proof_text", sa.Text(), nullable=False, server_default=""))
    op.create_index("ix_backup_proof_asked_at", "backup", ["proof_asked_at"])


def downgrade() -> None:
    op.drop_index("ix_backup_proof_asked_at", "backup")
    for name in ("proof_text", "proof_seconds", "proof", "proved_at", "proof_asked_at"):
        op.drop_column("backup", name)
