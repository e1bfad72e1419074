"""Accounts as admins see them, the overview, activity and the audit trail."""

import pytest
from sqlalchemy import select, text, update

from tests.conftest import PASSWORD
from tests.services.people import ELSEWHERE, HOME, Statements, acting, delete, events_of, launch, personal_of, visitor
from zentry_web.domain.credits.billing import AccountKind
from zentry_web.domain.event import Outcome
from zentry_web.domain.user import SYSTEM, Role
from zentry_web.domain.vms.state import VMState
from zentry_web.models import DbAuthSession, DbEvent, DbEventPersonal, DbUser, DbVM
from zentry_web.services.errors import AuthenticationRequiredError, ConflictError, NotFoundError, PermissionDeniedError

pytestmark = pytest.mark.integration


@pytest.fixture
def users(container):
    return container.get_user_service()


@pytest.fixture
def auth(container):
    return container.get_auth_service()


@pytest.fixture
def lab(container, alice):
    return container.get_project_service().create_project({"name": "Lab"}, alice, actor=acting(alice))


def add_metrics(container, alice, vm_id, cpu_percent):
    container.get_monitoring_service().record_vm_metrics(
        vm_id, {"cpu_percent": cpu_percent, "memory_total_bytes": 2**27}, alice.id
    )


# -- accounts -----------------------------------------------------------------------------------


def test_an_account_is_seen_by_its_owner_and_admins(users, alice, admin, charlie):
    assert users.get_user(alice.id, actor=acting(alice)) == alice
    assert users.get_user(alice.id, actor=acting(admin)) == alice
    for who, what in ((charlie, alice.id), (admin, "usr_nobody")):
        with pytest.raises(NotFoundError):
            users.get_user(what, actor=acting(who))


def test_admins_list_accounts_with_credits_and_vms(container, users, alice, bob, admin, lab, clock):
    launch(container, alice, lab, "web")
    launch(container, alice, lab, "spare", run=False)
    rows = {row.user.id: row for row in users.list_users(actor=acting(admin))}
    assert set(rows) == {alice.id, bob.id, admin.id}
    assert (rows[alice.id].vm_count, rows[alice.id].running_count) == (2, 1)
    assert rows[alice.id].wallet_micro + rows[alice.id].held_micro == 5_000_000
    assert rows[alice.id].held_micro > 0
    assert (rows[bob.id].wallet_micro, rows[bob.id].vm_count) == (5_000_000, 0)


def test_the_list_pages_by_id_and_searches(users, auth, admin, clock):
    made = []
    for number in range(7):
        clock.advance(1)
        made.append(auth.signup({"email": f"u{number}@example.com", "name": f"Ünal {number}", "password": PASSWORD}))
    made.reverse()
    page = users.list_users(actor=acting(admin), limit=3)
    rest = users.list_users(actor=acting(admin), limit=50, before=page[-1].user.id)
    assert [row.user for row in page + rest][:7] == made

    def found(search):
        return [row.user.email for row in users.list_users(actor=acting(admin), search=search)]

    assert found("U3@Example") == ["u3@example.com"]
    assert len(found("Ünal")) == 7
    assert found("nal 4") == ["u4@example.com"]
    assert found(made[0].id) == [made[0].email]
    assert found("\x00u3@") == ["u3@example.com"]
    assert found("100%") == found("_") == found("u3@example.com' OR '1'='1") == []


def test_the_list_costs_the_same_however_long(users, auth, core, admin):
    def statements():
        with Statements(core.database) as counted:
            users.list_users(actor=acting(admin))
        return len([one for one in counted.texts if "SELECT" in one])

    before = statements()
    for number in range(5):
        auth.signup({"email": f"u{number}@example.com", "name": "U", "password": PASSWORD})
    assert statements() == before <= 5


@pytest.mark.error
def test_only_admins_look_at_all(users, alice):
    for attempt in (
        lambda: users.list_users(actor=acting(alice)),
        lambda: users.search_audit(actor=acting(alice)),
        lambda: users.get_admin_overview(actor=acting(alice)),
        lambda: users.set_disabled(alice.id, True, actor=acting(alice)),
    ):
        with pytest.raises(PermissionDeniedError):
            attempt()


