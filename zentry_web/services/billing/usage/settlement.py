"""Turning used seconds into charges: for one closing interval, or for many intervals of many wallets at once.

Callers hold the locks of all wallets concerned. Rules are in domain/credits/usage.py; here they are applied to rows in
bulk: the number of statements does not grow with intervals or wallets.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, cast

from sqlalchemy import Select, Table, select, text
from sqlalchemy.orm import Session

from zentry_web.domain.credits.billing import AccountKind, TransferKind
from zentry_web.domain.credits.usage import (
    ChargeKind,
    ChargeLine,
    Interval,
    UsageState,
    charge_lines,
    hour_start,
    local_month,
    pay,
)
from zentry_web.models import DbCharge, DbHold, DbProjectMonth, DbUsageInterval, DbUsageMonth, DbVM
from zentry_web.models.vm import IS_LEAVING
from zentry_web.services.base_service import body_hash
from zentry_web.services.billing.ledger import promotions
from zentry_web.services.billing.ledger.fast_sql import insert_rows, update_rows
from zentry_web.services.billing.ledger.posting import Draft, Funds, account_id, post

INTERVAL = cast(Table, DbUsageInterval.__table__)
CHARGE = cast(Table, DbCharge.__table__)
HOLD = cast(Table, DbHold.__table__)
MONTH = cast(Table, DbUsageMonth.__table__)
PROJECT_MONTH = cast(Table, DbProjectMonth.__table__)

# The columns of domain/credits/usage.py's Interval, in its order.
INTERVAL_FACTS = (
    INTERVAL.c.id,
    INTERVAL.c.vm_id,
    INTERVAL.c.owner_id,
    INTERVAL.c.project_id,
    INTERVAL.c.state,
    INTERVAL.c.rate_micro_per_hour,
    INTERVAL.c.start_at,
    INTERVAL.c.end_at,
    INTERVAL.c.settled_until,
    INTERVAL.c.minimum_seconds,
    INTERVAL.c.time_zone,
    INTERVAL.c.stored_id,
)

# The machine's own intervals, not those of what is stored of it.
OF_MACHINE = INTERVAL.c.stored_id.is_(None)

# As the partial indexes spell it; ``~column`` becomes ``column = 0`` on SQLite, which they do not serve.
UNSETTLED = text("NOT usage_interval.settled")

# Nothing is charged of a machine that the hypervisor cannot tell of; it is when that is clear again. Nor of one that
# was deleted with its project: when its turn comes, its interval is closed and charged up to the click.
CLEAR = INTERVAL.c.vm_id.not_in(
    select(DbVM.id).where(DbVM.confirmed_until.is_not(None)).union_all(select(DbVM.id).where(IS_LEAVING))
)

# A month's sums grow by what is charged.
ADD_TO_MONTH = (
    "ON CONFLICT (vm_id, month, state, project_id, owner_id) DO UPDATE SET "
    "seconds = usage_month.seconds + excluded.seconds, amount = usage_month.amount + excluded.amount"
)
ADD_TO_PROJECT = (
    "ON CONFLICT (owner_id, month, project_id) DO UPDATE SET amount = project_month.amount + excluded.amount"
)

INTERVALS_PER_TRANSACTION = 200  # what keeps a write transaction well under 100 ms
LINES_PER_TRANSACTION = 400


@dataclass(frozen=True, slots=True)
class Item:
    """An interval to settle, and what its hold has left."""

    interval: Interval
    hold_id: str | None
    hold_remaining: int


@dataclass(slots=True)
class _Account:
    """One wallet while its intervals are settled."""

    wallet: int
    promo: int = 0
    from_hold: int = 0
    from_wallet: int = 0
    write_off: int = 0
    lines: list[tuple[Interval, ChargeLine]] = field(default_factory=list)

    @property
    def from_promo(self) -> int:
        """How much of what is paid promotions pay: they come first, whether it lay in the wallet or on a hold."""
        return min(self.promo, self.from_hold + self.from_wallet)


@dataclass(frozen=True, slots=True)
class Settled:
    """How many charges were made, and whether some interval has more due than it was given."""

    charges: int
    more: bool


def items_query() -> Select[Any]:
    """Unsettled intervals with their holds; add conditions, then ``read_items``."""
    return (
        select(
            *INTERVAL_FACTS,
            HOLD.c.id.label("hold_id"),
            HOLD.c.remaining,
        )
        .outerjoin(HOLD, (HOLD.c.vm_id == INTERVAL.c.vm_id) & HOLD.c.closed_at.is_(None))
        .where(UNSETTLED)
    )


def read_items(session: Session, query: Select[Any]) -> list[Item]:
    """The intervals of ``query``. A hold counts only where it pays: on a running interval."""
    items = []
    for row in session.execute(query):
        *parts, hold_id, remaining = row
        parts[4] = UsageState(parts[4])
        interval = Interval(*parts)
        bound = interval.state == UsageState.RUNNING and hold_id is not None
        items.append(Item(interval, hold_id if bound else None, remaining if bound else 0))
    return items


def due_owners(session: Session, until: datetime) -> list[tuple[str, int]]:
    """Owners with intervals that have passed a fixed cut by ``until``, with how many. Reads only those."""
    rows = session.execute(
        select(INTERVAL.c.owner_id)
        .where(UNSETTLED, INTERVAL.c.settled_until < hour_start(until), CLEAR)
        .order_by(INTERVAL.c.owner_id)
    )
    counts: dict[str, int] = {}
    for (owner_id,) in rows:
        counts[owner_id] = counts.get(owner_id, 0) + 1
    return list(counts.items())


def due_items(session: Session, owner_ids: Collection[str], until: datetime) -> list[Item]:
    """Of these owners, the intervals due by ``until``, the longest unsettled first: one more than a commit takes."""
    query = (
        items_query()
        .where(INTERVAL.c.owner_id.in_(owner_ids), INTERVAL.c.settled_until < hour_start(until), CLEAR)
        .order_by(INTERVAL.c.settled_until, INTERVAL.c.id)
        .limit(INTERVALS_PER_TRANSACTION + 1)
    )
    return read_items(session, query)


def lines_each(items: Sequence[Item]) -> int:
    """How many charges each of these intervals may get so that one transaction stays short."""
    return max(1, LINES_PER_TRANSACTION // max(1, len(items)))


def settle_items(
    session: Session,
    items: Sequence[Item],
    funds: dict[str, Funds],
    until: datetime,
    now: datetime,
    *,
    most: int | None = None,
) -> Settled:
    """Charge what is due of these intervals, one transfer per wallet, at most ``most`` lines each.

    ``funds`` were read under the wallets' locks. Credits come from the interval's hold, then from the wallet; what
    neither has is written off. What is promotional of them is used first.
    """
    accounts: dict[str, _Account] = {}
    holds: list[dict[str, Any]] = []
    done: list[dict[str, Any]] = []
    more = False
    for item in items:
        interval = item.interval
        lines = charge_lines(interval, until, most=most + 1 if most and interval.end is None else None)
        if not lines and interval.end is None:
            continue
        if most and interval.end is None and len(lines) > most:
            lines, more = lines[:most], True
        if (account := accounts.get(interval.owner_id)) is None:
            own = funds[interval.owner_id]
            account = accounts[interval.owner_id] = _Account(own.wallet, own.promo)
        remaining = _charge(account, item, lines)
        if remaining != item.hold_remaining:
            holds.append({"id": item.hold_id, "remaining": remaining})
        reached = lines[-1].end if lines else interval.settled_until
        done.append({"id": interval.id, "settled_until": reached, "settled": reached == interval.end})
    _write(session, accounts, now)
    update_rows(session, INTERVAL, done)
    update_rows(session, HOLD, holds)
    return Settled(sum(len(account.lines) for account in accounts.values()), more)


def _charge(account: _Account, item: Item, lines: Sequence[ChargeLine]) -> int:
    """Take the lines of one interval from hold and wallet; returns what the hold has left."""
    remaining = item.hold_remaining
    for line in lines:
        payment = pay(line.amount, hold=remaining, wallet=account.wallet)
        remaining -= payment.hold
        account.wallet -= payment.wallet
        account.from_hold += payment.hold
        account.from_wallet += payment.wallet
        account.write_off += payment.write_off
        account.lines.append((item.interval, line))
    return remaining


def _write(session: Session, accounts: dict[str, _Account], now: datetime) -> None:
    charged = {owner: account for owner, account in sorted(accounts.items()) if account.lines}
    transfers = post(session, [_draft(owner, account) for owner, account in charged.items()], now)
    used = [
        promotions.Use(owner, transfer_id, account.from_promo)
        for transfer_id, (owner, account) in zip(transfers, charged.items(), strict=True)
        if account.from_promo
    ]
    promotions.use(session, used)
    charges: list[dict[str, Any]] = []
    months: dict[tuple[str, ...], dict[str, Any]] = {}
    for transfer_id, account in zip(transfers, charged.values(), strict=True):
        for interval, line in account.lines:
            charges.append(_charge_row(interval, line, transfer_id))
            _add_to_month(months, interval, line)
    insert_rows(session, CHARGE, charges)
    insert_rows(session, MONTH, list(months.values()), on_conflict=ADD_TO_MONTH)
    insert_rows(session, PROJECT_MONTH, _by_project(months.values()), on_conflict=ADD_TO_PROJECT)


def _draft(owner_id: str, account: _Account) -> Draft:
    """The transfer that pays for an account's lines. Its key is its first charge, which can exist only once."""
    amounts = {
        account_id(AccountKind.WALLET, owner_id): -account.from_wallet,
        account_id(AccountKind.HELD, owner_id): -account.from_hold,
        account_id(AccountKind.WRITE_OFF): -account.write_off,
    }
    total = account.from_wallet + account.from_hold + account.write_off
    # Seconds so cheap that they round to nothing are charged too: their transfer moves 0.
    amounts = {key: amount for key, amount in amounts.items() if amount} or {
        account_id(AccountKind.WALLET, owner_id): 0
    }
    if account.from_promo:
        amounts[account_id(AccountKind.PROMO_USED)] = account.from_promo
    if total != account.from_promo or not total:
        amounts[account_id(AccountKind.REVENUE)] = total - account.from_promo
    vm_ids = {interval.vm_id for interval, _ in account.lines}
    interval, line = account.lines[0]
    key = f"usage:{interval.id}:{line.start:%Y%m%dT%H%M%S}:{line.kind}"
    latest = max(line.end for _, line in account.lines)
    return Draft(
        kind=TransferKind.USAGE,
        owner_id=owner_id,
        key=key,
        body_hash=body_hash(key, total),
        amounts=amounts,
        reason=f"Usage until {latest:%Y-%m-%d %H:%M:%S} UTC",
        vm_id=vm_ids.pop() if len(vm_ids) == 1 else None,
    )


