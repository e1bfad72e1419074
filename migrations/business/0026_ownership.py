"""A machine's monthly sums are kept per payer: its project may be handed over"""

from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

BEFORE = ["vm_id", "month", "state", "project_id"]
AFTER = [*BEFORE, "owner_id"]


def _primary_key(columns: list[str]) -> None:
    with op.batch_alter_table("usage_month") as table:
        table.drop_constraint("pk_usage_month", type_="primary")
        table.create_primary_key("pk_usage_month", columns)


def upgrade() -> None:
    _primary_key(AFTER)


def downgrade() -> None:
    _primary_key(BEFORE)
