"""Handing a project over: one second on two bills, exactly one owner always, all or nothing."""

import threading
from datetime import timedelta

import pytest
from sqlalchemy import select, update
from sqlalchemy.exc import OperationalError

from tests.services.billing.test_billing_faults import Fault
from tests.services.people import Statements, acting, events_of, join
from tests.services.vm_world import RUNNING, STOPPED
from zentry_web.domain.credits.usage import ChargeKind
from zentry_web.domain.user import SYSTEM
from zentry_web.domain.vms.state import VMState
from zentry_web.models import DbCharge, DbProject, DbProjectMember, DbVM
from zentry_web.services.errors import (
    ConflictError,
    HandedOverError,
    InsufficientCreditsError,
    NotFoundError,
    PermissionDeniedError,
    ProofRequiredError,
    QuotaExceededError,
)

pytestmark = pytest.mark.integration


@pytest.fixture
def ownership(cloud):
    return cloud.projects.ownership


@pytest.fixture
def project(cloud, container, alice, bob):
    made = cloud.project(alice, "Website")
    join(container, made, bob, "member")
    return made


@pytest.fixture
def fleet(cloud, alice, project):
    """One that runs since a while, one that is off, one that began just now."""
    web, db = cloud.launch(alice, project, "web"), cloud.launch(alice, project, "db")
    cloud.vms.stop_vm(db.id, actor=acting(alice))
    cloud.worker.work()
    cloud.round(5000)
    new = cloud.ask(alice, project, "new")
    cloud.worker.work()
    cloud.round(7)
    return [web, db, new]


def roles(core, project):
    with core.database.reading() as session:
        rows = session.scalars(select(DbProjectMember).where(DbProjectMember.project_id == project.id))
        return {row.user_id: row.role for row in rows}


def hand_over(ownership, project, alice, bob):
    ownership.offer(project.id, bob.id, actor=acting(alice))
    ownership.accept(project.id, actor=acting(bob))


def test_everything_changes_its_payer_in_one_second(cloud, core, ownership, alice, bob, project, fleet, clock):
    web, db, new = fleet
    ownership.offer(project.id, bob.id, actor=acting(alice))
    offer = ownership.find_offer(project.id, actor=acting(bob))
    assert (offer.vms, offer.running, offer.is_mine) == (3, 2, True)
    assert offer.rate_micro_per_hour == sum(cloud.vm(vm).rate_micro_per_hour for vm in fleet)
    held = cloud.held(alice)
    ownership.accept(project.id, actor=acting(bob))
    at = clock.now().replace(microsecond=0)
    for vm, state in ((web, RUNNING), (db, STOPPED), (new, RUNNING)):
        before, after = cloud.intervals(vm)[-2:]
        assert (before.state, before.owner_id, before.end_at) == (state, alice.id, at)
        assert (after.state, after.owner_id, after.start_at, after.end_at) == (state, bob.id, at, None)
        assert after.minimum_seconds == 0
        assert cloud.row(vm).owner_id == bob.id
    assert held > 0
    assert cloud.held(alice) == 0
    assert cloud.held(bob) > 0
    with core.database.reading() as session:
        minimums = select(DbCharge.vm_id).where(DbCharge.kind == ChargeKind.MINIMUM)
        assert new.id not in session.scalars(minimums).all()
    assert roles(core, project) == {alice.id: "admin", bob.id: "owner"}
    assert cloud.projects.get_project(project.id).owner_id == bob.id
    ownership.accept(project.id, actor=acting(bob))  # pressed twice
    assert len(events_of(core, "project.transfer")) == 1
    cloud.assert_sound()
    spent = cloud.wallet(alice)
    cloud.live(7200, step=600)
    assert cloud.wallet(alice) == spent
    cloud.assert_sound()