def test_disabling_is_recorded_once_and_undone(users, core, admin, alice):
    assert users.set_disabled(alice.id, True, actor=acting(admin)).disabled_at is not None
    users.set_disabled(alice.id, True, actor=acting(admin))
    assert users.set_disabled(alice.id, False, actor=acting(admin)).disabled_at is None
    (off,) = events_of(core, "user.disable")
    (on,) = events_of(core, "user.enable")
    assert {off.actor_id, on.actor_id} == {admin.id}
    assert {off.owner_id, on.owner_id} == {alice.id}
    with pytest.raises(ConflictError):
        users.set_disabled(admin.id, True, actor=acting(admin))
    with pytest.raises(NotFoundError):
        users.set_disabled("usr_nobody", True, actor=acting(admin))


# -- overviews ----------------------------------------------------------------------------------


def test_the_overview_of_a_new_account_is_empty(users, alice):
    dashboard = users.get_dashboard(alice.id, actor=acting(alice))
    assert dashboard.balance.total_micro == 5_000_000
    assert (dashboard.state_counts, dashboard.projects_count, dashboard.vm_count) == ({}, 0, 0)
    assert (dashboard.project_spend, dashboard.attention, dashboard.busiest) == ((), (), ())
    assert "auth.signup" in {event.action for event in dashboard.recent}


def test_the_overview_shows_states_spend_and_the_busiest(container, users, alice, bob, lab, clock):
    projects = container.get_project_service()
    idle_project = projects.create_project({"name": "Idle"}, alice, actor=acting(alice))
    web, db = (launch(container, alice, lab, name) for name in ("web", "db"))
    foreign = launch(container, bob, projects.create_project({"name": "B"}, bob, actor=acting(bob)), "foreign")
    gone = launch(container, alice, lab, "gone")
    clock.advance(minutes=30)
    for owner, vm, cpu in ((alice, web, 20.0), (alice, db, 80.0), (bob, foreign, 99.0), (alice, gone, 95.0)):
        add_metrics(container, owner, vm.id, cpu)
    delete(container, alice, gone)
    dashboard = users.get_dashboard(alice.id, actor=acting(alice))
    assert dashboard.state_counts == {VMState.RUNNING: 2}
    assert dashboard.projects_count == 2
    assert [project.name for project, _ in dashboard.project_spend] == ["Lab", "Idle"]
    assert dashboard.project_spend[0][1] >= 3 * 2_500
    assert dashboard.project_spend[1] == (idle_project, 0)
    assert [(busy.vm.name, busy.cpu_percent) for busy in dashboard.busiest] == [("db", 80.0), ("web", 20.0)]
    assert dashboard.balance.burn_micro_per_hour == 10_000


def test_the_overview_points_at_vms_that_say_why(container, users, core, alice, lab):
    vms = [launch(container, alice, lab, f"vm{number}") for number in range(7)]
    for vm in vms[:6]:
        with core.database.writing() as session:
            failed = {"state": "error", "state_reason": "The disk is full."}
            session.execute(update(DbVM).where(DbVM.id == vm.id).values(**failed))
            session.commit()
    dashboard = users.get_dashboard(alice.id, actor=acting(alice))
    assert [vm.name for vm in dashboard.attention] == ["vm5", "vm4", "vm3", "vm2", "vm1"]
    assert dashboard.attention[0].state_reason == "The disk is full."


def test_the_overview_costs_nine_statements_at_most_however_many_vms(container, users, core, alice, lab, clock):
    def statements():
        with Statements(core.database, container.metrics_database) as counted:
            users.get_dashboard(alice.id, actor=acting(alice))
        return [one for one in counted.texts if "SELECT" in one]

    container.get_billing_service().add_credits(alice.id, 1_000_000_000, "enough for more than a week")
    vm = launch(container, alice, lab, "first")
    add_metrics(container, alice, vm.id, 5.0)
    before = statements()
    for number in range(8):
        vm = launch(container, alice, lab, f"vm{number}")
        add_metrics(container, alice, vm.id, 50.0 + number)
    assert len(statements()) == len(before) <= 9
    container.get_billing_service().deduct_credits(alice.id, 1_004_000_000, "credits end within a week")
    assert len(statements()) <= len(before) + 4  # what is stored lands, too


