"""The ledger browser: every filter, paging, a transfer opened, the file; the same number of statements always."""

from dataclasses import asdict
from datetime import timedelta

import pytest
from sqlalchemy import text

from tests.services.billing_world import World
from tests.services.people import ALWAYS, Statements
from zentry_web.domain.credits.billing import AccountKind, TransferKind
from zentry_web.domain.credits.books import LedgerFilter
from zentry_web.domain.user import Actor, Role
from zentry_web.services.billing.books import ledger_browser
from zentry_web.services.errors import NotFoundError, PermissionDeniedError

pytestmark = pytest.mark.integration

GRACE = Actor("grace", Role.ADMIN, proved_at=ALWAYS)


@pytest.fixture
def world(core):
    """Alice ran a machine for three hours and got credits of an admin; Bob ran dry."""
    made = World(core)
    made.person("grace")
    made.person("alice")
    made.person("bob", credits=6_000)
    with made.billing.transaction() as session:
        session.execute(text('UPDATE "user" SET email_key = email'))
    vm, poor = made.vm(), made.vm("bob", size="nano")
    made.start(vm)
    made.start(poor)
    made.pass_time(hours=3)
    made.settle()
    made.billing.add_credits("alice", 7_000_000, "Course, week 100% =1+1", actor=GRACE, idempotency_key="k1")
    made.pass_time(days=2)
    made.billing.deduct_credits("alice", 40, "Typed too much", actor=GRACE)
    return made


def find(world, **wanted):
    return world.billing.books.ledger.list_transfers(LedgerFilter(**wanted))


def everything(world):
    return find(world)


def test_newest_first_with_who_and_how_much(world):
    rows = everything(world)
    assert [row.seq for row in rows] == sorted((row.seq for row in rows), reverse=True)
    assert (rows[0].kind, rows[0].amount_micro, rows[0].reason) == (TransferKind.DEDUCTION, 40, "Typed too much")
    assert (rows[0].owner_email, rows[0].actor_name) == ("alice@example.com", "grace")
    assert rows[-1].actor_name == "Zentry"


def test_every_filter_keeps_what_fits_and_nothing_else(world):
    rows = everything(world)
    middle = rows[1].at
    cases = {
        "person": ({"person": "alice"}, lambda row: row.owner_id == "alice"),
        "person by mail": ({"person": "ALICE@example.com"}, lambda row: row.owner_id == "alice"),
        "kind": ({"kind": "grant"}, lambda row: row.kind == "grant"),
        "common kind": ({"kind": "usage"}, lambda row: row.kind == "usage"),
        "actor": ({"actor": "grace@example.com"}, lambda row: row.actor_id == "grace"),
        "Zentry": ({"actor": "system"}, lambda row: row.actor_id == "system"),
        "from": ({"start": middle}, lambda row: row.at >= middle),
        "to": ({"end": middle}, lambda row: row.at < middle),
        "least": ({"least": 5_000}, lambda row: row.amount_micro >= 5_000),
        "most": ({"most": 4_999}, lambda row: 0 < row.amount_micro <= 4_999),
        "between": ({"least": 40, "most": 40}, lambda row: row.amount_micro == 40),
        "text": ({"text": "TYPED"}, lambda row: "Typed" in row.reason),
        "text is no pattern": ({"text": "100%"}, lambda row: "100%" in row.reason),
        "both": ({"person": "alice", "kind": "hold"}, lambda row: (row.owner_id, row.kind) == ("alice", "hold")),
    }
    for name, (wanted, fits) in cases.items():
        expected = [row.id for row in rows if fits(row)]
        assert expected, name
        assert [row.id for row in find(world, **wanted)] == expected, name
    for wanted in ({"person": "nobody@example.com"}, {"start": world.clock.now() + timedelta(days=1)}, {"text": "_"}):
        assert find(world, **wanted) == []