def test_what_was_used_before_stays_with_the_old_owner(cloud, ownership, alice, bob, project, fleet):
    before = cloud.billing.get_usage_summary(alice.id)
    paid = sum(line.amount_micro for line in before.lines)
    hand_over(ownership, project, alice, bob)
    cloud.live(7200, step=600)
    for user in (alice, bob):
        summary = cloud.billing.get_usage_summary(user.id)
        started = 5_000_000
        balance = cloud.billing.get_balance(user.id)
        total = sum(line.amount_micro for line in summary.lines)
        assert balance.total_micro == started - total
    after = sum(line.amount_micro for line in cloud.billing.get_usage_summary(alice.id).lines)
    assert abs(after - paid) <= 3  # accrued seconds are rounded per piece
    cloud.vms.stop_vm(fleet[0].id, actor=acting(alice))
    cloud.worker.work()
    cloud.vms.start_vm(fleet[0].id, actor=acting(alice))
    cloud.live(60)
    assert cloud.intervals(fleet[0])[-1].owner_id == bob.id
    cloud.assert_sound()


@pytest.mark.error
def test_refused_as_a_whole(cloud, core, ownership, alice, bob, project, fleet, clock):
    ownership.offer(project.id, bob.id, actor=acting(alice))
    cloud.set_wallet(bob, 5_000)
    with pytest.raises(InsufficientCreditsError) as caught:
        ownership.accept(project.id, actor=acting(bob))
    assert caught.value.details["needed"] == ownership.find_offer(project.id, actor=acting(bob)).needed_micro
    cloud.set_wallet(bob, 5_000_000)
    other = cloud.project(bob, "WEBSITE")
    with pytest.raises(ConflictError, match="already own"):
        ownership.accept(project.id, actor=acting(bob))
    cloud.projects.delete_project(other.id, actor=acting(bob))
    cloud.vms.quotas.set_limits(bob.id, {"vms": "2"})
    with pytest.raises(QuotaExceededError):
        ownership.accept(project.id, actor=acting(bob))
    cloud.vms.quotas.set_limits(bob.id, {})
    cloud.vms.reboot_vm(fleet[0].id, actor=acting(alice))
    with pytest.raises(ConflictError, match="under way"):
        ownership.accept(project.id, actor=acting(bob))
    assert roles(core, project) == {alice.id: "owner", bob.id: "member"}
    assert {cloud.row(vm).owner_id for vm in fleet} == {alice.id}
    assert cloud.held(bob) == 0
    cloud.assert_sound()
    cloud.live(60)
    ownership.accept(project.id, actor=acting(bob))
    cloud.assert_sound()


@pytest.mark.error
def test_while_the_host_is_away_nothing_is_handed_over(cloud, ownership, alice, bob, project, fleet):
    ownership.offer(project.id, bob.id, actor=acting(alice))
    cloud.control.fault("*", "unavailable", times=None)
    cloud.live(120, step=30)
    with pytest.raises(ConflictError, match="does not answer"):
        ownership.accept(project.id, actor=acting(bob))


@pytest.mark.error
def test_who_may_offer_and_take(cloud, container, ownership, alice, bob, charlie, project):
    with pytest.raises(ProofRequiredError):
        ownership.offer(project.id, bob.id, actor=acting(alice, proved_at=None))
    for user_id, error in ((charlie.id, NotFoundError), (alice.id, ConflictError), ("usr_none", NotFoundError)):
        with pytest.raises(error):
            ownership.offer(project.id, user_id, actor=acting(alice))
    with pytest.raises(PermissionDeniedError):
        ownership.offer(project.id, bob.id, actor=acting(bob))
    with pytest.raises(NotFoundError):
        ownership.accept(project.id, actor=acting(bob))
    join(container, project, charlie, "admin")
    ownership.offer(project.id, bob.id, actor=acting(alice))
    assert container.get_project_service().invitations.list_open(project.id) == []
    assert ownership.find_offer(project.id, actor=acting(charlie)) is None
    for ask in (ownership.accept, ownership.decline):
        with pytest.raises(NotFoundError):
            ask(project.id, actor=acting(charlie))
    ownership.offer(project.id, charlie.id, actor=acting(alice))  # the one to bob ends
    with pytest.raises(ConflictError):
        ownership.accept(project.id, actor=acting(bob))
    ownership.decline(project.id, actor=acting(charlie))
    ownership.offer(project.id, bob.id, actor=acting(alice))
    ownership.withdraw(project.id, actor=acting(alice))
    with pytest.raises(ConflictError):
        ownership.accept(project.id, actor=acting(bob))
    ownership.decline(project.id, actor=acting(bob))  # withdrawn meanwhile: nothing is left to decline
    ownership.offer(project.id, bob.id, actor=acting(alice))
    cloud.projects.members.remove(project.id, bob.id, actor=acting(alice))
    with pytest.raises(NotFoundError):
        ownership.accept(project.id, actor=acting(bob))


