"""Large grants, deductions and refunds wait for a second admin and are posted exactly once; refunds are bounded."""

import contextlib
import threading
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import DatabaseError

from tests.services.billing_world import World
from tests.services.people import ALWAYS, events_of
from zentry_web.domain.credits.billing import Transaction, TransferKind
from zentry_web.domain.credits.books import Approval, ApprovalOutcome, MoveKind
from zentry_web.domain.user import Actor, Role
from zentry_web.models import DbApproval, DbNotice, DbRefund, DbTransfer, DbUser
from zentry_web.services.errors import (
    ConflictError,
    InsufficientCreditsError,
    NotFoundError,
    PermissionDeniedError,
    ProofRequiredError,
    ServiceError,
    ValidationError,
)

pytestmark = pytest.mark.integration

GRACE, ADA = (Actor(name, Role.ADMIN, proved_at=ALWAYS) for name in ("grace", "ada"))
CREDIT = 1_000_000


@pytest.fixture
def world(core):
    """Two admins, and Alice."""
    made = World(core)
    for name in ("grace", "ada", "alice"):
        made.person(name)
    with made.billing.transaction() as session:
        for row in session.scalars(select(DbUser).where(DbUser.id.in_(("grace", "ada")))):
            row.role = Role.ADMIN
    return made


def ask(world, amount=1001 * CREDIT, key="k1", actor=GRACE, reason="Course"):
    return world.billing.add_credits("alice", amount, reason, actor=actor, idempotency_key=key)


def told(world, user_id):
    return world.rows(select(DbNotice.kind, DbNotice.title, DbNotice.body).where(DbNotice.user_id == user_id))


@pytest.mark.asvs("2.3.5")
def test_a_large_grant_waits_and_is_posted_when_another_admin_approves(world, core):
    before, approvals = world.wallet(), world.billing.books.approvals
    asked = ask(world)
    assert isinstance(asked, Approval)
    assert (asked.outcome, asked.asked_by_name, asked.user_email) == ("pending", "grace", "alice@example.com")
    assert (world.wallet(), approvals.count_pending()) == (before, 1)
    assert [(row.kind, row.title) for row in told(world, "ada")] == [
        ("approval", "grace asks for a grant of 1,001.00 credits")
    ]
    assert told(world, "grace") == []
    done = approvals.decide(asked.id, True, actor=ADA)
    assert (done.outcome, done.decided_by, approvals.count_pending()) == ("approved", "ada", 0)
    assert world.wallet() == before + 1001 * CREDIT
    row = world.rows(select(DbTransfer).where(DbTransfer.id == done.transfer_id))[0][0]
    assert (row.idempotency_key, row.actor_id, row.reason) == (f"approval:{asked.id}", "ada", "Course")
    assert "approved" in told(world, "grace")[0].title
    assert [len(events_of(core, f"approval.{name}")) for name in ("ask", "approve", "refuse")] == [1, 1, 0]
    assert world.breaches() == []


def test_small_ones_are_posted_at_once_and_add_up_within_a_day(world):
    with pytest.raises(ValidationError, match="control characters"):
        ask(world, 600 * CREDIT, "k0", reason="Cour\x00se")
    assert ask(world, 600 * CREDIT, "k1", reason=" Intro  course").reason == "Intro course"
    assert isinstance(ask(world, 401 * CREDIT, "k2"), Approval), "split below the threshold"
    assert isinstance(ask(world, 400 * CREDIT, "k3"), Transaction), "exactly the threshold"
    assert isinstance(ask(world, 1, "k4"), Approval)
    assert isinstance(ask(world, 1, "k5", ADA), Transaction), "another admin has given nothing yet"
    taken = world.billing.deduct_credits("alice", 1000 * CREDIT, "Back", actor=GRACE)
    assert isinstance(taken, Transaction), "deductions count by themselves"
    world.pass_time(days=1, seconds=1)
    assert isinstance(ask(world, 1000 * CREDIT, "k6"), Transaction)


def test_what_a_second_admin_approved_does_not_count(world):
    approvals = world.billing.books.approvals
    approvals.decide(ask(world).id, True, actor=ADA)
    assert isinstance(ask(world, 1000 * CREDIT, "k2", ADA), Transaction)
    assert isinstance(ask(world, 1000 * CREDIT, "k3", GRACE), Transaction)


def test_zentry_itself_is_not_subject(world):
    assert isinstance(world.billing.add_credits("alice", 10**12, "Migration"), Transaction)


