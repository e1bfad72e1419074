"""Bills: opened to the second, adding up, worked out again, and the same from their CSV alone."""

import csv
import io
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from tests.conftest import ROOT
from tests.services.billing_world import World
from zentry_web.domain.credits.bill_csv import bill_csv, csv_lines, csv_text, safe_cell, total_record
from zentry_web.domain.credits.bills import shown_amounts, shown_total
from zentry_web.domain.money import cost
from zentry_web.domain.query_language import ListSearch, Term
from zentry_web.domain.user import Actor, Role
from zentry_web.services.errors import NotFoundError

LONG_AGO, FAR = datetime(2020, 1, 1, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC)


def of_machine(vm_id):
    return ListSearch((Term("vm", vm_id),))


@pytest.fixture
def world(core):
    return World(core)


@pytest.fixture
def used(world):
    """Alice's machine ran 1 h 7 min 35 s from 10:03:07, has been stopped since, and another ran for ten seconds."""
    world.person("alice")
    vm, brief = world.vm(size="small"), world.vm()
    world.pass_time(seconds=187)
    world.start(vm)
    world.pass_time(minutes=30)
    world.start(brief)
    world.pass_time(seconds=10)
    world.stop(brief)
    world.pass_time(seconds=2245)
    world.stop(vm)
    world.pass_time(hours=3)
    world.settle()
    return vm


@pytest.mark.integration
def test_the_lines_add_up_to_the_total_and_the_total_is_what_was_used(world, used):
    bill = world.billing.bills.get_bill("alice", LONG_AGO, FAR)
    balance = world.billing.get_balance("alice")
    assert sum(line.total_micro for line in bill.lines) == bill.total_micro == 5_000_000 - balance.total_micro
    assert bill.total_micro == world.billing.get_usage_summary("alice", LONG_AGO, FAR).total_micro


@pytest.mark.integration
def test_an_interval_opens_into_seconds_times_price(world, used):
    bill = world.billing.bills.get_bill("alice", LONG_AGO, FAR, search=of_machine(used.vm_id))
    running = next(line for line in bill.lines if line.interval.state == "running")
    opened = world.billing.bills.get_interval("alice", running.interval.id)
    assert running.charged_seconds == 4055
    assert (running.price_version, running.size_name, running.vm_name) == (1, "small", "web-1")
    assert [charge.line.seconds for charge in opened.charges] == [3600 - 187, 4055 - (3600 - 187)]
    assert opened.total_micro == running.charged_micro
    in_one_piece = cost(running.interval.rate_micro_per_hour, running.charged_seconds)
    assert abs(in_one_piece - running.charged_micro) <= 1
    assert opened.agrees
    assert running.opened_by.startswith("evt_")
    assert running.closed_by.startswith("evt_")


@pytest.mark.integration
def test_the_minimum_is_a_line_of_its_own(world, used):
    bill = world.billing.bills.get_bill("alice", LONG_AGO, FAR, search=of_machine("vm_2"))
    running = next(line for line in bill.lines if line.interval.state == "running")
    charges = world.billing.bills.get_interval("alice", running.interval.id).charges
    assert [(charge.line.kind, charge.line.seconds) for charge in charges] == [("usage", 10), ("minimum", 50)]


@pytest.mark.integration
def test_a_payment_opens_into_the_charges_it_paid(world, used):
    for transaction in world.billing.list_transactions("alice"):
        if transaction.kind == "usage":
            opened = world.billing.bills.get_transfer("alice", transaction.id)
            assert opened.paid_micro == opened.total_micro == -transaction.amount_micro
            assert opened.agrees


@pytest.mark.integration
def test_what_was_written_off_is_said(world):
    world.person("alice", credits=60_000)
    vm = world.vm(size="small")
    world.start(vm)
    world.pass_time(hours=2)
    world.settle()
    payments = [
        world.billing.bills.get_transfer("alice", each.id)
        for each in world.billing.list_transactions("alice")
        if each.kind == "usage"
    ]
    assert sum(each.written_off_micro for each in payments) == 2 * 50_000 - 60_000
    assert all(each.agrees for each in payments)


@pytest.mark.integration
@pytest.mark.error
def test_recomputing_finds_a_charge_that_was_tampered_with(world, used):
    bill = world.billing.bills.get_bill("alice", LONG_AGO, FAR, search=of_machine(used.vm_id))
    running = next(line for line in bill.lines if line.interval.state == "running")
    world.damage(
        "UPDATE charge SET amount = amount + 1 WHERE interval_id = :id AND seconds = 642", id=running.interval.id
    )
    opened = world.billing.bills.get_interval("alice", running.interval.id)
    assert not opened.agrees
    assert [charge.agrees for charge in opened.charges] == [True, False]
    assert not world.billing.bills.get_transfer("alice", opened.charges[1].transfer_id).agrees


@pytest.mark.integration
def test_a_period_takes_the_charges_that_begin_in_it(world, used):
    whole = world.billing.bills.get_bill("alice", LONG_AGO, FAR).total_micro
    cut = datetime(2026, 11, 23, 11, 0, tzinfo=UTC)
    parts = [world.billing.bills.get_bill("alice", *each) for each in ((LONG_AGO, cut), (cut, FAR))]
    assert sum(part.total_micro for part in parts) == whole
    line = next(line for line in parts[0].lines if line.interval.vm_id == used.vm_id)
    opened = world.billing.bills.get_interval("alice", line.interval.id, start=LONG_AGO, end=cut)
    assert opened.total_micro == line.charged_micro
    assert opened.agrees


