"""Price changes"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

TABLE = "image_price_version"


def _refuse_changes() -> None:
    if op.get_bind().dialect.name != "sqlite":
        op.execute(
            f"CREATE TRIGGER {TABLE}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {TABLE} "
            "FOR EACH STATEMENT EXECUTE FUNCTION zentry_append_only()"
        )
        return
    for verb in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER {TABLE}_no_{verb.lower()} BEFORE {verb} ON {TABLE} "
            f"BEGIN SELECT RAISE(ABORT, '{TABLE} is append-only'); END"
        )
    # INSERT OR REPLACE would delete the old row without any DELETE trigger being asked.
    for number, condition in enumerate(("id = NEW.id", "image_id = NEW.image_id AND number = NEW.number")):
        exists = f"EXISTS (SELECT 1 FROM {TABLE} WHERE {condition})"  # noqa: S608 - words of our own
        op.execute(
            f"CREATE TRIGGER {TABLE}_no_replace_{number} BEFORE INSERT ON {TABLE} WHEN {exists} "
            f"BEGIN SELECT RAISE(ABORT, 'UNIQUE constraint failed: {TABLE} is append-only'); END"
        )


def upgrade() -> None:
    op.create_table(
        TABLE,
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("image_id", sa.String(length=40), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("micro_per_hour", sa.BigInteger(), nullable=False),
        sa.Column("starts_at", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.String(length=40), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("change_id", sa.String(length=40), nullable=True),
        sa.ForeignKeyConstraint(["image_id"], ["image.id"], name=op.f("fk_image_price_version_image_id_image")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_image_price_version")),
    )
    op.create_index("uq_image_price_version_image_id_number", TABLE, ["image_id", "number"], unique=True)
    _refuse_changes()
    op.create_table(
        "price_change",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("title", sa.String(length=80), nullable=False),
        sa.Column("starts_at", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.String(length=40), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("published_by", sa.String(length=40), nullable=True),
        sa.Column("published_at", sa.BigInteger(), nullable=True),
        sa.Column("withdrawn_by", sa.String(length=40), nullable=True),
        sa.Column("withdrawn_at", sa.BigInteger(), nullable=True),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_price_change")),
    )
    op.create_table(
        "price_item",
        sa.Column("change_id", sa.String(length=40), nullable=False),
        sa.Column("target_id", sa.String(length=40), nullable=False),
        sa.Column("kind", sa.String(length=5), nullable=False),
        sa.Column("running_micro_per_hour", sa.BigInteger(), nullable=False),
        sa.Column("disk_micro_per_gib_hour", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["change_id"], ["price_change.id"], name=op.f("fk_price_item_change_id_price_change")),
        sa.PrimaryKeyConstraint("change_id", "target_id", name=op.f("pk_price_item")),
    )
    op.create_table(
        "price_told",
        sa.Column("change_id", sa.String(length=40), nullable=False),
        sa.Column("owner_id", sa.String(length=40), nullable=False),
        sa.Column("told_at", sa.BigInteger(), nullable=False),
        sa.Column("effective_at", sa.BigInteger(), nullable=False),
        sa.Column("old_micro_per_hour", sa.BigInteger(), nullable=False),
        sa.Column("new_micro_per_hour", sa.BigInteger(), nullable=False),
        sa.Column("done_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["change_id"], ["price_change.id"], name=op.f("fk_price_told_change_id_price_change")),
        sa.ForeignKeyConstraint(["owner_id"], ["user.id"], name=op.f("fk_price_told_owner_id_user")),
        sa.PrimaryKeyConstraint("change_id", "owner_id", name=op.f("pk_price_told")),
    )
    waiting = sa.text("done_at IS NULL")
    op.create_index(
        "ix_price_told_waiting",
        "price_told",
        ["owner_id", "effective_at"],
        sqlite_where=waiting,
        postgresql_where=waiting,
    )
    op.add_column("price_version", sa.Column("change_id", sa.String(length=40), nullable=True))
    op.add_column("usage_interval", sa.Column("image_price_version_id", sa.String(length=40), nullable=True))
    op.add_column("vm", sa.Column("image_price_version_id", sa.String(length=40), nullable=True))


def downgrade() -> None:
    raise RuntimeError("prices are append-only and have no way back: restore the backup made before the upgrade")