@pytest.mark.asvs("7.5.3")
def test_credits_need_a_recent_proof_to_move_and_to_agree(world):
    grace, ada = replace(GRACE, proved_at=None), replace(ADA, proved_at=world.clock.now() - timedelta(minutes=5))
    for number, amount in enumerate((1, 1000 * CREDIT, 1001 * CREDIT)):
        with pytest.raises(ProofRequiredError):
            ask(world, amount, f"k0-{number}", grace)
    asked, approvals = ask(world), world.billing.books.approvals
    with pytest.raises(ProofRequiredError):
        approvals.decide(asked.id, True, actor=ada)
    assert approvals.get_approval(asked.id).is_open
    assert approvals.decide(asked.id, False, actor=ada).outcome == "refused", "nothing moves by refusing"


def own(world, key="own", **more):
    return world.billing.add_credits("grace", CREDIT, "Trying out", actor=more.get("actor", GRACE), idempotency_key=key)


@pytest.mark.asvs("2.3.5")
def test_what_an_admin_gains_needs_another_admin_however_little(world):
    before, approvals = world.wallet("grace"), world.billing.books.approvals
    asked = own(world)
    assert isinstance(asked, Approval)
    assert own(world).id == asked.id
    with pytest.raises(ConflictError, match="You asked for this"):
        approvals.decide(asked.id, True, actor=GRACE)
    with pytest.raises(ProofRequiredError):
        own(world, "k2", actor=replace(GRACE, proved_at=None))
    assert world.wallet("grace") == before
    approvals.decide(asked.id, True, actor=ADA)
    assert world.wallet("grace") == before + CREDIT
    taken = world.billing.deduct_credits("grace", CREDIT, "Back", actor=GRACE)
    assert isinstance(taken, Transaction), "nobody gains by it"


def test_a_refund_to_oneself_needs_another_admin_too(world):
    world.start(world.vm("grace"))
    world.pass_time(hours=3)
    world.settle()
    (paid, *_) = world.rows(select(DbTransfer.id).where(DbTransfer.kind == TransferKind.USAGE))
    asked = world.billing.books.approvals.refund(f"transfer:{paid[0]}", 1, "Oops", actor=GRACE)
    assert isinstance(asked, Approval)


def test_an_admin_who_is_alone_may_try_things_out(world):
    with world.billing.transaction() as session:
        session.get(DbUser, "ada").role = Role.USER  # as the command line does: no event
    assert isinstance(own(world), Transaction)


@pytest.mark.parametrize("way", ["disabled", "demoted"])
def test_nobody_becomes_the_only_admin_for_a_minute(world, way):
    with world.billing.transaction() as session:
        ada = session.get(DbUser, "ada")
        if way == "disabled":
            ada.disabled_at = world.clock.now()
        else:
            ada.role = Role.USER
            world.billing.log_audit_event("grace", "user.role", "user", "ada", {}, actor=GRACE)
    assert isinstance(own(world), Approval)
    world.pass_time(days=1, seconds=1)
    assert isinstance(own(world, "k2"), Transaction)


def test_the_same_form_sent_twice_asks_once(world):
    assert ask(world).id == ask(world).id
    with pytest.raises(ConflictError):
        ask(world, reason="Another")
    assert len(told(world, "ada")) == 1
    small = ask(world, 5, "k9")
    assert ask(world, 5, "k9") == small


@pytest.mark.parametrize("kind", ["grant", "refund"])
def test_whose_wallet_gains_approves_nothing_for_it(world, kind):
    approvals = world.billing.books.approvals
    if kind == "grant":
        asked = world.billing.add_credits("ada", 1001 * CREDIT, "Course", actor=GRACE, idempotency_key="k1")
    else:
        asked = ask(world)
        with world.billing.transaction() as session:
            row = session.get(DbApproval, asked.id)
            row.user_id, row.kind = "ada", TransferKind.REFUND
    before = world.wallet("ada")
    with pytest.raises(ConflictError, match="would be yours"):
        approvals.decide(asked.id, True, actor=ADA)
    assert (world.wallet("ada"), approvals.count_pending()) == (before, 1)
    assert approvals.decide(asked.id, False, actor=ADA).outcome == "refused"


def test_whose_wallet_gains_is_not_asked_and_may_agree_to_a_loss(world):
    asked = world.billing.add_credits("ada", 1001 * CREDIT, "Course", actor=GRACE, idempotency_key="k1")
    assert told(world, "ada") == []
    assert asked.move.gains("ada")
    assert not asked.move.gains("grace")
    assert not replace(asked.move, kind=MoveKind.DEDUCTION).gains("ada")


