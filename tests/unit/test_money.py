"""Amounts: what people type, what they see, and rounding half to even."""

from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zentry_web.domain.money import (
    MAX_AMOUNT,
    cost,
    divide_half_even,
    format_credits,
    parse_credits,
    per_month,
)

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("typed", "micro"),
    [
        ("2.5", 2_500_000),
        (" 2,50 ", 2_500_000),
        ("-0.25", -250_000),
        ("0.000001", 1),
        ("1000000000", MAX_AMOUNT),
        ("2.5000000", 2_500_000),
        ("0,125", 125_000),
        (".5", 500_000),
    ],
)
def test_what_is_typed_becomes_micro_credits(typed, micro):
    assert parse_credits(typed) == micro


@pytest.mark.asvs("1.4.2")
@pytest.mark.parametrize(
    "typed",
    [
        "",
        "abc",
        "1.2.3",
        "0.0000001",
        "1000000000.1",
        "nan",
        "-inf",
        "1e999999",
        "1e9",
        "1_000",
        "1,000",
        "٣",
        "9" * 200,
        "1000000000." + "0" * 30 + "1",
    ],
)
def test_what_is_no_amount_is_refused_with_a_sentence(typed):
    with pytest.raises(ValueError, match=r"\.$"):
        parse_credits(typed)


@pytest.mark.parametrize(
    ("micro", "shown"),
    [
        (4_995_000, "4.995"),
        (5_000_000, "5.00"),
        (1, "0.000001"),
        (-1_250_000, "-1.25"),
        (1_234_567_000_000, "1,234,567.00"),
    ],
)
def test_credits_are_shown_with_the_decimals_they_need(micro, shown):
    assert format_credits(micro) == shown


def test_shown_with_fixed_decimals_rounds_half_to_even():
    assert [format_credits(micro, decimals=2) for micro in (5_000, 15_000, 25_000)] == ["0.00", "0.02", "0.02"]


@given(st.integers(-MAX_AMOUNT, MAX_AMOUNT))
def test_what_is_shown_can_be_typed_again(micro):
    assert parse_credits(format_credits(micro).replace(",", "")) == micro


@given(st.integers(0, 10**18), st.integers(1, 10**6))
def test_division_rounds_half_to_even(numerator, denominator):
    assert divide_half_even(numerator, denominator) == round(Fraction(numerator, denominator))


@given(st.integers(0, 10**9), st.integers(0, 10**7))
def test_cost_is_decimal_arithmetic_rounded_once(rate, seconds):
    exact = Decimal(rate) * seconds / 3600
    assert cost(rate, seconds) == int(exact.quantize(Decimal(1), rounding=ROUND_HALF_EVEN))


def test_a_month_is_730_hours():
    assert per_month(5_000) == 3_650_000
