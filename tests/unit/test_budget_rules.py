"""Budgets and vouchers as rules: percentages, when to tell, when to look again, what a code is."""

from datetime import UTC, datetime, timedelta

import pytest

from zentry_web.domain.credits.budget import (
    Budget,
    BudgetStatus,
    BudgetTold,
    due_alert,
    has_room,
    next_look,
    parse_alerts,
)
from zentry_web.domain.credits.voucher import ALPHABET, LENGTH, grouped, make_code, parse_code

pytestmark = pytest.mark.unit

NOW = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
END = datetime(2026, 12, 1, tzinfo=UTC)


def status(spent, *, amount=1_000, alerts=(50, 80, 100), rate=0, now=NOW):
    return BudgetStatus(Budget("p", amount, alerts, True), "2026-11", END, now, spent, rate)


@pytest.mark.parametrize(
    ("typed", "found"),
    [("50, 80, 100", (50, 80, 100)), ("100 50;50", (50, 100)), ("80%", (80,)), ("", ()), (None, ()), ("1000", (1000,))],
)
def test_percentages_as_people_type_them(typed, found):
    assert parse_alerts(typed) == found


@pytest.mark.parametrize("typed", ["half", "0", "-5", "1001", "50.5", "٥٠", "999999999999", ",".join("123456789abc")])
def test_percentages_that_make_no_sense(typed):
    with pytest.raises(ValueError, match="ercentage"):
        parse_alerts(typed)
    with pytest.raises(ValueError, match="at most"):
        parse_alerts("1 2 3 4 5 6 7 8 9 10 11")


@pytest.mark.parametrize(
    ("spent", "told", "due"),
    [
        (499, BudgetTold(), None), (500, BudgetTold(), 50), (999, BudgetTold(), 80), (5_000, BudgetTold(), 100),
        (500, BudgetTold("2026-11", 1_000, 50), None), (800, BudgetTold("2026-11", 1_000, 50), 80),
        (600, BudgetTold("2026-11", 1_000, 80), None), (600, BudgetTold("2026-10", 1_000, 100), 50),
        (600, BudgetTold("2026-11", 500, 100), 50),
    ],
)  # fmt: skip
def test_what_is_told(spent, told, due):
    assert due_alert(status(spent), told) == due


def test_the_next_look_is_when_the_next_percentage_can_be_reached():
    assert next_look(status(0, rate=3_600_000)) == NOW + timedelta(seconds=1)
    assert next_look(status(0, rate=3_600)) == NOW + timedelta(seconds=500)
    assert next_look(status(501, rate=3_600)) == NOW + timedelta(seconds=299)
    hour = NOW + timedelta(hours=1)
    for idle in (status(0), status(0, rate=1), status(1_000, rate=3_600), status(0, alerts=(), rate=9)):
        assert next_look(idle) == hour
    late = END - timedelta(minutes=5)
    assert next_look(status(0, now=late)) == END
    assert next_look(status(0, now=END)) > END


def test_projection_and_percent():
    found = status(299, rate=3_600)
    assert found.projected_micro == 299 + (END - NOW) // timedelta(seconds=1)
    assert (found.percent, found.left_micro, status(2_000).left_micro) == (29, 701, 0)


def test_the_cap():
    budget = Budget("p", 1_000, (), True)
    assert has_room(budget, 900, 100)
    assert not has_room(budget, 900, 101)
    assert has_room(Budget("p", 1_000, (), False), 900, 101)


# -- codes --------------------------------------------------------------------------------------


def test_a_code_has_sixty_bits_and_no_look_alikes():
    assert len(ALPHABET) ** LENGTH >= 2**60
    assert len(set(ALPHABET)) == len(ALPHABET)
    assert not set("ILOU") & set(ALPHABET)
    codes = {make_code() for _ in range(1_000)}
    assert len(codes) == 1_000
    assert set("".join(codes)) == set(ALPHABET)


@pytest.mark.parametrize(
    "typed",
    [
        "0123-ABCD-1EFG",
        " o123 abcd lefg ",
        "0123–abcd—IEFG",
        "O123ABCDiefg",
        "\u200b0123-ABCD-1EFG",
        "０123-ＡBCD-1EFG",
    ],
)
def test_what_is_typed_is_understood(typed):
    assert parse_code(typed) == "0123ABCD1EFG"
    assert grouped(parse_code(typed)) == "0123-ABCD-1EFG"


@pytest.mark.parametrize("typed", ["", " ", None, 5, "0123-ABCD-1EF", "0123-ABCD-1EFGH", "0123-ABCD-1EFU", "9" * 10**6])
def test_what_is_no_code(typed):
    with pytest.raises(ValueError, match="voucher"):
        parse_code(typed)
