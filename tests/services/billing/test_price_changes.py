"""Announced prices: drafted, published, told, and in force at the second announced, however late the worker is."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DatabaseError

from tests.services.billing_world import HOUR, World
from tests.services.people import events_of
from zentry_web.domain.credits.billing import UsageState
from zentry_web.domain.credits.prices import ChangeState, ItemKind, PriceItem
from zentry_web.domain.credits.usage import charges_cost
from zentry_web.domain.money import cost
from zentry_web.domain.user import SYSTEM, Actor, Role
from zentry_web.models import DbNotice, DbPriceTold, DbPriceVersion, DbUsageInterval, DbVM
from zentry_web.services.billing.usage.price_versions import numbers_in_force
from zentry_web.services.errors import ConflictError, NotFoundError, PermissionDeniedError, ValidationError

pytestmark = pytest.mark.integration

ADMIN = Actor("admin", Role.ADMIN)
START = datetime(2026, 11, 23, 10, tzinfo=UTC)
DATE = datetime(2026, 12, 10, 6, 20, 7, tzinfo=UTC)
NANO = PriceItem(ItemKind.SIZE, "size_nano", 8_000, 300)
TINY = PriceItem(ItemKind.IMAGE, "img_tiny", 700)


@pytest.fixture
def world(core):
    made = World(core)
    made.person("alice", credits=50_000_000)
    return made


def published(world, *items, at=DATE):
    change = world.billing.price_changes.save_draft("Prices of December", at, items or (NANO, TINY), actor=ADMIN)
    world.billing.price_changes.publish(change, actor=ADMIN)
    return change


def facts(world, vm):
    """(state, start, end, rate, minimum) of each interval of a VM."""
    table = DbUsageInterval
    query = select(table.state, table.start_at, table.end_at, table.rate_micro_per_hour, table.minimum_seconds)
    return [tuple(row) for row in world.rows(query.where(table.vm_id == vm.vm_id).order_by(table.start_at, table.id))]


def priced(world, vm):
    """The VM with the prices that its row says."""
    row = world.rows(select(DbVM).where(DbVM.id == vm.vm_id))[0][0]
    return replace(
        vm,
        price_version_id=row.price_version_id,
        running_micro_per_hour=row.running_micro_per_hour,
        stopped_micro_per_hour=row.stopped_micro_per_hour,
        image_price_version_id=row.image_price_version_id,
    )


def notices(world, kind="prices"):
    query = select(DbNotice.user_id, DbNotice.title, DbNotice.body).where(DbNotice.kind == kind)
    return [tuple(row) for row in world.rows(query.order_by(DbNotice.user_id))]


def running_to(world, moment):
    world.clock.set(moment)
    world.settle()
    world.billing.runs.renew_holds()


# -- drafts and publishing ----------------------------------------------------------------------


def test_a_draft_is_kept_changed_and_thrown_away(world):
    changes = world.billing.price_changes
    draft = changes.save_draft(" Winter ", DATE, [NANO], actor=ADMIN)
    assert changes.save_draft("Winter", DATE, [NANO, TINY], change_id=draft, actor=ADMIN) == draft
    found = changes.get_change(draft, actor=ADMIN)
    assert (found.title, found.starts_at, set(found.items)) == ("Winter", DATE, {NANO, TINY})
    assert found.state(world.clock.now()) == ChangeState.DRAFT
    changes.discard_draft(draft, actor=ADMIN)
    assert changes.list_changes(actor=ADMIN) == []
    with pytest.raises(NotFoundError):
        changes.get_change(draft, actor=ADMIN)


@pytest.mark.parametrize(
    ("title", "items", "field"),
    [
        ("", [NANO], "title"),
        ("\x00 ", [NANO], "title"),
        ("Win\x00ter", [NANO], "title"),
        ("Win\nter", [NANO], "title"),
        ("x" * 81, [NANO], "title"),
        ("x", [], "items"),
        ("x", [PriceItem(ItemKind.SIZE, "size_nano", -1, 0)], "size_nano"),
        ("x", [PriceItem(ItemKind.SIZE, "size_nano", 1, 10**16)], "size_nano_disk"),
    ],
)
def test_what_a_draft_cannot_be(world, title, items, field):
    with pytest.raises(ValidationError) as refused:
        world.billing.price_changes.save_draft(title, DATE, items, actor=ADMIN)
    assert list(refused.value.details) == [field]


def test_only_admins_change_prices_and_only_of_what_there_is(world):
    changes, alice = world.billing.price_changes, Actor("alice", Role.USER)
    draft = changes.save_draft("x", DATE, [NANO], actor=ADMIN)
    for call in (
        lambda: changes.save_draft("x", DATE, [NANO], actor=alice),
        lambda: changes.publish(draft, actor=alice),
        lambda: changes.withdraw(draft, actor=alice),
        lambda: changes.discard_draft(draft, actor=alice),
        lambda: changes.list_changes(actor=alice),
        lambda: changes.get_change(draft, actor=alice),
    ):
        with pytest.raises(PermissionDeniedError):
            call()
    for item in (PriceItem(ItemKind.SIZE, "img_tiny", 1), PriceItem(ItemKind.IMAGE, "size_nano", 1)):
        with pytest.raises(NotFoundError):
            changes.save_draft("x", DATE, [item], actor=ADMIN)


def test_dearer_machines_need_the_notice_period_and_nothing_starts_in_the_past(world):
    changes = world.billing.price_changes
    soon = START + timedelta(days=13)
    draft = changes.save_draft("x", soon, [NANO], actor=ADMIN)
    world.start(world.vm())
    with pytest.raises(ValidationError) as refused:
        changes.publish(draft, actor=ADMIN)
    assert "14 days" in refused.value.details["starts_at"]
    cheaper = changes.save_draft("x", soon, [PriceItem(ItemKind.SIZE, "size_nano", 4_000, 100)], actor=ADMIN)
    elsewhere = changes.save_draft("x", soon, [PriceItem(ItemKind.SIZE, "size_micro", 90_000, 900)], actor=ADMIN)
    changes.publish(cheaper, actor=ADMIN)
    changes.publish(elsewhere, actor=ADMIN)
    world.clock.set(soon + timedelta(seconds=1))
    with pytest.raises(ValidationError):
        changes.publish(draft, actor=ADMIN)
    assert changes.publish(cheaper, actor=ADMIN) is False  # again changes nothing
    with pytest.raises(ConflictError):
        changes.discard_draft(cheaper, actor=ADMIN)
    assert {event.resource_id for event in events_of(world.core, "price.announce")} == {cheaper, elsewhere}


def test_prices_begin_two_years_ahead_at_most(world):
    changes = world.billing.price_changes
    for year in (2028, 9999):
        with pytest.raises(ValidationError) as refused:
            changes.save_draft("x", datetime(year, 12, 31, tzinfo=UTC), [NANO], actor=ADMIN)
        assert "two years" in refused.value.details["starts_at"]
    within = changes.save_draft("x", START + timedelta(days=729), [NANO], actor=ADMIN)
    assert changes.publish(within, actor=ADMIN) is True


def test_of_two_who_publish_or_withdraw_at_once_one_does(world):
    changes = world.billing.price_changes
    draft = changes.save_draft("x", DATE, [NANO], actor=ADMIN)
    for act, action in ((changes.publish, "price.announce"), (changes.withdraw, "price.withdraw")):
        with ThreadPoolExecutor(2) as pool:
            assert sorted(pool.map(lambda _: act(draft, actor=ADMIN), range(2))) == [False, True]  # noqa: B023
        assert len(events_of(world.core, action)) == 1
    with pytest.raises(ConflictError):
        changes.publish(draft, actor=ADMIN)  # what was withdrawn is over


def test_versions_of_surcharges_cannot_be_changed(world):
    published(world)
    for statement in ("UPDATE image_price_version SET number = 2", "DELETE FROM image_price_version"):
        with pytest.raises(DatabaseError, match="append-only"), world.database.engine.begin() as connection:
            connection.execute(text(statement))


# -- the switch ---------------------------------------------------------------------------------


@pytest.mark.parametrize("late", [timedelta(0), timedelta(seconds=8), timedelta(hours=5), timedelta(days=7)])
def test_the_switch_is_at_the_second_announced_however_late_the_worker_is(world, late):
    running, stopped, deleted = world.vm(), world.vm(size="micro"), world.vm()
    for vm in (running, stopped, deleted):
        world.start(vm)
    world.pass_time(hours=2)
    world.stop(stopped)
    world.delete(deleted)
    change = published(world)
    assert world.billing.price_telling.run() == 1
    running_to(world, DATE - timedelta(minutes=3))
    world.clock.set(DATE + late)
    world.settle()
    world.settle()
    world.billing.runs.renew_holds()
    (old, new) = facts(world, running)
    assert (old[2], old[3]) == (DATE, 5_000)
    assert (new[:4], new[4]) == ((UsageState.RUNNING, DATE, None, 8_700), 0)
    assert [fact[1:4] for fact in facts(world, stopped)[1:]] == [(START + timedelta(hours=2), None, 500)]
    assert len(facts(world, deleted)) == 1
    assert not any(charge[0] == "minimum" for charge in world.charges())
    until = DATE.replace(minute=0, second=0) + timedelta(hours=1)
    world.clock.set(max(until, DATE + late))
    world.settle()
    last_hour = world.clock.now().replace(minute=0, second=0)
    spent = sum(row[4] for row in world.charges(running))
    assert spent == charges_cost(5_000, START, DATE) + charges_cost(8_700, DATE, last_hour)
    assert world.hold(running).rate_micro_per_hour == 8_700
    assert world.breaches() == []
    found = world.billing.price_changes.get_change(change, actor=ADMIN)
    world.billing.price_telling.run()
    assert (found.told, found.switched) == (1, 1)
    assert world.billing.price_changes.get_change(change, actor=ADMIN).finished_at == world.clock.now()


def test_after_a_price_cut_no_more_is_set_aside_than_for_a_window(world):
    """What the hold has too much goes back to the wallet at once; after a rise nothing does."""
    cut, risen = world.vm(), world.vm(size="micro")
    world.start(cut)
    world.start(risen)
    published(
        world, PriceItem(ItemKind.SIZE, "size_nano", 1_000, 300), PriceItem(ItemKind.SIZE, "size_micro", 30_000, 300)
    )
    assert world.billing.price_telling.run() == 1
    running_to(world, DATE - timedelta(minutes=3))
    before = world.hold(risen)
    total = world.wallet() + world.held()
    world.clock.set(DATE)
    world.settle()
    hold = world.hold(cut)
    assert hold.remaining <= charges_cost(1_000, DATE, DATE + timedelta(hours=1))
    assert timedelta(minutes=59) < hold.paid_until - DATE <= timedelta(hours=1)
    assert world.hold(risen).remaining <= before.remaining
    paid = sum(charge[4] for vm in (cut, risen) for charge in world.charges(vm))
    assert world.wallet() + world.held() <= total
    assert paid == 50_000_000 - world.wallet() - world.held()
    (reason,) = {row[0] for row in world.rows(text("SELECT reason FROM transfer WHERE kind = 'release'"))}
    assert reason == "Not needed at its new price"
    assert world.breaches() == []


def test_a_stopped_machine_s_disk_changes_price_too(world):
    vm = world.vm()
    world.start(vm)
    world.pass_time(hours=1)
    world.stop(vm)
    published(world, NANO)
    world.billing.price_telling.run()
    running_to(world, DATE + timedelta(hours=1))
    assert [fact[:4] for fact in facts(world, vm)[1:]] == [
        (UsageState.STOPPED, START + timedelta(hours=1), DATE, 100),
        (UsageState.STOPPED, DATE, None, 300),
    ]
    row = world.rows(select(DbVM.running_micro_per_hour, DbVM.stopped_micro_per_hour).where(DbVM.id == vm.vm_id))[0]
    assert tuple(row) == (8_000, 300)
    assert world.breaches() == []


def test_a_start_s_minimum_goes_with_the_run_over_the_switch(world):
    vm = world.vm()
    published(world)
    world.billing.price_telling.run()
    world.clock.set(DATE - timedelta(seconds=10))
    world.start(vm)
    world.billing.price_telling.run()
    world.clock.set(DATE + timedelta(seconds=20))
    world.settle()
    world.stop(priced(world, vm))
    kinds = [(row[0], row[3]) for row in world.charges(vm)]
    assert kinds == [("usage", 10), ("usage", 20), ("minimum", 30)]
    assert world.breaches() == []


def test_the_web_s_own_deletion_after_the_date_is_cut_there_too(world):
    """The worker is away: a machine is deleted by its owner's click hours after the date."""
    vm = world.vm()
    world.start(vm)
    published(world)
    world.billing.price_telling.run()
    world.clock.set(DATE + timedelta(hours=3))
    world.delete(vm)
    assert [fact[1:4] for fact in facts(world, vm)] == [
        (START, DATE, 5_000),
        (DATE, DATE + timedelta(hours=3), 8_700),
    ]
    world.settle()
    assert world.breaches() == []


