"""The recycle bin: until when deleted machines and projects can be restored, who deleted them; delete protection"""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    binned = sa.text("purge_at IS NOT NULL")
    for table in ("vm", "project"):
        op.add_column(table, sa.Column("purge_at", sa.BigInteger(), nullable=True))
        op.add_column(table, sa.Column("deleted_by", sa.String(length=40), nullable=True))
        op.add_column(table, sa.Column("protected", sa.Boolean(), server_default=sa.false(), nullable=False))
        op.create_index(f"ix_{table}_purge_at", table, ["purge_at"], sqlite_where=binned, postgresql_where=binned)
    op.add_column("vm", sa.Column("binned_with_project", sa.Boolean(), server_default=sa.false(), nullable=False))


def downgrade() -> None:
    op.drop_column("vm", "binned_with_project")
    for table in ("project", "vm"):
        op.drop_index(f"ix_{table}_purge_at", table)
        for column in ("protected", "deleted_by", "purge_at"):
            op.drop_column(table, column)
