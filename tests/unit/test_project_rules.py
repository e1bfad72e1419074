"""Who may do what in a project: the whole table, written out a second time."""

import pytest

from zentry_web.domain.projects.project import ProjectAction, ProjectRole, assignable, may, may_assign

pytestmark = pytest.mark.unit

ROLES = ("owner", "admin", "member", "restricted", "viewer")
#                owner admin member restricted viewer
TABLE = {
    "view": (1, 1, 1, 1, 1),
    "console": (1, 1, 1, 1, 0),
    "operate": (1, 1, 1, 1, 0),
    "launch": (1, 1, 1, 0, 0),
    "resize": (1, 1, 1, 0, 0),
    "delete_vm": (1, 1, 1, 0, 0),
    "funds": (1, 1, 1, 0, 0),
    "rename": (1, 1, 0, 0, 0),
    "label": (1, 1, 1, 0, 0),
    "budget": (1, 1, 0, 0, 0),
    "members": (1, 1, 0, 0, 0),
    "own": (1, 0, 0, 0, 0),
}


def test_the_table_has_every_action_and_role():
    assert set(TABLE) == set(ProjectAction)
    assert set(ROLES) == set(ProjectRole)


@pytest.mark.parametrize("action", TABLE)
@pytest.mark.parametrize("column", range(len(ROLES)))
def test_what_a_role_may_do(action, column):
    assert may(ProjectRole(ROLES[column]), ProjectAction(action)) == bool(TABLE[action][column])


@pytest.mark.parametrize("action", TABLE)
def test_a_stranger_may_do_nothing(action):
    assert not may(None, ProjectAction(action))


def test_who_may_change_the_bill_sees_the_funds():
    for role in ProjectRole:
        assert may(role, ProjectAction.LAUNCH) == may(role, ProjectAction.FUNDS)


GIVES = {
    "owner": {"admin", "member", "restricted", "viewer"},
    "admin": {"member", "restricted", "viewer"},
    "member": set(),
    "restricted": set(),
    "viewer": set(),
    None: set(),
}


@pytest.mark.parametrize("role", GIVES)
@pytest.mark.parametrize("before", [None, *ROLES])
@pytest.mark.parametrize("after", [None, *ROLES])
def test_nobody_gives_or_takes_more_than_they_may(role, before, after):
    allowed = all(each is None or each in GIVES[role] for each in (before, after))
    found = may_assign(*(None if each is None else ProjectRole(each) for each in (role, before, after)))
    assert found == allowed


def test_ownership_is_never_assigned():
    assert all(ProjectRole.OWNER not in assignable(role) for role in (None, *ProjectRole))