@pytest.mark.error
def test_an_overview_is_ones_own(users, alice, charlie, admin):
    with pytest.raises(NotFoundError):
        users.get_dashboard(alice.id, actor=acting(charlie))
    assert users.get_dashboard(alice.id, actor=acting(admin)).balance.total_micro == 5_000_000


def test_the_admins_overview_adds_everything_up(container, users, alice, bob, admin, lab):
    launch(container, alice, lab, "web")
    overview = users.get_admin_overview(actor=acting(admin))
    assert overview.users == 3
    assert overview.vms_by_state == {VMState.RUNNING: 1}
    assert overview.burn_micro_per_hour == 5_000
    assert overview.system_balances[AccountKind.GRANTS] == -15_000_000
    assert sum(overview.system_balances.values()) == 0
    assert overview.compute.driver == "simulator"
    assert overview.heartbeats == ()


# -- events -------------------------------------------------------------------------------------


def test_activity_is_ones_own_and_pages_by_number(users, container, alice, bob, lab):
    for number in range(5):
        container.get_project_service().rename_project(lab.id, f"Lab {number}", actor=acting(alice))
    everything = users.list_activity(alice.id, actor=acting(alice))
    assert {event.owner_id for event in everything} == {alice.id}
    assert [event.seq for event in everything] == sorted((event.seq for event in everything), reverse=True)
    first = users.list_activity(alice.id, actor=acting(alice), limit=3)
    rest = users.list_activity(alice.id, actor=acting(alice), before=first[-1].seq)
    assert first + rest == everything
    assert everything[0].resource_name == "Lab 4"
    with pytest.raises(NotFoundError):
        users.list_activity(alice.id, actor=acting(bob))


def test_an_owner_sees_refused_log_ins_but_not_an_admins_address(users, auth, alice, admin):
    with pytest.raises(AuthenticationRequiredError):
        auth.login({"email": alice.email, "password": "guess"}, actor=visitor(ELSEWHERE))
    users.set_disabled(alice.id, True, actor=acting(admin, "192.0.2.99"))
    users.set_disabled(alice.id, False, actor=acting(admin, "192.0.2.99"))
    seen = users.list_activity(alice.id, actor=acting(alice))
    assert "192.0.2.99" not in str(seen)
    (refused,) = [event for event in seen if event.outcome == Outcome.REFUSED]
    assert refused.personal["address"] == ELSEWHERE
    assert "192.0.2.99" in str(users.list_activity(alice.id, actor=acting(admin)))


def test_the_trail_is_searched_by_everything_together(users, auth, container, alice, bob, admin, lab):
    with pytest.raises(AuthenticationRequiredError):
        auth.login({"email": alice.email, "password": "guess"}, actor=visitor())
    auth.login({"email": alice.email, "password": PASSWORD}, actor=visitor())

    def found(**filters):
        return [(event.action, event.outcome.value) for event in users.search_audit(actor=acting(admin), **filters)]

    assert found(action="auth.login") == [("auth.login", "succeeded"), ("auth.login", "refused")]
    assert found(action="auth.login", outcome="refused") == [("auth.login", "refused")]
    assert {action for action, _ in found(action="project.")} == {"project.create"}
    assert found(resource_id=lab.id) == [("project.create", "succeeded")]
    assert ("project.create", "succeeded") in found(actor_id="ALICE@example.com")
    assert found(actor_id=alice.id) == found(actor_id=alice.email)
    assert found(actor_id="nobody@example.com") == found(action="no\x00thing") == []
    every = users.search_audit(actor=acting(admin), limit=500)
    paged, before = [], None
    while page := users.search_audit(actor=acting(admin), limit=4, before=before):
        paged += page
        before = page[-1].seq
    assert paged == every