def test_open_invitations_of_the_old_owner_end(cloud, ownership, alice, bob, project):
    invitations = cloud.projects.invitations
    made = invitations.invite(project.id, {"email": "dora@example.com", "role": "admin"}, actor=acting(alice))
    hand_over(ownership, project, alice, bob)
    assert invitations.list_open(project.id, actor=acting(bob)) == []
    assert invitations.peek(made.secret) is None


def test_an_offer_is_good_for_a_week(ownership, alice, bob, project, clock):
    ownership.offer(project.id, bob.id, actor=acting(alice))
    clock.advance(timedelta(days=7).total_seconds())
    assert ownership.find_offer(project.id, actor=acting(bob)) is None
    with pytest.raises(ConflictError, match="The owner can make it anew"):
        ownership.accept(project.id, actor=acting(bob))


def test_disks_in_their_grace_and_machines_in_the_bin_go_along(cloud, core, ownership, alice, bob, project):
    cloud.keep_deleted(7)
    web, gone = cloud.launch(alice, project, "web"), cloud.launch(alice, project, "gone")
    cloud.vms.delete_vm(gone.id, "gone", actor=acting(alice))
    cloud.worker.work()
    cloud.set_wallet(alice, 0)
    cloud.live(4000, step=20)
    cloud.land()
    assert cloud.row(web).disk_until is not None
    hand_over(ownership, project, alice, bob)
    row = cloud.row(web)
    assert (row.disk_until, row.credit_stopped_at, row.owner_id) == (None, None, bob.id)
    assert cloud.intervals(web)[-1].owner_id == bob.id
    assert cloud.intervals(web)[-1].end_at is None
    cloud.assert_sound()
    back = cloud.vms.bin.restore(gone.id, "gone", actor=acting(bob))
    assert (back.state, back.owner_id) == (VMState.STOPPED, bob.id)
    cloud.live(3700, step=100)
    cloud.assert_sound()


def test_prices_that_count_for_the_new_owner_count_at_once(cloud, ownership, alice, bob, project, fleet):
    cloud.billing.price_list.publish("size_nano", 9_000, 70, actor=SYSTEM)
    hand_over(ownership, project, alice, bob)
    cloud.live(7300, step=600)
    cloud.assert_sound()


def test_a_fault_at_any_statement_leaves_one_owner_and_exact_bills(cloud, core, ownership, alice, bob, project, fleet):
    ownership.offer(project.id, bob.id, actor=acting(alice))
    if not core.database.is_sqlite:
        ownership.accept(project.id, actor=acting(bob))
        return cloud.assert_sound()
    fault, failed = Fault(core.database.engine), 0
    while True:
        fault.countdown = failed + 1
        try:
            ownership.accept(project.id, actor=acting(bob))
        except OperationalError:
            fault.countdown = 0
            failed += 1
            if failed % 10 == 0:
                assert roles(core, project) == {alice.id: "owner", bob.id: "member"}
                cloud.assert_sound()
        else:
            fault.countdown = 0
            break
    assert failed > 20
    assert roles(core, project) == {alice.id: "admin", bob.id: "owner"}
    return cloud.assert_sound()


