"""Labels of machines and projects"""

import sqlalchemy as sa
from alembic import op

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for holder in ("vm", "project"):
        op.create_table(
            f"{holder}_label",
            sa.Column(f"{holder}_id", sa.String(40), nullable=False),
            sa.Column("key", sa.String(63), nullable=False),
            sa.Column("value", sa.String(63), nullable=False),
            sa.ForeignKeyConstraint([f"{holder}_id"], [f"{holder}.id"], name=f"fk_{holder}_label_{holder}_id_{holder}"),
            sa.PrimaryKeyConstraint(f"{holder}_id", "key", name=f"pk_{holder}_label"),
        )
    op.create_index("ix_vm_label_key_value", "vm_label", ["key", "value"])


def downgrade() -> None:
    for holder in ("project", "vm"):
        op.drop_table(f"{holder}_label")
