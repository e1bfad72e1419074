"""Monthly statements: which month is next, what a charge that was not paid counts to, and what is shown."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from zentry_web.domain.credits.billing import TransferKind
from zentry_web.domain.credits.taxes import TradeParty
from zentry_web.domain.zones import zone_of

CLOSE_AFTER = timedelta(hours=6)  # what the hypervisor reports late still gets into the month it is for
TOP_UPS = frozenset({"voucher", "payment", "top_up", "topup"})
BY_HAND = frozenset({"grant", "deduction", "promotion", "expiry"})


@dataclass(frozen=True, slots=True)
class Month:
    """A calendar month of an account: '2026-11' from ``start`` to ``end``."""

    name: str
    start: datetime
    end: datetime

    @property
    def closes_at(self) -> datetime:
        return self.end + CLOSE_AFTER


def first_month(moment: datetime, zone: str) -> Month:
    """The month that ``moment`` lies in."""
    local = moment.astimezone(zone_of(zone))
    return Month(f"{local:%Y-%m}", _begin(local.year, local.month, zone), _begin(local.year, local.month + 1, zone))


def month_after(name: str, end: datetime, zone: str) -> Month:
    """The month after the one called ``name`` that ended at ``end``.

    It begins exactly there, also when the account has moved to another time zone since.
    """
    year, month = int(name[:4]), int(name[5:]) + 1
    begin = _begin(year, month, zone).astimezone(zone_of(zone))
    return Month(f"{begin:%Y-%m}", end, _begin(year, month + 1, zone))


def _begin(year: int, month: int, zone: str) -> datetime:
    year, month = year + (month - 1) // 12, (month - 1) % 12 + 1
    return datetime(year, month, 1, tzinfo=zone_of(zone)).astimezone(UTC)


def promoted_parts(amounts: Sequence[int], promo: int) -> list[int]:
    """How much of each of a payment's charges (oldest first) promotional credit paid: the first ones first."""
    return unpaid_parts(amounts[::-1], promo)[::-1]


def unpaid_parts(amounts: Sequence[int], written_off: int) -> list[int]:
    """How much of each of a payment's charges (oldest first) was written off: the latest ones first."""
    left, parts = written_off, []
    for amount in reversed(amounts):
        part = min(amount, left)
        left -= part
        parts.append(part)
    return parts[::-1]


@dataclass(frozen=True, slots=True)
class StatementCredit:
    """What came in or went out other than for usage."""

    at: datetime
    kind: TransferKind
    amount_micro: int
    reason: str
    transfer_id: str


@dataclass(frozen=True, slots=True)
class StatementVM:
    """What one VM cost in the month, in one project: one that moved has a line in each."""

    vm_id: str
    name: str
    project_name: str
    running_seconds: int
    stopped_seconds: int
    amount_micro: int
    project_id: str = ""  # '' in statements that were closed with one line per VM


@dataclass(frozen=True, slots=True)
class Statement:
    """A closed month: opening + credited + written off − charged = closing, to the micro-credit."""

    id: str
    number: int
    owner_id: str
    month: str
    zone: str
    start: datetime
    end: datetime
    last_seq: int
    closed_at: datetime
    opening_micro: int
    credited_micro: int
    charged_micro: int
    written_off_micro: int
    closing_micro: int
    credits: tuple[StatementCredit, ...] = ()
    vms: tuple[StatementVM, ...] = ()
    seller: TradeParty | None = None  # as they were when the month closed; None: closed before statements named them
    buyer: TradeParty | None = None

    @property
    def names(self) -> Mapping[tuple[str, str], tuple[str, str]]:
        """VM's and project's name as they were, by their ids (the project's is '' in old statements)."""
        return {(vm.vm_id, vm.project_id): (vm.name, vm.project_name) for vm in self.vms}

    @property
    def adds_up(self) -> bool:
        lines = sum(vm.amount_micro for vm in self.vms), sum(each.amount_micro for each in self.credits)
        closing = self.opening_micro + self.credited_micro + self.written_off_micro - self.charged_micro
        return lines == (self.charged_micro, self.credited_micro) and closing == self.closing_micro

    @property
    def top_ups(self) -> tuple[StatementCredit, ...]:
        return self._of(kinds=TOP_UPS)

    @property
    def grants(self) -> tuple[StatementCredit, ...]:
        return self._of(kinds=BY_HAND)

    @property
    def refunds(self) -> tuple[StatementCredit, ...]:
        """Everything else: refunds, reversals, disputes."""
        return tuple(each for each in self.credits if each.kind not in TOP_UPS | BY_HAND)

    def _of(self, kinds: frozenset[str]) -> tuple[StatementCredit, ...]:
        return tuple(each for each in self.credits if each.kind in kinds)


def total(items: Iterable[StatementCredit]) -> int:
    """The sum of some of a statement's credits."""
    return sum(each.amount_micro for each in items)
