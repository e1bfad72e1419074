"""Machines that the hypervisor cannot tell of, each with its last confirmed moment"""

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None

_UNCLEAR = sa.text("confirmed_until IS NOT NULL")


def upgrade() -> None:
    op.add_column("vm", sa.Column("confirmed_until", sa.BigInteger(), nullable=True))
    op.create_index("ix_vm_unclear", "vm", ["id"], sqlite_where=_UNCLEAR, postgresql_where=_UNCLEAR)


def downgrade() -> None:
    op.drop_index("ix_vm_unclear", "vm")
    op.drop_column("vm", "confirmed_until")
