"""Tax: rounded once, parts that add up to the whole, the row that holds, and how VAT numbers look."""

from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zentry_web.domain.countries import COUNTRIES, country_name
from zentry_web.domain.credits.payments import step_of
from zentry_web.domain.credits.taxes import (
    BuyerKind,
    ReceiptKind,
    Tax,
    TaxRate,
    TradeParty,
    full_number,
    part_of,
    percent,
    rate_for,
    tax_for,
    tax_of,
)
from zentry_web.domain.credits.vat_numbers import PATTERNS, parse_vat_number

pytestmark = pytest.mark.unit

NOW = datetime(2026, 11, 23, 10, tzinfo=UTC)
MINOR, POINTS = st.integers(0, 10**9), st.integers(0, 10_000)


def rate(country="DE", kind=BuyerKind.PERSON, points=1900, days=-1, note=""):
    return TaxRate(f"tax_{points}_{days}", country, kind, points, "VAT", note, NOW + timedelta(days=days))


@given(MINOR, POINTS, st.sampled_from(["eur", "jpy", "isk", "kwd"]))
def test_tax_is_rounded_half_up_to_what_the_provider_takes(net, points, currency):
    step = Decimal(step_of(currency))
    exact = Decimal(net) * points / 10_000 / step
    assert tax_of(net, points, currency) == exact.quantize(Decimal(1), rounding=ROUND_HALF_UP) * step


@given(MINOR, MINOR, st.lists(MINOR, max_size=8))
def test_the_tax_of_parts_adds_up_to_the_whole_and_never_falls(tax, gross, parts):
    gross = max(gross, tax, 1)
    told = [*sorted(min(part, gross) for part in parts), gross]
    due = [part_of(tax, part, gross) for part in told]
    steps = [later - before for before, later in zip([0, *due], due, strict=False)]
    assert all(step >= 0 for step in steps)
    assert sum(steps) == tax
    assert all(part - each >= 0 for part, each in zip(told, due, strict=True)), "never more tax than money"


def test_the_newest_row_in_force_holds():
    rates = [rate(points=1900, days=-9), rate(points=1600, days=-2), rate(points=2000, days=3), rate("FR", points=5)]
    assert rate_for(rates, "DE", BuyerKind.PERSON, NOW).basis_points == 1600
    assert rate_for(rates, "DE", BuyerKind.PERSON, NOW + timedelta(days=4)).basis_points == 2000
    assert rate_for(rates, "DE", BuyerKind.BUSINESS, NOW) is None
    assert rate_for(rates, "AT", BuyerKind.PERSON, NOW) is None


def test_a_registered_business_has_a_row_of_its_own_or_pays_as_any_business():
    rates = [rate(kind=BuyerKind.BUSINESS), rate(kind=BuyerKind.PERSON, points=700)]
    assert rate_for(rates, "DE", BuyerKind.REGISTERED, NOW).basis_points == 1900
    rates.append(rate(kind=BuyerKind.REGISTERED, points=0, note="Reverse charge"))
    buyer = TradeParty("Acme", "", "DE", "DE136695976", is_business=True)
    tax = tax_for(1000, "eur", buyer, "AT", rates, NOW)
    assert (tax.tax_minor, tax.note, tax.kind, tax.is_due) == (0, "Reverse charge", BuyerKind.REGISTERED, True)


def test_who_says_nothing_buys_in_the_sellers_country():
    tax = tax_for(1000, "eur", TradeParty(), "DE", [rate()], NOW)
    assert (tax.tax_minor, tax.gross_minor, tax.country, tax.name) == (190, 1190, "DE", "VAT 19 %")
    assert not tax_for(1000, "eur", TradeParty(), "", [rate()], NOW).is_due
    assert Tax.from_json(tax.as_json()) == tax


def test_how_they_are_written():
    assert [percent(each) for each in (0, 550, 1900, 10_000, 5, 1000)] == [
        "0 %", "5.5 %", "19 %", "100 %", "0.05 %", "10 %"
    ]  # fmt: skip
    assert full_number(ReceiptKind.CREDIT_NOTE, 2026, 7) == "C-2026-000007"
    assert TradeParty("A", "b\nc", "DE", "DE1").lines == ["A", "b", "c", "Germany", "VAT DE1"]
    assert (len(COUNTRIES), country_name("FR"), country_name("ZZ"), country_name("")) == (249, "France", "ZZ", "")


@pytest.mark.parametrize(
    ("country", "typed", "kept"),
    [
        ("DE", "de 136 695 976", "DE136695976"), ("DE", "136695976", "DE136695976"),
        ("AT", "ATU12345678", "ATU12345678"), ("BE", "BE 0428.759.497", "BE0428759497"),
        ("DK", "DK13585628", "DK13585628"), ("FI", "FI-20774740", "FI20774740"), ("LU", "LU15027442", "LU15027442"),
        ("GR", "EL123456789", "EL123456789"), ("CH", "CHE-123.456.789 MWST", "CHE123456789MWST"),
        ("GB", "GB123456789", "GB123456789"), ("JP", "T1234567890123", "T1234567890123"), ("DE", "  ", ""),
        ("NL", "NL123456789B01", "NL123456789B01"), ("IE", "IE9S99999L", "IE9S99999L"),
    ],
)  # fmt: skip
def test_vat_numbers_in_one_spelling(country, typed, kept):
    assert parse_vat_number(typed, country) == kept


@pytest.mark.parametrize(
    ("country", "typed"),
    [
        ("DE", "DE136695977"), ("DE", "DE12345678"), ("DE", "FR12345678901"), ("AT", "AT12345678"),
        ("BE", "BE0428759498"), ("DK", "DK13585627"), ("FI", "FI20774741"), ("LU", "LU15027443"), ("JP", "?!"),
        ("FR", "x" * 400), ("DE", "DE13669597٦"),
    ],
)  # fmt: skip
def test_slips_in_vat_numbers_are_seen(country, typed):
    with pytest.raises(ValueError, match="VAT number"):
        parse_vat_number(typed, country)


@given(st.text(max_size=80), st.sampled_from([*PATTERNS, "JP", "XX"]))
def test_whatever_is_typed_is_kept_as_it_would_be_again_or_refused(typed, country):
    try:
        kept = parse_vat_number(typed, country)
    except ValueError:
        return
    assert parse_vat_number(kept, country) == kept
    assert len(kept) <= 24
