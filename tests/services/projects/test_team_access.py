"""What each role may do to a project and its machines, through every service method that takes one."""

import pytest

from tests.services.people import Statements, acting, join, launch
from zentry_web.adapters.compute.base import Machine, PowerState
from zentry_web.domain.projects.project import ProjectAction, ProjectRole
from zentry_web.domain.vms.fleet import VMFilter
from zentry_web.domain.vms.state import VMState
from zentry_web.models import DbProject, DbProjectMember, DbVM
from zentry_web.services.errors import InsufficientCreditsError, NotFoundError, PermissionDeniedError
from zentry_web.services.shared.access import require_member, require_vm

pytestmark = pytest.mark.integration

ROLES = tuple(ProjectRole)
CHOICE = {"name": "another", "size_id": "size_nano", "image_id": "img_tiny"}
V, C, O, L, S, D, A, R, B, W = (  # noqa: E741 - the columns of the table below
    ProjectAction.VIEW,
    ProjectAction.CONSOLE,
    ProjectAction.OPERATE,
    ProjectAction.LAUNCH,
    ProjectAction.RESIZE,
    ProjectAction.DELETE_VM,
    ProjectAction.LABEL,
    ProjectAction.RENAME,
    ProjectAction.BUDGET,
    ProjectAction.OWN,
)
MAY = {
    V: ROLES,
    C: ROLES[:4],
    O: ROLES[:4],
    L: ROLES[:3],
    S: ROLES[:3],
    D: ROLES[:3],
    A: ROLES[:3],
    R: ROLES[:2],
    B: ROLES[:2],
    W: ROLES[:1],
}
# what is called: the right it needs
METHODS = {
    "get_project": V,
    "get_project_summary": V,
    "get_project_statistics": V,
    "list_vms": V,
    "get_vm": V,
    "get_vm_page": V,
    "list_vm_activity": V,
    "list_activity": V,
    "suggest_name": V,
    "get_vm_metrics": V,
    "get_performance": V,
    "get_console": C,
    "start_vm": O,
    "stop_vm": O,
    "reboot_vm": O,
    "reset_vm": O,
    "suspend_vm": O,
    "resume_vm": O,
    "force_off_vm": O,
    "delete_vm": D,
    "create_vm": L,
    "resize_vm": S,
    "list_choices_of_resizing": S,
    "quote": L,
    "set_labels": A,
    "rename_vm": A,
    "rebuild_vm": D,
    "rescue_vm": L,
    "set_password_on_vm": L,
    "back_up_vm": S,
    "schedule_backups": S,
    "find_aside": D,
    "get_labels": V,
    "rename_project": R,
    "set_budget": B,
    "remove_budget": B,
    "get_status": V,
    "list_coming_of": V,
    "delete_project": W,
    "record_vm_metrics": W,
}


@pytest.fixture
def lab(container, alice):
    return container.get_project_service().create_project({"name": "Lab"}, alice, actor=acting(alice))


@pytest.fixture
def web(container, alice, lab):
    return launch(container, alice, lab, "web")


