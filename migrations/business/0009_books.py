"""Approvals and hourly checks"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

BY_HAND = "kind NOT IN ('hold', 'release', 'usage')"
BY_PEOPLE = "actor_id <> 'system'"
PENDING = "outcome = 'pending'"


def _partial(name: str, table: str, columns: list[str], condition: str) -> None:
    where = sa.text(condition)
    op.create_index(name, table, columns, sqlite_where=where, postgresql_where=where)


def _indexes() -> None:
    """What the ledger browser filters by. The worker's rows, most of all, are left out where people are."""
    op.create_index("ix_transfer_at_seq", "transfer", ["at", "seq"])
    _partial("ix_transfer_by_hand", "transfer", ["kind", "seq"], BY_HAND)
    _partial("ix_transfer_by_people", "transfer", ["actor_id", "seq"], BY_PEOPLE)
    _partial("ix_entry_amount", "entry", ["amount", "transfer_id"], "amount > 0")


def _tables() -> None:
    op.create_table(
        "approval",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("kind", sa.String(length=12), nullable=False),
        sa.Column("user_id", sa.String(length=40), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("target", sa.String(length=60), nullable=False),
        sa.Column("request_key", sa.String(length=120), nullable=False),
        sa.Column("body_hash", sa.String(length=64), nullable=False),
        sa.Column("asked_by", sa.String(length=40), nullable=False),
        sa.Column("asked_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("outcome", sa.String(length=10), nullable=False),
        sa.Column("decided_by", sa.String(length=40), nullable=True),
        sa.Column("decided_at", sa.BigInteger(), nullable=True),
        sa.Column("transfer_id", sa.String(length=40), nullable=True),
        sa.CheckConstraint("amount > 0", name=op.f("ck_approval_above_zero")),
        sa.CheckConstraint(
            "decided_by IS NULL OR outcome <> 'approved' OR decided_by <> asked_by", name=op.f("ck_approval_two_admins")
        ),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name=op.f("fk_approval_user_id_user")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_approval")),
    )
    op.create_index("uq_approval_request_key", "approval", ["request_key"], unique=True)
    _partial("ix_approval_pending", "approval", ["id"], PENDING)
    op.create_table(
        "refund",
        sa.Column("transfer_id", sa.String(length=40), nullable=False),
        sa.Column("interval_id", sa.String(length=40), nullable=False),
        sa.Column("from_at", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("amount > 0", name=op.f("ck_refund_above_zero")),
        sa.ForeignKeyConstraint(["transfer_id"], ["transfer.id"], name=op.f("fk_refund_transfer_id_transfer")),
        sa.ForeignKeyConstraint(
            ["interval_id", "from_at", "kind"],
            ["charge.interval_id", "charge.from_at", "charge.kind"],
            name=op.f("fk_refund_interval_id_from_at_kind_charge"),
        ),
        sa.PrimaryKeyConstraint("transfer_id", "interval_id", "from_at", "kind", name=op.f("pk_refund")),
    )
    op.create_index("ix_refund_charge", "refund", ["interval_id", "from_at", "kind"])
    op.create_table(
        "ledger_day",
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=12), nullable=False),
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("entries", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("day", "kind", "account", name=op.f("pk_ledger_day")),
    )
    op.create_table(
        "verify_run",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("took_ms", sa.Integer(), nullable=False),
        sa.Column("ok", sa.Boolean(), nullable=False),
        sa.Column("lines", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_verify_run")),
    )


def _guards() -> None:
    """Refunds only grow; a request is decided once, and kept."""
    if op.get_bind().dialect.name == "sqlite":
        for table, verb in (("refund", "UPDATE"), ("refund", "DELETE"), ("approval", "DELETE")):
            op.execute(
                f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            )
        op.execute(
            "CREATE TRIGGER approval_no_update BEFORE UPDATE ON approval WHEN OLD.outcome <> 'pending' "
            "BEGIN SELECT RAISE(ABORT, 'a decided approval does not change'); END"
        )
        columns = ("transfer_id", "interval_id", "from_at", "kind")
        same = " AND ".join(f"{column} = NEW.{column}" for column in columns)
        for table, condition in (
            ("refund", same),
            ("approval", "id = NEW.id"),
            ("approval", "request_key = NEW.request_key"),
        ):
            exists = f"EXISTS (SELECT 1 FROM {table} WHERE {condition})"  # noqa: S608 - words of our own
            op.execute(
                f"CREATE TRIGGER {table}_no_replace_{len(condition)} BEFORE INSERT ON {table} WHEN {exists} "
                f"BEGIN SELECT RAISE(ABORT, 'UNIQUE constraint failed: {table} is append-only'); END"
            )
        return
    op.execute(
        "CREATE FUNCTION zentry_approval_decided() RETURNS trigger LANGUAGE plpgsql AS $$ "
        "BEGIN IF OLD.outcome <> 'pending' THEN RAISE EXCEPTION 'a decided approval does not change'; END IF; "
        "RETURN NEW; END $$"
    )
    op.execute(
        "CREATE TRIGGER approval_decided BEFORE UPDATE ON approval "
        "FOR EACH ROW EXECUTE FUNCTION zentry_approval_decided()"
    )
    for table, verbs in (("approval", "DELETE OR TRUNCATE"), ("refund", "UPDATE OR DELETE OR TRUNCATE")):
        op.execute(
            f"CREATE TRIGGER {table}_append_only BEFORE {verbs} ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION zentry_append_only()"
        )


def upgrade() -> None:
    _indexes()
    _tables()
    _guards()


def downgrade() -> None:
    for table in ("refund", "approval"):
        if op.get_bind().execute(sa.text(f"SELECT 1 FROM {table} LIMIT 1")).first():  # noqa: S608 - words of our own
            raise RuntimeError("refunds and approvals have no way back: restore the backup made before the upgrade")
    for table in ("verify_run", "ledger_day", "refund", "approval"):
        op.drop_table(table)
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION zentry_approval_decided()")
    op.drop_index("ix_entry_amount", "entry")
    for name in ("ix_transfer_by_people", "ix_transfer_by_hand", "ix_transfer_at_seq"):
        op.drop_index(name, "transfer")