def test_nothing_is_switched_beyond_what_the_hypervisor_confirmed(world):
    vm = world.vm()
    world.start(vm)
    published(world)
    world.billing.price_telling.run()
    world.clock.set(DATE + timedelta(hours=3))
    world.settle(DATE - timedelta(minutes=1))
    assert len(facts(world, vm)) == 1
    world.stop(vm, DATE - timedelta(minutes=1))
    world.settle()
    assert [fact[1:4] for fact in facts(world, vm)] == [
        (START, DATE - timedelta(minutes=1), 5_000),
        (DATE - timedelta(minutes=1), DATE, 100),
        (DATE, None, 300),
    ]
    assert world.breaches() == []


def test_nobody_pays_a_new_price_before_they_were_told(world):
    """The teller was away over the date: the price holds from the moment the owner is told."""
    vm = world.vm()
    world.start(vm)
    published(world)
    running_to(world, DATE + timedelta(days=2, seconds=5))
    assert len(facts(world, vm)) == 1
    assert world.billing.price_telling.run() == 1
    world.settle()
    told = DATE + timedelta(days=2, seconds=5)
    assert [fact[1:4] for fact in facts(world, vm)] == [(START, told, 5_000), (told, None, 8_700)]
    assert notices(world)[0][2].startswith("From now on")
    assert world.breaches() == []


