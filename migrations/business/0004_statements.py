"""Monthly statements"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "statement",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("owner_id", sa.String(length=40), nullable=False),
        sa.Column("month", sa.String(length=7), nullable=False),
        sa.Column("time_zone", sa.String(length=60), nullable=False),
        sa.Column("start_at", sa.BigInteger(), nullable=False),
        sa.Column("end_at", sa.BigInteger(), nullable=False),
        sa.Column("last_seq", sa.BigInteger(), nullable=False),
        sa.Column("closed_at", sa.BigInteger(), nullable=False),
        sa.Column("opening", sa.BigInteger(), nullable=False),
        sa.Column("credited", sa.BigInteger(), nullable=False),
        sa.Column("charged", sa.BigInteger(), nullable=False),
        sa.Column("written_off", sa.BigInteger(), nullable=False),
        sa.Column("closing", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["owner_id"], ["user.id"], name=op.f("fk_statement_owner_id_user")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_statement")),
        sa.UniqueConstraint("number", name=op.f("uq_statement_number")),
    )
    op.create_index("uq_statement_owner_id_month", "statement", ["owner_id", "month"], unique=True)
    if op.get_bind().dialect.name == "sqlite":
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER statement_no_{verb.lower()} BEFORE {verb} ON statement "
                "BEGIN SELECT RAISE(ABORT, 'statement is append-only'); END"
            )
        same = ("id = NEW.id", "number = NEW.number", "owner_id = NEW.owner_id AND month = NEW.month")
        for number, condition in enumerate(same):
            exists = f"EXISTS (SELECT 1 FROM statement WHERE {condition})"  # noqa: S608 - words of our own
            op.execute(
                f"CREATE TRIGGER statement_no_replace_{number} BEFORE INSERT ON statement WHEN {exists} "
                "BEGIN SELECT RAISE(ABORT, 'UNIQUE constraint failed: statement is append-only'); END"
            )
        return
    op.execute(
        "CREATE TRIGGER statement_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON statement "
        "FOR EACH STATEMENT EXECUTE FUNCTION zentry_append_only()"
    )


def downgrade() -> None:
    raise RuntimeError("statements have no way back: restore the backup made before the upgrade")
