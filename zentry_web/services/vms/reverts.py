"""What a machine was before a revert, kept for an hour as a snapshot on the host that is nobody's (docs/adr/0043)."""

from datetime import datetime

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from zentry_web.domain.vms.claim import Claim
from zentry_web.domain.vms.operation import OPEN_OPERATION_STATES
from zentry_web.models import DbOperation, DbRevertAside
from zentry_web.services.base_service import BaseService
from zentry_web.services.vms.asides import KEPT_FOR


def find_last(session: Session, vm_id: str, now: datetime) -> DbRevertAside | None:
    """The newest revert of this machine that can be undone."""
    mine = DbRevertAside.vm_id == vm_id, DbRevertAside.until > now
    return session.scalar(select(DbRevertAside).where(*mine).order_by(DbRevertAside.operation_id.desc()).limit(1))


def let_go(session: Session, vm_id: str, now: datetime) -> None:
    """What is kept of this machine is kept no longer: the worker removes it."""
    kept = update(DbRevertAside).where(DbRevertAside.vm_id == vm_id, DbRevertAside.until > now)
    session.execute(kept.values(until=now))


def keep(session: Session, operation_id: str, now: datetime) -> None:
    """A revert is done: what the machine was can be had back for an hour; what was kept before that no longer."""
    row = session.get(DbRevertAside, operation_id)
    if row is not None:
        let_go(session, row.vm_id, now)
        row.until = now + KEPT_FOR


def is_kept(session: Session, claim: Claim) -> bool:
    """Whether what the machine was before this operation can be had back although it failed."""
    row = session.get(DbRevertAside, claim.operation_id)
    return row is not None and row.until is not None


class RevertAsides(BaseService):
    """The worker's side. A part of VMService."""

    name = "revert_asides"

    def list_due(self) -> list[tuple[str, str]]:
        """Whose time is over, with the machine, where nothing is under way with that; of a revert that came to nothing
        an hour after it ended."""
        now, mine = self.now(), DbOperation.id == DbRevertAside.operation_id
        came_to_nothing = select(DbOperation.id).where(mine, DbOperation.finished_at <= now - KEPT_FOR).exists()
        is_over = or_(DbRevertAside.until <= now, DbRevertAside.until.is_(None) & came_to_nothing)
        busy = or_(DbOperation.state.in_(OPEN_OPERATION_STATES), DbOperation.lease_until > now)
        under_way = DbOperation.vm_id == DbRevertAside.vm_id, busy
        query = select(DbRevertAside.vm_id, DbRevertAside.operation_id).where(is_over)
        query = query.where(~select(DbOperation.id).where(*under_way).exists()).order_by(DbRevertAside.operation_id)
        with self.reading() as session:
            return [(row.vm_id, row.operation_id) for row in session.execute(query)]

    def list_of(self, vm_id: str) -> list[tuple[str, str]]:
        """All that is kept of a machine, whether it could be had back or not."""
        with self.reading() as session:
            query = select(DbRevertAside.operation_id).where(DbRevertAside.vm_id == vm_id)
            return [(vm_id, operation_id) for operation_id in session.scalars(query)]

    def keep(self, operation_id: str) -> None:
        """A revert failed after the machine had been reverted."""
        with self.transaction() as session:
            keep(session, operation_id, self.now())

    def forget(self, operation_id: str) -> None:
        """It is gone from the host."""
        with self.transaction() as session:
            row = session.get(DbRevertAside, operation_id)
            if row is not None:
                session.delete(row)