def test_the_trail_tells_when_a_personal_field_was_altered(users, core, alice, admin):
    (event,) = events_of(core, "auth.signup")[-1:]

    def intact():
        found = users.search_audit(actor=acting(admin), action="auth.signup", resource_id=alice.id)
        return found[0].personal_intact

    assert intact() is True
    with core.database.writing() as session:
        of_alice = select(DbEvent.id).where(DbEvent.resource_id == alice.id, DbEvent.action == "auth.signup")
        session.execute(
            update(DbEventPersonal).where(DbEventPersonal.event_id.in_(of_alice)).values(fields={"email": "x@y.z"})
        )
        session.commit()
    assert intact() is False
    users.erase_personal_data(alice.id)
    assert intact() is None
    assert event.id


@pytest.mark.parametrize(
    ("column", "index"),
    [
        ("action", "ix_event_action_seq"),
        ("actor_id", "ix_event_actor_id_seq"),
        ("resource_id", "ix_event_resource_id_seq"),
        ("outcome", "ix_event_outcome_seq"),
        ("owner_id", "ix_event_owner_id_seq"),
    ],
)
def test_every_filter_is_led_by_an_index(core, column, index):
    if not core.database.is_sqlite:
        statement = text("SELECT indexdef FROM pg_indexes WHERE indexname = :index")
        with core.database.reading() as session:
            assert f"({column}, seq)" in session.scalar(statement, {"index": index})
        return
    statement = text(
        f"EXPLAIN QUERY PLAN SELECT * FROM event WHERE {column} = 'x' AND seq < 9 ORDER BY seq DESC LIMIT 5"
    )
    with core.database.reading() as session:
        plan = " ".join(row[3] for row in session.execute(statement))
    assert index in plan
    assert "TEMP B-TREE" not in plan


def test_the_live_hub_reads_on_from_where_it_was(users, container, alice, lab):
    start = users.latest_seq()
    assert users.events_after(start) == []
    for number in range(4):
        container.get_project_service().rename_project(lab.id, f"Lab {number}", actor=acting(alice))
    fresh = users.events_after(start, limit=3)
    assert [event.action for event in fresh] == ["project.rename"] * 3
    assert [event.personal for event in fresh] == [{}, {}, {}]
    assert len(users.events_after(fresh[-1].seq)) == 1


# -- erasure ------------------------------------------------------------------------------------


def test_erasing_leaves_nothing_personal_anywhere(container, users, auth, core, alice, bob, admin, lab):
    vm = launch(container, alice, lab, "web")
    delete(container, alice, vm)
    auth.login({"email": alice.email, "password": PASSWORD}, actor=visitor("192.0.2.44"))
    with pytest.raises(AuthenticationRequiredError):
        auth.login({"email": alice.email, "password": "guess"}, actor=visitor("192.0.2.44"))
    auth.update_profile(alice.id, {"name": "Alicia Unique"}, actor=acting(alice, "192.0.2.44"))
    users.set_disabled(alice.id, True, actor=acting(admin))
    users.erase_personal_data(alice.id, actor=acting(alice, "192.0.2.44"))
    with core.database.reading() as session:
        everything = ""
        tables = [table for table in DbUser.metadata.sorted_tables if table.name != "rate_counter"]
        for table in tables:
            everything += str(session.execute(select(table)).all())
    for trace in ("alice@", "Alice", "Alicia", "192.0.2.44"):
        assert trace not in everything
    assert bob.email in everything
    (event,) = events_of(core, "user.erased")
    assert (event.resource_id, personal_of(core, event.id)) == (alice.id, None)
    assert len(events_of(core, "auth.signup")) == 3
    with pytest.raises(AuthenticationRequiredError):
        auth.login({"email": alice.email, "password": PASSWORD}, actor=visitor(HOME))
    again = auth.signup({"email": alice.email, "name": "Alice", "password": PASSWORD})
    assert again.id != alice.id


@pytest.mark.error
def test_an_account_with_vms_is_not_erased(container, users, core, alice, charlie, lab):
    launch(container, alice, lab, "web")
    with pytest.raises(ConflictError):
        users.erase_personal_data(alice.id, actor=acting(alice))
    with pytest.raises(NotFoundError):
        users.erase_personal_data(alice.id, actor=acting(charlie))
    assert users.get_user(alice.id).email == alice.email
    with core.database.reading() as session:
        assert session.scalars(select(DbAuthSession)).all() == []
    assert users.get_user(alice.id, actor=SYSTEM).role == Role.USER
