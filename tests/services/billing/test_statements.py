"""Statements: months close once, add up, never change, and follow each other without a gap."""

import csv
import io
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DatabaseError

from tests.services.billing.test_bills import run_script
from tests.services.billing_world import World
from zentry_web.domain.credits.statement import StatementVM, first_month, month_after, unpaid_parts
from zentry_web.domain.credits.taxes import TradeParty
from zentry_web.domain.setting import SettingKey
from zentry_web.domain.user import Actor, Role
from zentry_web.services.errors import ConflictError, NotFoundError

DECEMBER = datetime(2026, 12, 1, tzinfo=UTC)


@pytest.fixture
def world(core):
    return World(core)


@pytest.fixture
def november(world):
    """Alice's November: a grant, a deduction, two machines; now it is 1 December, noon."""
    world.person("alice", credits=40_000_000)
    first, second = world.vm(size="micro"), world.vm()
    world.start(first)
    world.start(second)
    world.pass_time(hours=7, seconds=13)
    world.stop(second)
    world.billing.deduct_credits("alice", 250_000, "=too much")
    for _ in range(8):
        world.pass_time(hours=23)
        world.settle()
        world.billing.runs.renew_holds()
    world.clock.set(DECEMBER + timedelta(hours=12))
    world.settle()
    world.billing.add_credits("alice", 7_000_000, "for December")
    return first


def close(world, owner="alice"):
    return world.billing.statements.close_month(owner)


@pytest.mark.integration
def test_a_month_adds_up(world, november):
    statement = close(world)
    assert (statement.month, statement.number, statement.opening_micro) == ("2026-11", 1, 0)
    assert statement.credited_micro == 40_000_000 - 250_000
    assert [each.reason for each in statement.grants] == ["for the test", "=too much"]
    assert statement.adds_up
    points = world.billing.spending.get_balances("alice", past=timedelta(days=3), future=timedelta(days=1))
    assert statement.closing_micro == next(point.micro for point in points if point.at == DECEMBER)
    assert world.billing.statements.replays(statement)


@pytest.mark.integration
def test_it_closes_once(world, november):
    assert close(world) is not None
    assert close(world) is None
    assert len(world.billing.statements.list_statements("alice")) == 1
    assert world.billing.notices.was_told("alice", "statement", "2026-11")
    assert world.billing.statements.list_due() == []


@pytest.mark.integration
def test_it_waits_until_the_month_is_over_and_charged(world, november):
    world.clock.set(DECEMBER + timedelta(hours=5, minutes=59))
    assert close(world) is None
    world.person("bob")
    world.clock.set(datetime(2026, 11, 30, 23, 30, tzinfo=UTC))
    world.billing.add_credits("bob", 1, "a little")
    world.start(world.vm("bob"))
    world.clock.set(DECEMBER + timedelta(hours=12))
    assert close(world, "bob") is None
    world.settle()
    assert close(world, "bob") is not None


@pytest.mark.integration
def test_the_next_month_begins_where_this_one_ended(world, november):
    first = close(world)
    world.clock.set(datetime(2027, 1, 1, 12, tzinfo=UTC))
    world.settle()
    second = close(world)
    assert (second.month, second.number, second.start) == ("2026-12", 2, first.end)
    assert second.opening_micro == first.closing_micro
    assert second.credited_micro == 7_000_000
    assert second.adds_up
    charged = world.billing.bills.list_charges("alice", datetime(2026, 1, 1, tzinfo=UTC), second.end)
    assert first.charged_micro + second.charged_micro == sum(charge.line.amount for charge in charged)


@pytest.mark.integration
def test_a_charge_that_comes_late_counts_to_the_next_month(world, november):
    statement = close(world)
    before = world.billing.statements.get_csv("alice", statement.id)
    late = world.vm(size="large")
    world.start(late, at=DECEMBER - timedelta(hours=2))
    world.stop(late, at=DECEMBER - timedelta(hours=1))
    assert world.billing.statements.get_csv("alice", statement.id) == before
    assert world.billing.statements.replays(statement)
    world.clock.set(datetime(2027, 1, 1, 12, tzinfo=UTC))
    world.settle()
    following = close(world)
    assert next(vm for vm in following.vms if vm.vm_id == late.vm_id).running_seconds == 3600
    assert following.adds_up


