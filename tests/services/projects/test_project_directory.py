"""The projects and invitations of all, for admins."""

from datetime import timedelta

import pytest

from tests.services.people import Statements, acting, events_of, join, launch
from zentry_web.domain.list_keys import ALL_PROJECTS, checks_of
from zentry_web.domain.projects.project_directory import (
    InvitationFilter,
    InvitationState,
    ProjectSort,
    ProjectState,
)
from zentry_web.domain.query_language import ListSearch, Term, parse_search
from zentry_web.services.errors import PermissionDeniedError

pytestmark = pytest.mark.integration


@pytest.fixture
def directory(container):
    return container.get_project_service().directory


@pytest.fixture
def projects(cloud, alice, bob):
    """Three: one archived, one deleted, one of Bob in use."""
    service = cloud.projects
    site, old, lab = cloud.project(alice, "Website"), cloud.project(alice, "Old_1"), cloud.project(bob, "Lab")
    gone = cloud.project(bob, "Gone")
    service.settings.archive(old.id, actor=acting(alice))
    service.delete_project(gone.id, actor=acting(bob))
    return {"Website": site, "Old_1": old, "Lab": lab, "Gone": gone}


def names(rows):
    return [row.project.name for row in rows]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("", {"Website", "Old_1", "Lab"}), ("WEB", {"Website"}), ("d_1", {"Old_1"}), ("-name:web", {"Old_1", "Lab"}),
        ("%", set()), ("owner:bob@", {"Lab"}), ("state:open", {"Website", "Lab"}), ("-owner:bob@ b", {"Website"}),
        ("state:archived", {"Old_1"}), ("state:deleted", {"Gone"}), ("-state:open", {"Old_1", "Gone"}),
        ("machines:0", {"Website", "Old_1", "Lab"}), ("machines:>0", set()), ("label:env=prod", set()),
        ("created:>=2020", {"Website", "Old_1", "Lab"}), ("created:<2020", set()),
        ("\x00", {"Website", "Old_1", "Lab"}),
    ],
)  # fmt: skip
def test_filters(directory, projects, wanted, found):
    assert set(names(directory.list_all(ListSearch(parse_search(wanted, checks_of(ALL_PROJECTS)))))) == found


@pytest.mark.parametrize(
    ("sort", "order"),
    [
        (ProjectSort.NEWEST, ["Lab", "Old_1", "Website"]), (ProjectSort.OLDEST, ["Website", "Old_1", "Lab"]),
        (ProjectSort.NAME, ["Lab", "Old_1", "Website"]), (ProjectSort.OWNER, ["Website", "Old_1", "Lab"]),
    ],
)  # fmt: skip
def test_orders_page_by_page(directory, projects, sort, order):
    found, before = [], None
    for _ in range(4):
        rows = directory.list_all(ListSearch(), sort=sort, before=before, limit=1)
        found += names(rows)
        before = rows[-1].project.id if rows else before
    assert found == order


def test_what_each_row_says(container, directory, cloud, projects, alice, bob, clock):
    launch(container, alice, projects["Website"], "web-1")
    join(container, projects["Website"], bob, "viewer")
    clock.advance(3600)
    row = next(row for row in directory.list_all(ListSearch((Term("", "website"),))))
    assert (row.owner_email, row.vm_count, row.running_count, row.member_count) == (alice.email, 1, 1, 2)
    assert row.month_micro == cloud.billing.reports.project_month_spend(projects["Website"].id) > 0
    assert row.state == ProjectState.OPEN


def test_a_page_takes_a_constant_number_of_statements(container, directory, projects):
    counts = set()
    for limit in (1, 3):
        with Statements(container.database) as statements:
            directory.list_all(ListSearch(), limit=limit, before=projects["Gone"].id)
        counts.add(len([text for text in statements.texts if text.startswith(("SELECT", "WITH"))]))
    assert len(counts) == 1
    assert counts.pop() <= 6


def test_a_file_has_all_and_is_written_down(directory, projects, admin, core, monkeypatch):
    monkeypatch.setattr("zentry_web.services.projects.directory.CHUNK", 1)
    assert len(list(directory.export(ListSearch(), actor=acting(admin)))) == 3
    assert len(events_of(core, "project.list_export")) == 1


def test_invitations_by_state(cloud, directory, projects, alice, bob, clock):
    invitations = cloud.projects.invitations
    site = projects["Website"].id

    def invite(email):
        return invitations.invite(site, {"email": email, "role": "viewer"}, actor=acting(alice))

    invite("old@example.com")
    clock.advance(timedelta(days=7).total_seconds())
    invitations.accept(invite("bob@example.com").secret, actor=acting(bob))
    invitations.revoke(site, invite("off@example.com").id, actor=acting(alice))
    opened = invite("new@example.com")
    now = clock.now()
    for state, email in (
        (InvitationState.OPEN, "new@example.com"), (InvitationState.ACCEPTED, "bob@example.com"),
        (InvitationState.EXPIRED, "old@example.com"), (InvitationState.ENDED, "off@example.com"),
    ):  # fmt: skip
        (row,) = directory.list_invitations(InvitationFilter(state=state))
        assert (row.email, row.state(now), row.project_name) == (email, state, "Website")
    assert len(directory.list_invitations(InvitationFilter())) == 4
    assert [row.id for row in directory.list_invitations(InvitationFilter("NEW@"))] == [opened.id]
    assert len(directory.list_invitations(InvitationFilter("web"))) == 4
    assert len(directory.list_invitations(InvitationFilter(alice.email))) == 4
    assert len(directory.list_invitations(InvitationFilter(), before=opened.id)) == 3


@pytest.mark.error
def test_admins_only(directory, projects, alice):
    calls = (
        lambda: directory.list_all(ListSearch(), actor=acting(alice)),
        lambda: directory.export(ListSearch(), actor=acting(alice)),
        lambda: directory.list_invitations(InvitationFilter(), actor=acting(alice)),
    )
    for call in calls:
        with pytest.raises(PermissionDeniedError):
            call()
