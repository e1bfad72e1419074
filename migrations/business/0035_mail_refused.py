"""What a mail server said: for good (at the account, and no further attempt), or so far (beside what waits). The keys
of addresses with letters beyond ASCII are made anew: domains are compared as IDNA writes them. An invitation opens
sign-up once."""

import sqlalchemy as sa
from alembic import op

from zentry_web.domain.email import email_key

revision = "0035"
down_revision = "0034"
branch_labels = None
depends_on = None

_QUEUES = ("mail_request", "email_confirmation", "project_invitation")
_OLD, _NEW = "sent_at IS NULL", "sent_at IS NULL AND refused_at IS NULL"


def upgrade() -> None:
    op.add_column("user", sa.Column("mail_refused", sa.Text(), nullable=False, server_default=""))
    op.add_column("user", sa.Column("mail_refused_at", sa.BigInteger(), nullable=True))
    op.add_column("outbox", sa.Column("refused_at", sa.BigInteger(), nullable=True))
    for table in _QUEUES:
        op.add_column(table, sa.Column("error", sa.Text(), nullable=False, server_default=""))
    op.add_column("project_invitation", sa.Column("signed_up_at", sa.BigInteger(), nullable=True))
    op.add_column("mail_request", sa.Column("invitation_id", sa.String(40), nullable=True))
    _index(_NEW)
    for table in ("user", "project_invitation"):
        _make_keys(table)


def downgrade() -> None:
    _index(_OLD)
    op.drop_column("mail_request", "invitation_id")
    op.drop_column("project_invitation", "signed_up_at")
    for table in _QUEUES:
        op.drop_column(table, "error")
    op.drop_column("outbox", "refused_at")
    op.drop_column("user", "mail_refused_at")
    op.drop_column("user", "mail_refused")


def _index(where: str) -> None:
    op.drop_index("ix_outbox_unsent", table_name="outbox")
    op.create_index(
        "ix_outbox_unsent", "outbox", ["run_at"], sqlite_where=sa.text(where), postgresql_where=sa.text(where)
    )


def _make_keys(table: str) -> None:
    rows = sa.table(table, sa.column("id"), sa.column("email"), sa.column("email_key"))
    connection = op.get_bind()
    for row in connection.execute(sa.select(rows)).all():
        if not row.email.isascii() or "xn--" in row.email:
            connection.execute(rows.update().where(rows.c.id == row.id).values(email_key=email_key(row.email)))
