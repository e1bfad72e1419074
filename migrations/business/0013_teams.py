"""Teams: members of projects, and invitations"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "project_member",
        sa.Column("project_id", sa.String(length=40), nullable=False),
        sa.Column("user_id", sa.String(length=40), nullable=False),
        sa.Column("role", sa.String(length=10), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("added_by", sa.String(length=40), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name=op.f("fk_project_member_project_id_project")),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name=op.f("fk_project_member_user_id_user")),
        sa.PrimaryKeyConstraint("project_id", "user_id", name=op.f("pk_project_member")),
    )
    op.create_index("ix_project_member_user_id", "project_member", ["user_id"])
    owner = sa.text("role = 'owner'")
    op.create_index(
        "uq_project_member_owner",
        "project_member",
        ["project_id"],
        unique=True,
        sqlite_where=owner,
        postgresql_where=owner,
    )
    op.execute(
        "INSERT INTO project_member (project_id, user_id, role, since, added_by) "
        "SELECT id, owner_id, 'owner', created_at, owner_id FROM project"
    )
    _create_invitations()


def _create_invitations() -> None:
    op.create_table(
        "project_invitation",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("project_id", sa.String(length=40), nullable=False),
        sa.Column("role", sa.String(length=10), nullable=False),
        sa.Column("email", sa.String(length=254), nullable=False),
        sa.Column("email_key", sa.String(length=254), nullable=False),
        sa.Column("invited_by", sa.String(length=40), nullable=False),
        sa.Column("user_id", sa.String(length=40), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("outcome", sa.String(length=10), nullable=False),
        sa.Column("token_hash", sa.String(length=64), nullable=True),
        sa.Column("run_at", sa.BigInteger(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name=op.f("fk_project_invitation_project_id_project")),
        sa.ForeignKeyConstraint(["invited_by"], ["user.id"], name=op.f("fk_project_invitation_invited_by_user")),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name=op.f("fk_project_invitation_user_id_user")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_project_invitation")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_project_invitation_token_hash")),
    )
    still_open = sa.text("ended_at IS NULL")
    op.create_index(
        "uq_project_invitation_open",
        "project_invitation",
        ["project_id", "email_key"],
        unique=True,
        sqlite_where=still_open,
        postgresql_where=still_open,
    )
    waiting = sa.text("run_at IS NOT NULL")
    op.create_index(
        "ix_project_invitation_mail", "project_invitation", ["run_at"], sqlite_where=waiting, postgresql_where=waiting
    )


def downgrade() -> None:
    op.drop_table("project_invitation")
    op.drop_table("project_member")
