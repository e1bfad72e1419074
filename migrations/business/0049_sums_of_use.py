"""Indexes from which the overview is answered alone: sums over what is used now, and what is in the recycle bin."""

import sqlalchemy as sa
from alembic import op

revision = "0049"
down_revision = "0048"
branch_labels = None
depends_on = None

_TABLE, _PROJECTS = "usage_interval", "ix_usage_interval_projects"
_SUMMED = ["owner_id", "project_id", "settled_until", "end_at", "rate_micro_per_hour", "start_at", "settled"]


def upgrade() -> None:
    op.drop_index(_PROJECTS, _TABLE)
    _create(_PROJECTS, _TABLE, _SUMMED, "NOT settled")
    _create("ix_vm_binned", "vm", ["project_id", "purge_at"], "purge_at IS NOT NULL")


def downgrade() -> None:
    op.drop_index("ix_vm_binned", "vm")
    op.drop_index(_PROJECTS, _TABLE)
    _create(_PROJECTS, _TABLE, ["owner_id", "project_id"], "NOT settled")


def _create(name: str, table: str, columns: list[str], condition: str) -> None:
    where = sa.text(condition)
    op.create_index(name, table, columns, sqlite_where=where, postgresql_where=where)
