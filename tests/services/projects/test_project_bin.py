"""Deleting projects: everything goes with the click, and comes back by a restore; protection holds on every path."""

from datetime import timedelta

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.exc import OperationalError

from tests.conftest import PASSWORD
from tests.services.billing.test_billing_faults import Fault
from tests.services.people import Statements, acting, events_of, join
from tests.services.vm_world import STOPPED
from zentry_web.domain.credits.billing import AccountKind
from zentry_web.domain.user import SYSTEM
from zentry_web.domain.vms.fleet import VMFilter
from zentry_web.domain.vms.operation import OperationKind
from zentry_web.domain.vms.state import VMState
from zentry_web.models import DbHold, DbProject, DbProjectBudget, DbProjectMember
from zentry_web.services.errors import (
    ConflictError,
    InsufficientCreditsError,
    NotFoundError,
    PermissionDeniedError,
    ProofRequiredError,
    ValidationError,
)
from zentry_web.services.vms import bin_sets

pytestmark = pytest.mark.integration

WEEK = timedelta(days=7)


@pytest.fixture
def cloud(cloud):
    cloud.keep_deleted(7)
    return cloud


@pytest.fixture
def project(cloud, alice, bob, container):
    made = cloud.project(alice, "Website")
    join(container, made, bob, "member")
    return made


@pytest.fixture
def fleet(cloud, alice, project):
    """One that runs, one that is off, one that was never made."""
    vms = [cloud.launch(alice, project, name) for name in ("web", "db")]
    cloud.vms.stop_vm(vms[1].id, actor=acting(alice))
    cloud.worker.work()
    cloud.round(600)
    return [*vms, cloud.ask(alice, project, "new")]


def state(cloud, vms):
    return [cloud.row(vm).state for vm in vms]


def test_with_the_click_everything_is_gone_and_off_the_bill(cloud, alice, bob, project, fleet, clock):
    bins = cloud.projects.bin
    going = bins.preview(project.id, actor=acting(alice))
    assert [vm.name for vm in going.vms] == ["db", "new", "web"]
    assert [name for name, _ in going.members] == ["Bob"]
    clicked = clock.now().replace(microsecond=0)
    cloud.projects.delete_project(project.id, actor=acting(alice))
    assert [cloud.intervals(vm)[-1].end_at for vm in fleet[:2]] == [clicked, clicked]
    assert cloud.held(alice) == 0
    for user in (alice, bob):
        assert cloud.projects.list_projects(user.id, actor=acting(user)) == []
        assert cloud.vms.list_vms(user.id, actor=acting(user)).vms == []
    for ask in (
        lambda: cloud.ask(alice, project, "more"),
        lambda: cloud.vms.start_vm(fleet[1].id, actor=acting(alice)),
        lambda: cloud.projects.delete_project(project.id, actor=acting(alice)),
    ):
        with pytest.raises(NotFoundError):
            ask()
    shown, vms = bins.get_binned(project.id, actor=acting(alice))
    assert (shown.vms, shown.vms_off, shown.is_off, len(vms)) == (2, 0, False, 2)
    cloud.live(30)
    assert state(cloud, fleet) == [VMState.BINNED, VMState.BINNED, VMState.DELETED]
    (shown,) = bins.list_binned(alice.id, actor=acting(alice))
    assert (shown.is_off, shown.purge_at, shown.deleted_by) == (True, shown.deleted_at + WEEK, "Alice")
    assert cloud.vms.bin.list_binned(alice.id, actor=acting(alice)) == []
    spent = cloud.wallet(alice)
    cloud.live(7200, step=600)
    assert cloud.wallet(alice) == spent
    cloud.assert_sound()


