"""Payments and stored methods"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def _id(name: str, *, optional: bool = False, length: int = 40) -> sa.Column[str]:
    return sa.Column(name, sa.String(length=length), nullable=optional)


def _number(name: str, *, optional: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=optional)


def _to(table: str, column: str, target: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [f"{target}.id"], name=op.f(f"fk_{table}_{column}_{target}"))


def upgrade() -> None:
    op.create_table(
        "payment_method",
        _id("id"), _id("owner_id"), _id("provider", length=20), _id("ref", length=120), _id("label", length=60),
        sa.Column("expiry_month", sa.Integer(), nullable=False),
        sa.Column("expiry_year", sa.Integer(), nullable=False),
        _number("created_at"), _number("removed_at", optional=True),
        _to("payment_method", "owner_id", "user"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_payment_method")),
    )  # fmt: skip
    op.create_index("uq_payment_method_provider_ref", "payment_method", ["provider", "ref"], unique=True)
    op.create_index(op.f("ix_payment_method_owner_id"), "payment_method", ["owner_id"])
    _payment()
    _around_payment()
    op.create_table(
        "top_up",
        _id("user_id"), _id("provider", length=20), _id("customer_ref", length=120),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        _number("threshold_micro"),
        sa.Column("runway_hours", sa.Integer(), nullable=False),
        _number("amount_micro"), _number("ceiling_micro"),
        _id("method_id", optional=True), _number("last_attempt_at", optional=True), _id("off_reason", length=200),
        _to("top_up", "user_id", "user"), _to("top_up", "method_id", "payment_method"),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_top_up")),
    )  # fmt: skip
    _refuse_changes()


def _payment() -> None:
    op.create_table(
        "payment",
        _id("id"), _id("owner_id"), _id("provider", length=20), _id("provider_ref", optional=True, length=120),
        _id("idempotency_key", length=160),
        sa.Column("is_automatic", sa.Boolean(), nullable=False),
        _number("amount_micro"), _number("minor"), _id("currency", length=3), _id("state", length=10),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("save_method", sa.Boolean(), nullable=False),
        _id("method_id", optional=True), _id("method_label", length=60),
        _number("refunded_minor"), _number("disputed_minor"), _id("transfer_id", optional=True),
        _number("refund_micro"), _number("dispute_micro"), _number("refund_off_micro"), _number("dispute_off_micro"),
        sa.Column("postings", sa.Integer(), nullable=False),
        _number("created_at"), _number("settled_at", optional=True), _number("look_at", optional=True),
        sa.Column("looks", sa.Integer(), nullable=False),
        _to("payment", "owner_id", "user"), _to("payment", "method_id", "payment_method"),
        sa.CheckConstraint(
            "refunded_minor >= 0 AND disputed_minor >= 0", name=op.f("ck_payment_sums_not_below_zero")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_payment")),
        sa.UniqueConstraint("idempotency_key", name=op.f("uq_payment_idempotency_key")),
    )  # fmt: skip
    op.create_index("uq_payment_provider_ref", "payment", ["provider", "provider_ref"], unique=True)
    op.create_index("ix_payment_owner_id_id", "payment", ["owner_id", "id"])
    look = sa.text("look_at IS NOT NULL")
    op.create_index("ix_payment_look_at", "payment", ["look_at"], sqlite_where=look, postgresql_where=look)


def _around_payment() -> None:
    op.create_table(
        "payment_event",
        _id("provider", length=20), _id("id", length=120), _id("payment_id"), _id("kind", length=80),
        _number("at"), _number("received_at"),
        sa.Column("payload", sa.JSON(), nullable=False),
        _id("effect", length=200),
        _to("payment_event", "payment_id", "payment"),
        sa.PrimaryKeyConstraint("provider", "id", name=op.f("pk_payment_event")),
    )  # fmt: skip
    op.create_table(
        "payment_refund",
        _id("id"), _id("payment_id"), _number("minor"),
        sa.Column("reason", sa.Text(), nullable=False),
        _id("actor_id"), _id("state", length=10),
        sa.Column("error", sa.Text(), nullable=False),
        _number("created_at"),
        _to("payment_refund", "payment_id", "payment"),
        sa.CheckConstraint("minor > 0", name=op.f("ck_payment_refund_something")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_payment_refund")),
    )  # fmt: skip
    op.create_table(
        "payment_dispute",
        _id("provider", length=20), _id("ref", length=120), _id("payment_id"), _number("minor"),
        _id("state", length=10),
        _to("payment_dispute", "payment_id", "payment"),
        sa.PrimaryKeyConstraint("provider", "ref", name=op.f("pk_payment_dispute")),
    )  # fmt: skip
    for table in ("payment_event", "payment_refund", "payment_dispute"):
        op.create_index(op.f(f"ix_{table}_payment_id"), table, ["payment_id"])


def _refuse_changes() -> None:
    """What a provider told stays as it was told."""
    if op.get_bind().dialect.name == "sqlite":
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER payment_event_no_{verb.lower()} BEFORE {verb} ON payment_event "
                "BEGIN SELECT RAISE(ABORT, 'payment_event is append-only'); END"
            )
        op.execute(  # INSERT OR REPLACE would delete the old row without any DELETE trigger being asked
            "CREATE TRIGGER payment_event_no_replace_0 BEFORE INSERT ON payment_event WHEN EXISTS "
            "(SELECT 1 FROM payment_event WHERE provider = NEW.provider AND id = NEW.id) "
            "BEGIN SELECT RAISE(ABORT, 'UNIQUE constraint failed: payment_event is append-only'); END"
        )
        return
    op.execute(
        "CREATE TRIGGER payment_event_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON payment_event "
        "FOR EACH STATEMENT EXECUTE FUNCTION zentry_append_only()"
    )


def downgrade() -> None:
    raise RuntimeError("payments have no way back: restore the backup made before the upgrade")
