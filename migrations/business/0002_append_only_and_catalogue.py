"""What a ledger and a log must refuse, and the catalogue to begin with"""

import time

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# Tables that only grow, with their unique columns.
APPEND_ONLY = {
    "event": (("seq",), ("id",)),
    "transfer": (("seq",), ("id",), ("idempotency_key",)),
    "entry": (("account_id", "seq"),),
    "charge": (("interval_id", "from_at", "kind"),),
    "price_version": (("id",), ("size_id", "number")),
}

# name, vCPU, memory MiB, disk GiB, running micro-credits per hour
SIZES = (
    ("nano", 1, 128, 1, 5_000),
    ("micro", 1, 512, 5, 15_000),
    ("small", 2, 2048, 20, 50_000),
    ("medium", 4, 4096, 40, 100_000),
    ("large", 8, 8192, 80, 200_000),
)
DISK_MICRO_PER_GIB_HOUR = 100


def _refuse_changes(table: str) -> None:
    if op.get_bind().dialect.name == "sqlite":
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f'CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON "{table}" '
                f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            )
        # INSERT OR REPLACE would delete the old row without any DELETE trigger being asked.
        for number, columns in enumerate(APPEND_ONLY[table]):
            same = " AND ".join(f"{column} = NEW.{column}" for column in columns)
            exists = f'EXISTS (SELECT 1 FROM "{table}" WHERE {same})'  # noqa: S608 - names of our own
            op.execute(
                f'CREATE TRIGGER {table}_no_replace_{number} BEFORE INSERT ON "{table}" WHEN {exists} '
                f"BEGIN SELECT RAISE(ABORT, 'UNIQUE constraint failed: {table} is append-only'); END"
            )
        return
    op.execute(
        f'CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON "{table}" '
        "FOR EACH STATEMENT EXECUTE FUNCTION zentry_append_only()"
    )


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE FUNCTION zentry_append_only() RETURNS trigger LANGUAGE plpgsql AS $$ "
            "BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END $$"
        )
    for table in APPEND_ONLY:
        _refuse_changes(table)
    now = time.time_ns() // 1000
    connection = op.get_bind()
    for position, (name, vcpus, memory, disk, price) in enumerate(SIZES):
        connection.execute(
            sa.text(
                "INSERT INTO size (id, name, vcpus, memory_mib, disk_gib, position, active) "
                "VALUES (:id, :name, :vcpus, :memory, :disk, :position, :active)"
            ),
            {
                "id": f"size_{name}",
                "name": name,
                "vcpus": vcpus,
                "memory": memory,
                "disk": disk,
                "position": position,
                "active": True,
            },
        )
        connection.execute(
            sa.text(
                "INSERT INTO price_version (id, size_id, number, running_micro_per_hour, disk_micro_per_gib_hour, "
                "starts_at, created_by, created_at) VALUES (:id, :size, 1, :price, :disk, 0, 'system', :now)"
            ),
            {
                "id": f"price_{name}_1",
                "size": f"size_{name}",
                "price": price,
                "disk": DISK_MICRO_PER_GIB_HOUR,
                "now": now,
            },
        )
    connection.execute(
        sa.text(
            "INSERT INTO image (id, name, driver_name, description, min_memory_mib, position, active) "
            "VALUES ('img_tiny', 'Zentry Tiny Linux', 'tiny', :text, 96, 0, :active)"
        ),
        {"text": "BusyBox and SSH on a small kernel: boots in seconds, keeps its files under /data.", "active": True},
    )
    for kind in ("grants", "payments", "revenue", "write_off"):
        connection.execute(
            sa.text("INSERT INTO account (id, kind, owner_id, balance, last_seq) VALUES (:id, :kind, NULL, 0, 0)"),
            {"id": f"acc_{kind}", "kind": kind},
        )


def downgrade() -> None:
    raise RuntimeError("an append-only ledger has no way back: restore the backup made before the upgrade")