def test_restored_with_its_machines_and_members(cloud, core, alice, bob, project, fleet):
    cloud.billing.budgets.set_budget(project.id, 9_000_000, (80,), hard_cap=False, actor=acting(alice))
    before = cloud.vms.bin
    single = cloud.launch(alice, project, "single")
    before_ids = {vm.id for vm in fleet}
    cloud.vms.delete_vm(single.id, "single", actor=acting(alice))
    cloud.projects.delete_project(project.id, actor=acting(alice))
    with pytest.raises(ConflictError):
        cloud.projects.bin.restore(project.id, "Website", actor=acting(alice))
    cloud.live(30)
    with pytest.raises(ConflictError):
        before.restore(single.id, "single", actor=acting(alice))
    cloud.projects.bin.restore(project.id, "Website", actor=acting(alice))
    found = cloud.vms.list_vms(bob.id, actor=acting(bob)).vms
    assert {vm.id for vm in found} == before_ids
    assert {vm.state for vm in found} == {VMState.STOPPED}
    assert [cloud.intervals(vm)[-1].state for vm in fleet[:2]] == [STOPPED, STOPPED]
    assert cloud.billing.budgets.get_status(project.id, actor=acting(alice)).budget.amount_micro == 9_000_000
    before.restore(single.id, "single", actor=acting(alice))
    cloud.vms.start_vm(fleet[0].id, actor=acting(bob))
    cloud.live(30)
    assert cloud.vm(fleet[0]).state == VMState.RUNNING
    assert len(events_of(core, "project.restore")) == 1
    cloud.assert_sound()


def test_a_restore_needs_a_free_name_and_credits(cloud, alice, project, fleet):
    cloud.projects.delete_project(project.id, actor=acting(alice))
    cloud.live(30)
    cloud.project(alice, "Website")
    bins = cloud.projects.bin
    for wrong in ("website", "", "x" * 61):
        with pytest.raises(ValidationError) as caught:
            bins.restore(project.id, wrong, actor=acting(alice))
        assert set(caught.value.details) == {"name"}
    cloud.set_wallet(alice, 10)
    with pytest.raises(InsufficientCreditsError):
        bins.restore(project.id, "Other", actor=acting(alice))
    assert bins.list_binned(alice.id, actor=acting(alice))[0].name == "Website"
    assert state(cloud, fleet[:2]) == [VMState.BINNED, VMState.BINNED]
    cloud.set_wallet(alice, 1_000_000)
    assert bins.restore(project.id, "Other", actor=acting(alice)).name == "Other"
    cloud.assert_sound()


@pytest.mark.parametrize("now", [False, True])
def test_purged_with_all_that_is_left(cloud, core, alice, project, fleet, clock, now):
    cloud.billing.budgets.set_budget(project.id, 9_000_000, (80,), hard_cap=False, actor=acting(alice))
    cloud.projects.delete_project(project.id, actor=acting(alice))
    cloud.live(30)
    bins = cloud.projects.bin
    assert (cloud.vms.bin.purge_due(), bins.purge_due()) == (0, 0)
    if now:
        with pytest.raises(ValidationError):
            bins.purge(project.id, "Web", actor=acting(alice))
        bins.purge(project.id, "Website", actor=acting(alice))
    else:
        clock.advance(WEEK.total_seconds())
    assert bins.purge_due() == 0
    assert cloud.vms.bin.purge_due() == 2
    with pytest.raises(ConflictError):
        bins.restore(project.id, "Website", actor=acting(alice))
    cloud.live(30)
    assert [bins.purge_due(), bins.purge_due()] == [1, 0]
    assert state(cloud, fleet) == [VMState.DELETED] * 3
    assert cloud.driver.machines() == []
    with core.database.reading() as session:
        row = session.get(DbProject, project.id)
        assert (row.purge_at, row.name) == (None, "Website")
        assert row.deleted_at is not None
        assert session.scalars(select(DbProjectBudget)).all() == []
        assert [member.user_id for member in session.scalars(select(DbProjectMember))] == [alice.id]
    with pytest.raises(NotFoundError):
        bins.get_binned(project.id, actor=acting(alice))
    cloud.assert_sound()


