"""What a change of prices must leave as it was: closed months, bills that recompute, one switch by many workers."""

import csv
import io
import threading
from datetime import UTC, datetime, timedelta

import pytest

from tests.services.billing.test_bills import run_script
from tests.services.billing.test_price_changes import DATE, NANO, TINY, facts, notices, priced, published, running_to
from tests.services.billing_world import World
from zentry_web.domain.credits.bill_csv import bill_csv, total_record
from zentry_web.services.errors import ValidationError
from zentry_web.services.shared.fields import check_micro

pytestmark = pytest.mark.integration

DECEMBER, JANUARY = datetime(2026, 12, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)


@pytest.fixture
def world(core):
    made = World(core)
    made.person("alice", credits=90_000_000)
    return made


def settle_until(world, moment):
    while world.clock.now() < moment:
        running_to(world, min(moment, world.clock.now() + timedelta(hours=11)))


def close(world, month):
    while (statement := world.billing.statements.close_month("alice")) and statement.month != month:
        pass
    return statement


def test_a_closed_month_replays_unchanged_after_a_change(world):
    vm = world.vm()
    world.start(vm)
    settle_until(world, DECEMBER + timedelta(hours=12))
    statements = world.billing.statements
    november = close(world, "2026-11")
    before = statements.get_csv("alice", november.id)
    published(world, at=DECEMBER + timedelta(days=20, seconds=7))
    world.billing.price_telling.run()
    settle_until(world, JANUARY + timedelta(hours=12))
    assert len(facts(world, vm)) == 2
    assert statements.get_csv("alice", november.id) == before
    assert statements.replays(november)
    december = close(world, "2026-12")
    assert december.adds_up
    assert statements.replays(december)
    assert world.breaches() == []


def test_a_bill_over_a_change_recomputes_from_its_file_alone(world, tmp_path):
    vm = world.vm()
    world.start(vm)
    published(world)
    world.billing.price_telling.run()
    running_to(world, DATE + timedelta(hours=30, seconds=11))
    world.stop(priced(world, vm))
    running_to(world, DATE + timedelta(hours=33))
    bill = world.billing.bills.get_bill("alice", DECEMBER, JANUARY)
    names = {line.price_name for line in bill.lines}
    assert names == {"nano v1", "nano v2 + Zentry Tiny Linux v1", "nano v2"}
    after = next(line for line in bill.lines if line.image_price_version)
    assert (after.size_micro_per_hour, after.surcharge_micro_per_hour) == (8_000, 700)
    charges = world.billing.bills.list_charges("alice", DECEMBER, JANUARY)
    text = bill_csv(charges, until=world.clock.now(), after=[total_record(charges)])
    done = run_script(tmp_path, text)
    assert done.returncode == 0, done.stdout
    rows = list(csv.DictReader(io.StringIO(text)))
    assert {(row["image"], row["image_price_version"], row["surcharge_micro_per_hour"]) for row in rows[:-1]} == {
        ("", "", "0"),
        ("Zentry Tiny Linux", "1", "700"),
    }
    wrong = run_script(tmp_path, text.replace(",8000,Zentry Tiny Linux,1,700,", ",8000,Zentry Tiny Linux,1,701,", 1))
    assert wrong.returncode == 1
    opened = world.billing.bills.get_interval("alice", after.interval.id)
    assert opened.agrees
    assert opened.opened.action == "vm.price_changed"
    assert opened.opened.details["running"] == [5_000, 8_700]


def test_many_workers_tell_once_and_switch_once(world):
    vms = [world.vm() for _ in range(6)]
    for vm in vms:
        world.start(vm)
    published(world, NANO, TINY)
    together(5, world.billing.price_telling.run)
    assert len(notices(world)) == 1
    running_to(world, DATE - timedelta(hours=1))
    world.clock.set(DATE + timedelta(hours=3))
    together(5, world.settle)
    world.settle()
    for vm in vms:
        assert [fact[2:4] for fact in facts(world, vm)] == [(DATE, 5_000), (None, 8_700)]
    assert world.breaches() == []


def together(count, action):
    failures, gate = [], threading.Barrier(count)

    def run():
        gate.wait(30)
        try:
            action()
        except Exception as error:  # whatever it is, the test must name it
            failures.append(error)

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []


def test_a_fleet_larger_than_a_transaction_is_switched_in_slices(world, monkeypatch):
    monkeypatch.setattr("zentry_web.services.billing.usage.settlement.INTERVALS_PER_TRANSACTION", 4)
    vms = [world.vm() for _ in range(9)]
    for vm in vms:
        world.start(vm)
    published(world)
    world.billing.price_telling.run()
    running_to(world, DATE + timedelta(minutes=5))
    assert {fact[3] for vm in vms for fact in facts(world, vm) if fact[2] is None} == {8_700}
    assert world.breaches() == []


@pytest.mark.error
def test_the_words_for_a_negative_amount_fit_what_is_allowed():
    for least, words in ((0, "Enter zero or more."), (1, "Enter an amount above zero.")):
        with pytest.raises(ValidationError, match=words):
            check_micro("running", -1, least=least)
