"""Indexes of the machines that go or come back with their project and whose turn is to come"""

import sqlalchemy as sa
from alembic import op

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None

_INDEXES = {
    "ix_vm_leaving": "deleted_at IS NOT NULL AND purge_at IS NULL AND state NOT IN ('deleting', 'deleted')",
    "ix_vm_returning": "deleted_at IS NULL AND state = 'binned'",
}


def upgrade() -> None:
    for name, where in _INDEXES.items():
        op.create_index(name, "vm", ["project_id"], sqlite_where=sa.text(where), postgresql_where=sa.text(where))


def downgrade() -> None:
    for name in _INDEXES:
        op.drop_index(name, table_name="vm")
