"""A machine's monthly sums are kept per project: it may be moved into another"""

from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

BEFORE, AFTER = ["vm_id", "month", "state"], ["vm_id", "month", "state", "project_id"]


def _primary_key(columns: list[str]) -> None:
    with op.batch_alter_table("usage_month") as table:
        table.drop_constraint("pk_usage_month", type_="primary")
        table.create_primary_key("pk_usage_month", columns)


def upgrade() -> None:
    _primary_key(AFTER)


def downgrade() -> None:
    _primary_key(BEFORE)