@pytest.mark.parametrize("few", [0, 20_000])
def test_accounts_and_amounts_on_them(world, monkeypatch, few):
    """Few entries are looked up, many met on the way: the answer is the same."""
    monkeypatch.setattr(ledger_browser, "FEW", few)
    ledger = world.billing.books.ledger
    opened = [ledger.get_transfer(row.id) for row in everything(world)]
    for kind in AccountKind:
        on_it = [each.row.id for each in opened if any(entry.account == kind for entry in each.entries)]
        assert [row.id for row in find(world, account=str(kind))] == on_it, kind
    wanted = [
        each.row.id for each in opened
        if any(entry.account == "grants" and abs(entry.amount_micro) >= 1_000 for entry in each.entries)
    ]  # fmt: skip
    assert [row.id for row in find(world, account="grants", least=1_000)] == wanted
    assert [row.id for row in find(world, least=7_000_000, most=7_000_000)] == [
        each.row.id for each in opened if each.row.amount_micro == 7_000_000
    ]


def test_pages_follow_one_another(world):
    ledger = world.billing.books.ledger
    rows, seen, before = everything(world), [], None
    while page := ledger.list_transfers(LedgerFilter(), before=before, limit=3):
        seen += page
        before = page[-1].seq
    assert seen == rows


def test_a_clock_that_stepped_back_hides_nothing(world):
    world.clock.set(world.clock.now() - timedelta(days=40))
    world.billing.add_credits("alice", 5, "In the past")
    start = world.clock.now() - timedelta(hours=1)
    assert [row.reason for row in find(world, start=start, end=start + timedelta(hours=2))] == ["In the past"]
    assert len(find(world, start=start)) == len(everything(world))


def test_a_transfer_opens_into_entries_and_charges(world):
    ledger = world.billing.books.ledger
    usage = find(world, person="alice", kind="usage")[-1]
    opened = ledger.get_transfer(usage.id)
    assert sum(entry.amount_micro for entry in opened.entries) == 0
    assert sum(charge.line.amount for charge in opened.charges) == usage.amount_micro
    assert opened.idempotency_key.startswith("usage:")
    (grant,) = find(world, least=7_000_000)
    opened = ledger.get_transfer(grant.id)
    assert [(entry.account, entry.amount_micro) for entry in opened.entries] == [
        ("grants", -7_000_000), ("wallet", 7_000_000),
    ]  # fmt: skip
    assert opened.entries[1].balance_after_micro == world.wallet() + 40
    assert (opened.charges, opened.row.actor_id) == ((), "grace")
    with pytest.raises(NotFoundError):
        ledger.get_transfer("tr_none")


def test_the_file_has_every_entry_and_sums_to_zero(world, monkeypatch):
    monkeypatch.setattr(ledger_browser, "CHUNK", 2)
    found = list(world.billing.books.ledger.export(LedgerFilter()))
    assert sum(entry.amount_micro for _, _, entry in found) == 0
    (count,) = world.rows(text("SELECT COUNT(*) FROM entry"))[0]
    assert len({(entry.account_id, entry.seq) for _, _, entry in found}) == len(found) == count
    assert list(world.billing.books.ledger.export(LedgerFilter(person="nobody@example.com"))) == []


def test_only_admins_read_it(world):
    alice, ledger = Actor("alice", Role.USER), world.billing.books.ledger
    for look in (
        lambda: ledger.list_transfers(LedgerFilter(), actor=alice),
        lambda: ledger.get_transfer("tr_none", actor=alice),
        lambda: list(ledger.export(LedgerFilter(), actor=alice)),
    ):
        with pytest.raises(PermissionDeniedError):
            look()


def test_the_number_of_statements_does_not_grow(world):
    everything_at_once = LedgerFilter(
        person="alice@example.com", kind="grant", account="wallet", actor="grace@example.com", text="course", least=1,
        most=10**12, start=world.clock.now() - timedelta(days=9), end=world.clock.now(),
    )  # fmt: skip
    for wanted in (LedgerFilter(), everything_at_once):
        with Statements(world.database) as statements:
            assert world.billing.books.ledger.list_transfers(wanted), asdict(wanted)
        assert statements.count <= 6