@pytest.mark.parametrize("step", ["bin.claimed", "bin.asked", "bin.off"])
def test_killed_in_the_middle_it_goes_on(cloud, alice, project, fleet, step, clock):
    cloud.projects.delete_project(project.id, actor=acting(alice))

    cloud.kill_at(step)
    cloud.restart_worker()
    clock.advance(31)
    cloud.live(60)
    assert state(cloud, fleet) == [VMState.BINNED, VMState.BINNED, VMState.DELETED]
    cloud.projects.bin.restore(project.id, "Website", actor=acting(alice))
    cloud.assert_sound()


def try_until_done(cloud, core, work):
    """Do ``work`` with a fault at its first statement, its second … until none is left; how many there were."""
    fault, failed = Fault(core.database.engine), 0
    while True:
        fault.countdown = failed + 1
        try:
            work()
        except OperationalError:
            fault.countdown = 0
            failed += 1
            if failed % 15 == 0:
                cloud.assert_sound()
        else:
            fault.countdown = 0
            return failed


def test_a_fault_at_any_statement_loses_nothing_and_does_nothing_twice(cloud, core, alice, project, fleet, clock):
    bins = cloud.projects.bin
    if not core.database.is_sqlite:
        return  # a full disk is played on SQLite
    clicked = clock.now().replace(microsecond=0)
    chunk, bins._do_chunk = bins._do_chunk, lambda *_: 0  # what is accepted is a transaction of its own
    assert try_until_done(cloud, core, lambda: cloud.projects.delete_project(project.id, actor=acting(alice))) > 10
    bins._do_chunk = chunk
    assert try_until_done(cloud, core, bins.go_on) > 30
    assert [cloud.intervals(vm)[-1].end_at for vm in fleet[:2]] == [clicked, clicked]
    assert [len([one for one in cloud.operations(vm) if one.kind == OperationKind.BIN]) for vm in fleet] == [1, 1, 0]
    cloud.live(30)
    bins._do_chunk = lambda *_: 0
    assert try_until_done(cloud, core, lambda: bins.restore(project.id, "Website", actor=acting(alice))) > 20
    bins._do_chunk = chunk
    assert try_until_done(cloud, core, bins.go_on) > 10
    assert state(cloud, fleet[:2]) == [VMState.STOPPED, VMState.STOPPED]
    cloud.assert_sound()
    cloud.projects.delete_project(project.id, actor=acting(alice))
    cloud.live(30)
    assert try_until_done(cloud, core, lambda: bins.purge(project.id, "Website", actor=acting(alice))) > 3
    assert try_until_done(cloud, core, cloud.vms.bin.purge_due) > 10
    cloud.live(30)
    assert try_until_done(cloud, core, bins.purge_due) > 5
    assert state(cloud, fleet) == [VMState.DELETED] * 3
    assert [len([one for one in cloud.operations(vm) if one.kind == OperationKind.DELETE]) for vm in fleet] == [1, 1, 1]
    cloud.assert_sound()


def test_no_statement_more_for_more_machines(cloud, core, alice, bob, project):
    """Deleting, restoring, purging and handing over: one transaction each, which must stay short."""
    for holder in (project.id, alice.id, bob.id):
        cloud.vms.quotas.set_limits(holder, {"vms": "none", "vcpus": "none", "memory_mib": "none", "disk_gib": "none"})
    for user in (alice, bob):
        cloud.set_wallet(user, 10**10)
    bins, ownership = cloud.projects.bin, cloud.projects.ownership
    owners, counts = [alice, bob], []
    for name in ("one", "two"):
        cloud.launch(alice, project, name)
    for extra in (0, 9):
        owner, other = owners
        for number in range(extra):
            cloud.ask(owner, project, f"vm-{number}")
        cloud.worker.work()
        cloud.round(100)
        ownership.offer(project.id, other.id, actor=acting(owner))
        work = [
            lambda other=other: ownership.accept(project.id, actor=acting(other)),
            lambda other=other: cloud.projects.delete_project(project.id, actor=acting(other)),
            lambda other=other: bins.restore(project.id, "Website", actor=acting(other)),
            lambda other=other: cloud.projects.delete_project(project.id, actor=acting(other)),
        ]
        found = []
        for step in work:
            with Statements(core.database) as counted:
                step()
            found.append(counted.count)
            cloud.worker.work()
            cloud.round(100)
            cloud.assert_sound()
        counts.append(found)
        bins.restore(project.id, "Website", actor=acting(other))
        for vm in cloud.vms.list_vms(wanted=VMFilter(project_id=project.id)).vms:
            cloud.vms.start_vm(vm.id, actor=acting(other))
        cloud.worker.work()
        owners.reverse()
    assert counts[0] == counts[1]
    cloud.projects.delete_project(project.id, actor=acting(owners[0]))
    cloud.worker.work()
    with Statements(core.database) as counted:
        bins.purge(project.id, "Website", actor=acting(owners[0]))
    assert counted.count < 10


