"""A rehearsal's numbers are the charges that the new prices would have made."""

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select

from tests.services.billing.test_price_changes import ADMIN
from tests.services.billing_world import World
from tests.services.people import Statements
from zentry_web.domain.credits.prices import ItemKind, PriceItem
from zentry_web.domain.user import Actor, Role
from zentry_web.models import DbCharge, DbImagePriceVersion
from zentry_web.services.billing.usage import price_versions
from zentry_web.services.errors import NotFoundError, PermissionDeniedError

pytestmark = pytest.mark.integration

BEGIN = datetime(2026, 9, 29, 7, 13, 21, tzinfo=UTC)
OCTOBER, NOVEMBER = datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC)
# What a micro costs, and what the image of the twins adds: the prices that nano machines are rehearsed with.
AS_MICRO = (PriceItem(ItemKind.SIZE, "size_nano", 15_000, 500), PriceItem(ItemKind.IMAGE, "img_tiny", 777))


@pytest.fixture
def world(core):
    made = World(core)
    made.clock.set(BEGIN)
    return made


def draft(world, *items):
    when = world.clock.now() + timedelta(days=30)
    return world.billing.price_changes.save_draft("rehearsed", when, items or AS_MICRO, actor=ADMIN)


def charged(world, owner, start=OCTOBER, end=NOVEMBER):
    query = select(func.sum(DbCharge.amount)).where(
        DbCharge.owner_id == owner, DbCharge.from_at >= start, DbCharge.from_at < end
    )
    return int(world.rows(query)[0][0] or 0)


def surcharge(world, micro):
    """A surcharge of the image that only machines which name it have."""
    with world.billing.transaction() as session:
        origin = price_versions.Origin(world.clock.now(), world.clock.now(), "admin")
        price_versions.add_image_version(session, "img_tiny", micro, origin)
    return world.rows(select(DbImagePriceVersion.id))[0][0]


def live(world, twins, seed):
    """The same weeks for both machines: they run, stop, restart and are deleted at odd seconds."""
    dice = random.Random(seed)
    is_running = False
    while world.clock.now() < NOVEMBER + timedelta(days=2):
        for vm in twins:
            if is_running:
                world.stop(vm)
            else:
                world.start(vm, by_person=True)
        is_running = not is_running
        world.pass_time(seconds=dice.choice([1, 59, 1800, 3600, 90_061, 400_000, 700_001]))
        world.billing.runs.renew_holds()
        if dice.random() < 0.3:
            world.settle()
    for vm in twins:
        world.delete(vm)
    world.settle()


@pytest.mark.parametrize(("zone", "seed"), [("UTC", 1), ("Asia/Kolkata", 2), ("America/St_Johns", 3)])
def test_the_numbers_are_what_those_prices_would_have_charged(world, zone, seed):
    for owner in ("alice", "bob"):
        world.person(owner, credits=900_000_000, zone=zone)
    image = surcharge(world, 777)
    twin = replace(world.vm("bob", size="micro"), running_micro_per_hour=15_777, image_price_version_id=image)
    live(world, [world.vm("alice"), twin], seed)
    found = {owner.owner_id: owner for owner in rehearse(world).owners}
    assert found["alice"].old_micro == charged(world, "alice") > 0
    assert found["alice"].new_micro == charged(world, "bob") == found["bob"].old_micro
    assert found["bob"].new_micro == found["bob"].old_micro
    assert world.breaches() == []


def rehearse(world, *items, **period):
    return world.billing.price_rehearsal.rehearse(draft(world, *items), actor=ADMIN, **period)


def test_who_pays_more_comes_first_and_who_runs_dry_is_named(world):
    world.clock.set(NOVEMBER - timedelta(days=2))
    for owner, credits in (("alice", 5_000_000), ("bob", 5_000_000), ("carol", 90_000_000)):
        world.person(owner, credits=credits)
    for owner, size in (("alice", "nano"), ("bob", "nano"), ("bob", "nano"), ("carol", "large")):
        world.start(world.vm(owner, size=size))
    world.clock.set(NOVEMBER + timedelta(hours=1))
    world.billing.runs.renew_holds()
    world.settle()
    found = rehearse(world, PriceItem(ItemKind.SIZE, "size_nano", 100_000, 100))
    assert (found.start, found.end) == (OCTOBER, NOVEMBER)
    assert [owner.owner_id for owner in found.owners] == ["bob", "alice", "carol"]
    assert [owner.difference_micro for owner in found.owners] == [2 * 48 * 95_000, 48 * 95_000, 0]
    assert [owner.permille for owner in found.owners] == [19_000, 19_000, 0]
    assert [owner.runs_dry for owner in found.owners] == [True, True, False]
    alice = found.owners[1]
    assert alice.runs_out_after - world.clock.now() < (alice.runs_out_before - world.clock.now()) / 19
    assert (found.dearer, found.cheaper, found.running_dry) == (2, 0, 2)
    assert (found.old_micro, found.difference_micro) == (
        sum(owner.old_micro for owner in found.owners),
        3 * 48 * 95_000,
    )


def test_any_hours_may_be_rehearsed_and_nothing_is_written(world):
    world.person("alice")
    world.start(world.vm())
    world.pass_time(hours=5)
    world.settle()
    change = draft(world)
    with Statements(world.database) as statements:
        found = world.billing.price_rehearsal.rehearse(
            change, start=world.clock.now() - timedelta(days=1), end=world.clock.now(), actor=ADMIN
        )
    assert found.old_micro == charged(world, "alice", BEGIN - timedelta(days=1), NOVEMBER)
    assert all(sql.startswith(("SELECT", "WITH parts", "BEGIN", "SET")) for sql in statements.texts), statements.texts


def test_owners_and_machines_cost_no_further_statement(world):
    counts = []
    for number in range(3):
        world.person(f"p{number}")
        for _ in range(number + 1):
            world.start(world.vm(f"p{number}"))
        world.pass_time(hours=2)
        world.settle()
        change = draft(world)
        with Statements(world.database) as statements:
            world.billing.price_rehearsal.rehearse(change, actor=ADMIN)
        counts.append(statements.count)
    assert counts[0] == counts[2] <= 8


def test_only_admins_rehearse_what_there_is(world):
    with pytest.raises(PermissionDeniedError):
        world.billing.price_rehearsal.rehearse(draft(world), actor=Actor("alice", Role.USER))
    with pytest.raises(NotFoundError):
        world.billing.price_rehearsal.rehearse("chg_none", actor=ADMIN)