def call(container, name, user, lab, web):
    """Call that method as ``user``, with what it takes."""
    actor = acting(user)
    projects, vms, monitoring = (
        container.get_project_service(), container.get_vm_service(), container.get_monitoring_service()
    )  # fmt: skip
    if name == "create_vm":
        return vms.create_vm(CHOICE | {"project_id": lab.id}, user, actor=actor)
    billing = container.get_billing_service()
    if name == "set_budget":
        return billing.budgets.set_budget(lab.id, 1_000_000, [50], hard_cap=False, actor=actor)
    if name == "resize_vm":
        return vms.resize_vm(web.id, "size_small", actor=actor)
    if name == "list_choices_of_resizing":
        return vms.resizing.list_choices(web.id, actor=actor)
    if name == "quote":
        return vms.payer.quote(lab.id, vms.list_sizes()[0], actor=actor)
    if name == "delete_vm":
        return vms.delete_vm(web.id, web.name, actor=actor)
    if name == "rename_project":
        return projects.rename_project(lab.id, "Other", actor=actor)
    if name == "set_labels":
        return vms.labels.set(web.id, "env=prod", actor=actor)
    if name == "rename_vm":
        return vms.renaming.rename(web.id, "other", actor=actor)
    if name == "rebuild_vm":
        wanted = {"image_id": "img_tiny", "confirm_name": web.name}
        return vms.rebuilding.request(web.id, wanted, user, actor=actor)
    if name == "back_up_vm":
        return vms.backups.take(web.id, {"name": "copy"}, actor=actor)
    if name == "schedule_backups":
        return vms.backup_schedules.set(web.id, {"every": "day", "hour": "3", "keep": "7"}, actor=actor)
    if name == "rescue_vm":
        return vms.rescuing.request(web.id, user, actor=actor)
    if name == "set_password_on_vm":
        with container.database.writing() as session:
            session.get_one(DbVM, web.id).agent = True
            session.commit()
        return vms.passwords.request(web.id, actor=actor)
    if name == "find_aside":
        return vms.rebuilding.find_aside(web.id, actor=actor)
    if name == "get_labels":
        return vms.labels.get(web.id, actor=actor)
    if name == "suggest_name":
        return vms.suggest_name(lab.id, actor=actor)
    if name == "list_vms":
        return vms.list_vms(wanted=VMFilter(project_id=lab.id), actor=actor)
    if name == "record_vm_metrics":
        return monitoring.record_vm_metrics(web.id, {"cpu_percent": 1.0}, user.id, actor=actor)
    if name == "start_vm":
        off(container, web)
    if name == "resume_vm":
        paused(container, web)
    parts = ((projects, lab), (vms, web), (monitoring, web), (billing.budgets, lab), (billing.price_changes, web))
    for service, thing in parts:
        if hasattr(service, name):
            return getattr(service, name)(thing.id, actor=actor)
    raise AssertionError(name)


def off(container, web):
    """The machine is off, as the hypervisor reported."""
    vms, clock = container.get_vm_service(), container.clock
    vms.stop_vm(web.id)
    claim = vms.operations.claim("worker")
    assert vms.records.operation_off(claim, clock.now())


def paused(container, web):
    """Somebody on the host has paused the machine, as the hypervisor reported."""
    vms = container.get_vm_service()
    (known,) = [each for each in vms.sightings.list_known() if each.vm_id == web.id]
    assert vms.sightings.saw_state(known, Machine(web.id, PowerState.PAUSED, known.run_id))


@pytest.mark.asvs("8.3.1")
@pytest.mark.parametrize("role", ROLES[1:])
@pytest.mark.parametrize("name", METHODS)
def test_what_a_member_may(container, lab, web, bob, name, role):
    join(container, lab, bob, role)
    if role in MAY[METHODS[name]]:
        call(container, name, bob, lab, web)
    else:
        with pytest.raises(PermissionDeniedError):
            call(container, name, bob, lab, web)


@pytest.mark.asvs("8.2.2")
@pytest.mark.parametrize("name", METHODS)
def test_a_stranger_finds_nothing(container, lab, web, charlie, name):
    with pytest.raises(NotFoundError):
        call(container, name, charlie, lab, web)


@pytest.mark.asvs("8.3.1")
def test_every_method_that_takes_an_id_is_in_the_table(container):
    takes = set()
    for service in (container.get_project_service(), container.get_vm_service(), container.get_monitoring_service()):
        for name in dir(type(service)):
            method = getattr(type(service), name)
            names = getattr(getattr(method, "__code__", None), "co_varnames", ())
            if not name.startswith("_") and {"project_id", "vm_id"} & set(names[:3]) and "actor" in names:
                takes.add(name)
    assert takes <= set(METHODS)


def test_what_names_no_action_is_for_the_owner_only(container, core, lab, web, alice, bob):
    join(container, lab, bob, ProjectRole.ADMIN)
    with core.database.reading() as session:
        assert require_member(session, acting(alice), lab.id).id == lab.id
        assert require_vm(session, acting(alice), web.id).id == web.id
        for attempt in (
            lambda: require_member(session, acting(bob), lab.id), lambda: require_vm(session, acting(bob), web.id)
        ):  # fmt: skip
            with pytest.raises(PermissionDeniedError):
                attempt()


