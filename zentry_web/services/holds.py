"""Holds: credits moved from a wallet to its held account so that a running VM is always paid in advance.

Callers hold the locks of the wallets concerned, except where a function says that it only reads.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from sqlalchemy import bindparam, insert, literal, select, update
from sqlalchemy.orm import Session

from zentry_web.domain.billing import AccountKind, CreditStop, TransferKind
from zentry_web.domain.ids import new_id
from zentry_web.domain.money import cost
from zentry_web.domain.usage import Interval, OpenHold, Renewal, affordable_until, charges_cost, plan_renewals
from zentry_web.models import DbVM
from zentry_web.services.base_service import body_hash
from zentry_web.services.ledger import ACCOUNT, Draft, Funds, account_id, lock_accounts, post, require_funds
from zentry_web.services.settlement import HOLD, INTERVAL

_FEW_OWNERS = 500  # more than that are not named in a statement
NEEDS_HOLD = "There are not enough credits to run this for {minutes} minutes in advance."


@dataclass(frozen=True, slots=True)
class HoldRow:
    """The open hold of a VM."""

    id: str
    owner_id: str
    interval_id: str | None
    remaining: int


def find_hold(session: Session, vm_id: str) -> HoldRow | None:
    """The VM's open hold, if there is one. Only reads."""
    row = session.execute(
        select(HOLD.c.id, HOLD.c.owner_id, HOLD.c.interval_id, HOLD.c.remaining).where(
            HOLD.c.vm_id == vm_id, HOLD.c.closed_at.is_(None)
        )
    ).one_or_none()
    return HoldRow(*row) if row else None


