"""Several announced changes: each is compared with what the one before it brings, not with today's prices."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from tests.services.billing.test_price_changes import (
    ADMIN,
    DATE,
    FAR,
    LATER,
    NANO,
    TINY,
    notices,
    published,
    running_to,
)
from tests.services.billing_world import World
from zentry_web.domain.credits.prices import ItemKind, PriceItem
from zentry_web.domain.user import SYSTEM
from zentry_web.models import DbPriceTold
from zentry_web.services.errors import ValidationError

pytestmark = pytest.mark.integration

LAST = LATER + timedelta(days=3)


@pytest.fixture
def world(core):
    made = World(core)
    made.person("alice", credits=50_000_000)
    return made


def coming(world, owner="alice", **only):
    found = world.billing.price_changes.list_coming(owner, actor=SYSTEM, **only)
    return [(one.starts_at, one.running_before, one.running, one.stopped_before, one.stopped) for one in found]


def figures(world, change):
    """What an owner was told: micro-credits per hour before and after."""
    told = select(DbPriceTold.owner_id, DbPriceTold.old_micro_per_hour, DbPriceTold.new_micro_per_hour)
    return {owner: (before, after) for owner, before, after in world.rows(told.where(DbPriceTold.change_id == change))}


def test_each_part_of_a_price_goes_on_from_the_change_before(world):
    vm = world.vm()
    world.start(vm)
    published(world, NANO)
    published(world, TINY, at=LATER)  # the image alone: the size's part and the disk stay as NANO brings them
    published(world, PriceItem(ItemKind.SIZE, "size_nano", 9_000, 500), at=LAST)  # the image's part stays
    assert coming(world) == [
        (DATE, 5_000, 8_000, 100, 300), (LATER, 8_000, 8_700, 300, 300), (LAST, 8_700, 9_700, 300, 500)
    ]  # fmt: skip
    assert coming(world, vm_id=vm.vm_id) == coming(world)
    assert [one.after for one in world.billing.price_changes.list_coming("alice", actor=SYSTEM)] == [None, DATE, LATER]
    world.billing.price_telling.run()
    running_to(world, DATE + timedelta(hours=1))
    assert [each[1:3] for each in coming(world)] == [(8_000, 8_700), (8_700, 9_700)]
    running_to(world, LAST + timedelta(hours=1))
    assert coming(world) == []


def test_an_owner_is_told_the_difference_that_this_change_makes(world):
    world.start(world.vm())
    world.stop(world.vm())
    world.start(world.vm(size="large"))
    first = published(world, NANO)
    second = published(world, FAR, at=LATER)
    assert world.billing.price_telling.run() == 2
    (before, between), (standing, after) = figures(world, first)["alice"], figures(world, second)["alice"]
    assert between - before == 3_000 + 300 - 100
    assert (standing, after - standing) == (between, 12_000)
    body = next(body for _, title, body in notices(world) if "4 Jan" in title)
    assert "0.008 → 0.02 per hour running" in body
    assert "those announced for Thu 10 Dec 2026, 06:20" in body
    assert "nothing changes for them" in next(body for _, title, body in notices(world) if "10 Dec" in title)


def test_a_change_of_other_machines_counts_in_the_figures_of_all(world):
    world.start(world.vm())
    world.start(world.vm(size="large"))
    published(world, NANO)
    second = published(world, PriceItem(ItemKind.SIZE, "size_large", 250_000, 500), at=LATER)
    world.billing.price_telling.run()
    assert figures(world, second)["alice"] == (8_000 + 200_000, 8_000 + 250_000)


def test_an_earlier_change_published_later_moves_what_the_later_is_compared_with(world):
    world.start(world.vm())
    published(world, FAR, at=LATER)
    world.billing.price_telling.run()
    assert [each[1:3] for each in coming(world)] == [(5_000, 20_000)]
    earlier = published(world, NANO)
    assert [each[1:3] for each in coming(world)] == [(5_000, 8_000), (8_000, 20_000)]
    world.billing.price_changes.withdraw(earlier, actor=ADMIN)
    assert [each[1:3] for each in coming(world)] == [(5_000, 20_000)]


def test_what_was_told_too_late_to_come_first_does_not_come(world):
    """A change whose owner hears of it only after a later one counts for them: its prices never come."""
    world.start(world.vm())
    published(world, FAR, at=LATER)
    world.billing.price_telling.run()
    published(world, NANO)
    world.clock.set(LATER + timedelta(days=1))  # nobody told of NANO
    assert [(each[0], each[2]) for each in coming(world)] == [(LATER, 20_000)]


def test_no_rise_without_notice_by_way_of_a_later_change(world):
    soon = world.clock.now() + timedelta(days=4)
    world.start(world.vm())
    published(world, PriceItem(ItemKind.SIZE, "size_nano", 1_000, 0), at=soon)
    with pytest.raises(ValidationError) as refused:
        published(world, PriceItem(ItemKind.SIZE, "size_nano", 4_000, 0), at=soon + timedelta(days=2))
    assert "days before" in refused.value.details["starts_at"]
    published(world, PriceItem(ItemKind.SIZE, "size_nano", 4_000, 0), at=soon + timedelta(days=20))


def test_a_rehearsal_is_compared_with_what_is_announced_before(world):
    """Per hour: nano 5 000 today, 8 000 announced with an image of 700, then 20 000 rehearsed."""
    world.start(world.vm())
    world.pass_time(hours=10)
    world.settle()
    published(world, NANO)
    published(world, TINY, at=DATE + timedelta(days=1))
    published(world, PriceItem(ItemKind.SIZE, "size_nano", 90_000, 900), at=LATER + timedelta(days=40))
    draft = world.billing.price_changes.save_draft("rehearsed", LATER, [FAR], actor=ADMIN)
    start, end = world.clock.now() - timedelta(hours=11), world.clock.now()
    found = world.billing.price_rehearsal.rehearse(draft, start=start, end=end, actor=ADMIN)
    (alice,) = found.owners
    assert (alice.old_micro, alice.new_micro) == (10 * 8_700, 10 * 20_700)
    assert (alice.burn_before, alice.burn_after) == (8_700, 20_700)
    assert found.since == DATE + timedelta(days=1)
    first = world.billing.price_changes.save_draft("first", DATE - timedelta(days=1), [NANO], actor=ADMIN)
    alone = world.billing.price_rehearsal.rehearse(first, start=start, end=end, actor=ADMIN)
    assert (alone.owners[0].old_micro, alone.owners[0].new_micro, alone.since) == (10 * 5_000, 10 * 8_000, None)