def _charge_row(interval: Interval, line: ChargeLine, transfer_id: str) -> dict[str, Any]:
    return {
        "interval_id": interval.id,
        "from_at": line.start,
        "kind": line.kind,
        "to_at": line.end,
        "seconds": line.seconds,
        "amount": line.amount,
        "transfer_id": transfer_id,
        "owner_id": interval.owner_id,
        "vm_id": interval.vm_id,
    }


def _add_to_month(months: dict[tuple[str, ...], dict[str, Any]], interval: Interval, line: ChargeLine) -> None:
    """Count a line to the month in which it begins."""
    key = (
        interval.vm_id,
        local_month(line.start, interval.zone),
        interval.state,
        interval.project_id,
        interval.owner_id,
    )
    row = months.setdefault(
        key,
        {
            "vm_id": key[0],
            "month": key[1],
            "state": key[2],
            "project_id": key[3],
            "owner_id": key[4],
            "seconds": 0,
            "amount": 0,
        },
    )
    row["seconds"] += line.seconds if line.kind == ChargeKind.USAGE else 0
    row["amount"] += line.amount


def _by_project(months: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Months of VMs added up: one row for each wallet, month and project."""
    names = "owner_id", "month", "project_id"
    sums: dict[tuple[str, ...], int] = {}
    for row in months:
        key = tuple(row[name] for name in names)
        sums[key] = sums.get(key, 0) + row["amount"]
    return [dict(zip(names, key, strict=True), amount=amount) for key, amount in sums.items()]
