"""Vouchers"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# Everything of a voucher but how often it was used and whether it was revoked.
FIXED = ("id", "code", "value", "uses", "expires_at", "note", "batch_id", "number", "created_by", "created_at")
# Rows that another row must not replace, with their unique columns.
UNIQUE = {
    "voucher": (("id",), ("code",), ("batch_id", "number")),
    "voucher_redemption": (("voucher_id", "user_id"), ("transfer_id",)),
}


def upgrade() -> None:
    op.create_table(
        "voucher",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("code", sa.String(length=20), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.Column("uses", sa.Integer(), nullable=False),
        sa.Column("used", sa.Integer(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.Column("note", sa.String(length=200), nullable=False),
        sa.Column("batch_id", sa.String(length=40), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("created_by", sa.String(length=40), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("value > 0", name=op.f("ck_voucher_worth_something")),
        sa.CheckConstraint("used >= 0 AND used <= uses", name=op.f("ck_voucher_used_within_uses")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_voucher")),
        sa.UniqueConstraint("code", name=op.f("uq_voucher_code")),
    )
    op.create_index("uq_voucher_batch_id_number", "voucher", ["batch_id", "number"], unique=True)
    op.create_table(
        "voucher_redemption",
        sa.Column("voucher_id", sa.String(length=40), nullable=False),
        sa.Column("user_id", sa.String(length=40), nullable=False),
        sa.Column("transfer_id", sa.String(length=40), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("request_key", sa.String(length=100), nullable=False),
        sa.ForeignKeyConstraint(["voucher_id"], ["voucher.id"], name=op.f("fk_voucher_redemption_voucher_id_voucher")),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name=op.f("fk_voucher_redemption_user_id_user")),
        sa.ForeignKeyConstraint(
            ["transfer_id"], ["transfer.id"], name=op.f("fk_voucher_redemption_transfer_id_transfer")
        ),
        sa.PrimaryKeyConstraint("voucher_id", "user_id", name=op.f("pk_voucher_redemption")),
        sa.UniqueConstraint("transfer_id", name=op.f("uq_voucher_redemption_transfer_id")),
    )
    op.create_index("ix_voucher_redemption_user_id", "voucher_redemption", ["user_id"])
    if op.get_bind().dialect.name == "sqlite":
        _guard_sqlite()
    else:
        _guard_postgresql()


def _guard_sqlite() -> None:
    refused = {
        "voucher": (f"UPDATE OF {', '.join(FIXED)}", "DELETE"),
        "voucher_redemption": ("UPDATE", "DELETE"),
    }
    for table, verbs in refused.items():
        for verb in verbs:
            op.execute(
                f"CREATE TRIGGER {table}_no_{verb.split()[0].lower()} BEFORE {verb} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            )
        for number, columns in enumerate(UNIQUE[table]):
            same = " AND ".join(f"{column} = NEW.{column}" for column in columns)
            exists = f"EXISTS (SELECT 1 FROM {table} WHERE {same})"  # noqa: S608 - names of our own
            op.execute(
                f"CREATE TRIGGER {table}_no_replace_{number} BEFORE INSERT ON {table} WHEN {exists} "
                f"BEGIN SELECT RAISE(ABORT, 'UNIQUE constraint failed: {table} is append-only'); END"
            )


def _guard_postgresql() -> None:
    refused = {
        "voucher_fixed": f"UPDATE OF {', '.join(FIXED)} ON voucher",
        "voucher_kept": "DELETE OR TRUNCATE ON voucher",
        "voucher_redemption_append_only": "UPDATE OR DELETE OR TRUNCATE ON voucher_redemption",
    }
    for name, event in refused.items():
        op.execute(f"CREATE TRIGGER {name} BEFORE {event} FOR EACH STATEMENT EXECUTE FUNCTION zentry_append_only()")


def downgrade() -> None:
    raise RuntimeError("redeemed vouchers have no way back: restore the backup made before the upgrade")