def test_two_changes_missed_by_a_week_are_made_in_their_order(world):
    vm = world.vm()
    world.start(vm)
    published(world, NANO)
    published(world, PriceItem(ItemKind.SIZE, "size_nano", 9_000, 300), TINY, at=DATE + timedelta(days=1))
    world.billing.price_telling.run()
    running_to(world, DATE + timedelta(days=8))
    assert [fact[1:4] for fact in facts(world, vm)] == [
        (START, DATE, 5_000),
        (DATE, DATE + timedelta(days=1), 8_000),
        (DATE + timedelta(days=1), None, 9_700),
    ]
    assert world.breaches() == []


def test_a_wallet_that_cannot_pay_the_new_rate_lands_by_the_usual_rules(world):
    world.person("bob", credits=5_000 * 24 * 17 + 2_000)
    vm = world.vm("bob")
    world.start(vm)
    published(world, PriceItem(ItemKind.SIZE, "size_nano", 500_000, 100))
    world.billing.price_telling.run()
    running_to(world, DATE)
    (stop,) = world.billing.runs.renew_holds()
    assert stop.vm_id == vm.vm_id
    assert DATE < stop.ends_at < DATE + timedelta(minutes=30)
    assert world.hold(vm).rate_micro_per_hour == 500_000
    assert world.wallet("bob") < cost(500_000, 1)
    assert world.breaches() == []


