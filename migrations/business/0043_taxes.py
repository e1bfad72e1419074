"""Billing details, the operator's table of taxes, and receipts with numbers of their own"""

import sqlalchemy as sa
from alembic import op

revision = "0043"
down_revision = "0042"
branch_labels = None
depends_on = None

_UNIQUE = (("id",), ("kind", "year", "number"))


def upgrade() -> None:
    op.add_column("payment", sa.Column("tax_minor", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("payment", sa.Column("tax", sa.JSON(), nullable=True))
    op.create_table(
        "billing_details",
        sa.Column("user_id", sa.String(40), nullable=False),
        sa.Column("name", sa.String(120), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("country", sa.String(2), nullable=False),
        sa.Column("vat_number", sa.String(24), nullable=False),
        sa.Column("is_business", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name=op.f("fk_billing_details_user_id_user")),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_billing_details")),
    )
    op.create_table(
        "tax_rate",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("country", sa.String(2), nullable=False),
        sa.Column("kind", sa.String(12), nullable=False),
        sa.Column("basis_points", sa.Integer(), nullable=False),
        sa.Column("label", sa.String(40), nullable=False),
        sa.Column("note", sa.String(200), nullable=False),
        sa.Column("valid_from", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.String(40), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("basis_points >= 0 AND basis_points <= 10000", name=op.f("ck_tax_rate_a_part")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tax_rate")),
    )
    op.create_index("ix_tax_rate_country_kind", "tax_rate", ["country", "kind"])
    op.create_table(
        "receipt_series",
        sa.Column("kind", sa.String(12), nullable=False),
        sa.Column("year", sa.Integer(), nullable=False),
        sa.Column("last", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "year", name=op.f("pk_receipt_series")),
    )
    _receipts()
    if op.get_bind().dialect.name == "sqlite":
        _guard_sqlite()
    else:
        op.execute(
            "CREATE TRIGGER receipt_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON receipt "
            "FOR EACH STATEMENT EXECUTE FUNCTION zentry_append_only()"
        )


def _receipts() -> None:
    op.create_table(
        "receipt",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("kind", sa.String(12), nullable=False),
        sa.Column("year", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("payment_id", sa.String(40), nullable=False),
        sa.Column("owner_id", sa.String(40), nullable=False),
        sa.Column("of_number", sa.String(20), nullable=False),
        sa.Column("net_minor", sa.BigInteger(), nullable=False),
        sa.Column("tax_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("country", sa.String(2), nullable=False),
        sa.Column("buyer_kind", sa.String(12), nullable=False),
        sa.Column("basis_points", sa.Integer(), nullable=False),
        sa.Column("label", sa.String(40), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["payment_id"], ["payment.id"], name=op.f("fk_receipt_payment_id_payment")),
        sa.ForeignKeyConstraint(["owner_id"], ["user.id"], name=op.f("fk_receipt_owner_id_user")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_receipt")),
    )
    op.create_index("uq_receipt_kind_year_number", "receipt", ["kind", "year", "number"], unique=True)
    op.create_index("ix_receipt_payment_id", "receipt", ["payment_id"])
    op.create_index("ix_receipt_owner_id_at", "receipt", ["owner_id", "at"])
    op.create_index("ix_receipt_at", "receipt", ["at"])


def _guard_sqlite() -> None:
    for verb in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER receipt_no_{verb.lower()} BEFORE {verb} ON receipt "
            "BEGIN SELECT RAISE(ABORT, 'receipt is append-only'); END"
        )
    for number, columns in enumerate(_UNIQUE):
        same = " AND ".join(f"{column} = NEW.{column}" for column in columns)
        exists = f"EXISTS (SELECT 1 FROM receipt WHERE {same})"  # noqa: S608 - names of our own
        op.execute(
            f"CREATE TRIGGER receipt_no_replace_{number} BEFORE INSERT ON receipt WHEN {exists} "
            "BEGIN SELECT RAISE(ABORT, 'UNIQUE constraint failed: receipt is append-only'); END"
        )


def downgrade() -> None:
    raise RuntimeError("receipts must be kept: restore the backup made before the upgrade")
