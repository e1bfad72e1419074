"""What lists are searched for: what is compared, what is refused, and what a search of the ledger means."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zentry_web.domain.list_keys import (
    ALL_PROJECTS,
    BIN,
    LEDGER,
    PEOPLE,
    PROJECTS,
    TRANSACTIONS,
    amount_bounds,
    checks_of,
    count_bounds,
    date_bounds,
    ledger_filter,
)
from zentry_web.domain.query_language import ListSearch, Term, parse_search, written

pytestmark = pytest.mark.unit
LISTS = [ALL_PROJECTS, BIN, LEDGER, PEOPLE, PROJECTS, TRANSACTIONS]


def at(year, month, day, hour=0):
    return datetime(year, month, day, hour, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "bounds"),
    [
        ("2026", (at(2026, 1, 1), at(2027, 1, 1))), ("2026-12", (at(2026, 12, 1), at(2027, 1, 1))),
        ("2026-2-28", (at(2026, 2, 28), at(2026, 3, 1))), (">2026-01", (at(2026, 2, 1), None)),
        (">=2026-01", (at(2026, 1, 1), None)), ("<2026-01-15", (None, at(2026, 1, 15))),
        ("<=2026-01-15", (None, at(2026, 1, 16))),
    ],
)  # fmt: skip
def test_dates_are_years_months_or_days(value, bounds):
    assert date_bounds(value) == bounds


def test_days_are_those_of_the_zone():
    assert date_bounds("2026-07-01", ZoneInfo("Europe/Berlin")) == (at(2026, 6, 30, 22), at(2026, 7, 1, 22))


@pytest.mark.parametrize("value", ["", "soon", "2026-13", "2026-02-30", "26-01-01", "1900", "9999-12-31", "0000", ">"])
def test_what_is_no_date_is_said(value):
    with pytest.raises(ValueError, match="is no date"):
        date_bounds(value)


def test_amounts_and_numbers_are_compared():
    assert amount_bounds(">5") == (5_000_001, None)
    assert amount_bounds("<=0.25") == (None, 250_000)
    assert amount_bounds("2,5") == (2_500_000, 2_500_000)
    assert count_bounds("<3") == (None, 2)
    assert count_bounds(">=0") == (0, None)
    for wrong in ("much", ">", "1.2.3"):
        with pytest.raises(ValueError, match="no amount"):
            amount_bounds(wrong)
    for wrong in ("some", "-1", "1.5", "9" * 30):
        with pytest.raises(ValueError, match="no number"):
            count_bounds(wrong)


@given(st.sampled_from([">", ">=", "<", "<=", "="]), st.integers(0, 1000), st.integers(0, 1000))
def test_bounds_say_what_the_sign_says(sign, number, other):
    least, most = count_bounds(f"{sign}{number}")
    inside = (least is None or other >= least) and (most is None or other <= most)
    said = {
        ">": other > number,
        ">=": other >= number,
        "<": other < number,
        "<=": other <= number,
        "=": other == number,
    }
    assert inside == said[sign]


@pytest.mark.parametrize("keys", LISTS)
def test_what_is_offered_can_be_searched_for(keys):
    for name, key in keys.items():
        assert key.hint
        for value in key.values:
            terms = parse_search(f"{name}:{value}", checks_of(keys))
            assert terms == (Term(name, value),)
            assert parse_search(written(terms), checks_of(keys)) == terms


def search(text):
    return ListSearch(parse_search(text, checks_of(LEDGER)))


def test_a_search_of_the_ledger():
    found = ledger_filter(
        search("gift spring person:ann@example.com kind:grant amount:>=1 amount:<5 date:>=2026 date:<2027")
    )
    assert (found.text, found.person, found.kind) == ("gift spring", "ann@example.com", "grant")
    assert (found.least, found.most) == (1_000_000, 4_999_999)
    assert (found.start, found.end) == (at(2026, 1, 1), at(2027, 1, 1))
    for text, said in (("-gift", "without"), ("kind:grant kind:usage", "once")):
        with pytest.raises(ValueError, match=said):
            ledger_filter(search(text))
