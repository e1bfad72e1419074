"""Playing credits through to their end: each hold renewed as the worker will, in whole numbers and in leaps.

While every renewal can be paid in full, all that happens repeats itself: each hold is renewed once a period, and what
is set aside for more important ones is the same in each. So a period is played, and then as many as surely go the
same way are leapt over at once; what they cost is known exactly. Rounds in which somebody gets too little are played
singly. Each machine gets too little once, so the work does not depend on rates or on how far ahead the end is.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from heapq import heapify, heappop, heappush

from zentry_web.domain.credits.usage import (
    EPOCH,
    HOUR,
    SECOND,
    OpenHold,
    hour_start,
    month_start,
    next_month_start,
    seconds_between,
)
from zentry_web.domain.money import cost

LONGEST = timedelta(days=3650)
_TO_THE_SECOND = 50  # running VMs; a larger fleet is played in steps of a minute
_HOUR = 3600
_WORK = 2_000_000  # holds looked at, and 100 for each machine: some seconds. No known fleet comes near it
_HALF = timedelta(milliseconds=500)


@dataclass(slots=True, eq=False)
class _Hold:
    """A hold in whole seconds since EPOCH; ``odd`` are the month boundaries that lie within an hour."""

    number: int
    id: str
    vm_id: str
    rate: int
    remaining: int
    paid: int
    settled: int
    importance: int
    odd: tuple[int, ...]
    is_fresh: bool = True  # not renewed yet
    is_due: bool = False
    is_gone: bool = False

    def cost_until(self, end: int) -> int:
        """What the charges from what is settled to ``end`` add up to: as usage.charges_cost, at once for any span."""
        start = self.settled
        if end <= start:
            return 0
        whole = -(-start // _HOUR) * _HOUR
        if end <= whole:
            total = cost(self.rate, end - start)
        else:
            hours, rest = divmod(end - whole, _HOUR)
            total = cost(self.rate, whole - start) + self.rate * hours + cost(self.rate, rest)
        for cut in self.odd[bisect_right(self.odd, start) :] if self.odd else ():
            if cut >= end:
                break
            first = max(start, cut // _HOUR * _HOUR)
            last = min(end, cut // _HOUR * _HOUR + _HOUR)
            total += cost(self.rate, cut - first) + cost(self.rate, last - cut) - cost(self.rate, last - first)
        return total

    def affordable(self, latest: int, micro: int) -> int:
        """The last second up to ``latest`` that ``micro`` pays for: as usage.affordable_until."""
        if self.cost_until(latest) <= micro:
            return max(self.settled, latest)
        low, high = self.settled, max(self.settled, latest)
        while low < high:
            middle = (low + high + 1) // 2
            if self.cost_until(middle) <= micro:
                low = middle
            else:
                high = middle - 1
        return low


class _Play:
    """A wallet and what draws on it. Moments are half seconds: half of an odd window ends within a second."""

    def __init__(
        self, holds: Iterable[OpenHold], wallet: int, disks: Iterable[int], now: datetime, window: int
    ) -> None:
        self.ends: dict[str, int] = {}  # of each VM that cannot be renewed: the second that its hold ends
        self.disks_end: int | None = None  # a moment
        self.wallet = wallet
        self.disks = list(disks)
        self.disk_burn = sum(self.disks)
        self.charged = seconds_between(EPOCH, hour_start(now))  # disks are paid up to here
        self.window = window
        self.now = 2 * seconds_between(EPOCH, now)
        self.last = self.now + 2 * (LONGEST // SECOND)
        found = _read(holds, self.last // 2 + 2 * window)
        self.step = 1 if len(found) <= _TO_THE_SECOND else 60
        self.period = window // 2 + self.step  # seconds from one renewal of a hold to the next
        self._skip(found)
        self.waiting = [(hold.paid, hold.number, hold) for hold in found]
        heapify(self.waiting)
        self.lingering: list[_Hold] = []  # of a small fleet: they end, and some seconds may still come their way
        self.ranked = sorted((each for each in found if each.importance > 0), key=lambda each: -each.importance)
        self.ranked_rate = sum(hold.rate for hold in self.ranked)
        self.ranked_paid = sum(hold.rate * hold.paid for hold in self.ranked)
        self.fresh = len(found)
        self.paying = sum(hold.rate > 0 for hold in found)
        self.since: int | None = None  # from here on every renewal was paid in full
        self.reserve = 0  # the most that was set aside for more important ones since then
        self.work = _WORK + 100 * len(found)

    def _skip(self, holds: list[_Hold]) -> None:
        """Leap over the whole hours that the wallet can surely pay; what they cost is known without rounding."""
        burn = sum(hold.rate for hold in holds) + self.disk_burn
        hours = min(self.wallet // burn - (3 * self.window // (2 * _HOUR) + 2), LONGEST // HOUR)
        if hours <= 0:
            return
        self.wallet -= hours * burn
        self.charged += hours * _HOUR
        self.now += 2 * hours * _HOUR
        for hold in holds:
            hold.paid += hours * _HOUR
            hold.settled += hours * _HOUR

    def run(self) -> None:
        """To the end of all machines that cost something, or of ten years."""
        while self.paying and self.now < self.last:
            if self.work <= 0:
                self._break_off()
                break
            due = max(self.now, 2 * self.waiting[0][0] - self.window + 2 * self.step)
            cut = (self.now // (2 * _HOUR) + 1) * 2 * _HOUR
            self.now = min(due, cut)
            if self.now == cut and self.disks:
                hours, self.charged = (self.now // 2 - self.charged) // _HOUR, self.now // 2
                self.wallet = max(0, self.wallet - hours * self.disk_burn)
            if self.now == due:
                self._renew()
                self._try_leap()
            if self.disks and self._are_disks_unpaid():
                self.disks_end, self.disks, self.disk_burn = self.now, [], 0
        if self.disks and self.now < self.last:
            seconds = min(self.wallet * _HOUR // self.disk_burn, 10**9)
            end = max(self.now, 2 * (self.charged + seconds))
            self.disks_end = end if end < self.last else None

    def _are_disks_unpaid(self) -> bool:
        seconds = self.now // 2 - self.charged
        about = self.disk_burn * seconds // _HOUR
        if abs(about - self.wallet) > len(self.disks):  # more than all rounding together
            return about > self.wallet
        self.work -= len(self.disks)
        return sum(cost(rate, seconds) for rate in self.disks) >= self.wallet

    # -- one round ------------------------------------------------------------------------------

    def _renew(self) -> None:
        """One round of the worker: all that have less than half a window left, the most important first."""
        enough = self.now + self.window
        due = self._take_due(enough)
        befores = [hold.paid for hold in due]
        if not self._pay_all(due):
            self._pay_in_turn(due)
        for hold, before in zip(due, befores, strict=True):
            if hold.importance > 0:
                self.ranked_paid += hold.rate * (hold.paid - before)
            ended = hold.vm_id in self.ends
            if 2 * hold.paid < enough:
                self.since = None
                self.ends[hold.vm_id] = hold.paid
                if not ended:
                    self._leave(hold)
            elif not ended:
                self.fresh -= hold.is_fresh
                hold.is_fresh = False
                self._wait(hold)

    def _take_due(self, enough: int) -> list[_Hold]:
        due = []
        while self.waiting and 2 * self.waiting[0][0] < enough:
            hold = heappop(self.waiting)[2]
            if 2 * hold.paid > self.now:
                due.append(hold)
            else:
                self._leave(hold)
                self._drop(hold)
        still = []
        for hold in self.lingering:
            if 2 * hold.paid <= self.now:
                self._drop(hold)
                continue
            still.append(hold)
            if 2 * hold.paid < enough:
                due.append(hold)
        self.lingering = still
        due.sort(key=lambda hold: (-hold.importance, hold.paid, hold.id))
        self.work -= len(due) + 1
        return due

    def _wait(self, hold: _Hold) -> None:
        heappush(self.waiting, (hold.paid, hold.number, hold))

    def _leave(self, hold: _Hold) -> None:
        """It waits for no renewal any more."""
        self.paying -= hold.rate > 0
        self.fresh -= hold.is_fresh
        hold.is_fresh = False
        if self.step == 1:
            self.lingering.append(hold)
        else:
            self._drop(hold)

    def _drop(self, hold: _Hold) -> None:
        if hold.importance > 0 and not hold.is_gone:
            self.ranked_rate -= hold.rate
            self.ranked_paid -= hold.rate * hold.paid
        hold.is_gone = True

    @property
    def _target(self) -> int:
        return self.now // 2 + self.window

    def _pay_all(self, due: list[_Hold]) -> bool:
        """Renew all in full if there is certainly enough, whatever is set aside for others; else change nothing."""
        if self.fresh or self.lingering:
            return False
        target = self._target
        moves = [max(0, hold.cost_until(target) - hold.remaining) for hold in due]
        moved = sum(hold.rate * (target - hold.paid) for hold in due if hold.importance > 0)
        others = (self.ranked_rate * target - self.ranked_paid - moved) // _HOUR + len(self.ranked)
        left = self.wallet - sum(moves)
        if left <= others:
            return False
        for hold, move in zip(due, moves, strict=True):
            hold.remaining += move
            hold.paid = target
        self.wallet = left
        self.reserve = max(self.reserve, others)
        return True

    def _pay_in_turn(self, due: list[_Hold]) -> None:
        """What usage.plan_renewals does."""
        target = self._target
        for hold in due:
            hold.is_due = True
        self.ranked = [hold for hold in self.ranked if not hold.is_gone]
        place = reserved = 0
        for hold in due:
            while place < len(self.ranked) and self.ranked[place].importance > hold.importance:
                other = self.ranked[place]
                if not other.is_due and other.paid < target:  # money.cost, without the calls
                    whole, rest = divmod(other.rate * (target - other.paid), _HOUR)
                    reserved += whole + (rest > _HOUR // 2 or (rest == _HOUR // 2 and whole & 1))
                place += 1
            if hold.rate == 0:
                hold.paid = target
                continue
            self.reserve = max(self.reserve, reserved)
            budget = self.wallet - reserved
            reached = hold.affordable(target, hold.remaining + budget) if budget > 0 else hold.paid
            if reached > hold.paid:
                move = max(0, hold.cost_until(reached) - hold.remaining)
                self.wallet -= move
                hold.remaining += move
                hold.paid = reached
        for hold in due:
            hold.is_due = False
        self.work -= place

    # -- many rounds ----------------------------------------------------------------------------

    def _try_leap(self) -> None:
        """After a whole period in which all was paid in full: leap over those that go the same way."""
        if self.fresh or self.lingering or self.since is None:
            self.since, self.reserve = (None if self.fresh or self.lingering else self.now), 0
        elif self.now - self.since >= 2 * self.period:
            self._leap()
            self.since, self.reserve = self.now, 0

    def _leap(self) -> None:
        least = max(self.reserve, self.disk_burn + len(self.disks) if self.disks else 0)
        top = (self.last - self.now) // (2 * self.period) - 1
        burn = (sum(hold.rate for _, _, hold in self.waiting) + self.disk_burn) * self.period
        guess = (self.wallet - least) * _HOUR // burn if burn else 0
        periods = _most(lambda number: self._left_after(number) > least, guess, top)
        if periods <= 0:
            return
        self.wallet = self._left_after(periods)
        leap = periods * self.period
        self.now += 2 * leap
        self.charged = self.now // (2 * _HOUR) * _HOUR
        self.ranked_paid += self.ranked_rate * leap
        for _, _, hold in self.waiting:
            hold.paid += leap
            hold.remaining = max(hold.remaining, hold.cost_until(hold.paid))
        self.waiting = [(hold.paid, hold.number, hold) for _, _, hold in self.waiting]

    def _left_after(self, periods: int) -> int:
        """The wallet after so many periods in which every renewal is paid in full."""
        self.work -= 4 * len(self.waiting)  # as long as four looks
        leap = periods * self.period
        hours = (self.now + 2 * leap) // (2 * _HOUR) - self.now // (2 * _HOUR)
        drawn = sum(max(0, hold.cost_until(hold.paid + leap) - hold.remaining) for _, _, hold in self.waiting)
        return self.wallet - drawn - hours * self.disk_burn

    def _break_off(self) -> None:
        """Too much work: what still runs is taken to end where its own hold does."""
        for _, _, hold in sorted(self.waiting):
            end = max(hold.paid, hold.affordable(self.last // 2, hold.remaining))
            if 2 * end < self.last and hold.rate:
                self.ends[hold.vm_id] = end


def run_dry(
    holds: Iterable[OpenHold], wallet: int, disks: Iterable[int], now: datetime, window: timedelta
) -> tuple[dict[str, datetime], datetime | None]:
    """The second each running VM's hold ends, and the moment from which disks (micro-credits per hour of each) are not
    paid any more. What is free, or lasts longer than ten years, has no end. O(n log n) whatever the rates are."""
    found, rates = list(holds), list(disks)
    if sum(hold.rate_micro_per_hour for hold in found) + sum(rates) <= 0:
        return {}, None
    play = _Play(found, wallet, rates, now, window // SECOND)
    play.run()
    ends = {vm_id: EPOCH + end * SECOND for vm_id, end in play.ends.items()}
    return ends, None if play.disks_end is None else EPOCH + play.disks_end * _HALF


def _most(is_enough: Callable[[int], bool], guess: int, top: int) -> int:
    """The largest number up to ``top`` that is enough (0: none); it is likely to be near ``guess``."""
    low, high, stride = 0, top + 1, 1
    probe = min(max(guess, 1), top)
    while high - low > 1:
        probe = min(max(probe, low + 1), high - 1)
        if is_enough(probe):
            low, probe = probe, probe + stride
        else:
            high, probe = probe, probe - stride
        stride *= 2
        if stride > high - low:
            probe = (low + high) // 2
    return low


def _read(holds: Iterable[OpenHold], until: int) -> list[_Hold]:
    found: list[_Hold] = []
    odd: dict[str, tuple[int, ...]] = {}
    listed = list(holds)
    earliest = min((hold.settled_until for hold in listed), default=EPOCH)
    for number, hold in enumerate(listed):
        if hold.zone not in odd:
            odd[hold.zone] = _odd_cuts(hold.zone, earliest, until)
        paid, settled = (seconds_between(EPOCH, moment) for moment in (hold.paid_until, hold.settled_until))
        found.append(
            _Hold(
                number, hold.id, hold.vm_id, hold.rate_micro_per_hour, hold.remaining,
                paid, settled, hold.importance, odd[hold.zone],
            )
        )  # fmt: skip
    return found


def _odd_cuts(zone: str, earliest: datetime, until: int) -> tuple[int, ...]:
    """The month boundaries of a zone that lie within an hour: those of zones half an hour off."""
    cuts, month = [], month_start(earliest, zone)
    while (second := seconds_between(EPOCH, month)) < until:
        if second % _HOUR:
            cuts.append(second)
        month = next_month_start(month, zone)
    return tuple(cuts)
