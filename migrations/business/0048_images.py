"""Images as things of their own: what they take and need, their versions, and those that belong to one project"""

import time

import sqlalchemy as sa
from alembic import op

revision = "0048"
down_revision = "0047"
branch_labels = None
depends_on = None

_OLD = "id, name, driver_name, description, min_memory_mib, position, active"
_SHARED = "project_id IS NULL"
_PRIVATE = "project_id IS NOT NULL AND deleted_at IS NULL"


def _columns() -> list[sa.Column]:
    return [
        sa.Column("project_id", sa.String(40), nullable=True),
        sa.Column("architecture", sa.String(10), nullable=False, server_default="x86_64"),
        sa.Column("min_disk_gib", sa.Integer(), nullable=False, server_default="1"),
        sa.Column("default_user", sa.String(32), nullable=False, server_default="root"),
        sa.Column("first_login", sa.Text(), nullable=False, server_default=""),
        sa.Column("user_data", sa.String(10), nullable=False, server_default="script"),
        sa.Column("deleted_at", sa.BigInteger(), nullable=True),
    ]


def _rebuild_on_sqlite() -> None:
    """A unique constraint of SQLite's goes only with its table, which others refer to: their references are looked at
    when all is done, and then the same rows are there again."""
    op.execute("PRAGMA defer_foreign_keys=ON")
    op.execute(f"CREATE TABLE image_before AS SELECT {_OLD} FROM image")  # noqa: S608 - names of our own
    op.drop_table("image")
    op.create_table(
        "image",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("name", sa.String(60), nullable=False),
        sa.Column("driver_name", sa.String(60), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("min_memory_mib", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        *_columns(),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_image")),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name=op.f("fk_image_project_id_project")),
    )
    op.execute(f"INSERT INTO image ({_OLD}) SELECT {_OLD} FROM image_before")  # noqa: S608 - as above
    op.execute("DROP TABLE image_before")


def upgrade() -> None:
    connection = op.get_bind()
    if connection.dialect.name == "sqlite":
        _rebuild_on_sqlite()
    else:
        op.drop_constraint("uq_image_name", "image")
        for column in _columns():
            op.add_column("image", column)
        op.create_foreign_key(op.f("fk_image_project_id_project"), "image", "project", ["project_id"], ["id"])
    for name, columns, condition in (
        ("uq_image_name", ["name"], _SHARED),
        ("uq_image_project_id_name", ["project_id", "name"], _PRIVATE),
    ):
        where = sa.text(condition)
        op.create_index(name, "image", columns, unique=True, sqlite_where=where, postgresql_where=where)
    op.create_table(
        "image_version",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("image_id", sa.String(40), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("driver_name", sa.String(60), nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("source", sa.String(10), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("expected_sha256", sa.String(64), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("disk_bytes", sa.BigInteger(), nullable=False),
        sa.Column("step", sa.String(20), nullable=False),
        sa.Column("done_bytes", sa.BigInteger(), nullable=False),
        sa.Column("total_bytes", sa.BigInteger(), nullable=False),
        sa.Column("cancelling", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("created_by", sa.String(40), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_image_version")),
        sa.ForeignKeyConstraint(["image_id"], ["image.id"], name=op.f("fk_image_version_image_id_image")),
        sa.UniqueConstraint("driver_name", name=op.f("uq_image_version_driver_name")),
    )
    op.create_index("uq_image_version_image_id_number", "image_version", ["image_id", "number"], unique=True)
    work = sa.text("state IN ('building', 'importing', 'removing')")
    op.create_index("ix_image_version_work", "image_version", ["id"], sqlite_where=work, postgresql_where=work)
    # Every image so far came with Zentry: its first version. Machines keep the one they were made from.
    connection.execute(
        sa.text(
            "INSERT INTO image_version (id, image_id, number, driver_name, state, source, reference, expected_sha256,"
            " sha256, size_bytes, disk_bytes, step, done_bytes, total_bytes, cancelling, reason, created_by,"
            " created_at, ended_at) SELECT 'iv_' || id, id, 1, driver_name, 'ready', 'builtin', '', '', '', 0, 0, '',"
            " 0, 0, :no, '', 'system', :now, :now FROM image"
        ),
        {"no": False, "now": time.time_ns() // 1000},
    )
    op.add_column("vm", sa.Column("image_version_id", sa.String(40), nullable=True))
    connection.execute(sa.text("UPDATE vm SET image_version_id = 'iv_' || image_id"))


def downgrade() -> None:
    raise RuntimeError("machines may have been made from images that the version before does not know")
