"""Holds: credits moved from a wallet to its held account so that a running VM is always paid in advance.

Callers hold the locks of the wallets concerned, except where a function says that it only reads.
"""

import contextlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from sqlalchemy import bindparam, insert, literal, select, update
from sqlalchemy.orm import Session

from zentry_web.domain.credits.billing import AccountKind, CreditStop, TransferKind
from zentry_web.domain.credits.usage import Interval, OpenHold, Renewal, affordable_until, charges_cost, plan_renewals
from zentry_web.domain.ids import new_id
from zentry_web.domain.language import lazy
from zentry_web.domain.money import cost
from zentry_web.models import DbVM
from zentry_web.services.base_service import body_hash
from zentry_web.services.billing.ledger.posting import (
    ACCOUNT,
    Draft,
    Funds,
    account_id,
    lock_accounts,
    post,
    require_funds,
)
from zentry_web.services.billing.usage.interval_rows import Meter
from zentry_web.services.billing.usage.settlement import HOLD, INTERVAL
from zentry_web.services.shared.rounds import alone

_FEW_OWNERS = 500  # more than that are not named in a statement
NEEDS_HOLD = lazy("There are not enough credits to run this for %(minutes)s minutes in advance.")


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


def place(meter: Meter, vm_id: str, owner_id: str, rate: int, funds: Funds) -> HoldRow:
    """Set the price of the hold window aside for a VM about to start; the open hold if there is one already.

    Raises InsufficientCreditsError (``needed``, ``available`` in micro-credits).
    """
    found = find_hold(meter.session, vm_id)
    if found:
        return found
    row = _row(meter, vm_id, owner_id, rate)
    _write(meter, funds.wallet, [row])
    return HoldRow(row["id"], owner_id, None, row["remaining"])


def add(session: Session, vm_id: str, amount: int, now: datetime) -> None:
    """Set ``amount`` more aside on the VM's open hold; it lasts no longer for that before it is renewed or bound."""
    hold = find_hold(session, vm_id)
    if hold is None or amount <= 0:
        return
    session.execute(update(HOLD).where(HOLD.c.id == hold.id).values(remaining=HOLD.c.remaining + amount))
    key = f"hold:{hold.id}:{new_id('more', now)}"
    post(session, [_move(key, TransferKind.HOLD, hold.owner_id, amount, "Held for a larger size", vm_id)], now)


def trim(session: Session, vm_ids: Collection[str], now: datetime, reason: str) -> None:
    """Give back what the holds of these running VMs have beyond the second that they last to."""
    query = (
        select(HOLD.c.id, HOLD.c.vm_id, HOLD.c.owner_id, HOLD.c.remaining, HOLD.c.paid_until)
        .add_columns(HOLD.c.rate_micro_per_hour, INTERVAL.c.settled_until, INTERVAL.c.time_zone)
        .join(INTERVAL, INTERVAL.c.id == HOLD.c.interval_id)
        .where(HOLD.c.vm_id.in_(vm_ids), HOLD.c.closed_at.is_(None), INTERVAL.c.end_at.is_(None))
        .order_by(HOLD.c.id)
    )
    drafts, rows = [], []
    for row in session.execute(query):
        needed = charges_cost(row.rate_micro_per_hour, row.settled_until, row.paid_until, row.time_zone)
        if (over := row.remaining - needed) > 0:
            key = f"release:{row.id}:{new_id('over', now)}"
            drafts.append(_move(key, TransferKind.RELEASE, row.owner_id, -over, reason, row.vm_id))
            rows.append({"hold": row.id, "move": -over, "until": row.paid_until})
    if rows:
        session.execute(_EXTEND, rows)
    post(session, drafts, now)


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


def bind(meter: Meter, hold: HoldRow, interval: Interval) -> None:
    """Tie a hold to the running interval it pays for from now on, and note the second it lasts to."""
    rate, until = interval.rate_micro_per_hour, lasts_until(meter, interval, hold.remaining)
    bound = update(HOLD).where(HOLD.c.id == hold.id)
    meter.session.execute(bound.values(interval_id=interval.id, rate_micro_per_hour=rate, paid_until=until))


def lasts_until(meter: Meter, interval: Interval, micro: int) -> datetime:
    """The second to which a hold of ``micro`` pays a running interval: a window from now at most."""
    latest = max(interval.start, meter.now) + meter.window
    return affordable_until(interval.rate_micro_per_hour, interval.start, latest, micro, interval.zone)


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


def place_all(meter: Meter, owner_id: str, intervals: Collection[Interval]) -> None:
    """Set the price of the hold window aside for each of these running intervals of one owner that have just opened,
    and tie it to them. Their VMs have no open hold. Raises InsufficientCreditsError."""
    if not intervals:
        return
    rows = [_row(meter, each.vm_id, owner_id, each.rate_micro_per_hour, each) for each in intervals]
    _write(meter, lock_accounts(meter.session, [owner_id])[owner_id].wallet, rows)


def _row(meter: Meter, vm_id: str, owner_id: str, rate: int, interval: Interval | None = None) -> dict[str, Any]:
    """A new hold of the window's price, tied to ``interval`` if that is open already."""
    amount = hold_price(rate, meter.window)
    return {
        "id": new_id("hold", meter.now),
        "vm_id": vm_id,
        "owner_id": owner_id,
        "interval_id": interval.id if interval else None,
        "rate_micro_per_hour": rate,
        "remaining": amount,
        "paid_until": lasts_until(meter, interval, amount) if interval else None,
        "created_at": meter.now,
        "closed_at": None,
    }


def _write(meter: Meter, wallet: int, rows: Sequence[dict[str, Any]]) -> None:
    """Place these holds of one owner, if the wallet has what they set aside."""
    minutes = meter.window // timedelta(minutes=1)
    require_funds(wallet, sum(row["remaining"] for row in rows), NEEDS_HOLD % {"minutes": minutes})
    reason = f"Held for {minutes} minutes of running"
    drafts = [
        _move(f"hold:{row['id']}", TransferKind.HOLD, row["owner_id"], row["remaining"], reason, row["vm_id"])
        for row in rows
        if row["remaining"]
    ]
    meter.session.execute(insert(HOLD), rows)
    post(meter.session, drafts, meter.now)


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
    found = session.execute(_due(enough, owner_ids, after, limit)).all()
    others = _ordered_by_owner(session, {row.owner_id for row in found}, enough) if found else {}
    plans = []
    for owner_id, group in groupby(found, key=lambda row: row.owner_id):
        rows = list(group)
        holds = [OpenHold(*row[1:9]) for row in rows]
        with contextlib.nullcontext() if owner_ids is not None else alone(f"renew {owner_id}"):
            renewals = plan_renewals(holds, rows[0].balance, now, window, others=others.get(owner_id, ()))
            plans.append(WalletPlan(owner_id, renewals))
    return plans


def _due(enough: datetime, owner_ids: Collection[str] | None, after: OpenHold | None, limit: int | None) -> Any:
    """What ``plan`` reads: the holds that end before ``enough``, each with what its owner's wallet has."""
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
    return query


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