def test_every_project_has_its_owner_as_its_owner(container, core, alice, bob, lab):
    container.get_project_service().create_project({"name": "Mine"}, bob)
    with core.database.reading() as session:
        for project in session.query(DbProject):
            assert session.get(DbProjectMember, (project.id, project.owner_id)).role == ProjectRole.OWNER


# -- whose wallet, and who sees it ----------------------------------------------------------------


def test_a_members_launch_is_held_from_the_owners_wallet(container, lab, alice, bob):
    join(container, lab, bob, ProjectRole.MEMBER)
    billing = container.get_billing_service()
    alices, bobs = billing.get_user_credits(alice.id), billing.get_user_credits(bob.id)
    vms = container.get_vm_service()
    vm = vms.create_vm(CHOICE | {"project_id": lab.id}, bob, actor=acting(bob))
    assert vm.owner_id == alice.id
    assert billing.get_user_credits(bob.id) == bobs
    assert billing.get_user_credits(alice.id) == alices - 5_000
    assert billing.get_balance(alice.id).held_micro == 5_000
    found = vms.payer.quote(lab.id, vms.list_sizes()[0], actor=acting(bob))
    assert (found.payer_name, found.is_own, found.quote.available_micro) == ("Alice", False, alices - 5_000)


def empty(container, user):
    billing = container.get_billing_service()
    billing.deduct_credits(user.id, billing.get_user_credits(user.id), "for the test")


@pytest.mark.error
def test_who_may_launch_is_told_what_the_owner_lacks(container, lab, alice, bob):
    join(container, lab, bob, ProjectRole.MEMBER)
    empty(container, alice)
    with pytest.raises(InsufficientCreditsError) as caught:
        container.get_vm_service().create_vm(CHOICE | {"project_id": lab.id}, bob, actor=acting(bob))
    assert caught.value.details == {"needed": 5_000, "available": 0, "payer": "Alice"}


@pytest.mark.error
def test_who_may_not_launch_is_told_no_amounts(container, lab, web, alice, bob):
    join(container, lab, bob, ProjectRole.RESTRICTED)
    off(container, web)
    empty(container, alice)
    vms = container.get_vm_service()
    with pytest.raises(InsufficientCreditsError) as caught:
        vms.start_vm(web.id, actor=acting(bob))
    assert caught.value.details == {"payer": "Alice"}
    assert vms.get_vm(web.id).state == VMState.STOPPED
    with pytest.raises(InsufficientCreditsError) as caught:
        vms.start_vm(web.id, actor=acting(alice))
    assert caught.value.details == {"needed": 5_000, "available": 0}


@pytest.mark.parametrize("role", ROLES[1:])
def test_credits_stay_the_owners_own(container, clock, lab, web, alice, bob, role):
    join(container, lab, bob, role)
    billing, actor = container.get_billing_service(), acting(bob)
    now = clock.now()
    for attempt in (
        lambda: billing.get_balance(alice.id, actor=actor),
        lambda: billing.list_transactions(alice.id, actor=actor),
        lambda: billing.get_usage_summary(alice.id, actor=actor),
        lambda: billing.bills.get_bill(alice.id, now, now, actor=actor),
        lambda: billing.spending.get_spend(alice.id, now, now, actor=actor),
        lambda: billing.landing.get_plan(alice.id, actor=actor),
        lambda: container.get_vm_service().list_vms(alice.id, actor=actor),
        lambda: container.get_user_service().list_activity(alice.id, actor=actor),
    ):
        with pytest.raises(NotFoundError):
            attempt()


# -- lists ----------------------------------------------------------------------------------------


