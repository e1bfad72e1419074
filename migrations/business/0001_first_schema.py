"""The first schema of the business database"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "compute_status",
        sa.Column("driver", sa.String(length=20), nullable=False),
        sa.Column("simulated", sa.Boolean(), nullable=False),
        sa.Column("ok", sa.Boolean(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("answered_at", sa.BigInteger(), nullable=True),
        sa.Column("checked_at", sa.BigInteger(), nullable=False),
        sa.Column("images", sa.JSON(), nullable=False),
        sa.Column("capacity", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("driver", name=op.f("pk_compute_status")),
    )
    op.create_table(
        "event",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("actor_id", sa.String(length=40), nullable=False),
        sa.Column("action", sa.String(length=40), nullable=False),
        sa.Column("outcome", sa.String(length=10), nullable=False),
        sa.Column("resource_type", sa.String(length=20), nullable=False),
        sa.Column("resource_id", sa.String(length=40), nullable=False),
        sa.Column("owner_id", sa.String(length=40), nullable=True),
        sa.Column("project_id", sa.String(length=40), nullable=True),
        sa.Column("vm_id", sa.String(length=40), nullable=True),
        sa.Column("operation_id", sa.String(length=40), nullable=True),
        sa.Column("request_id", sa.String(length=40), nullable=True),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.Column("personal_hash", sa.String(length=64), nullable=True),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_event")),
        sa.UniqueConstraint("id", name=op.f("uq_event_id")),
    )
    with op.batch_alter_table("event", schema=None) as batch_op:
        batch_op.create_index("ix_event_action_seq", ["action", "seq"], unique=False)
        batch_op.create_index("ix_event_actor_id_seq", ["actor_id", "seq"], unique=False)
        batch_op.create_index("ix_event_outcome_seq", ["outcome", "seq"], unique=False)
        batch_op.create_index("ix_event_owner_id_seq", ["owner_id", "seq"], unique=False)
        batch_op.create_index("ix_event_project_id_seq", ["project_id", "seq"], unique=False)
        batch_op.create_index("ix_event_resource_id_seq", ["resource_id", "seq"], unique=False)
        batch_op.create_index("ix_event_vm_id_seq", ["vm_id", "seq"], unique=False)

    op.create_table(
        "heartbeat",
        sa.Column("worker", sa.String(length=60), nullable=False),
        sa.Column("loop", sa.String(length=30), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("milliseconds", sa.Integer(), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("worker", "loop", name=op.f("pk_heartbeat")),
    )
    op.create_table(
        "image",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=60), nullable=False),
        sa.Column("driver_name", sa.String(length=60), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("min_memory_mib", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_image")),
        sa.UniqueConstraint("name", name=op.f("uq_image_name")),
    )
    op.create_table(
        "leader",
        sa.Column("job", sa.String(length=30), nullable=False),
        sa.Column("worker", sa.String(length=60), nullable=False),
        sa.Column("lease_until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("job", name=op.f("pk_leader")),
    )
    op.create_table(
        "rate_counter",
        sa.Column("key", sa.String(length=100), nullable=False),
        sa.Column("window_start", sa.BigInteger(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("key", "window_start", name=op.f("pk_rate_counter")),
    )
    with op.batch_alter_table("rate_counter", schema=None) as batch_op:
        batch_op.create_index("ix_rate_counter_window_start", ["window_start"], unique=False)

    op.create_table(
        "size",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=30), nullable=False),
        sa.Column("vcpus", sa.Integer(), nullable=False),
        sa.Column("memory_mib", sa.Integer(), nullable=False),
        sa.Column("disk_gib", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_size")),
        sa.UniqueConstraint("name", name=op.f("uq_size_name")),
    )
    op.create_table(
        "user",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("email", sa.String(length=254), nullable=False),
        sa.Column("email_key", sa.String(length=254), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=True),
        sa.Column("role", sa.String(length=10), nullable=False),
        sa.Column("time_zone", sa.String(length=60), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("disabled_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_user")),
        sa.UniqueConstraint("email_key", name=op.f("uq_user_email_key")),
    )
    op.create_table(
        "account",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("kind", sa.String(length=12), nullable=False),
        sa.Column("owner_id", sa.String(length=40), nullable=True),
        sa.Column("balance", sa.BigInteger(), nullable=False),
        sa.Column("last_seq", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("kind NOT IN ('wallet', 'held') OR balance >= 0", name=op.f("ck_account_not_below_zero")),
        sa.ForeignKeyConstraint(["owner_id"], ["user.id"], name=op.f("fk_account_owner_id_user")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_account")),
    )
    with op.batch_alter_table("account", schema=None) as batch_op:
        batch_op.create_index("uq_account_owner_id_kind", ["owner_id", "kind"], unique=True)

    op.create_table(
        "auth_session",
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.String(length=40), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("last_seen_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("address", sa.String(length=64), nullable=False),
        sa.Column("user_agent", sa.String(length=300), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name=op.f("fk_auth_session_user_id_user")),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_auth_session")),
    )
    with op.batch_alter_table("auth_session", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_auth_session_user_id"), ["user_id"], unique=False)

    op.create_table(
        "event_personal",
        sa.Column("event_id", sa.String(length=40), nullable=False),
        sa.Column("subject_id", sa.String(length=40), nullable=False),
        sa.Column("salt", sa.String(length=32), nullable=False),
        sa.Column("fields", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["event_id"], ["event.id"], name=op.f("fk_event_personal_event_id_event")),
        sa.PrimaryKeyConstraint("event_id", name=op.f("pk_event_personal")),
    )
    with op.batch_alter_table("event_personal", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_event_personal_subject_id"), ["subject_id"], unique=False)

    op.create_table(
        "one_time_link",
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.String(length=40), nullable=False),
        sa.Column("purpose", sa.String(length=20), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("used_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name=op.f("fk_one_time_link_user_id_user")),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_one_time_link")),
    )
    with op.batch_alter_table("one_time_link", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_one_time_link_user_id"), ["user_id"], unique=False)

    op.create_table(
        "price_version",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("size_id", sa.String(length=40), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("running_micro_per_hour", sa.BigInteger(), nullable=False),
        sa.Column("disk_micro_per_gib_hour", sa.BigInteger(), nullable=False),
        sa.Column("starts_at", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.String(length=40), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["size_id"], ["size.id"], name=op.f("fk_price_version_size_id_size")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_price_version")),
    )
    with op.batch_alter_table("price_version", schema=None) as batch_op:
        batch_op.create_index("uq_price_version_size_id_number", ["size_id", "number"], unique=True)

    op.create_table(
        "project",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("owner_id", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=60), nullable=False),
        sa.Column("name_key", sa.String(length=60), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("deleted_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["owner_id"], ["user.id"], name=op.f("fk_project_owner_id_user")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_project")),
    )
    with op.batch_alter_table("project", schema=None) as batch_op:
        batch_op.create_index(
            "uq_project_owner_id_name_key",
            ["owner_id", "name_key"],
            unique=True,
            sqlite_where=sa.text("deleted_at IS NULL"),
            postgresql_where=sa.text("deleted_at IS NULL"),
        )

    op.create_table(
        "transfer",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(length=12), nullable=False),
        sa.Column("idempotency_key", sa.String(length=120), nullable=False),
        sa.Column("body_hash", sa.String(length=64), nullable=False),
        sa.Column("actor_id", sa.String(length=40), nullable=False),
        sa.Column("owner_id", sa.String(length=40), nullable=False),
        sa.Column("vm_id", sa.String(length=40), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["owner_id"], ["user.id"], name=op.f("fk_transfer_owner_id_user")),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_transfer")),
        sa.UniqueConstraint("id", name=op.f("uq_transfer_id")),
        sa.UniqueConstraint("idempotency_key", name=op.f("uq_transfer_idempotency_key")),
    )
    with op.batch_alter_table("transfer", schema=None) as batch_op:
        batch_op.create_index("ix_transfer_owner_id_seq", ["owner_id", "seq"], unique=False)

    op.create_table(
        "usage_month",
        sa.Column("vm_id", sa.String(length=40), nullable=False),
        sa.Column("month", sa.String(length=7), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("owner_id", sa.String(length=40), nullable=False),
        sa.Column("project_id", sa.String(length=40), nullable=False),
        sa.Column("seconds", sa.BigInteger(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["owner_id"], ["user.id"], name=op.f("fk_usage_month_owner_id_user")),
        sa.PrimaryKeyConstraint("vm_id", "month", "state", name=op.f("pk_usage_month")),
    )
    with op.batch_alter_table("usage_month", schema=None) as batch_op:
        batch_op.create_index("ix_usage_month_owner_id_month", ["owner_id", "month"], unique=False)
        batch_op.create_index("ix_usage_month_project_id_month", ["project_id", "month"], unique=False)

    op.create_table(
        "entry",
        sa.Column("account_id", sa.String(length=40), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("transfer_id", sa.String(length=40), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("balance_after", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_entry_account_id_account")),
        sa.ForeignKeyConstraint(["transfer_id"], ["transfer.id"], name=op.f("fk_entry_transfer_id_transfer")),
        sa.PrimaryKeyConstraint("account_id", "seq", name=op.f("pk_entry")),
    )
    with op.batch_alter_table("entry", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_entry_transfer_id"), ["transfer_id"], unique=False)

    op.create_table(
        "vm",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("project_id", sa.String(length=40), nullable=False),
        sa.Column("owner_id", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=63), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("size_id", sa.String(length=40), nullable=False),
        sa.Column("image_id", sa.String(length=40), nullable=False),
        sa.Column("price_version_id", sa.String(length=40), nullable=False),
        sa.Column("vcpus", sa.Integer(), nullable=False),
        sa.Column("memory_mib", sa.Integer(), nullable=False),
        sa.Column("disk_gib", sa.Integer(), nullable=False),
        sa.Column("running_micro_per_hour", sa.BigInteger(), nullable=False),
        sa.Column("stopped_micro_per_hour", sa.BigInteger(), nullable=False),
        sa.Column("ssh_key", sa.Text(), nullable=False),
        sa.Column("user_data", sa.Text(), nullable=False),
        sa.Column("idempotency_key", sa.String(length=120), nullable=True),
        sa.Column("body_hash", sa.String(length=64), nullable=True),
        sa.Column("run_id", sa.String(length=120), nullable=True),
        sa.Column("address", sa.String(length=64), nullable=False),
        sa.Column("reach", sa.String(length=200), nullable=False),
        sa.Column("state_reason", sa.Text(), nullable=False),
        sa.Column("made", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=True),
        sa.Column("answered_at", sa.BigInteger(), nullable=True),
        sa.Column("stopped_at", sa.BigInteger(), nullable=True),
        sa.Column("deleted_at", sa.BigInteger(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["image_id"], ["image.id"], name=op.f("fk_vm_image_id_image")),
        sa.ForeignKeyConstraint(["owner_id"], ["user.id"], name=op.f("fk_vm_owner_id_user")),
        sa.ForeignKeyConstraint(
            ["price_version_id"], ["price_version.id"], name=op.f("fk_vm_price_version_id_price_version")
        ),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name=op.f("fk_vm_project_id_project")),
        sa.ForeignKeyConstraint(["size_id"], ["size.id"], name=op.f("fk_vm_size_id_size")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_vm")),
        sa.UniqueConstraint("idempotency_key", name=op.f("uq_vm_idempotency_key")),
    )
    with op.batch_alter_table("vm", schema=None) as batch_op:
        batch_op.create_index(
            "ix_vm_owner_id_id",
            ["owner_id", "id"],
            unique=False,
            sqlite_where=sa.text("deleted_at IS NULL"),
            postgresql_where=sa.text("deleted_at IS NULL"),
        )
        batch_op.create_index("ix_vm_project_id_id", ["project_id", "id"], unique=False)
        batch_op.create_index(
            "uq_vm_project_id_name",
            ["project_id", "name"],
            unique=True,
            sqlite_where=sa.text("deleted_at IS NULL"),
            postgresql_where=sa.text("deleted_at IS NULL"),
        )

    op.create_table(
        "operation",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("vm_id", sa.String(length=40), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("step", sa.String(length=12), nullable=False),
        sa.Column("reason", sa.String(length=10), nullable=False),
        sa.Column("requested_by", sa.String(length=40), nullable=False),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.Column("run_at", sa.BigInteger(), nullable=False),
        sa.Column("give_up_at", sa.BigInteger(), nullable=False),
        sa.Column("lease_until", sa.BigInteger(), nullable=True),
        sa.Column("worker", sa.String(length=60), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["vm_id"], ["vm.id"], name=op.f("fk_operation_vm_id_vm")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_operation")),
    )
    with op.batch_alter_table("operation", schema=None) as batch_op:
        batch_op.create_index(
            "ix_operation_open",
            ["run_at"],
            unique=False,
            sqlite_where=sa.text("state IN ('queued', 'running')"),
            postgresql_where=sa.text("state IN ('queued', 'running')"),
        )
        batch_op.create_index("ix_operation_vm_id_id", ["vm_id", "id"], unique=False)
        batch_op.create_index(
            "uq_operation_open_vm",
            ["vm_id"],
            unique=True,
            sqlite_where=sa.text("state IN ('queued', 'running')"),
            postgresql_where=sa.text("state IN ('queued', 'running')"),
        )

    op.create_table(
        "usage_interval",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("vm_id", sa.String(length=40), nullable=False),
        sa.Column("owner_id", sa.String(length=40), nullable=False),
        sa.Column("project_id", sa.String(length=40), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("price_version_id", sa.String(length=40), nullable=False),
        sa.Column("rate_micro_per_hour", sa.BigInteger(), nullable=False),
        sa.Column("minimum_seconds", sa.Integer(), nullable=False),
        sa.Column("time_zone", sa.String(length=60), nullable=False),
        sa.Column("start_at", sa.BigInteger(), nullable=False),
        sa.Column("end_at", sa.BigInteger(), nullable=True),
        sa.Column("settled_until", sa.BigInteger(), nullable=False),
        sa.Column("settled", sa.Boolean(), nullable=False),
        sa.Column("opened_by", sa.String(length=40), nullable=False),
        sa.Column("closed_by", sa.String(length=40), nullable=True),
        sa.CheckConstraint("end_at IS NULL OR end_at >= start_at", name=op.f("ck_usage_interval_ends_after_start")),
        sa.CheckConstraint("settled_until >= start_at", name=op.f("ck_usage_interval_settled_after_start")),
        sa.ForeignKeyConstraint(["owner_id"], ["user.id"], name=op.f("fk_usage_interval_owner_id_user")),
        sa.ForeignKeyConstraint(
            ["price_version_id"], ["price_version.id"], name=op.f("fk_usage_interval_price_version_id_price_version")
        ),
        sa.ForeignKeyConstraint(["vm_id"], ["vm.id"], name=op.f("fk_usage_interval_vm_id_vm")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_usage_interval")),
    )
    with op.batch_alter_table("usage_interval", schema=None) as batch_op:
        batch_op.create_index(
            "ix_usage_interval_due",
            ["settled_until", "owner_id"],
            unique=False,
            sqlite_where=sa.text("NOT settled"),
            postgresql_where=sa.text("NOT settled"),
        )
        batch_op.create_index("ix_usage_interval_owner_id_start_at", ["owner_id", "start_at"], unique=False)
        batch_op.create_index(
            "ix_usage_interval_unsettled",
            ["owner_id"],
            unique=False,
            sqlite_where=sa.text("NOT settled"),
            postgresql_where=sa.text("NOT settled"),
        )
        batch_op.create_index("ix_usage_interval_vm_id_start_at", ["vm_id", "start_at"], unique=False)
        batch_op.create_index(
            "uq_usage_interval_open",
            ["vm_id"],
            unique=True,
            sqlite_where=sa.text("end_at IS NULL"),
            postgresql_where=sa.text("end_at IS NULL"),
        )

    op.create_table(
        "charge",
        sa.Column("interval_id", sa.String(length=40), nullable=False),
        sa.Column("from_at", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("to_at", sa.BigInteger(), nullable=False),
        sa.Column("seconds", sa.Integer(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("transfer_id", sa.String(length=40), nullable=False),
        sa.Column("owner_id", sa.String(length=40), nullable=False),
        sa.Column("vm_id", sa.String(length=40), nullable=False),
        sa.ForeignKeyConstraint(
            ["interval_id"], ["usage_interval.id"], name=op.f("fk_charge_interval_id_usage_interval")
        ),
        sa.ForeignKeyConstraint(["owner_id"], ["user.id"], name=op.f("fk_charge_owner_id_user")),
        sa.ForeignKeyConstraint(["transfer_id"], ["transfer.id"], name=op.f("fk_charge_transfer_id_transfer")),
        sa.PrimaryKeyConstraint("interval_id", "from_at", "kind", name=op.f("pk_charge")),
    )
    with op.batch_alter_table("charge", schema=None) as batch_op:
        batch_op.create_index("ix_charge_owner_id_from_at", ["owner_id", "from_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_charge_transfer_id"), ["transfer_id"], unique=False)
        batch_op.create_index("ix_charge_vm_id_from_at", ["vm_id", "from_at"], unique=False)

    op.create_table(
        "hold",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("vm_id", sa.String(length=40), nullable=False),
        sa.Column("owner_id", sa.String(length=40), nullable=False),
        sa.Column("interval_id", sa.String(length=40), nullable=True),
        sa.Column("rate_micro_per_hour", sa.BigInteger(), nullable=False),
        sa.Column("remaining", sa.BigInteger(), nullable=False),
        sa.Column("paid_until", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("closed_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("closed_at IS NULL OR remaining = 0", name=op.f("ck_hold_closed_is_empty")),
        sa.CheckConstraint("remaining >= 0", name=op.f("ck_hold_not_below_zero")),
        sa.ForeignKeyConstraint(
            ["interval_id"], ["usage_interval.id"], name=op.f("fk_hold_interval_id_usage_interval")
        ),
        sa.ForeignKeyConstraint(["owner_id"], ["user.id"], name=op.f("fk_hold_owner_id_user")),
        sa.ForeignKeyConstraint(["vm_id"], ["vm.id"], name=op.f("fk_hold_vm_id_vm")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_hold")),
    )
    with op.batch_alter_table("hold", schema=None) as batch_op:
        batch_op.create_index(
            "ix_hold_owner_id",
            ["owner_id"],
            unique=False,
            sqlite_where=sa.text("closed_at IS NULL"),
            postgresql_where=sa.text("closed_at IS NULL"),
        )
        batch_op.create_index(
            "ix_hold_paid_until",
            ["paid_until"],
            unique=False,
            sqlite_where=sa.text("closed_at IS NULL"),
            postgresql_where=sa.text("closed_at IS NULL"),
        )
        batch_op.create_index(
            "uq_hold_open",
            ["vm_id"],
            unique=True,
            sqlite_where=sa.text("closed_at IS NULL"),
            postgresql_where=sa.text("closed_at IS NULL"),
        )


def downgrade() -> None:
    with op.batch_alter_table("hold", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_hold_open", sqlite_where=sa.text("closed_at IS NULL"), postgresql_where=sa.text("closed_at IS NULL")
        )
        batch_op.drop_index(
            "ix_hold_paid_until",
            sqlite_where=sa.text("closed_at IS NULL"),
            postgresql_where=sa.text("closed_at IS NULL"),
        )
        batch_op.drop_index(
            "ix_hold_owner_id", sqlite_where=sa.text("closed_at IS NULL"), postgresql_where=sa.text("closed_at IS NULL")
        )

    op.drop_table("hold")
    with op.batch_alter_table("charge", schema=None) as batch_op:
        batch_op.drop_index("ix_charge_vm_id_from_at")
        batch_op.drop_index(batch_op.f("ix_charge_transfer_id"))
        batch_op.drop_index("ix_charge_owner_id_from_at")

    op.drop_table("charge")
    with op.batch_alter_table("usage_interval", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_usage_interval_open", sqlite_where=sa.text("end_at IS NULL"), postgresql_where=sa.text("end_at IS NULL")
        )
        batch_op.drop_index("ix_usage_interval_vm_id_start_at")
        batch_op.drop_index(
            "ix_usage_interval_unsettled", sqlite_where=sa.text("NOT settled"), postgresql_where=sa.text("NOT settled")
        )
        batch_op.drop_index("ix_usage_interval_owner_id_start_at")
        batch_op.drop_index(
            "ix_usage_interval_due", sqlite_where=sa.text("NOT settled"), postgresql_where=sa.text("NOT settled")
        )

    op.drop_table("usage_interval")
    with op.batch_alter_table("operation", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_operation_open_vm",
            sqlite_where=sa.text("state IN ('queued', 'running')"),
            postgresql_where=sa.text("state IN ('queued', 'running')"),
        )
        batch_op.drop_index("ix_operation_vm_id_id")
        batch_op.drop_index(
            "ix_operation_open",
            sqlite_where=sa.text("state IN ('queued', 'running')"),
            postgresql_where=sa.text("state IN ('queued', 'running')"),
        )

    op.drop_table("operation")
    with op.batch_alter_table("vm", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_vm_project_id_name",
            sqlite_where=sa.text("deleted_at IS NULL"),
            postgresql_where=sa.text("deleted_at IS NULL"),
        )
        batch_op.drop_index("ix_vm_project_id_id")
        batch_op.drop_index(
            "ix_vm_owner_id_id",
            sqlite_where=sa.text("deleted_at IS NULL"),
            postgresql_where=sa.text("deleted_at IS NULL"),
        )

    op.drop_table("vm")
    with op.batch_alter_table("entry", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_entry_transfer_id"))

    op.drop_table("entry")
    with op.batch_alter_table("usage_month", schema=None) as batch_op:
        batch_op.drop_index("ix_usage_month_project_id_month")
        batch_op.drop_index("ix_usage_month_owner_id_month")

    op.drop_table("usage_month")
    with op.batch_alter_table("transfer", schema=None) as batch_op:
        batch_op.drop_index("ix_transfer_owner_id_seq")

    op.drop_table("transfer")
    with op.batch_alter_table("project", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_project_owner_id_name_key",
            sqlite_where=sa.text("deleted_at IS NULL"),
            postgresql_where=sa.text("deleted_at IS NULL"),
        )

    op.drop_table("project")
    with op.batch_alter_table("price_version", schema=None) as batch_op:
        batch_op.drop_index("uq_price_version_size_id_number")

    op.drop_table("price_version")
    with op.batch_alter_table("one_time_link", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_one_time_link_user_id"))

    op.drop_table("one_time_link")
    with op.batch_alter_table("event_personal", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_event_personal_subject_id"))

    op.drop_table("event_personal")
    with op.batch_alter_table("auth_session", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_auth_session_user_id"))

    op.drop_table("auth_session")
    with op.batch_alter_table("account", schema=None) as batch_op:
        batch_op.drop_index("uq_account_owner_id_kind")

    op.drop_table("account")
    op.drop_table("user")
    op.drop_table("size")
    with op.batch_alter_table("rate_counter", schema=None) as batch_op:
        batch_op.drop_index("ix_rate_counter_window_start")

    op.drop_table("rate_counter")
    op.drop_table("leader")
    op.drop_table("image")
    op.drop_table("heartbeat")
    with op.batch_alter_table("event", schema=None) as batch_op:
        batch_op.drop_index("ix_event_vm_id_seq")
        batch_op.drop_index("ix_event_resource_id_seq")
        batch_op.drop_index("ix_event_project_id_seq")
        batch_op.drop_index("ix_event_owner_id_seq")
        batch_op.drop_index("ix_event_outcome_seq")
        batch_op.drop_index("ix_event_actor_id_seq")
        batch_op.drop_index("ix_event_action_seq")

    op.drop_table("event")
    op.drop_table("compute_status")
