"""Budgets of projects: what a month may cost, when to be told, and whether more is refused. Pure rules."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from zentry_web.domain.language import _
from zentry_web.domain.money import cost

MOST_ALERTS = 10
LARGEST_ALERT = 1000  # per cent
LOOK_AGAIN = timedelta(hours=1)  # every budget is looked at that often, whatever was foreseen
_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Budget:
    """``amount_micro`` for each calendar month of the owner's account; told at each of ``alerts`` per cent of it."""

    project_id: str
    amount_micro: int
    alerts: tuple[int, ...]
    hard_cap: bool


@dataclass(frozen=True, slots=True)
class BudgetTold:
    """The highest percentage told in a month for an amount. Another month or amount begins afresh."""

    month: str = ""
    amount_micro: int = 0
    percent: int = 0


@dataclass(frozen=True, slots=True)
class BudgetStatus:
    """How a project stands in the month that runs: spent (accrued seconds included) and what it costs per hour now."""

    budget: Budget
    month: str
    end: datetime  # of the month
    now: datetime
    spent_micro: int
    rate_micro_per_hour: int

    @property
    def projected_micro(self) -> int:
        """What the month will have cost if everything stays as it is."""
        return self.spent_micro + cost(self.rate_micro_per_hour, (self.end - self.now) // _SECOND)

    @property
    def percent(self) -> int:
        """Spent, in whole per cent of the budget, never rounded up."""
        return self.spent_micro * 100 // self.budget.amount_micro

    @property
    def left_micro(self) -> int:
        return max(0, self.budget.amount_micro - self.spent_micro)


@dataclass(frozen=True, slots=True)
class CapReached:
    """Why a hard cap lets nothing more begin, and whether the reader may change the budget."""

    message: str
    may_change: bool


def parse_alerts(text: object) -> tuple[int, ...]:
    """Percentages typed as ``50, 80, 100``, sorted, each once. Raises ValueError with a sentence for the person."""
    words = str(text or "").replace("%", " ").replace(",", " ").replace(";", " ").split()
    if not all(word.isascii() and word.isdigit() and len(word) < 6 for word in words):
        raise ValueError(_("Write whole percentages with commas between them, such as 50, 80, 100."))
    found = tuple(sorted({int(word) for word in words}))
    if found and not 1 <= found[0] <= found[-1] <= LARGEST_ALERT:
        raise ValueError(_("Percentages are from 1 to %(most)s.", most=LARGEST_ALERT))
    if len(found) > MOST_ALERTS:
        raise ValueError(_("Choose at most %(most)s percentages.", most=MOST_ALERTS))
    return found


def is_reached(percent: int, amount_micro: int, spent_micro: int) -> bool:
    """Whether so much of the budget is spent."""
    return spent_micro * 100 >= percent * amount_micro


def due_alert(status: BudgetStatus, told: BudgetTold) -> int | None:
    """The percentage to tell now: the highest one reached, unless it or a higher one was told for this month and
    amount. Several passed at once are one notice."""
    budget = status.budget
    reached = [each for each in budget.alerts if is_reached(each, budget.amount_micro, status.spent_micro)]
    same = (told.month, told.amount_micro) == (status.month, budget.amount_micro)
    highest = max(reached, default=0)
    return highest if highest > (told.percent if same else 0) else None


def next_look(status: BudgetStatus) -> datetime:
    """When the next percentage can be reached at the present rate; at the latest in an hour or when the month ends."""
    latest = min(status.now + LOOK_AGAIN, status.end)
    budget, rate = status.budget, status.rate_micro_per_hour
    ahead = [each for each in budget.alerts if not is_reached(each, budget.amount_micro, status.spent_micro)]
    if not ahead or rate <= 0:
        return max(latest, status.now + _SECOND)
    missing = -(-min(ahead) * budget.amount_micro // 100) - status.spent_micro
    seconds = min(-(-missing * 3600 // rate), LOOK_AGAIN // _SECOND)  # at a low rate it would be no date at all
    return max(min(status.now + seconds * _SECOND, latest), status.now + _SECOND)


def has_room(budget: Budget, spent_micro: int, ahead_micro: int) -> bool:
    """The hard cap: what is spent and what is set aside for everything that runs, the new one included, fits."""
    return not budget.hard_cap or spent_micro + ahead_micro <= budget.amount_micro