@pytest.mark.integration
@pytest.mark.error
def test_somebody_elses_bill_does_not_exist(world, used):
    world.person("charlie")
    charlie = Actor("charlie", Role.USER)
    line = world.billing.bills.get_bill("alice", LONG_AGO, FAR).lines[0]
    payment = next(each for each in world.billing.list_transactions("alice") if each.kind == "usage")
    for look in (
        lambda: world.billing.bills.get_bill("alice", LONG_AGO, FAR, actor=charlie),
        lambda: world.billing.bills.get_interval("charlie", line.interval.id, actor=charlie),
        lambda: world.billing.bills.get_transfer("charlie", payment.id, actor=charlie),
        lambda: world.billing.bills.list_charges("alice", LONG_AGO, FAR, actor=charlie),
    ):
        with pytest.raises(NotFoundError):
            look()


def run_script(tmp_path, content):
    """docs/recompute.py on a CSV, in a Python that knows nothing of Zentry."""
    file = tmp_path / "bill.csv"
    file.write_text(content, encoding="utf-8", newline="")
    return subprocess.run(
        [sys.executable, "-I", ROOT / "docs" / "recompute.py", file], capture_output=True, text=True, timeout=30
    )


@pytest.mark.integration
def test_the_csv_alone_is_enough_to_work_the_bill_out(world, used, tmp_path):
    charges = world.billing.bills.list_charges("alice", LONG_AGO, FAR)
    content = bill_csv(charges, until=world.clock.now(), after=[total_record(charges)])
    done = run_script(tmp_path, content)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{sum(charge.line.amount for charge in charges)} micro-credits" in done.stdout


@pytest.mark.integration
@pytest.mark.error
@pytest.mark.parametrize(
    ("column", "value"),
    [("amount_micro", "1"), ("seconds", "1"), ("rate_micro_per_hour", "7"), ("to", "2026-11-23T11:00:01Z")],
)
def test_the_script_sees_whatever_was_changed(world, used, tmp_path, column, value):
    charges = world.billing.bills.list_charges("alice", LONG_AGO, FAR)
    rows = list(csv.DictReader(io.StringIO(bill_csv(charges, until=FAR, after=[total_record(charges)]))))
    rows[0][column] = value
    content = csv_text(list(rows[0]), [list(row.values()) for row in rows])
    assert run_script(tmp_path, content).returncode == 1


@pytest.mark.unit
def test_the_script_is_as_short_as_promised():
    assert len((ROOT / "docs" / "recompute.py").read_text().splitlines()) <= 30


@pytest.mark.integration
def test_a_name_cannot_be_a_formula(world, used):
    with world.database.engine.begin() as connection:
        connection.execute(text("UPDATE vm SET name = '=cmd|' || id"))
    charges = world.billing.bills.list_charges("alice", LONG_AGO, FAR)
    rows = list(csv.DictReader(io.StringIO(bill_csv(charges, until=FAR))))
    assert {row["vm"] for row in rows} == {"'=cmd|vm_1", "'=cmd|vm_2"}


@pytest.mark.unit
@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@x", "\tx", "\rx", "\n=1", "\0=1", "＝1", "＋1", "－1", "＠x"])
def test_cells_that_begin_like_formulas_are_made_text(cell):
    assert safe_cell(cell) == f"'{cell}"


@pytest.mark.asvs("1.1.2")
@pytest.mark.unit
@given(st.lists(st.text(alphabet='a";,\n\r\0=@ é'), min_size=2, max_size=4))
def test_what_is_written_as_csv_is_read_as_it_was(cells):
    (row,) = csv.reader(io.StringIO("".join(csv_lines([], [cells])).removeprefix("\r\n"), newline=""))
    assert row == [safe_cell(cell) for cell in cells]


@pytest.mark.unit
def test_numbers_stay_numbers():
    assert [safe_cell(each) for each in (-5, "plain", "")] == [-5, "plain", ""]


@pytest.mark.unit
@given(st.lists(st.integers(0, 10**12), max_size=40), st.integers(0, 6))
def test_shown_lines_add_up_to_the_shown_total(amounts, decimals):
    shown = shown_amounts(amounts, decimals)
    unit = 10 ** (6 - decimals)
    assert sum(shown) == shown_total(amounts, decimals)
    assert all(part % unit == 0 and abs(part - amount) <= unit for part, amount in zip(shown, amounts, strict=True))


@pytest.mark.integration
def test_a_bill_says_when_there_is_more(world):
    world.person("alice")
    vm = world.vm()
    for _ in range(3):
        world.start(vm)
        world.pass_time(minutes=5)
        world.stop(vm)
        world.pass_time(minutes=5)
    until = world.clock.now() + timedelta(hours=1)
    assert len(world.billing.bills.get_bill("alice", LONG_AGO, until).lines) == 6
    few = world.billing.bills.get_bill("alice", LONG_AGO, until, limit=4)
    assert (len(few.lines), few.more) == (4, True)
    assert few.total_micro == sum(line.total_micro for line in few.lines)