@pytest.mark.integration
def test_renaming_and_going_on_change_nothing(world, november):
    statement = close(world)
    before = world.billing.statements.get_csv("alice", statement.id)
    world.pass_time(hours=1)
    world.stop(november)
    with world.database.engine.begin() as connection:
        connection.execute(text("UPDATE vm SET name = 'other-' || id"))
        connection.execute(text("UPDATE project SET name = 'Other'"))
        connection.execute(text("UPDATE \"user\" SET time_zone = 'Asia/Tokyo'"))
    assert world.billing.statements.get_csv("alice", statement.id) == before
    assert world.billing.statements.get_statement("alice", statement.id) == statement


@pytest.fixture
def moved(world):
    """A machine that spent a part of Alice's November in each of two projects; now it is 1 December, noon."""
    world.person("alice", credits=40_000_000)
    world.project("alice", "p_shop")
    vm, other = world.vm(size="micro"), world.vm()
    world.start(vm)
    world.start(other)
    world.pass_time(hours=5, seconds=13)
    world.move(vm, "p_shop")
    world.clock.set(DECEMBER + timedelta(hours=12))
    world.settle()
    return vm


@pytest.mark.integration
def test_a_machine_that_moved_has_a_line_in_each_project(world, moved):
    """As in the month's CSV and in what each project has spent."""
    statement = close(world)
    charged = {}
    for charge in world.billing.bills.list_charges("alice", datetime(2026, 1, 1, tzinfo=UTC), DECEMBER):
        key = (charge.of.interval.vm_id, charge.of.project_name)
        charged[key] = charged.get(key, 0) + charge.line.amount
    assert {(vm.vm_id, vm.project_name): vm.amount_micro for vm in statement.vms} == charged
    assert {project for vm_id, project in charged if vm_id == moved.vm_id} == {"main", "p_shop"}
    rows = csv.DictReader(io.StringIO(world.billing.statements.get_csv("alice", statement.id)))
    told = {}
    for row in rows:
        if row["record"] == "charge":
            key = (row["vm_id"], row["project"])
            told[key] = told.get(key, 0) + int(row["amount_micro"])
    assert told == charged
    assert statement.adds_up
    assert world.billing.statements.replays(statement)
    assert world.breaches() == []


@pytest.mark.integration
def test_a_statement_closed_before_machines_had_a_line_per_project_stays_as_it_is(world, moved):
    statement = close(world)
    assert len([vm for vm in statement.vms if vm.vm_id == moved.vm_id]) == 2
    old = {}
    for vm in statement.vms:
        found = old.setdefault(vm.vm_id, [vm.vm_id, vm.name, "main", 0, 0, 0])
        found[3:] = [
            a + b for a, b in zip(found[3:], (vm.running_seconds, vm.stopped_seconds, vm.amount_micro), strict=True)
        ]
    written = replace(statement, vms=tuple(StatementVM(*each) for each in old.values()))
    assert world.billing.statements.replays(written)
    wrong = replace(written.vms[0], amount_micro=written.vms[0].amount_micro + 1)
    assert not world.billing.statements.replays(replace(written, vms=(wrong, *written.vms[1:])))
    assert world.billing.statements.replays(statement)


@pytest.mark.integration
def test_its_csv_alone_is_enough(world, november, tmp_path):
    content = world.billing.statements.get_csv("alice", close(world).id)
    done = run_script(tmp_path, content)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = list(csv.DictReader(io.StringIO(content)))
    assert [row["record"] for row in rows if row["record"] != "charge"] == [
        "opening", "credit", "credit", "written_off", "total", "closing",
    ]  # fmt: skip
    assert rows[2]["text"] == "'=too much"
    assert run_script(
        tmp_path, content.replace(",39750000,", ",39750001,").replace(",-250000,", ",-250001,")
    ).returncode


@pytest.mark.integration
def test_what_was_written_off_is_in_it(world, tmp_path):
    world.person("alice", credits=60_000)
    world.start(world.vm(size="small"))
    world.clock.set(DECEMBER + timedelta(hours=12))
    world.settle()
    statement = close(world)
    assert statement.written_off_micro == statement.charged_micro - 60_000
    assert (statement.closing_micro, statement.adds_up) == (0, True)
    assert run_script(tmp_path, world.billing.statements.get_csv("alice", statement.id)).returncode == 0


