"""Credits are integers: micro-credits (1 credit = 1 000 000). Decimal at the edges, float nowhere."""

import re
from decimal import ROUND_HALF_EVEN, Decimal

MICRO = 1_000_000
SECONDS_PER_HOUR = 3600
HOURS_PER_MONTH = 730  # 365 days × 24 h ÷ 12: the figure behind every price "per month"
MAX_AMOUNT = 10**15  # a thousand million credits: beyond any real amount, far inside 64 bits
_LONGEST = 25  # characters of a typed amount: few enough that Decimal rounds nothing away
_SIX = 6  # decimals of a credit
# Decimal itself would also take 1e9, 1_000 and digits of every script: slips of the hand, where money is given out.
_AMOUNT = re.compile(r"[+-]?([0-9]+([.,][0-9]*)?|[.,][0-9]+)")
_THOUSANDS = re.compile(r"[+-]?[1-9][0-9]{0,2},[0-9]{3}")


def parse_credits(text: str) -> int:
    """Micro-credits in a typed amount such as ``2.5`` or ``-0,25``.

    Raises ValueError with a sentence for the person when it is no number, has more than six
    decimals, is out of range, or could mean two amounts (``1,000``).
    """
    text = text.strip()
    if len(text) > _LONGEST:
        raise ValueError("That amount is out of range.")
    if not _AMOUNT.fullmatch(text):
        raise ValueError("Enter an amount in credits, such as 2.50.")
    if _THOUSANDS.fullmatch(text):
        raise ValueError("Write thousands without a comma, and decimals behind a point, such as 1000.50.")
    amount = Decimal(text.replace(",", "."))
    if abs(amount) > MAX_AMOUNT // MICRO:
        raise ValueError("That amount is out of range.")
    micro = amount * MICRO
    if micro != micro.to_integral_value():
        raise ValueError("Credits have at most six decimals.")
    return int(micro)


def format_credits(micro: int, *, decimals: int | None = None) -> str:
    """``micro`` as credits: ``format_credits(4_995_000)`` is ``'4.995'``.

    Without ``decimals``: at least two and as many as are needed (up to six). With it: rounded half-even.
    """
    value = Decimal(micro).scaleb(-_SIX)
    if decimals is not None:
        return f"{value.quantize(Decimal(1).scaleb(-decimals), rounding=ROUND_HALF_EVEN):,}"
    whole, _, fraction = f"{value:,.6f}".partition(".")
    return f"{whole}.{fraction.rstrip('0').ljust(2, '0')}"


def divide_half_even(numerator: int, denominator: int) -> int:
    """``numerator / denominator`` for non-negative numerators, rounded half to even."""
    quotient, rest = divmod(numerator, denominator)
    twice = 2 * rest
    return quotient + (1 if twice > denominator or (twice == denominator and quotient % 2) else 0)


def cost(rate_micro_per_hour: int, seconds: int) -> int:
    """Micro-credits for ``seconds`` at a rate per hour, rounded half-even once."""
    return divide_half_even(rate_micro_per_hour * seconds, SECONDS_PER_HOUR)


def per_month(rate_micro_per_hour: int) -> int:
    """Micro-credits for a month of 730 hours."""
    return rate_micro_per_hour * HOURS_PER_MONTH


def seconds_affordable(rate_micro_per_hour: int, micro: int) -> int | None:
    """Whole seconds that ``micro`` pays for at a rate; None when the rate is zero (for ever)."""
    if rate_micro_per_hour <= 0:
        return None
    return max(0, micro) * SECONDS_PER_HOUR // rate_micro_per_hour