def test_a_machine_launched_after_the_date_is_not_switched(world):
    published(world)
    world.clock.set(DATE + timedelta(hours=1))
    assert world.billing.price_telling.run() == 0
    world.settle()
    assert world.rows(select(DbPriceTold)) == []


# -- telling ------------------------------------------------------------------------------------


def test_each_owner_is_told_their_own_figures_once(world):
    world.person("bob", credits=50_000_000, zone="Europe/Berlin")
    world.person("carol")
    for owner, count in (("alice", 2), ("bob", 1)):
        for _ in range(count):
            world.start(world.vm(owner))
    world.start(world.vm("bob", size="large"))
    world.stop(world.vm("carol", size="small"))
    published(world, NANO)
    assert world.billing.price_telling.run() == 2
    assert world.billing.price_telling.run() == 0
    (alice, bob) = notices(world)
    assert alice[0] == "alice"
    assert "7.30 → 11.68 (+4.38) credits per month" in alice[2]
    assert "Thu 10 Dec 2026, 07:20 (your time)" in bob[2]
    assert "149.65 → 151.84 (+2.19)" in bob[2]
    late = world.vm("carol")
    world.start(late)
    assert world.billing.price_telling.run() == 1
    coming = world.billing.price_changes.list_coming("carol", actor=Actor("carol", Role.USER))
    assert [(one.vm_id, one.running_before, one.running, one.starts_at) for one in coming] == [
        (late.vm_id, 5_000, 8_000, DATE)
    ]
    with pytest.raises(NotFoundError):
        world.billing.price_changes.list_coming("carol", actor=Actor("alice", Role.USER))


