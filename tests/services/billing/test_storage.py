"""What is stored beside machines: paid by the GiB and second, kept for a grace when credits end, told by verify."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from tests.services.billing_world import World
from zentry_web.domain.credits.landing import LandingStep
from zentry_web.domain.credits.storage import GIB, NewStored, StoredKind, begun_gib
from zentry_web.domain.user import SYSTEM, Actor, Role
from zentry_web.models import DbUsageInterval
from zentry_web.services.errors import InsufficientCreditsError, NotFoundError, PermissionDeniedError, ValidationError

SNAPSHOT, IMAGE = StoredKind.SNAPSHOT, StoredKind.IMAGE
MONTH = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)
PRICE = 60  # micro-credits per GiB and hour that snapshots begin with


@pytest.fixture
def world(core):
    return World(core)


def store(world, vm, stored_id="snap_1", *, gib=3, kind=SNAPSHOT, name="before"):
    with world.billing.transaction() as session:
        thing = NewStored(stored_id, kind, vm.vm_id, vm.owner_id, vm.project_id, name, gib * GIB)
        return world.billing.storage.begin(session, thing, world.event())


def remove(world, *ids):
    with world.billing.transaction() as session:
        world.billing.storage.end(session, ids, world.event())


def spans(world, stored_id="snap_1"):
    columns = DbUsageInterval.start_at, DbUsageInterval.end_at, DbUsageInterval.rate_micro_per_hour
    query = select(*columns, DbUsageInterval.owner_id, DbUsageInterval.project_id)
    return world.rows(query.where(DbUsageInterval.stored_id == stored_id).order_by(DbUsageInterval.start_at))


def test_begun_gib_are_paid():
    assert [begun_gib(size) for size in (0, 1, GIB, GIB + 1, 5 * GIB)] == [1, 1, 1, 2, 5]


def test_it_is_paid_to_the_second_beside_its_machine(world):
    alice = world.person()
    vm = world.vm(alice)
    world.start(vm)
    stored = store(world, vm)
    assert (stored.gib, stored.rate_micro_per_hour, stored.price_number) == (3, 3 * PRICE, 1)
    assert world.billing.get_balance(alice).burn_micro_per_hour == 5_000 + 3 * PRICE
    world.pass_time(hours=2)
    world.settle()
    remove(world, "snap_1")
    world.pass_time(hours=1)
    world.settle()
    mine = select(DbUsageInterval.state, DbUsageInterval.settled).where(DbUsageInterval.stored_id.is_not(None))
    assert world.rows(mine) == [("snapshot", True)]
    assert spans(world)[0].end_at - spans(world)[0].start_at == timedelta(hours=2)
    (line,) = [each for each in world.billing.bills.get_bill(alice, *MONTH).lines
               if each.stored_name]  # fmt: skip
    assert (line.charged_micro, line.price_name, line.vm_name) == (2 * 3 * PRICE, "snapshot v1", "web-1")
    usage = world.billing.get_usage_summary(alice).lines[0]
    assert usage.running_seconds == 3 * 3600
    assert usage.stopped_seconds == 0
    assert usage.amount_micro == 3 * 5_000 + 2 * 3 * PRICE
    assert world.breaches() == []


def test_it_begins_and_ends_once(world):
    vm = world.vm(world.person())
    store(world, vm)
    world.pass_time(minutes=10)
    store(world, vm)
    assert len(spans(world)) == 1
    remove(world, "snap_1")
    world.pass_time(minutes=10)
    remove(world, "snap_1")
    assert spans(world)[0].end_at == spans(world)[0].start_at + timedelta(minutes=10)
    assert world.billing.storage.list_of_vm(vm.vm_id) == []


def test_it_has_the_price_of_when_it_began(world):
    vm = world.vm(world.person())
    store(world, vm)
    admin = Actor("adm", Role.ADMIN)
    world.billing.storage.publish(SNAPSHOT, 90, actor=admin)
    world.billing.storage.publish(SNAPSHOT, 90, actor=admin)  # pressed twice: still one version
    assert store(world, vm, "snap_2").rate_micro_per_hour == 3 * 90
    world.pass_time(hours=1)
    world.settle()
    assert [row.rate_micro_per_hour for row in spans(world)] == [3 * PRICE]
    assert world.billing.storage.list_prices()[SNAPSHOT].number == 2
    assert world.breaches() == []


def test_only_admins_set_prices_and_only_such_that_can_be_computed(world):
    with pytest.raises((PermissionDeniedError, NotFoundError)):
        world.billing.storage.publish(SNAPSHOT, 90, actor=Actor("bob", Role.USER))
    for wrong in (-1, 0.5, 10**15):
        with pytest.raises(ValidationError):
            world.billing.storage.publish(SNAPSHOT, wrong, actor=SYSTEM)


def test_snapshots_end_with_their_machine_and_come_back_with_it(world):
    vm = world.vm(world.person())
    world.stop(vm)
    store(world, vm)
    store(world, vm, "img_1", kind=IMAGE, name="mine")
    world.pass_time(minutes=30)
    world.delete(vm)
    world.pass_time(hours=5)
    assert [row.end_at is None for row in spans(world)] == [False]
    assert [row.end_at is None for row in spans(world, "img_1")] == [True]  # an image stays
    with world.billing.transaction():
        world.billing.open_stopped([vm], {vm.vm_id: world.event()})
    first, second = spans(world)
    assert first.end_at - first.start_at == timedelta(minutes=30)
    assert second.start_at == world.clock.now()
    assert second.end_at is None
    world.settle()
    assert world.breaches() == []


def test_snapshots_go_where_their_machine_goes(world):
    vm = world.vm(world.person())
    world.stop(vm)
    world.project("alice", "p_other")
    store(world, vm)
    store(world, vm, "img_1", kind=IMAGE)
    world.pass_time(minutes=30)
    world.move(vm, "p_other")
    assert [row.project_id for row in spans(world)] == ["p_alice", "p_other"]
    assert [row.project_id for row in spans(world, "img_1")] == ["p_alice"]
    world.pass_time(hours=2)
    world.settle()
    assert world.breaches() == []


def test_all_that_is_stored_goes_with_a_project(world):
    vm = world.vm(world.person())
    world.person("bob", credits=0)
    store(world, vm)
    store(world, vm, "img_1", kind=IMAGE)
    world.pass_time(minutes=30)
    assert world.billing.storage.price_of_project("p_alice") == 6 * PRICE

    def hand_over():
        with world.billing.transaction() as session:
            world.billing.wallets.lock("alice", "bob")
            world.billing.storage.hand_over(session, "p_alice", "bob", world.event())

    with pytest.raises(InsufficientCreditsError):
        hand_over()
    world.billing.add_credits("bob", 1_000_000, "for the test")
    hand_over()
    assert [row.owner_id for row in spans(world)] == ["alice", "bob"]
    assert [row.owner_id for row in spans(world, "img_1")] == ["alice", "bob"]
    world.pass_time(hours=1)
    world.settle()
    assert world.wallet("bob") == 1_000_000 - 3 * PRICE  # from the half hour on
    assert world.breaches() == []


def test_without_credits_it_is_kept_for_nothing_and_paid_again_when_they_come(world):
    alice = world.person(credits=400)
    vm = world.vm(alice)
    world.stop(vm)  # a disk of 100 an hour
    store(world, vm, gib=5)  # 300 an hour
    plan = world.billing.landing.get_plan(alice)
    steps = [(line.step, line.stored) for line in plan.lines]
    assert (LandingStep.KEEP_STORED, "before") in steps
    assert (LandingStep.DELETE_STORED, "before") in steps
    assert [vm.stored for vm in plan.order] == [""]  # only machines are put in order
    world.pass_time(hours=1)
    world.settle()
    world.pass_time(minutes=10)
    world.billing.landing.keep_disks()
    (kept,) = world.billing.storage.list_of_vm(vm.vm_id)
    assert kept.kept_until == world.clock.now() + timedelta(days=14)
    assert world.wallet(alice) == 0
    assert [row.end_at for row in spans(world)] == [world.intervals(vm)[0][2]]  # both up to the second that was paid
    world.pass_time(days=2)
    world.settle()
    world.billing.landing.resume_disks()
    assert world.billing.storage.list_of_vm(vm.vm_id) == [kept]
    assert world.breaches() == []
    world.billing.add_credits(alice, 1_000_000, "for the test")
    world.billing.landing.resume_disks()
    (again,) = world.billing.storage.list_of_vm(vm.vm_id)
    assert again.kept_until is None
    assert spans(world)[1].start_at == world.clock.now()
    world.pass_time(hours=1)
    world.settle()
    assert world.wallet(alice) == 1_000_000 - 250 - 83  # fifty minutes up to the whole hour
    assert world.breaches() == []


def test_credits_for_a_window_are_asked_for_before(world):
    world.person(credits=179)
    with pytest.raises(InsufficientCreditsError):
        world.billing.storage.require_funds("alice", SNAPSHOT, 3 * GIB)
    world.billing.add_credits("alice", 1, "for the test")
    world.billing.storage.require_funds("alice", SNAPSHOT, 3 * GIB)


@pytest.mark.parametrize(
    ("damage", "rule"),
    [
        ("UPDATE stored SET gib = gib + 1", "L13"),
        ("UPDATE stored SET kind = 'image'", "L13"),
        ("UPDATE usage_interval SET stored_id = 'gone' WHERE stored_id IS NOT NULL", "L13"),
        ("UPDATE storage_price SET micro_per_gib_hour = 61 WHERE kind = 'snapshot'", "L13"),
        ("UPDATE stored SET kept_until = 5", "L16"),
        ("UPDATE usage_interval SET start_at = start_at - 7 WHERE stored_id IS NOT NULL", "L8"),
    ],
)
def test_verify_knows_what_is_stored(world, damage, rule):
    vm = world.vm(world.person())
    world.start(vm)
    store(world, vm)
    world.pass_time(hours=3)
    world.settle()
    assert world.breaches() == []
    world.damage(damage)
    assert [breach for breach in world.breaches() if breach.startswith(f"{rule}:")]
