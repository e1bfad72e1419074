"""The list of accounts: filters, orders, pages by key, and the file."""

import pytest
from sqlalchemy import update

from tests.conftest import PASSWORD, sign_up
from tests.services.people import Statements, acting, events_of, launch, visitor
from tests.services.second_factors import set_up_app
from zentry_web.domain.list_keys import PEOPLE, checks_of
from zentry_web.domain.people.directory import PeopleSort
from zentry_web.domain.query_language import ListSearch, parse_search
from zentry_web.models import DbUser
from zentry_web.services.errors import PermissionDeniedError

pytestmark = pytest.mark.integration


def wanted(text):
    return ListSearch(parse_search(text, checks_of(PEOPLE)))


@pytest.fixture
def directory(container):
    return container.get_user_service().directory


@pytest.fixture
def found(directory, admin):
    def names(text="", sort=PeopleSort.NAME):
        rows = directory.list_people(wanted(text), actor=acting(admin), sort=sort)
        assert directory.count(wanted(text), actor=acting(admin)) == len(rows)
        return [row.user.name for row in rows]

    return names


def test_each_filter_finds_what_it_names(container, core, clock, found, alice, bob, charlie, admin):
    users, auth = container.get_user_service(), container.get_auth_service()
    lab = container.get_project_service().create_project({"name": "Lab"}, alice, actor=acting(alice))
    launch(container, alice, lab, "web")
    users.set_disabled(bob.id, True, actor=acting(admin))
    container.get_billing_service().deduct_credits(charlie.id, 4_500_000, "Spent", actor=acting(admin))
    users.closure.request(charlie.id, PASSWORD, actor=acting(charlie))
    auth.login({"email": alice.email, "password": PASSWORD}, actor=visitor())
    set_up_app(auth, alice, clock)
    assert found("role:admin") == ["Admin"]
    assert found("role:user") == ["Alice", "Bob", "Charlie"]
    assert found("state:disabled") == ["Bob"]
    assert found("state:active") == ["Admin", "Alice", "Charlie"]
    assert found("state:leaving") == ["Charlie"]
    assert found("state:never") == ["Bob", "Charlie"]
    assert found("machines:>0") == found("machines:1") == found("-machines:0") == ["Alice"]
    assert found("machines:0") == found("machines:<1") == ["Admin", "Bob", "Charlie"]
    assert found("machines:>1") == []
    assert found("credits:<1") == ["Charlie"]
    assert found("credits:>=5") == ["Admin", "Bob"]
    assert found("factor:no") == ["Admin", "Bob", "Charlie"]
    assert found("-factor:no") == ["Alice"]
    assert found("b role:user factor:no state:disabled") == ["Bob"]
    assert found("alice credits:<1") == []
    assert found("email:alice@") == found("name:ali") == ["Alice"]
    today = clock.now().date()
    assert found(f"since:{today}") == found(f"since:>={today.year}") == ["Admin", "Alice", "Bob", "Charlie"]
    assert found(f"since:<{today}") == found(f"since:>{today}") == []


def test_a_log_in_counts_after_its_session_is_forgotten(container, clock, found, alice, admin):
    auth = container.get_auth_service()
    auth.login({"email": alice.email, "password": PASSWORD}, actor=visitor())
    clock.advance(days=100)
    auth.prune()
    assert found("state:never") == []


@pytest.mark.parametrize("sort", list(PeopleSort))
def test_every_order_pages_by_key_without_losing_anybody(container, core, clock, directory, admin, sort):
    """Many have the same credits and the same name: the id decides between them."""
    for number in range(7):
        clock.advance(1)
        user = sign_up(container, f"u{number}")
        with core.database.writing() as session, session.begin():
            session.execute(update(DbUser).where(DbUser.id == user.id).values(name="Ana" if number % 2 else "Ben"))
    whole = [row.user.id for row in directory.list_people(actor=acting(admin), sort=sort)]
    assert len(whole) == 8
    paged, before = [], None
    while page := directory.list_people(actor=acting(admin), sort=sort, before=before, limit=3):
        paged += [row.user.id for row in page]
        before = paged[-1]
    assert paged == whole
    assert (
        directory.list_people(actor=acting(admin), sort=sort, before="\x00usr_nobody", limit=1)[0].user.id == whole[0]
    )


def test_orders(container, request, clock, alice):
    clock.advance(1)
    bob = sign_up(container, "bob")
    clock.advance(1)
    found = request.getfixturevalue("found")  # with an admin who came last
    container.get_billing_service().add_credits(bob.id, 1_000_000, "Gift")
    assert found(sort=PeopleSort.OLDEST) == ["Alice", "Bob", "Admin"]
    assert found(sort=PeopleSort.NEWEST) == ["Admin", "Bob", "Alice"]
    assert found(sort=PeopleSort.EMAIL) == ["Admin", "Alice", "Bob"]
    assert found("role:user", PeopleSort.MOST) == ["Bob", "Alice"]
    assert found("role:user", PeopleSort.LEAST) == ["Alice", "Bob"]


def test_it_costs_six_statements_at_most_however_long(container, core, directory, admin, alice):
    def statements():
        with Statements(core.database) as counted:
            asked = wanted("u role:user state:never factor:no")
            directory.list_people(asked, actor=acting(admin), sort=PeopleSort.LEAST, before=alice.id)
        return len([one for one in counted.texts if "SELECT" in one])

    sign_up(container, "u")
    before = statements()
    for number in range(5):
        sign_up(container, f"u{number}")
    assert statements() == before <= 6


def test_the_file_has_everybody_that_fits_and_is_audited(core, directory, admin, alice, bob, monkeypatch):
    monkeypatch.setattr("zentry_web.services.users.directory.CHUNK", 1)
    rows = directory.export(wanted("example role:user"), actor=acting(admin))
    assert [row.user.name for row in rows] == ["Bob", "Alice"]
    (event,) = events_of(core, "user.list_export")
    assert event.actor_id == admin.id
    assert event.details == {"role": "user", "state": None, "searched": True}


@pytest.mark.error
def test_only_admins_look_through_accounts(directory, core, alice):
    for attempt in (
        lambda: directory.list_people(actor=acting(alice)),
        lambda: directory.export(ListSearch(), actor=acting(alice)),
        lambda: directory.list_ids(ListSearch(), actor=acting(alice), limit=1),
        lambda: directory.list_by_ids([alice.id], actor=acting(alice)),
    ):
        with pytest.raises(PermissionDeniedError):
            attempt()
    assert events_of(core, "user.list_export") == []
