"""What each project cost in a month, kept beside the months of its VMs."""

import sqlalchemy as sa
from alembic import op

revision = "0051"
down_revision = "0050"
branch_labels = None
depends_on = None

_OLD = "ix_usage_month_project_id_month"


def upgrade() -> None:
    op.create_table(
        "project_month",
        sa.Column("owner_id", sa.String(40), nullable=False),
        sa.Column("month", sa.String(7), nullable=False),
        sa.Column("project_id", sa.String(40), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["owner_id"], ["user.id"], name=op.f("fk_project_month_owner_id_user")),
        sa.PrimaryKeyConstraint("owner_id", "month", "project_id", name=op.f("pk_project_month")),
    )
    op.create_index("ix_project_month_project_id_month", "project_month", ["project_id", "month"])
    op.execute(
        "INSERT INTO project_month (owner_id, month, project_id, amount) "
        "SELECT owner_id, month, project_id, SUM(amount) FROM usage_month GROUP BY owner_id, month, project_id"
    )
    op.drop_index(_OLD, "usage_month")


def downgrade() -> None:
    op.create_index(_OLD, "usage_month", ["project_id", "month"])
    op.drop_table("project_month")
