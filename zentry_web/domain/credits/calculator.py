"""What machines would cost in a month: for the calculator that visitors use. Amounts are micro-credits."""

from dataclasses import dataclass

from zentry_web.domain.credits.payments import CreditPrice
from zentry_web.domain.money import HOURS_PER_MONTH, MICRO, SECONDS_PER_HOUR, cost, divide_half_even
from zentry_web.domain.vms.vm import Rates

MOST_MACHINES = 100
HOURS_OF_A_DAY = 24


@dataclass(frozen=True, slots=True)
class CalculatedCost:
    """Of some machines for a month of 730 hours; ``minor``: in the currency's minor units, rounded."""

    per_day: int
    per_month: int
    minor: int


def calculated(rates: Rates, machines: int, hours_a_day: int, price: CreditPrice) -> CalculatedCost:
    """What so many machines cost that run so many hours a day, and are stopped for the rest of it."""
    month = _cost_of(rates, HOURS_PER_MONTH * SECONDS_PER_HOUR, hours_a_day) * machines
    day = _cost_of(rates, HOURS_OF_A_DAY * SECONDS_PER_HOUR, hours_a_day) * machines
    return CalculatedCost(day, month, divide_half_even(month * price.minor_per_credit, MICRO))


def _cost_of(rates: Rates, seconds: int, hours_a_day: int) -> int:
    running = seconds * hours_a_day // HOURS_OF_A_DAY
    return cost(rates.running, running) + cost(rates.stopped, seconds - running)