def place(
    session: Session, vm_id: str, owner_id: str, rate: int, window: timedelta, funds: Funds, now: datetime
) -> HoldRow:
    """Set the price of the hold window aside for a VM about to start; the open hold if there is one already.

    Raises InsufficientCreditsError (``needed``, ``available`` in micro-credits).
    """
    found = find_hold(session, vm_id)
    if found:
        return found
    amount = hold_price(rate, window)
    require_funds(funds.wallet, amount, NEEDS_HOLD.format(minutes=window // timedelta(minutes=1)))
    hold_id = new_id("hold", now)
    session.execute(
        insert(HOLD),
        [
            {
                "id": hold_id,
                "vm_id": vm_id,
                "owner_id": owner_id,
                "interval_id": None,
                "rate_micro_per_hour": rate,
                "remaining": amount,
                "paid_until": None,
                "created_at": now,
                "closed_at": None,
            }
        ],
    )
    if amount:
        reason = f"Held for {window // timedelta(minutes=1)} minutes of running"
        post(session, [_move(f"hold:{hold_id}", TransferKind.HOLD, owner_id, amount, reason, vm_id)], now)
    return HoldRow(hold_id, owner_id, None, amount)


def add(session: Session, vm_id: str, amount: int, now: datetime) -> None:
    """Set ``amount`` more aside on the VM's open hold; it lasts no longer for that before it is renewed or bound."""
    hold = find_hold(session, vm_id)
    if hold is None or amount <= 0:
        return
    session.execute(update(HOLD).where(HOLD.c.id == hold.id).values(remaining=HOLD.c.remaining + amount))
    key = f"hold:{hold.id}:{new_id('more', now)}"
    post(session, [_move(key, TransferKind.HOLD, hold.owner_id, amount, "Held for a larger size", vm_id)], now)


def trim(session: Session, vm_id: str, now: datetime) -> None:
    """Give back what the VM's hold has beyond the second that it lasts to."""
    query = (
        select(HOLD.c.id, HOLD.c.owner_id, HOLD.c.remaining, HOLD.c.paid_until, HOLD.c.rate_micro_per_hour)
        .add_columns(INTERVAL.c.settled_until, INTERVAL.c.time_zone)
        .join(INTERVAL, INTERVAL.c.id == HOLD.c.interval_id)
        .where(HOLD.c.vm_id == vm_id, HOLD.c.closed_at.is_(None), INTERVAL.c.end_at.is_(None))
    )
    row = session.execute(query).one_or_none()
    if row is None:
        return
    over = row.remaining - charges_cost(row.rate_micro_per_hour, row.settled_until, row.paid_until, row.time_zone)
    if over > 0:
        session.execute(update(HOLD).where(HOLD.c.id == row.id).values(remaining=row.remaining - over))
        key = f"release:{row.id}:{new_id('over', now)}"
        draft = _move(key, TransferKind.RELEASE, row.owner_id, -over, "Not needed for its size", vm_id)
        post(session, [draft], now)


def unbind(session: Session, vm_id: str) -> None:
    """The VM's run has ended and another follows: its hold waits for that."""
    session.execute(
        update(HOLD).where(HOLD.c.vm_id == vm_id, HOLD.c.closed_at.is_(None)).values(interval_id=None, paid_until=None)
    )


def release(session: Session, hold: HoldRow, vm_id: str, now: datetime) -> None:
    """Close a hold and give what is left of it back to the wallet."""
    session.execute(update(HOLD).where(HOLD.c.id == hold.id).values(remaining=0, closed_at=now))
    if hold.remaining:
        draft = _move(
            f"release:{hold.id}", TransferKind.RELEASE, hold.owner_id, -hold.remaining, "Hold released", vm_id
        )
        post(session, [draft], now)


def bind(session: Session, hold: HoldRow, interval: Interval, window: timedelta, now: datetime) -> None:
    """Tie a hold to the running interval it pays for from now on, and note the second it lasts to."""
    latest = max(interval.start, now) + window
    rate = interval.rate_micro_per_hour
    paid_until = affordable_until(rate, interval.start, latest, hold.remaining, interval.zone)
    session.execute(
        update(HOLD)
        .where(HOLD.c.id == hold.id)
        .values(interval_id=interval.id, rate_micro_per_hour=rate, paid_until=paid_until)
    )


def release_all(session: Session, vm_ids: Collection[str], now: datetime) -> None:
    """Close all open holds of these VMs and give what is left of them back to the wallets."""
    query = select(HOLD.c.id, HOLD.c.owner_id, HOLD.c.remaining, HOLD.c.vm_id)
    rows = session.execute(query.where(HOLD.c.vm_id.in_(vm_ids), HOLD.c.closed_at.is_(None)).order_by(HOLD.c.id)).all()
    ids = [row.id for row in rows]
    if ids:
        session.execute(update(HOLD).where(HOLD.c.id.in_(ids)).values(remaining=0, closed_at=now))
    kind, reason = TransferKind.RELEASE, "Hold released"
    drafts = [
        _move(f"release:{row.id}", kind, row.owner_id, -row.remaining, reason, row.vm_id)
        for row in rows
        if row.remaining
    ]
    post(session, drafts, now)


def place_all(
    session: Session, owner_id: str, intervals: Collection[Interval], window: timedelta, now: datetime
) -> None:
    """Set the price of the hold window aside for each of these running intervals of one owner that have just opened,
    and tie it to them. Their VMs have no open hold. Raises InsufficientCreditsError."""
    if not intervals:
        return
    minutes = window // timedelta(minutes=1)
    amounts = {each.id: hold_price(each.rate_micro_per_hour, window) for each in intervals}
    wallet = lock_accounts(session, [owner_id])[owner_id].wallet
    require_funds(wallet, sum(amounts.values()), NEEDS_HOLD.format(minutes=minutes))
    rows, drafts = [], []
    for each in intervals:
        hold_id, rate, amount = new_id("hold", now), each.rate_micro_per_hour, amounts[each.id]
        until = affordable_until(rate, each.start, max(each.start, now) + window, amount, each.zone)
        rows.append(
            {
                "id": hold_id,
                "vm_id": each.vm_id,
                "owner_id": owner_id,
                "interval_id": each.id,
                "rate_micro_per_hour": rate,
                "remaining": amount,
                "paid_until": until,
                "created_at": now,
                "closed_at": None,
            }
        )
        if amount:
            reason = f"Held for {minutes} minutes of running"
            drafts.append(_move(f"hold:{hold_id}", TransferKind.HOLD, owner_id, amount, reason, each.vm_id))
    session.execute(insert(HOLD), rows)
    post(session, drafts, now)


def _move(key: str, kind: TransferKind, owner_id: str, amount: int, reason: str, vm_id: str | None) -> Draft:
    """``amount`` from wallet to held (negative: back)."""
    return Draft(
        kind=kind,
        owner_id=owner_id,
        key=key,
        body_hash=body_hash(key, amount),
        amounts={
            account_id(AccountKind.WALLET, owner_id): -amount,
            account_id(AccountKind.HELD, owner_id): amount,
        },
        reason=reason,
        vm_id=vm_id,
    )


# -- renewal ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class WalletPlan:
    """What renewing does to the holds of one wallet."""

    owner_id: str
    renewals: list[Renewal]

    @property
    def changes(self) -> list[Renewal]:
        return [renewal for renewal in self.renewals if renewal.paid_until != renewal.hold.paid_until]

    def stops(self, enough: datetime) -> list[CreditStop]:
        """The VMs whose hold ends before ``enough`` all the same."""
        return [
            CreditStop(renewal.hold.vm_id, renewal.paid_until)
            for renewal in self.renewals
            if renewal.paid_until < enough
        ]


def plan(
    session: Session,
    now: datetime,
    window: timedelta,
    owner_ids: Collection[str] | None = None,
    *,
    after: OpenHold | None = None,
    limit: int | None = None,
) -> list[WalletPlan]:
    """How holds with less than half a window left would be renewed now, per wallet. Only reads; two statements.

    ``after`` and ``limit`` go through the holds of one wallet in slices, the most important first, then the one
    that ends first.
    """
    enough = now + window // 2
    query = (
        select(
            HOLD.c.owner_id,
            HOLD.c.id,
            HOLD.c.vm_id,
            HOLD.c.rate_micro_per_hour,
            HOLD.c.remaining,
            HOLD.c.paid_until,
            INTERVAL.c.settled_until,
            INTERVAL.c.time_zone,
            DbVM.importance,
            ACCOUNT.c.balance,
        )
        .join(INTERVAL, INTERVAL.c.id == HOLD.c.interval_id)
        .join(DbVM, DbVM.id == HOLD.c.vm_id)
        .join(ACCOUNT, (ACCOUNT.c.owner_id == HOLD.c.owner_id) & (ACCOUNT.c.kind == AccountKind.WALLET))
        .where(HOLD.c.closed_at.is_(None), HOLD.c.paid_until < enough, INTERVAL.c.end_at.is_(None))
        .order_by(HOLD.c.owner_id, DbVM.importance.desc(), HOLD.c.paid_until, HOLD.c.id)
        .limit(limit)
    )
    if owner_ids is not None:
        query = query.where(HOLD.c.owner_id.in_(owner_ids))
    if after is not None:
        same = (HOLD.c.paid_until == after.paid_until) & (HOLD.c.id > after.id)
        later = (HOLD.c.paid_until > after.paid_until) | same
        query = query.where((DbVM.importance < after.importance) | ((DbVM.importance == after.importance) & later))
    found = session.execute(query).all()
    others = _ordered_by_owner(session, {row.owner_id for row in found}, enough) if found else {}
    plans = []
    for owner_id, group in groupby(found, key=lambda row: row.owner_id):
        rows = list(group)
        holds = [OpenHold(*row[1:9]) for row in rows]
        renewals = plan_renewals(holds, rows[0].balance, now, window, others=others.get(owner_id, ()))
        plans.append(WalletPlan(owner_id, renewals))
    return plans


def _ordered_by_owner(session: Session, owner_ids: Collection[str], enough: datetime) -> dict[str, list[OpenHold]]:
    """Holds that need no renewal yet, of VMs that their owners put in an order of importance."""
    query = (
        select(HOLD.c.owner_id, HOLD.c.id, HOLD.c.vm_id, HOLD.c.rate_micro_per_hour, HOLD.c.remaining)
        .add_columns(HOLD.c.paid_until, HOLD.c.created_at, literal("UTC"), DbVM.importance)
        .join(DbVM, DbVM.id == HOLD.c.vm_id)
        .where(HOLD.c.closed_at.is_(None), HOLD.c.paid_until >= enough, DbVM.importance > 0)
    )
    if len(owner_ids) <= _FEW_OWNERS:
        query = query.where(HOLD.c.owner_id.in_(owner_ids))
    others: dict[str, list[OpenHold]] = {}
    for row in session.execute(query):
        if row[0] in owner_ids:
            others.setdefault(row[0], []).append(OpenHold(*row[1:]))
    return others


_EXTEND = (
    update(HOLD)
    .where(HOLD.c.id == bindparam("hold"))
    .values(remaining=HOLD.c.remaining + bindparam("move"), paid_until=bindparam("until"))
)


def apply(session: Session, plans: Iterable[WalletPlan], now: datetime) -> None:
    """Carry out what was planned under the wallets' locks: one transfer per wallet, in bulk."""
    drafts: list[Draft] = []
    rows: list[dict[str, Any]] = []
    for wallet in plans:
        changes = wallet.changes
        rows += [_extension(renewal) for renewal in changes]
        total = sum(renewal.move for renewal in changes)
        if total:
            vm_ids = {renewal.hold.vm_id for renewal in changes if renewal.move}
            only = vm_ids.pop() if len(vm_ids) == 1 else None
            key = f"renew:{new_id('run', now)}"
            drafts.append(_move(key, TransferKind.HOLD, wallet.owner_id, total, "Holds renewed", only))
    if rows:
        session.execute(_EXTEND, rows)
    post(session, drafts, now)


def _extension(renewal: Renewal) -> dict[str, Any]:
    return {"hold": renewal.hold.id, "move": renewal.move, "until": renewal.paid_until}


def hold_price(rate_micro_per_hour: int, window: timedelta) -> int:
    """Micro-credits that a start sets aside."""
    return cost(rate_micro_per_hour, window // timedelta(seconds=1))