def test_two_at_once_leave_exactly_one_owner(cloud, core, ownership, alice, bob, project, fleet):
    ownership.offer(project.id, bob.id, actor=acting(alice))
    outcomes = []

    def attempt(work):
        try:
            work()
            outcomes.append("done")
        except (ConflictError, NotFoundError, PermissionDeniedError):
            outcomes.append("refused")

    jobs = [
        lambda: ownership.accept(project.id, actor=acting(bob)),
        lambda: ownership.accept(project.id, actor=acting(bob)),
        lambda: ownership.withdraw(project.id, actor=acting(alice)),
    ]
    threads = [threading.Thread(target=attempt, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert list(roles(core, project).values()).count("owner") == 1
    owner = cloud.projects.get_project(project.id).owner_id
    assert roles(core, project)[owner] == "owner"
    assert {cloud.row(vm).owner_id for vm in fleet} == {owner}
    cloud.assert_sound()


def test_what_waited_for_a_lock_meanwhile_is_refused(cloud, ownership, alice, bob, project, fleet, monkeypatch):
    who, waited = acting(alice), []

    def wait(session, owner_ids):  # another process hands it over, and lets go of the wallet
        waited.append(list(owner_ids))
        for table, which in ((DbProject, DbProject.id == project.id), (DbVM, DbVM.project_id == project.id)):
            session.execute(update(table).where(which).values(owner_id=bob.id))

    monkeypatch.setattr("zentry_web.services.billing.ledger.wallets.lock_accounts", wait)
    for attempt in (
        lambda: cloud.billing.budgets.set_budget(project.id, 1_000, (), hard_cap=True, actor=who),
        lambda: cloud.billing.budgets.remove_budget(project.id, actor=who),
        lambda: cloud.vms.quotas.set_limits(project.id, {"vms": "7"}),
        lambda: cloud.vms.stop_vm(fleet[0].id, actor=who),
        lambda: cloud.vms.resize_vm(fleet[1].id, "size_small", actor=who),
        lambda: cloud.vms.delete_vm(fleet[1].id, fleet[1].name, actor=who),
        lambda: cloud.vms.sightings.stop_unpaid(fleet[0].id),
        lambda: cloud.ask(alice, project, "late"),
        lambda: cloud.projects.settings.archive(project.id, actor=who),
        lambda: cloud.projects.bin.delete(project.id, actor=who),
    ):
        with pytest.raises(HandedOverError):
            attempt()
    assert waited == [[alice.id]] * len(waited)
    monkeypatch.undo()
    assert cloud.projects.get_project(project.id).owner_id == alice.id
    cloud.assert_sound()


def test_what_somebody_took_over_just_now_does_not_go_with_the_old_owner(
    cloud, ownership, alice, bob, project, monkeypatch
):
    ownership.offer(project.id, bob.id, actor=acting(alice))
    wallets = cloud.billing.wallets
    load = wallets.locked_project_row

    def come_late(session, project_id):
        if project_id == project.id:
            ownership.accept(project.id, actor=acting(bob))
        return load(session, project_id)

    monkeypatch.setattr(wallets, "locked_project_row", come_late)
    cloud.projects.bin.clear(alice.id)
    assert cloud.projects.get_project(project.id).owner_id == bob.id


def test_the_offer_costs_the_same_for_one_machine_and_for_many(cloud, core, ownership, alice, bob, project):
    ownership.offer(project.id, bob.id, actor=acting(alice))

    def count():
        with Statements(core.database) as counted:
            ownership.find_offer(project.id, actor=acting(bob))
        return counted.count

    cloud.launch(alice, project, "one")
    first = count()
    cloud.launch(alice, project, "two")
    assert count() == first
