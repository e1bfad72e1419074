"""Promotional credit: used first, gone at its second, told before, never paid back, and never revenue."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from tests.services.billing_world import HOUR, World
from zentry_web.domain.credits.billing import AccountKind, TransferKind
from zentry_web.domain.credits.payments import PaymentNews, PaymentState
from zentry_web.domain.credits.promotions import Promotion, expiry_of, in_order, lapsing, left_after, notice_due, take
from zentry_web.domain.credits.voucher import VoucherDraft
from zentry_web.domain.user import SYSTEM
from zentry_web.models import DbNotice, DbUsageInterval
from zentry_web.services.errors import InsufficientCreditsError, ValidationError

pytestmark = pytest.mark.integration

START = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)


@pytest.fixture
def world(core):
    made = World(core)
    made.clock.set(START)
    made.person(credits=1_000_000)
    return made


def promote(world, amount, hours=None, **more):
    end = world.clock.now() + timedelta(hours=hours) if hours is not None else None
    return world.billing.promote("alice", amount, "Spring", expires_at=end, **more)


def sums(world):
    kinds = AccountKind.PROMOTIONS, AccountKind.PROMO_USED, AccountKind.EXPIRED, AccountKind.REVENUE
    return tuple(world.account(kind) for kind in kinds)


def left(world):
    return [each.left_micro for each in world.billing.promotions.list_open("alice")]


def run_for(world, vm, hours):
    for _ in range(hours):
        world.pass_time(hours=1)
        world.settle()
        world.billing.runs.renew_holds()
    assert world.breaches() == []


def test_it_is_used_before_what_was_paid_and_the_soonest_to_end_first(world):
    promote(world, 7_000)
    promote(world, 4_000, hours=50)
    promote(world, 3_000, hours=40)
    vm = world.vm()  # 5 000 an hour
    world.start(vm)
    assert world.billing.get_balance("alice").paid_micro == 1_000_000, "the hold is of promotions"
    run_for(world, vm, 1)
    assert left(world) == [2_000, 7_000]
    assert sums(world) == (-14_000, 5_000, 0, 0)
    run_for(world, vm, 2)
    assert (left(world), sums(world)) == ([], (-14_000, 14_000, 0, 1_000))
    balance = world.billing.get_balance("alice")
    assert (balance.total_micro, balance.promo_micro, balance.paid_micro) == (999_000, 0, 999_000)


def test_what_is_left_expires_at_its_second_once(world):
    promote(world, 9_000, hours=2)
    vm = world.vm()
    world.start(vm)
    run_for(world, vm, 1)
    world.pass_time(seconds=HOUR - 1)
    world.settle()
    assert left(world) == [4_000]
    world.pass_time(seconds=1)
    world.settle()
    assert (left(world), sums(world)) == ([], (-9_000, 9_000, 0, 1_000)), "the hour before its end used it up"
    promote(world, 9_000, hours=1)
    world.stop(vm)
    world.pass_time(hours=1)
    for _ in range(3):
        world.settle()
    assert sums(world)[2] == 9_000 - 100, "but for the disk of its last hour"
    kinds = [each.kind for each in world.billing.list_transactions("alice")]
    assert kinds.count(TransferKind.EXPIRY) == 1
    assert world.breaches() == []


def test_a_worker_that_comes_late_takes_as_much(world):
    promote(world, 9_000, hours=1)
    world.start(world.vm())
    world.pass_time(hours=30)
    world.settle()
    assert sums(world) == (-9_000, 5_000, 4_000, 29 * 5_000), "what ended pays nothing that was used after it"
    assert world.breaches() == []


def test_it_waits_for_what_was_used_until_then_to_be_known(world):
    promote(world, 9_000, hours=1)
    world.start(world.vm())
    world.pass_time(hours=3)
    world.settle(START + timedelta(minutes=50))
    assert left(world) == [9_000]
    world.settle()
    assert sums(world)[1:3] == (5_000, 4_000)


def test_what_is_on_a_hold_stays_with_it(core):
    world = World(core)
    world.clock.set(START)
    world.person(credits=0)
    promote(world, 5_000, hours=1)
    vm = world.vm()
    world.start(vm, START)
    world.pass_time(minutes=20)
    world.stop(vm)
    assert (world.wallet(), left(world)) == (5_000 - 1_667, [5_000 - 1_667])
    world.pass_time(minutes=20)
    world.delete(vm)
    other = world.vm(size="nano")
    with pytest.raises(InsufficientCreditsError):
        world.start(other)
    promote(world, 2_000, hours=24)
    world.start(other)
    assert world.held() == 5_000, "of what ends first, the rest of what ends later"
    world.pass_time(minutes=20)
    world.settle()
    assert (world.held(), world.breaches()) == (3_333, []), "it ended while the machine was paid by it"
    world.pass_time(minutes=10)
    world.delete(other)
    world.settle()
    assert world.breaches() == []
    assert all(each.expires_at > world.clock.now() for each in world.billing.promotions.list_open("alice"))


def test_own_credits_never_expire(world):
    """Whatever is held: what was paid for is as much after an end as before it."""
    promote(world, 2_000_000, hours=1)
    vms = [world.vm(size="large") for _ in range(14)]
    for vm in vms:
        world.start(vm)
    assert world.wallet() == 3_000_000 - 14 * 200_000
    world.pass_time(minutes=59)
    world.billing.runs.renew_holds()
    paid = world.billing.get_balance("alice").paid_micro
    world.pass_time(minutes=1)
    world.settle()
    balance = world.billing.get_balance("alice")
    used = 14 * 200_000 - 2_000_000
    assert balance.paid_micro == 1_000_000 - used, paid
    assert world.breaches() == []


def test_it_is_not_given_back_for_a_payment_nor_deducted(world):
    payment = world.payment("alice", 500_000, 50)
    world.hear(PaymentNews("ref", payment, state=PaymentState.SUCCEEDED), "paid")
    world.billing.deduct_credits("alice", 1_400_000, "Back")
    promote(world, 800_000)
    with pytest.raises(InsufficientCreditsError):
        world.billing.deduct_credits("alice", 100_001, "Back")
    world.hear(PaymentNews("ref", payment, refunded_minor=50), "refunded")
    assert (world.wallet(), world.account(AccountKind.WRITE_OFF)) == (800_000, -400_000)
    assert world.breaches() == []


def test_usage_that_it_paid_is_not_refunded(world):
    promote(world, 7_000)
    vm = world.vm()
    world.start(vm)
    run_for(world, vm, 2)
    ((interval,),) = world.rows(select(DbUsageInterval.id))
    books = world.billing.books
    assert books.refunds.left_of(f"interval:{interval}") == 3_000
    with pytest.raises(ValidationError):
        books.approvals.refund(f"interval:{interval}", 3_001, "Host down", actor=SYSTEM)
    books.approvals.refund(f"interval:{interval}", 3_000, "Host down", actor=SYSTEM)
    assert sums(world)[3] == 0
    assert world.breaches() == []


def test_owners_are_told_a_week_and_a_day_before(world):
    promote(world, 9_000, hours=24 * 10)
    for hours in (24 * 3 - 1, 1, 1, 24 * 6 - 2, 1, 1, 24):
        world.pass_time(hours=hours)
        world.billing.promotions.tell()
        world.billing.promotions.tell()
    titles = [row[0] for row in world.rows(select(DbNotice.title).where(DbNotice.kind == "promotion"))]
    assert titles == ["0.01 promotional credits expire on Thu 03 Dec 2026 10:00"] * 2


def test_a_key_gives_it_once_and_the_end_is_a_whole_hour(world):
    promote(world, 9_000, hours=5, idempotency_key="one")
    promote(world, 9_000, hours=5, idempotency_key="one")
    world.billing.promote("alice", 5, "Spring", expires_at=START + timedelta(minutes=1))
    ends = [each.expires_at for each in world.billing.promotions.list_open("alice")]
    assert ends == [START + timedelta(hours=1), START + timedelta(hours=5)]
    for end in (START, START + timedelta(days=40_000)):
        with pytest.raises(ValidationError) as refused:
            world.billing.promote("alice", 5, "Spring", expires_at=end)
        assert "expires_at" in refused.value.details


def test_vouchers_may_be_promotional(world):
    for days, lasts in ((None, None), (0, None), (3, START + timedelta(days=3))):
        (voucher,) = world.billing.vouchers.create(VoucherDraft(10_000, promo_days=days))
        assert voucher.promo_days == days
        world.billing.vouchers.redeem("alice", voucher.code)
        found = world.billing.promotions.list_open("alice")
        assert len(found) == (0 if days is None else 1 if days == 0 else 2)
        assert days is None or lasts in [each.expires_at for each in found]
    assert sums(world)[0] == -20_000
    assert world.breaches() == []
    with pytest.raises(ValidationError):
        world.billing.vouchers.create(VoucherDraft(10_000, promo_days=-1))


def test_forecasts_know_what_expires(world):
    world.billing.deduct_credits("alice", 980_000, "Back")
    promote(world, 1_000_000, hours=2)
    world.start(world.vm())  # 5 000 an hour: two hours of promotion, then 20 000 of one's own
    end = world.billing.get_runway("alice").runs_out_at
    assert abs(end - (START + timedelta(hours=6))) < timedelta(hours=1, minutes=1)
    world.billing.landing.announce()
    titles = [row[0] for row in world.rows(select(DbNotice.title).where(DbNotice.kind == "runway"))]
    assert titles == ["Your credits run out in less than a day"]


def test_books_know_it_apart(world):
    promote(world, 7_000, hours=2)
    vm = world.vm()
    world.start(vm)
    run_for(world, vm, 1)
    world.delete(vm)
    world.pass_time(hours=1)
    world.settle()
    number = (START - datetime(1970, 1, 1, tzinfo=UTC)).days
    (day,) = world.billing.books.totals.list_days(number, number)
    assert (day.promo_given_micro, day.promo_used_micro, day.promo_expired_micro) == (7_000, 5_000, 2_000)
    assert (day.usage_micro, day.promo_open_micro, day.liability_micro) == (0, 0, 1_000_000)


# -- the rules alone ------------------------------------------------------------------------------

LEFT = st.lists(st.tuples(st.integers(1, 10_000), st.one_of(st.none(), st.integers(0, 50))), max_size=6)


def _made(parts):
    made = [
        Promotion(f"prm_{number}", micro, micro, None if hours is None else START + timedelta(hours=hours), START)
        for number, (micro, hours) in enumerate(parts)
    ]
    return in_order(made)


@given(LEFT, st.integers(0, 70_000))
def test_what_is_taken_is_as_much_as_there_is_and_in_order(parts, micro):
    made = _made(parts)
    taken = take(made, micro)
    total = sum(each.left_micro for each in made)
    assert sum(part for _, part in taken) == min(micro, total)
    assert [each for each, _ in taken] == made[: len(taken)]
    assert all(part == each.left_micro for each, part in taken[:-1])
    assert sum(rest for _, rest in left_after(made, micro)) == max(0, total - micro)


@given(LEFT, st.integers(0, 5_000), st.integers(0, 5_000))
def test_what_lapses_is_what_a_play_by_the_hour_loses(parts, accrued, burn):
    made = _made(parts)
    rest = {each.id: each.left_micro for each in made}

    def use(micro):
        for each in made:
            part = min(rest[each.id], micro)
            rest[each.id] -= part
            micro -= part

    use(accrued)
    lost = 0
    for hour in range(52):
        for each in made:
            if each.expires_at == START + timedelta(hours=hour):
                lost += rest[each.id]
                rest[each.id] = 0
        use(burn)
    assert lapsing(made, START, accrued, burn) == lost


@given(st.integers(0, 10**9))
def test_an_end_is_the_whole_hour_at_or_after(seconds):
    moment = START + timedelta(seconds=seconds)
    end = expiry_of(moment)
    assert end.minute == end.second == 0
    assert timedelta(0) <= end - moment < timedelta(hours=1)


def test_which_notice_is_due():
    day = timedelta(days=1)
    assert notice_due(START + 8 * day, START, 0) is None
    assert notice_due(START + 7 * day, START, 0) == 7
    assert notice_due(START + 6 * day, START, 7) is None
    assert notice_due(START + day, START, 7) == 1
    assert notice_due(START + day, START, 1) is None
