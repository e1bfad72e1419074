"""What is stored beside machines' disks, its prices, and usage intervals of it"""

import time

import sqlalchemy as sa
from alembic import op

revision = "0050"
down_revision = "0049"
branch_labels = None
depends_on = None

KINDS = {"snapshot": 60, "image": 60, "backup": 40}  # micro-credits per GiB and hour to begin with; a disk's is 100
_OPEN, _OF_VM = sa.text("end_at IS NULL"), sa.text("end_at IS NULL AND stored_id IS NULL")
_KEPT = sa.text("ended_at IS NULL")
_UNIQUE = (("id",), ("kind", "number"))


def upgrade() -> None:
    op.create_table(
        "storage_price",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("kind", sa.String(10), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("micro_per_gib_hour", sa.BigInteger(), nullable=False),
        sa.Column("starts_at", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.String(40), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_storage_price")),
    )
    op.create_index("uq_storage_price_kind_number", "storage_price", ["kind", "number"], unique=True)
    _first_prices()
    _refuse_changes()
    op.create_table(
        "stored",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("kind", sa.String(10), nullable=False),
        sa.Column("vm_id", sa.String(40), nullable=False),
        sa.Column("owner_id", sa.String(40), nullable=False),
        sa.Column("project_id", sa.String(40), nullable=False),
        sa.Column("name", sa.String(80), nullable=False),
        sa.Column("gib", sa.Integer(), nullable=False),
        sa.Column("price_id", sa.String(40), nullable=False),
        sa.Column("rate_micro_per_hour", sa.BigInteger(), nullable=False),
        sa.Column("kept_until", sa.BigInteger(), nullable=True),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("gib > 0", name=op.f("ck_stored_takes_room")),
        sa.ForeignKeyConstraint(["vm_id"], ["vm.id"], name=op.f("fk_stored_vm_id_vm")),
        sa.ForeignKeyConstraint(["owner_id"], ["user.id"], name=op.f("fk_stored_owner_id_user")),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name=op.f("fk_stored_project_id_project")),
        sa.ForeignKeyConstraint(["price_id"], ["storage_price.id"], name=op.f("fk_stored_price_id_storage_price")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stored")),
    )
    op.create_index("ix_stored_vm_id", "stored", ["vm_id"], sqlite_where=_KEPT, postgresql_where=_KEPT)
    op.create_index(
        "ix_stored_owner_id", "stored", ["owner_id", "project_id"], sqlite_where=_KEPT, postgresql_where=_KEPT
    )
    op.add_column("usage_interval", sa.Column("stored_id", sa.String(40), nullable=True))
    op.drop_index("uq_usage_interval_open", "usage_interval")
    _index("uq_usage_interval_open", "vm_id", _OF_VM)
    _index("uq_usage_interval_stored_open", "stored_id", _OPEN)


def downgrade() -> None:
    op.drop_index("uq_usage_interval_stored_open", "usage_interval")
    op.drop_index("uq_usage_interval_open", "usage_interval")
    _index("uq_usage_interval_open", "vm_id", _OPEN)
    op.drop_column("usage_interval", "stored_id")
    op.drop_table("stored")
    op.drop_table("storage_price")


def _index(name: str, column: str, where: sa.TextClause) -> None:
    op.create_index(name, "usage_interval", [column], unique=True, sqlite_where=where, postgresql_where=where)


def _first_prices() -> None:
    row = sa.text(
        "INSERT INTO storage_price (id, kind, number, micro_per_gib_hour, starts_at, created_by, created_at) "
        "VALUES (:id, :kind, 1, :price, 0, 'system', :now)"
    )
    for kind, price in KINDS.items():
        values = {"id": f"sprice_{kind}_1", "kind": kind, "price": price, "now": time.time_ns() // 1000}
        op.get_bind().execute(row, values)


def _refuse_changes() -> None:
    if op.get_bind().dialect.name != "sqlite":
        op.execute(
            "CREATE TRIGGER storage_price_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON storage_price "
            "FOR EACH STATEMENT EXECUTE FUNCTION zentry_append_only()"
        )
        return
    for verb in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER storage_price_no_{verb.lower()} BEFORE {verb} ON storage_price "
            "BEGIN SELECT RAISE(ABORT, 'storage_price is append-only'); END"
        )
    for number, columns in enumerate(_UNIQUE):
        same = " AND ".join(f"{column} = NEW.{column}" for column in columns)
        exists = f"EXISTS (SELECT 1 FROM storage_price WHERE {same})"  # noqa: S608 - names of our own
        op.execute(
            f"CREATE TRIGGER storage_price_no_replace_{number} BEFORE INSERT ON storage_price WHEN {exists} "
            "BEGIN SELECT RAISE(ABORT, 'UNIQUE constraint failed: storage_price is append-only'); END"
        )