@pytest.mark.integration
@pytest.mark.error
def test_seller_and_buyer_stay_as_they_were_when_the_month_closed(world, november):
    world.billing.settings.change(SettingKey.SELLER_NAME, "Cloud Ltd", 0)
    buyer = TradeParty("Acme GmbH", "Ring 1\n10115 Berlin", "DE", "DE136695976", is_business=True)
    world.billing.parties.set_details("alice", buyer)
    statement = close(world)
    world.billing.settings.change(SettingKey.SELLER_NAME, "Somebody else", 1)
    world.billing.parties.set_details("alice", replace(buyer, name="Moved away"))
    kept = world.billing.statements.get_statement("alice", statement.id)
    assert (kept.seller.name, kept.buyer) == ("Cloud Ltd", buyer)


def test_nobody_can_change_one(world, november):
    close(world)
    for statement in ("UPDATE statement SET closing = 0", "DELETE FROM statement"):
        with pytest.raises(DatabaseError, match="append-only"), world.database.engine.begin() as connection:
            connection.execute(text(statement))


@pytest.mark.integration
@pytest.mark.error
def test_two_workers_make_one(world, november, monkeypatch):
    statements = world.billing.statements
    with statements.reading() as session:
        seen = statements._next(session, "alice")
    close(world)
    monkeypatch.setattr(statements, "_next", lambda session, user_id: seen)
    with pytest.raises(ConflictError):
        close(world)
    assert len(statements.list_statements("alice")) == 1


@pytest.mark.integration
@pytest.mark.error
def test_strangers_get_nothing(world, november):
    statement, charlie = close(world), Actor("charlie", Role.USER)
    world.person("charlie", credits=0)
    for look in (
        lambda: world.billing.statements.list_statements("alice", actor=charlie),
        lambda: world.billing.statements.get_statement("charlie", statement.id, actor=charlie),
        lambda: world.billing.statements.get_csv("alice", statement.id, actor=charlie),
    ):
        with pytest.raises(NotFoundError):
            look()


@pytest.mark.integration
def test_an_account_without_movements_has_none(world):
    world.person("alice", credits=0)
    world.clock.set(DECEMBER + timedelta(days=1))
    assert world.billing.statements.list_due() == ["alice"]
    assert close(world) is None


@pytest.mark.integration
def test_accounts_are_looked_at_only_when_a_month_may_be_over(world, november):
    due = world.billing.statements.list_due
    assert due() == ["alice"]
    close(world)
    for later in ("2026-12-02", "2026-12-15", "2026-12-31"):
        world.clock.set(datetime.fromisoformat(f"{later}T06:00:00+00:00"))
        assert due() == []
    world.clock.set(datetime(2027, 1, 1, 6, tzinfo=UTC))
    assert due() == ["alice"]
    world.person("bob")
    world.clock.set(datetime(2027, 1, 20, tzinfo=UTC))
    world.person("carol")
    assert "carol" not in due()


@pytest.mark.unit
@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Pacific/Apia"])
def test_months_follow_each_other_in_the_accounts_zone(zone):
    month = first_month(datetime(2026, 2, 14, tzinfo=UTC), zone)
    for expected in range(3, 15):
        following = month_after(month.name, month.end, zone)
        local = following.start.astimezone(ZoneInfo(zone))
        assert following.start == month.end
        assert (local.day, local.hour, local.month) == (1, 0, (expected - 1) % 12 + 1)
        month = following
    assert month.name == "2027-02"


@pytest.mark.unit
def test_moving_to_another_zone_leaves_no_gap():
    november = first_month(datetime(2026, 11, 5, tzinfo=UTC), "UTC")
    for zone in ("Asia/Tokyo", "America/Los_Angeles"):
        december = month_after(november.name, november.end, zone)
        assert (december.name, december.start) == ("2026-12", november.end)
        assert december.end.astimezone(ZoneInfo(zone)).strftime("%d %H") == "01 00"


@pytest.mark.unit
def test_what_was_not_paid_are_the_latest_charges():
    assert unpaid_parts([10, 20, 30], 0) == [0, 0, 0]
    assert unpaid_parts([10, 20, 30], 35) == [0, 5, 30]
    assert unpaid_parts([10, 20, 30], 60) == [10, 20, 30]
