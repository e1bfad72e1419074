"""A notice has what it leads to (domain/target.py), not the address of that."""

import sqlalchemy as sa
from alembic import op

revision = "0039"
down_revision = "0038"
branch_labels = None
depends_on = None

# What stood in notices so far: paths, those with an id in them before those that begin likewise.
_PATHS = (
    ("/vms/", "", "vm"),
    ("/projects/", "/members", "members"),
    ("/projects/", "/ownership", "ownership"),
    ("/projects/", "", "project"),
    ("/credits/bill/", "", "charges"),
    ("/credits/transactions/", "", "transaction"),
    ("/credits/top-up/", "", "payment"),
    ("/credits/statements/", "", "statement"),
    ("/admin/settings/", "", "setting"),
    ("/admin/users/", "", "user"),
)
_ALONE = {
    "/vms": "vms",
    "/projects": "projects",
    "/credits": "credits",
    "/credits/plan": "plan",
    "/credits/prices": "prices",
    "/billing/prices": "prices",
    "/credits/top-up#automatic": "automatic_top_up",
    "/account": "account",
    "/account/security": "security",
    "/account/email": "email",
    "/account/tokens": "tokens",
    "/account/ssh-keys": "ssh_keys",
    "/account/leave": "leaving",
    "/admin/approvals": "approvals",
    "/admin/system": "system",
}
_TARGET = sa.column("target", sa.String)
_NOTICE = sa.table("notice", _TARGET)


def upgrade() -> None:
    op.execute("ALTER TABLE notice RENAME COLUMN url TO target")
    found = [
        (_TARGET.startswith(before) & _TARGET.endswith(after), f"{place}:" + _without(len(before), len(after)))
        for before, after, place in _PATHS
    ]
    found += [(path == _TARGET, sa.literal(place)) for path, place in _ALONE.items()]
    op.execute(_NOTICE.update().where(_TARGET != "").values(target=sa.case(*found, else_="")))


def downgrade() -> None:
    found = [
        (_TARGET.startswith(f"{place}:"), before + _without(len(place) + 1, 0) + after)
        for before, after, place in _PATHS
    ]
    found += [(place == _TARGET, sa.literal(path)) for path, place in _ALONE.items() if path != "/billing/prices"]
    op.execute(_NOTICE.update().where(_TARGET != "").values(target=sa.case(*found, else_="")))
    op.execute("ALTER TABLE notice RENAME COLUMN target TO url")


def _without(first: int, last: int) -> sa.ColumnElement[str]:
    """The text without that many signs at its beginning and end."""
    return sa.func.substr(_TARGET, first + 1, sa.func.length(_TARGET) - first - last, type_=sa.String)
