"""Credits are integers: micro-credits (1 credit = 1 000 000). Decimal at the edges, float nowhere."""

import re
from decimal import ROUND_HALF_EVEN, Decimal

from zentry_web.domain.language import _

MICRO = 1_000_000
SECONDS_PER_HOUR = 3600
HOURS_PER_MONTH = 730  # 365 days × 24 h ÷ 12: the figure behind every price "per month"
# What is accepted can be computed: databases multiply and add in 64 bits (up to 9.2 × 10^18), so all amounts, prices
# and spans have a bound, and the largest that can meet stay inside it.
MAX_AMOUNT = 10**15  # a thousand million credits: one amount, and what a wallet can have; times 3600 inside 64 bits
MAX_RATE = 10**10  # ten thousand credits an hour: size, image and disk together times nine years of seconds are inside
MAX_DISK_RATE = 10**7  # ten credits per GiB and hour: a disk of 1000 GiB costs at most MAX_RATE
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
        raise ValueError(_("That amount is out of range."))
    if not _AMOUNT.fullmatch(text):
        raise ValueError(_("Enter an amount in credits, such as 2.50."))
    if _THOUSANDS.fullmatch(text):
        raise ValueError(_("Write thousands without a comma, and decimals behind a point, such as 1000.50."))
    amount = Decimal(text.replace(",", "."))
    if abs(amount) > MAX_AMOUNT // MICRO:
        raise ValueError(_("That amount is out of range."))
    micro = amount * MICRO
    if micro != micro.to_integral_value():
        raise ValueError(_("Credits have at most six decimals."))
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


def rounded(micro: int, decimals: int) -> int:
    """``micro`` as ``format_credits`` shows it with so many decimals, in micro-credits again."""
    unit: int = 10 ** (_SIX - decimals)
    whole: int = unit * divide_half_even(abs(micro), unit)
    return whole if micro >= 0 else -whole


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