@pytest.mark.parametrize("chunk", [1, 50])
def test_what_one_hold_has_too_much_pays_for_what_another_lacks(cloud, core, alice, project, clock, chunk, monkeypatch):
    """As when they were deleted one after the other: nothing is written off that the owner can pay."""
    monkeypatch.setattr(bin_sets, "CHUNK", chunk)
    first, second = (cloud.launch(alice, project, name) for name in ("one", "two"))
    cloud.set_wallet(alice, 0)
    with core.database.writing() as session:  # all that is held is held for the second
        total = session.scalar(select(func.sum(DbHold.remaining)).where(DbHold.closed_at.is_(None)))
        for vm, remaining in ((first, 0), (second, total)):
            mine = DbHold.vm_id == vm.id, DbHold.closed_at.is_(None)
            session.execute(update(DbHold).where(*mine).values(remaining=remaining))
        session.commit()
    clock.advance(600)
    cloud.round(0)  # both were seen running up to now
    lost = cloud.billing.books.ledger.get_system_balances()[AccountKind.WRITE_OFF]
    cloud.projects.delete_project(project.id, actor=acting(alice))
    cloud.projects.bin.go_on()
    assert cloud.billing.books.ledger.get_system_balances()[AccountKind.WRITE_OFF] == lost
    assert cloud.billing.get_balance(alice.id).held_micro == 0
    cloud.assert_sound()


@pytest.mark.error
def test_what_is_protected_stays_whoever_asks(cloud, container, alice, admin, project, fleet):
    web = fleet[0]
    bins = cloud.projects.bin
    cloud.vms.bin.set_protection(web.id, True, actor=acting(alice))
    for actor in (acting(alice), acting(admin), SYSTEM):
        with pytest.raises(ConflictError, match="protected"):
            cloud.vms.delete_vm(web.id, web.name, actor=actor)
        with pytest.raises(ConflictError, match="web"):
            cloud.projects.delete_project(project.id, actor=actor)
    cloud.vms.bin.set_protection(web.id, False, actor=acting(alice))
    bins.set_protection(project.id, True, actor=acting(alice))
    for actor in (acting(alice), acting(admin), SYSTEM):
        with pytest.raises(ConflictError, match="protected"):
            cloud.projects.delete_project(project.id, actor=actor)
    closure = container.get_user_service().closure
    assert closure.preview(alice.id, actor=acting(alice)).protected == ("Website",)
    with pytest.raises(ConflictError, match="Website"):
        closure.request(alice.id, PASSWORD, actor=acting(alice))
    bins.set_protection(project.id, False, actor=acting(alice))
    closure.request(alice.id, PASSWORD, actor=acting(alice))
    with pytest.raises(ConflictError):
        bins.set_protection(project.id, True, actor=acting(alice))
    with pytest.raises(ConflictError):
        cloud.vms.bin.set_protection(web.id, True, actor=acting(alice))
    assert all(vm.state not in (VMState.DELETING, VMState.BINNED) for vm in map(cloud.vm, fleet))


def test_a_protected_project_does_not_protect_its_machines(cloud, alice, project, fleet):
    cloud.projects.bin.set_protection(project.id, True, actor=acting(alice))
    cloud.vms.delete_vm(fleet[0].id, fleet[0].name, actor=acting(alice))
    cloud.worker.work()
    assert cloud.row(fleet[0]).state == VMState.BINNED
    with pytest.raises(ConflictError, match="protected"):
        cloud.projects.delete_project(project.id, actor=acting(alice))
    cloud.vms.bin.restore(fleet[0].id, fleet[0].name, actor=acting(alice))
    cloud.assert_sound()