def test_a_withdrawn_change_never_counts_and_is_told_to_those_who_knew(world):
    vm = world.vm()
    world.start(vm)
    change = published(world)
    world.billing.price_telling.run()
    world.billing.price_changes.withdraw(change, actor=ADMIN)
    assert world.billing.price_telling.run() == 1
    assert world.billing.price_telling.run() == 0
    assert notices(world, "prices_off")[0][0] == "alice"
    again = published(world, PriceItem(ItemKind.SIZE, "size_nano", 6_000, 100), at=DATE - timedelta(hours=2))
    world.billing.price_telling.run()
    running_to(world, DATE + timedelta(hours=1))
    assert [fact[3] for fact in facts(world, vm)] == [5_000, 6_000]
    assert world.billing.price_changes.withdraw(change, actor=ADMIN) is False
    with pytest.raises(ConflictError):
        world.billing.price_changes.withdraw(again, actor=ADMIN)
    assert world.billing.price_changes.list_coming("alice", actor=SYSTEM) == []
    assert world.breaches() == []


def test_verify_sees_a_switch_that_was_left_out(world):
    vm = world.vm()
    world.start(vm)
    published(world)
    world.billing.price_telling.run()
    running_to(world, DATE - timedelta(hours=1))
    world.damage("UPDATE price_told SET done_at = 1")
    world.clock.set(DATE + timedelta(hours=2))
    world.settle()
    assert any(breach.startswith("L13: interval") for breach in world.breaches())


def test_costs_are_exact_where_a_switch_falls_inside_an_hour(world):
    vm = world.vm()
    world.start(vm)
    published(world, TINY)
    world.billing.price_telling.run()
    running_to(world, DATE.replace(minute=0, second=0) + timedelta(hours=1))
    before, after = world.charges(vm)[-2:]
    assert (before[2], after[1], before[3] + after[3]) == (DATE, DATE, HOUR)
    assert (before[4], after[4]) == (cost(5_000, before[3]), cost(5_700, after[3]))