@pytest.mark.asvs("2.3.5")
def test_nobody_approves_their_own_request_and_only_admins_decide(world):
    asked, approvals = ask(world), world.billing.books.approvals
    with pytest.raises(ConflictError, match="another admin"):
        approvals.decide(asked.id, True, actor=GRACE)
    for action in (
        lambda actor: approvals.decide(asked.id, True, actor=actor),
        lambda actor: approvals.list_approvals(actor=actor),
        lambda actor: approvals.get_approval(asked.id, actor=actor),
        lambda actor: approvals.refund("transfer:x", 1, "No", actor=actor),
    ):
        with pytest.raises(PermissionDeniedError):
            action(Actor("alice", Role.USER))
    with pytest.raises(NotFoundError):
        approvals.decide("apr_none", True, actor=ADA)
    taken_back = approvals.decide(asked.id, False, actor=GRACE)
    assert taken_back.outcome == "refused"
    with pytest.raises(ConflictError):
        approvals.decide(asked.id, True, actor=ADA)
    assert [row.id for row in approvals.list_approvals()] == [asked.id], "kept"


def test_a_double_click_posts_once(world):
    asked, approvals, before = ask(world), world.billing.books.approvals, world.wallet()
    assert approvals.decide(asked.id, True, actor=ADA) == approvals.decide(asked.id, True, actor=ADA)
    assert world.wallet() == before + 1001 * CREDIT
    with pytest.raises(ConflictError):
        approvals.decide(asked.id, False, actor=ADA)


