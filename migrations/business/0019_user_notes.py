"""What admins write down about accounts"""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "user_note",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("user_id", sa.String(40), nullable=False),
        sa.Column("author_id", sa.String(40), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name=op.f("fk_user_note_user_id_user")),
        sa.ForeignKeyConstraint(["author_id"], ["user.id"], name=op.f("fk_user_note_author_id_user")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_user_note")),
    )
    op.create_index("ix_user_note_user_id", "user_note", ["user_id"])


def downgrade() -> None:
    op.drop_table("user_note")