# -- an earlier change beside a later one ---------------------------------------------------------

LATER = DATE + timedelta(days=25)
FAR = PriceItem(ItemKind.SIZE, "size_nano", 20_000, 300)


def in_force(world):
    newest = numbers_in_force(world.clock.now()).subquery()
    query = select(DbPriceVersion.running_micro_per_hour).join(
        newest, (newest.c.size_id == DbPriceVersion.size_id) & (newest.c.number == DbPriceVersion.number)
    )
    return world.rows(query.where(DbPriceVersion.size_id == "size_nano"))[0][0]


@pytest.mark.parametrize("late", [timedelta(0), timedelta(days=30)])
def test_an_earlier_change_counts_until_the_later_one_begins(world, late):
    vm = world.vm()
    world.start(vm)
    published(world, FAR, at=LATER)
    world.billing.price_telling.run()
    published(world, NANO)
    assert world.billing.price_telling.run() == 1
    assert "Prices announced for" in notices(world)[1][2]
    running_to(world, DATE - timedelta(hours=1))
    if not late:
        running_to(world, DATE + timedelta(hours=1))
        assert in_force(world) == 8_000
    world.clock.set(LATER + timedelta(hours=1) + late)
    world.settle()
    assert [fact[1:4] for fact in facts(world, vm)] == [
        (START, DATE, 5_000), (DATE, LATER, 8_000), (LATER, None, 20_000)
    ]  # fmt: skip
    assert in_force(world) == 20_000
    world.billing.price_telling.run()
    assert world.breaches() == []


def test_each_owner_hears_of_both_with_their_own_figures(world):
    world.start(world.vm())
    published(world, FAR, at=LATER)
    published(world, NANO)
    world.billing.price_telling.run()
    bodies = [body for _, _, body in notices(world)]
    assert any("0.005 → 0.008 per hour running" in body for body in bodies)
    assert any("0.008 → 0.02 per hour running" in body for body in bodies)
    coming = world.billing.price_changes.list_coming("alice", actor=SYSTEM)
    assert [(one.starts_at, one.running) for one in coming] == [(DATE, 8_000), (LATER, 20_000)]


def test_an_earlier_withdrawn_change_leaves_the_later_one(world):
    vm = world.vm()
    world.start(vm)
    published(world, FAR, at=LATER)
    earlier = published(world, NANO)
    world.billing.price_telling.run()
    world.billing.price_changes.withdraw(earlier, actor=ADMIN)
    world.billing.price_telling.run()
    running_to(world, LATER + timedelta(hours=1))
    assert [fact[3] for fact in facts(world, vm)] == [5_000, 20_000]
    assert world.breaches() == []


def test_no_rise_without_notice_by_way_of_an_earlier_change(world):
    soon, cheap = world.clock.now() + timedelta(days=4), PriceItem(ItemKind.SIZE, "size_nano", 1_000, 0)
    world.start(world.vm())
    published(world, PriceItem(ItemKind.SIZE, "size_nano", 4_000, 100), at=soon)  # cheaper: needs no notice
    with pytest.raises(ValidationError) as refused:
        published(world, cheap, at=soon - timedelta(days=2))
    assert "higher than these" in refused.value.details["starts_at"]
    published(world, cheap, at=soon + timedelta(days=2))
    published(world, PriceItem(ItemKind.SIZE, "size_nano", 4_500, 100), at=soon - timedelta(days=2))


def test_a_price_that_begins_before_it_was_written_is_seen(world):
    published(world)
    world.damage("UPDATE price_version SET starts_at = created_at - 1 WHERE change_id IS NOT NULL")
    assert any("begins before it was written" in breach for breach in world.breaches())
