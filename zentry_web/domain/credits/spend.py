"""What intervals were charged in a period and on each of its days, worked out from their two ends. Pure rules, no I/O.

Charges are cut at whole UTC hours, month boundaries and interval ends, wherever prices stand (usage.py). So an
interval's charges are a first piece, whole hours that cost the rate each, a last piece and the minimum: a few runs of
equal charges, however many there are. Nothing is read of the charges, and nothing is kept beside them.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from zentry_web.domain.credits.usage import EPOCH, HOUR, SECOND, ChargeKind, Interval, next_month_start, seconds_between
from zentry_web.domain.money import cost

_HOUR = 3600


@dataclass(frozen=True, slots=True)
class Lately:
    """The last days in micro-credits: spend, and the balance at each midnight since there is an account, in order."""

    today_micro: int
    yesterday_micro: int
    balances_micro: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Run:
    """``count`` charges of ``seconds`` each, the first at ``begin`` (seconds since the epoch), an hour apart."""

    begin: int
    count: int
    seconds: int
    each_micro: int
    kind: ChargeKind = ChargeKind.USAGE

    @property
    def micro(self) -> int:
        return self.count * self.each_micro


def charged_runs(interval: Interval, is_settled: bool, start: datetime, end: datetime) -> Iterator[Run]:
    """The charges made of ``interval`` that begin in [start, end). ``is_settled``: closed, and charged to its end."""
    first, last, rate = epoch(start), epoch(end), interval.rate_micro_per_hour
    begin, until = epoch(interval.start), epoch(interval.settled_until)
    for cut in (*_odd_months(interval.zone, start, end), until):
        if begin < cut <= until:
            yield from _runs(begin, cut, rate, first, last)
            begin = cut
    missing = interval.seconds_missing
    if is_settled and missing and first <= until < last:
        yield Run(until, 1, missing, cost(rate, missing), ChargeKind.MINIMUM)


def _runs(begin: int, until: int, rate: int, first: int, last: int) -> Iterator[Run]:
    """[begin, until) cut at whole hours, as far as pieces begin in [first, last)."""
    hour, final = -(-begin // _HOUR), until // _HOUR
    head = min(hour * _HOUR, until)
    if begin < head and first <= begin < last:
        yield Run(begin, 1, head - begin, cost(rate, head - begin))
    low, high = max(hour, -(-first // _HOUR)), min(final, -(-last // _HOUR))
    if low < high:
        yield Run(low * _HOUR, high - low, _HOUR, rate)
    tail = final * _HOUR
    if hour <= final and tail < until and first <= tail < last:
        yield Run(tail, 1, until - tail, cost(rate, until - tail))


def sum_by_day(days: Sequence[datetime], runs: Iterable[Run]) -> list[int]:
    """Micro-credits of the charges that begin on each day. ``days``: the first moment of each, and the end of the last;
    no run begins before or ends behind them."""
    marks = [epoch(day) for day in days]
    hours = [-(-mark // _HOUR) for mark in marks]  # whole hours before each mark
    sums, steps = [0] * (len(days) - 1), [0] * len(days)
    for run in runs:
        day = bisect_right(marks, run.begin) - 1
        left = run.count
        if left > 1:
            here = hours[day + 1] - run.begin // _HOUR
            if here < left:
                final = bisect_right(marks, run.begin + (left - 1) * _HOUR) - 1
                there = run.begin // _HOUR + left - hours[final]
                sums[final] += there * run.each_micro
                steps[day + 1] += run.each_micro
                steps[final] -= run.each_micro
                left = here
        sums[day] += left * run.each_micro
    rate = 0
    for day, step in enumerate(steps[:-1]):
        rate += step
        sums[day] += rate * (hours[day + 1] - hours[day])
    return sums


def add_accrued(
    sums: list[int], days: Sequence[datetime], begin: datetime, seconds: int, micro: int, rate: int
) -> None:
    """Add ``micro``, used in ``seconds`` from ``begin`` on and not charged yet, to the days on which it was used.

    ``days`` as in ``sum_by_day``. What rounding leaves over is the last day's, so that the sum stays what it was.
    """
    at, end, day = begin, begin + seconds * SECOND, bisect_right(days, begin) - 1
    while day < len(sums) - 1 and days[day + 1] < end:
        part = cost(rate, (days[day + 1] - at) // SECOND)
        sums[day] += part
        micro -= part
        at, day = days[day + 1], day + 1
    sums[day] += micro


def epoch(moment: datetime) -> int:
    """Whole seconds since 1970."""
    return seconds_between(EPOCH, moment)


@lru_cache(256)
def _odd_months(zone: str, start: datetime, end: datetime) -> tuple[int, ...]:
    """The months in and just around [start, end) that begin inside a UTC hour in that zone, in order."""
    found, moment = [], next_month_start(start - HOUR, zone)
    while moment <= end + HOUR:
        if epoch(moment) % _HOUR:
            found.append(epoch(moment))
        moment = next_month_start(moment, zone)
    return tuple(found)
