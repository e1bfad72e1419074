"""L16: being stopped for lack of credit is what ledger, policy and clock say, and nothing else.

What a worker has had no time to look at yet is no breach: every rule asks whether a round of its loop has ended since.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from zentry_web.domain.credits.billing import AccountKind, UsageState
from zentry_web.domain.credits.landing import Policy, may_start_again
from zentry_web.domain.vms.operation import OPEN_OPERATION_STATES
from zentry_web.domain.vms.state import CHANGING, VMState
from zentry_web.models import DbComputeStatus, DbHeartbeat, DbOperation, DbStored, DbVM
from zentry_web.services.billing.ledger.posting import ACCOUNT, ENTRY, TRANSFER
from zentry_web.services.billing.usage import holds
from zentry_web.services.billing.usage.settlement import HOLD, INTERVAL, OF_MACHINE

SLACK = timedelta(minutes=5)
_OFF = (VMState.STOPPED, VMState.ERROR, VMState.DELETING, VMState.BINNED, VMState.DELETED)
_IS_OFF = DbVM.state.in_(_OFF) | (DbVM.state.in_(CHANGING) & DbVM.run_id.is_(None))
_BUSY = (
    select(DbOperation.id).where(DbOperation.vm_id == DbVM.id, DbOperation.state.in_(OPEN_OPERATION_STATES)).exists()
)


def wrong_stops(session: Session, policy: Policy, now: datetime) -> Iterator[str]:
    """Sentences about VMs that credits stopped, or did not stop, otherwise than they should have."""
    yield from _contradictions(session)
    yield from _left_waiting(session, policy)
    yield from _past_their_hold(session)


def _contradictions(session: Session) -> Iterator[str]:
    """A VM that waits for credits is off; a disk that is kept for nothing is not charged."""
    waiting = select(DbVM.name).where(DbVM.credit_stopped_at.is_not(None), ~_IS_OFF)
    for name in session.scalars(waiting.order_by(DbVM.id)):
        yield f"{name} waits for credits and is not off"
    charged = (
        select(DbVM.name)
        .join(INTERVAL, (INTERVAL.c.vm_id == DbVM.id) & INTERVAL.c.end_at.is_(None) & OF_MACHINE)
        .where(DbVM.disk_until.is_not(None))
    )
    for name in session.scalars(charged.order_by(DbVM.id)):
        yield f"the disk of {name} is kept without a charge, and charged"
    stored = (
        select(DbStored.id)
        .join(INTERVAL, (INTERVAL.c.stored_id == DbStored.id) & INTERVAL.c.end_at.is_(None))
        .where(DbStored.kept_until.is_not(None) | DbStored.ended_at.is_not(None))
    )
    for stored_id in session.scalars(stored.order_by(DbStored.id)):
        yield f"{stored_id} is kept without a charge, or gone, and charged"


def _left_waiting(session: Session, policy: Policy) -> Iterator[str]:
    """Credits suffice since before the landing loop last looked, and the VM was not started again."""
    looked = _last_round(session, "land")
    if looked is None:
        return
    moved = (
        select(TRANSFER.c.at)
        .join(ENTRY, ENTRY.c.transfer_id == TRANSFER.c.id)
        .where(ENTRY.c.account_id == ACCOUNT.c.id, ENTRY.c.seq == ACCOUNT.c.last_seq)
        .scalar_subquery()
    )
    burn = (
        select(func.coalesce(func.sum(INTERVAL.c.rate_micro_per_hour), 0))
        .where(INTERVAL.c.owner_id == DbVM.owner_id, INTERVAL.c.end_at.is_(None))
        .scalar_subquery()
    )
    query = (
        select(DbVM.name, DbVM.credit_stopped_at, DbVM.running_micro_per_hour, ACCOUNT.c.balance, moved, burn)
        .join(ACCOUNT, (ACCOUNT.c.owner_id == DbVM.owner_id) & (ACCOUNT.c.kind == AccountKind.WALLET))
        .where(DbVM.credit_stopped_at.is_not(None), DbVM.state == VMState.STOPPED, ~_BUSY)
        .order_by(DbVM.id)
    )
    for name, stopped_at, rate, wallet, moved_at, burning in session.execute(query):
        since = max(stopped_at, moved_at or stopped_at)
        price = holds.hold_price(rate, policy.window)
        if looked - since > SLACK and may_start_again(wallet, price, int(burning), policy.window):
            yield f"{name} waits although credits suffice"


def _past_their_hold(session: Session) -> Iterator[str]:
    """A VM runs on beyond what is paid in advance, although the biller has looked and the hypervisor answers: also one
    with an operation under way, whose stop for lack of credit may be what is stuck."""
    looked = _last_round(session, "bill")
    answered = session.scalar(select(func.max(DbComputeStatus.answered_at)))
    if looked is None or answered is None:
        return
    query = (
        select(DbVM.name)
        .join(INTERVAL, (INTERVAL.c.vm_id == DbVM.id) & INTERVAL.c.end_at.is_(None))
        .join(HOLD, (HOLD.c.interval_id == INTERVAL.c.id) & HOLD.c.closed_at.is_(None))
        .where(
            INTERVAL.c.state == UsageState.RUNNING,
            HOLD.c.paid_until < min(looked, answered) - SLACK,
            DbVM.deleted_at.is_(None),
            DbVM.confirmed_until.is_(None),
        )
        .order_by(DbVM.id)
    )
    for name in session.scalars(query):
        yield f"{name} runs beyond what is paid in advance"


def _last_round(session: Session, loop: str) -> datetime | None:
    """When a worker's loop last ended a round well."""
    return session.scalar(select(func.max(DbHeartbeat.at)).where(DbHeartbeat.loop == loop, DbHeartbeat.error == ""))