def test_lists_hold_what_one_belongs_to(container, clock, lab, web, bob, charlie):
    projects, vms, users = (
        container.get_project_service(), container.get_vm_service(), container.get_user_service()
    )  # fmt: skip
    join(container, lab, bob, ProjectRole.VIEWER)
    own = projects.create_project({"name": "Own"}, bob, actor=acting(bob))
    clock.advance(minutes=30)
    summaries = projects.list_projects(bob.id, actor=acting(bob))
    assert [(each.project.name, each.project.role, each.project.owner_name) for each in summaries] == [
        ("Lab", "viewer", "Alice"),
        ("Own", "owner", "Bob"),
    ]
    assert (summaries[0].vm_count, summaries[0].rate_micro_per_hour, summaries[0].month_micro) == (1, 5_000, 2_500)
    assert summaries[0] == projects.list_projects(lab.owner_id)[0]
    assert [each.id for each in projects.list_choices(bob.id, actor=acting(bob))] == [lab.id, own.id]
    may_launch = projects.list_choices(bob.id, actor=acting(bob), action=ProjectAction.LAUNCH)
    assert [each.id for each in may_launch] == [own.id]
    (seen,) = vms.list_vms(bob.id, actor=acting(bob)).vms
    assert (seen.id, seen.allows("view"), seen.allows("operate")) == (web.id, True, False)
    assert vms.count_by_state(bob.id, actor=acting(bob)) == {VMState.RUNNING: 1}
    dashboard = users.get_dashboard(bob.id, actor=acting(bob))
    assert (dashboard.projects_count, dashboard.state_counts) == (2, {VMState.RUNNING: 1})
    assert [(project.name, micro) for project, micro in dashboard.project_spend] == [("Own", 0)]
    theirs = [(project.name, project.owner_name, micro) for project, micro in dashboard.shared_spend]
    assert theirs == [("Lab", "Alice", 2_500)]
    assert "vm.create" in [event.action for event in dashboard.recent]
    assert all(not event.personal for event in dashboard.recent if event.actor_id != bob.id)
    assert vms.list_vms(charlie.id, actor=acting(charlie)).total == 0


def test_who_left_sees_nothing_any_more(container, core, lab, web, bob):
    join(container, lab, bob, ProjectRole.MEMBER)
    container.get_vm_service().get_vm(web.id, actor=acting(bob))
    with core.database.writing() as session, session.begin():
        session.delete(session.get(DbProjectMember, (lab.id, bob.id)))
    with pytest.raises(NotFoundError):
        container.get_vm_service().get_vm(web.id, actor=acting(bob))
    assert container.get_vm_service().list_vms(bob.id, actor=acting(bob)).total == 0
    assert container.get_project_service().list_projects(bob.id, actor=acting(bob)) == []


def test_lists_cost_the_same_however_many_belong_to_others(container, core, alice, bob, charlie, lab, web):
    projects, vms, users = (
        container.get_project_service(), container.get_vm_service(), container.get_user_service()
    )  # fmt: skip
    join(container, lab, bob, ProjectRole.VIEWER)

    def statements():
        with Statements(core.database, container.metrics_database) as counted:
            projects.list_projects(bob.id, actor=acting(bob))
            vms.list_vms(bob.id, actor=acting(bob))
            users.get_dashboard(bob.id, actor=acting(bob))
        return [one for one in counted.texts if "SELECT" in one]

    before = statements()
    for number in range(4):
        owner = alice if number % 2 else charlie
        other = projects.create_project({"name": f"p{number}"}, owner, actor=acting(owner))
        join(container, other, bob, ProjectRole.RESTRICTED)
        launch(container, owner, other, "web")
    assert len(statements()) == len(before)


def test_the_audience_of_events_is_the_membership(container, lab, alice, bob):
    users = container.get_user_service()
    assert users.audience([lab.id]) == {lab.id: frozenset({alice.id})}
    join(container, lab, bob, ProjectRole.VIEWER)
    assert users.audience([lab.id, "prj_none"]) == {lab.id: frozenset({alice.id, bob.id})}
    assert users.audience([]) == {}


@pytest.mark.error
def test_nobody_spends_from_a_disabled_account(container, admin, lab, web, alice, bob):
    join(container, lab, bob, ProjectRole.ADMIN)
    off(container, web)
    container.get_user_service().set_disabled(alice.id, True)
    vms = container.get_vm_service()
    for attempt in (
        lambda: vms.create_vm(CHOICE | {"project_id": lab.id}, bob, actor=acting(bob)),
        lambda: vms.start_vm(web.id, actor=acting(bob)),
    ):
        with pytest.raises(PermissionDeniedError):
            attempt()
    assert vms.start_vm(web.id, actor=acting(admin)).vm_id == web.id
