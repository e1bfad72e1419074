"""Budgets per project"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "project_budget",
        sa.Column("project_id", sa.String(length=40), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("alerts", sa.String(length=60), nullable=False),
        sa.Column("hard_cap", sa.Boolean(), nullable=False),
        sa.Column("told_month", sa.String(length=7), nullable=False),
        sa.Column("told_amount", sa.BigInteger(), nullable=False),
        sa.Column("told_percent", sa.Integer(), nullable=False),
        sa.Column("look_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("amount > 0", name=op.f("ck_project_budget_above_zero")),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name=op.f("fk_project_budget_project_id_project")),
        sa.PrimaryKeyConstraint("project_id", name=op.f("pk_project_budget")),
    )
    op.create_index("ix_project_budget_look_at", "project_budget", ["look_at"])


def downgrade() -> None:
    op.drop_table("project_budget")