@pytest.mark.error
def test_who_may(cloud, container, alice, bob, charlie, project):
    bins, projects = cloud.projects.bin, cloud.projects
    with pytest.raises(ProofRequiredError):
        projects.delete_project(project.id, actor=acting(alice, proved_at=None))
    for user, error in ((bob, PermissionDeniedError), (charlie, NotFoundError)):
        for ask in (projects.delete_project, bins.preview):
            with pytest.raises(error):
                ask(project.id, actor=acting(user))
        with pytest.raises(error):
            bins.set_protection(project.id, True, actor=acting(user))
    projects.delete_project(project.id, actor=acting(alice))
    with pytest.raises(ProofRequiredError):
        bins.purge(project.id, "Website", actor=acting(alice, proved_at=None))
    for user, error in ((bob, PermissionDeniedError), (charlie, NotFoundError)):
        for ask in (bins.restore, bins.purge):
            with pytest.raises(error):
                ask(project.id, "Website", actor=acting(user))
        with pytest.raises(error):
            bins.get_binned(project.id, actor=acting(user))
        assert bins.list_binned(user.id, actor=acting(user)) == []


def test_an_accounts_end_takes_the_bin_along(cloud, container, alice, project, fleet, clock):
    users = container.get_user_service()
    other = cloud.launch(alice, cloud.project(alice, "Second"), "kept")
    cloud.projects.delete_project(project.id, actor=acting(alice))
    cloud.worker.work()
    users.closure.request(alice.id, PASSWORD, actor=acting(alice))
    clock.advance(WEEK.total_seconds())
    cloud.round(1)
    for _ in range(4):
        for user_id in users.closure.list_due():
            users.close_account(user_id)
        cloud.live(30)
    assert state(cloud, [*fleet, other]) == [VMState.DELETED] * 4
    assert users.closure.list_due() == []
    assert cloud.projects.bin.purge_due() == 0
    assert cloud.driver.machines() == []
    cloud.assert_sound()


def test_without_a_bin_it_is_gone_at_once(cloud, alice, project, fleet):
    cloud.keep_deleted(0)
    cloud.projects.delete_project(project.id, actor=acting(alice))
    assert [one.kind for one in cloud.operations(fleet[0])][-1] == OperationKind.DELETE
    cloud.live(30)
    assert state(cloud, fleet) == [VMState.DELETED] * 3
    with pytest.raises(NotFoundError):
        cloud.projects.bin.get_binned(project.id, actor=acting(alice))
    cloud.assert_sound()


def test_the_pages_cost_the_same_for_one_machine_and_for_many(cloud, core, alice, project):
    bins = cloud.projects.bin

    def count(look):
        with Statements(core.database) as counted:
            look(project.id, actor=acting(alice))
        return counted.count

    cloud.launch(alice, project, "one")
    first = count(bins.preview)
    for name in ("two", "three"):
        cloud.launch(alice, project, name)
    assert count(bins.preview) == first
    cloud.projects.delete_project(project.id, actor=acting(alice))
    assert count(bins.get_binned) <= 7


def test_projects_in_the_bin_page_by_page(cloud, alice, clock):
    cloud.keep_deleted(7)
    bins = cloud.projects.bin
    for number in range(5):
        gone = cloud.project(alice, f"old-{number}")
        cloud.projects.delete_project(gone.id, actor=acting(alice))
        clock.advance(number % 2)  # some went at one moment
    seen, before = [], ""
    while page := bins.list_binned(alice.id, actor=acting(alice), before=before, limit=2):
        seen += [project.name for project in page]
        before = page[-1].id
    assert sorted(seen) == [f"old-{number}" for number in range(5)]
    assert [project.name for project in bins.list_binned(alice.id, actor=acting(alice))] == seen
    assert len(bins.list_binned(alice.id, actor=acting(alice), before="\x00nonsense")) == 5
