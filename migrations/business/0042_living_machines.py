"""Indexes from which lists, counts and sums per project are answered, however many machines there are."""

import sqlalchemy as sa
from alembic import op

revision = "0042"
down_revision = "0041"
branch_labels = None
depends_on = None

_LIVING = "deleted_at IS NULL"
# SQLite reads no row for what is in the index, also what its condition says: therefore deleted_at.
_INDEXES = {
    "ix_vm_living": ("vm", ["project_id", "id", "deleted_at"], _LIVING),
    "ix_vm_states": ("vm", ["project_id", "state", "deleted_at"], _LIVING),
    "ix_vm_saying": ("vm", ["project_id"], f"{_LIVING} AND state_reason != ''"),
    "ix_usage_interval_projects": ("usage_interval", ["owner_id", "project_id"], "NOT settled"),
}
_MONTH = "ix_usage_month_owner_id_month"


def upgrade() -> None:
    for name, (table, columns, condition) in _INDEXES.items():
        where = sa.text(condition)
        op.create_index(name, table, columns, sqlite_where=where, postgresql_where=where)
    op.drop_index(_MONTH, "usage_month")
    op.create_index(_MONTH, "usage_month", ["owner_id", "month", "project_id"])


def downgrade() -> None:
    op.drop_index(_MONTH, "usage_month")
    op.create_index(_MONTH, "usage_month", ["owner_id", "month"])
    for name, (table, _, _) in _INDEXES.items():
        op.drop_index(name, table)
