"""Deleted projects keep their row; the audit trail is searched by resource and outcome"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

NOT_DELETED = sa.text("deleted_at IS NULL")


def upgrade() -> None:
    op.add_column("project", sa.Column("deleted_at", sa.BigInteger(), nullable=True))
    op.drop_index("uq_project_owner_id_name_key", table_name="project")
    op.create_index(
        "uq_project_owner_id_name_key",
        "project",
        ["owner_id", "name_key"],
        unique=True,
        sqlite_where=NOT_DELETED,
        postgresql_where=NOT_DELETED,
    )
    op.create_index("ix_event_resource_id_seq", "event", ["resource_id", "seq"])
    op.create_index("ix_event_outcome_seq", "event", ["outcome", "seq"])


def downgrade() -> None:
    raise RuntimeError("an append-only ledger has no way back: restore the backup made before the upgrade")
