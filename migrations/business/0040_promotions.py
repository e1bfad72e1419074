"""Promotional credit: what was given, what became of it, and how much of a wallet and its holds it is"""

import sqlalchemy as sa
from alembic import op

revision = "0040"
down_revision = "0039"
branch_labels = None
depends_on = None

# Everything of a promotion but what is left of it, when it expires and whether that was told.
FIXED = ("id", "owner_id", "transfer_id", "amount", "given_at")
OLD_VOUCHER = ("id", "code", "value", "uses", "expires_at", "note", "batch_id", "number", "created_by", "created_at")
ACCOUNTS = ("promotions", "promo_used", "expired")
_LEFT = sa.text("remaining > 0")


def upgrade() -> None:
    op.execute(
        "ALTER TABLE account ADD COLUMN promo BIGINT DEFAULT 0 NOT NULL "
        "CONSTRAINT ck_account_promo_not_below_zero CHECK (promo >= 0)"
    )
    op.add_column("voucher", sa.Column("promo_days", sa.Integer(), nullable=True))
    op.create_table(
        "promotion",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("owner_id", sa.String(40), nullable=False),
        sa.Column("transfer_id", sa.String(40), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("remaining", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.Column("given_at", sa.BigInteger(), nullable=False),
        sa.Column("told", sa.Integer(), nullable=False),
        sa.CheckConstraint("amount > 0", name=op.f("ck_promotion_above_zero")),
        sa.CheckConstraint("remaining >= 0 AND remaining <= amount", name=op.f("ck_promotion_within_amount")),
        sa.ForeignKeyConstraint(["owner_id"], ["user.id"], name=op.f("fk_promotion_owner_id_user")),
        sa.ForeignKeyConstraint(["transfer_id"], ["transfer.id"], name=op.f("fk_promotion_transfer_id_transfer")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_promotion")),
        sa.UniqueConstraint("transfer_id", name=op.f("uq_promotion_transfer_id")),
    )
    op.create_index("ix_promotion_owner_id", "promotion", ["owner_id"], sqlite_where=_LEFT, postgresql_where=_LEFT)
    op.create_index("ix_promotion_expires_at", "promotion", ["expires_at"], sqlite_where=_LEFT, postgresql_where=_LEFT)
    op.create_table(
        "promotion_use",
        sa.Column("promotion_id", sa.String(40), nullable=False),
        sa.Column("transfer_id", sa.String(40), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("amount > 0", name=op.f("ck_promotion_use_above_zero")),
        sa.ForeignKeyConstraint(
            ["promotion_id"], ["promotion.id"], name=op.f("fk_promotion_use_promotion_id_promotion")
        ),
        sa.ForeignKeyConstraint(["transfer_id"], ["transfer.id"], name=op.f("fk_promotion_use_transfer_id_transfer")),
        sa.PrimaryKeyConstraint("promotion_id", "transfer_id", name=op.f("pk_promotion_use")),
    )
    op.create_index(op.f("ix_promotion_use_transfer_id"), "promotion_use", ["transfer_id"])
    for kind in ACCOUNTS:
        op.execute(
            f"INSERT INTO account (id, kind, owner_id, balance, last_seq) VALUES ('acc_{kind}', '{kind}', NULL, 0, 0)"  # noqa: S608 - names of our own
        )
    if op.get_bind().dialect.name == "sqlite":
        _guard_sqlite()
    else:
        _guard_postgresql()


def _guard_sqlite() -> None:
    op.execute("DROP TRIGGER voucher_no_update")
    fixed = {"voucher": (*OLD_VOUCHER, "promo_days"), "promotion": FIXED}
    refused = [(table, f"UPDATE OF {', '.join(columns)}") for table, columns in fixed.items()]
    refused += [("promotion", "DELETE"), ("promotion_use", "UPDATE"), ("promotion_use", "DELETE")]
    for table, verb in refused:
        op.execute(
            f"CREATE TRIGGER {table}_no_{verb.split()[0].lower()} BEFORE {verb} ON {table} "
            f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
        )
    unique = {"promotion": (("id",), ("transfer_id",)), "promotion_use": (("promotion_id", "transfer_id"),)}
    for table, keys in unique.items():
        for number, columns in enumerate(keys):
            same = " AND ".join(f"{column} = NEW.{column}" for column in columns)
            exists = f"EXISTS (SELECT 1 FROM {table} WHERE {same})"  # noqa: S608 - names of our own
            op.execute(
                f"CREATE TRIGGER {table}_no_replace_{number} BEFORE INSERT ON {table} WHEN {exists} "
                f"BEGIN SELECT RAISE(ABORT, 'UNIQUE constraint failed: {table} is append-only'); END"
            )


def _guard_postgresql() -> None:
    op.execute("DROP TRIGGER voucher_fixed ON voucher")
    refused = {
        "voucher_fixed": f"UPDATE OF {', '.join((*OLD_VOUCHER, 'promo_days'))} ON voucher",
        "promotion_fixed": f"UPDATE OF {', '.join(FIXED)} ON promotion",
        "promotion_kept": "DELETE OR TRUNCATE ON promotion",
        "promotion_use_append_only": "UPDATE OR DELETE OR TRUNCATE ON promotion_use",
    }
    for name, event in refused.items():
        op.execute(f"CREATE TRIGGER {name} BEFORE {event} FOR EACH STATEMENT EXECUTE FUNCTION zentry_append_only()")


def downgrade() -> None:
    raise RuntimeError("credits that were given have no way back: restore the backup made before the upgrade")