@pytest.mark.asvs("15.4.2")
def test_many_admins_at_once_post_once(world):
    asked, approvals, before = ask(world), world.billing.books.approvals, world.wallet()
    outcomes = []

    def decide(number):
        try:
            outcomes.append(
                approvals.decide(
                    asked.id, number % 3 > 0, actor=Actor(f"admin{number}", Role.ADMIN, proved_at=ALWAYS)
                ).outcome
            )
        except ConflictError:
            outcomes.append("conflict")

    threads = [threading.Thread(target=decide, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes.count("conflict") == 7
    found = approvals.get_approval(asked.id)
    gained = 1001 * CREDIT if found.outcome == "approved" else 0
    assert world.wallet() == before + gained
    assert world.breaches() == []


def test_an_old_request_expires_and_is_kept(world):
    asked, approvals = ask(world), world.billing.books.approvals
    world.pass_time(days=7)
    assert (approvals.count_pending(), approvals.get_approval(asked.id).outcome) == (0, ApprovalOutcome.EXPIRED)
    with pytest.raises(ConflictError, match="expired"):
        approvals.decide(asked.id, True, actor=ADA)
    for _ in range(2):
        approvals.expire()
    assert [row.title for row in told(world, "grace")] == ["Your request for 1,001.00 credits has expired"]
    assert approvals.list_approvals()[0].outcome == "expired"


def test_a_deduction_that_the_wallet_cannot_pay_is_neither_asked_for_nor_posted(world):
    with pytest.raises(InsufficientCreditsError):
        world.billing.deduct_credits("alice", 2000 * CREDIT, "Too much", actor=GRACE)
    world.billing.add_credits("alice", 3000 * CREDIT, "Plenty")
    asked = world.billing.deduct_credits("alice", 2000 * CREDIT, "Too much", actor=GRACE)
    world.billing.deduct_credits("alice", 2500 * CREDIT, "First")
    with pytest.raises(InsufficientCreditsError):
        world.billing.books.approvals.decide(asked.id, True, actor=ADA)
    assert world.billing.books.approvals.get_approval(asked.id).is_open, "it goes on waiting"


@pytest.mark.asvs("16.4.2")
def test_the_database_keeps_decided_requests_and_refunds(world):
    asked = ask(world)
    world.billing.books.approvals.decide(asked.id, True, actor=ADA)
    for statement in ("UPDATE approval SET outcome = 'pending'", "DELETE FROM approval"):
        with pytest.raises(DatabaseError), world.database.engine.begin() as connection:
            connection.execute(text(statement))


# -- refunds ------------------------------------------------------------------------------------


@pytest.fixture
def charged(world):
    """Alice paid 3 hours of a small machine; the target of its last hour's transfer and of the interval."""
    vm = world.vm(size="small")
    world.start(vm)
    for _ in range(3):
        world.pass_time(hours=1)
        world.settle()
        world.billing.runs.renew_holds()
    interval, transfer = world.rows(text("SELECT interval_id, transfer_id FROM charge ORDER BY from_at DESC LIMIT 1"))[
        0
    ]
    return f"interval:{interval}", f"transfer:{transfer}"


def give(world, target, amount, key=None, actor=GRACE):
    return world.billing.books.approvals.refund(target, amount, "Host down", actor=actor, idempotency_key=key)


def test_a_refund_gives_back_what_was_charged_and_tells(world, charged):
    interval, transfer = charged
    wallet, revenue = world.wallet(), world.account("revenue")
    refunds = world.billing.books.refunds
    assert (refunds.left_of(interval), refunds.left_of(transfer)) == (150_000, 50_000)
    done = give(world, transfer, 20_000, "r1")
    assert (done.kind, done.amount_micro, done.reason) == (TransferKind.REFUND, 20_000, "Host down")
    assert give(world, transfer, 20_000, "r1") == done, "a double click refunds once"
    assert (world.wallet(), world.account("revenue")) == (wallet + 20_000, revenue - 20_000)
    assert world.billing.list_transactions("alice")[0].kind == "refund"
    (notice,) = [row for row in told(world, "alice") if row.kind == "refund"]
    assert (notice.title, notice.body) == ("0.02 credits were refunded to you", "Host down")
    assert (refunds.left_of(interval), refunds.left_of(transfer)) == (130_000, 30_000)
    assert world.breaches() == []


def test_no_charge_is_given_back_twice_by_whatever_way(world, charged):
    interval, transfer = charged
    give(world, interval, 60_000)  # the last hour whole, and some of the one before
    with pytest.raises(ValidationError, match=r"At most 0\.00 can"):
        give(world, transfer, 1)
    with pytest.raises(ValidationError, match=r"At most 0\.09 can"):
        give(world, interval, 90_001)
    give(world, interval, 90_000)
    rows = world.rows(select(func.sum(DbRefund.amount)).group_by(DbRefund.interval_id, DbRefund.from_at))
    assert sorted(int(row[0]) for row in rows) == [50_000, 50_000, 50_000]


def test_nothing_unpaid_is_given_back(world):
    world.person("bob", credits=6_000)
    vm = world.vm("bob", size="nano")
    world.start(vm)
    world.pass_time(hours=3)
    world.settle()
    (interval,) = world.rows(text("SELECT DISTINCT interval_id FROM charge"))[0]
    assert world.account("write_off") == -9_000
    assert world.billing.books.refunds.left_of(f"interval:{interval}") == 6_000


def test_refunds_at_once_never_pass_what_was_charged(world, charged):
    done = []

    def refund(number):
        with contextlib.suppress(ServiceError):
            done.append(give(world, charged[number % 4 == 0], 20_000, f"r{number}").amount_micro)

    threads = [threading.Thread(target=refund, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    left = world.billing.books.refunds.left_of(charged[0])
    assert sum(done) + left == 150_000
    assert left < 20_000
    assert world.breaches() == []


def test_a_large_refund_waits_and_is_checked_again(world, charged):
    world.billing.settings.change("approval_credits", 100_000, 0)
    asked = give(world, charged[0], 120_000)
    assert isinstance(asked, Approval)
    other = give(world, charged[0], 100_000, actor=ADA)
    assert isinstance(other, Transaction)
    with pytest.raises(ValidationError):
        world.billing.books.approvals.decide(asked.id, True, actor=ADA)
    again = give(world, charged[0], 50_000, actor=ADA)  # with what Ada gave already it is large
    assert isinstance(again, Approval)
    assert world.billing.books.approvals.decide(again.id, True, actor=GRACE).outcome == "approved"
    assert world.breaches() == []


@pytest.mark.parametrize("target", ["transfer:tr_none", "interval:use_none", "nonsense", ""])
def test_what_was_never_charged_is_not_given_back(world, target):
    with pytest.raises(NotFoundError):
        give(world, target, 1)


def test_a_statement_shows_the_refund_as_refund_and_adds_up(world, charged):
    give(world, charged[0], 30_000)
    world.clock.set(world.clock.now() + timedelta(days=30))
    world.settle()
    statement = world.billing.statements.close_month("alice")
    assert [each.amount_micro for each in statement.refunds] == [30_000]
    assert statement.adds_up
    assert world.billing.statements.replays(statement)
