"""What was written off: usage that neither hold nor wallet could pay, and payments taken back. Only reads."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from zentry_web.domain.credits.billing import AccountKind
from zentry_web.domain.credits.books import WriteOff, why_written_off
from zentry_web.domain.credits.statement import unpaid_parts
from zentry_web.domain.user import SYSTEM, Actor
from zentry_web.models import DbUser, DbVM
from zentry_web.services.base_service import BaseService
from zentry_web.services.billing.ledger.posting import ENTRY, TRANSFER, account_id
from zentry_web.services.billing.usage.settlement import CHARGE
from zentry_web.services.shared.access import require_admin
from zentry_web.services.shared.paging import CHUNK, in_chunks
from zentry_web.services.shared.rate_limits import RateLimiter

ACCOUNT_ID = account_id(AccountKind.WRITE_OFF)


class WriteOffs(BaseService):
    """For admins. Amounts are micro-credits, times aware UTC."""

    name = "write_offs"

    def list_write_offs(
        self, start: datetime, end: datetime, *, actor: Actor = SYSTEM, before: int | None = None, limit: int = 50
    ) -> tuple[list[WriteOff], int | None]:
        """What was written off in [start, end), newest first, a line per charge; and the key of the next page.

        ``limit`` counts transfers: one may have several lines. ``before`` is the key of the last page. Two statements.
        """
        require_admin(actor)
        query = _entries(start, end).limit(limit)
        if before is not None:
            query = query.where(ENTRY.c.seq < before)
        with self.reading() as session:
            entries = session.execute(query).all()
            charges = _charges(session, entries)
        lines = [line for entry in entries for line in _lines(entry, charges[entry.id])]
        return lines, entries[-1].entry_seq if len(entries) == limit else None

    def total(self, start: datetime, end: datetime, *, actor: Actor = SYSTEM) -> int:
        """The sum of a period."""
        require_admin(actor)
        with self.reading() as session:
            found = session.scalar(select(func.sum(_entries(start, end).order_by(None).subquery().c.amount)))
        return -int(found or 0)

    def export(self, start: datetime, end: datetime, *, actor: Actor = SYSTEM) -> Iterator[WriteOff]:
        """Every line of a period, newest first, read in chunks. Raises PermissionDeniedError, RateLimitedError."""
        require_admin(actor)
        RateLimiter(self._core).check_actor("file", actor)
        return in_chunks(lambda before: self.list_write_offs(start, end, actor=actor, before=before, limit=CHUNK))


def _entries(start: datetime, end: datetime) -> Select[Any]:
    return (
        select(
            ENTRY.c.seq.label("entry_seq"), ENTRY.c.amount, TRANSFER.c.id, TRANSFER.c.at, TRANSFER.c.kind,
            TRANSFER.c.owner_id, DbUser.email,
        )
        .join(TRANSFER, TRANSFER.c.id == ENTRY.c.transfer_id)
        .outerjoin(DbUser, DbUser.id == TRANSFER.c.owner_id)
        .where(ENTRY.c.account_id == ACCOUNT_ID, TRANSFER.c.at >= start, TRANSFER.c.at < end, ENTRY.c.amount < 0)
        .order_by(ENTRY.c.seq.desc())
    )  # fmt: skip


def _charges(session: Session, entries: Any) -> dict[str, list[Any]]:
    """The charges of these transfers, the oldest first."""
    found: dict[str, list[Any]] = {entry.id: [] for entry in entries}
    query = (
        select(CHARGE, DbVM.name)
        .outerjoin(DbVM, DbVM.id == CHARGE.c.vm_id)
        .where(CHARGE.c.transfer_id.in_(found))
        .order_by(CHARGE.c.from_at, CHARGE.c.interval_id, CHARGE.c.kind.desc())
    )
    for row in session.execute(query):
        found[row.transfer_id].append(row)
    return found


def _lines(entry: Any, rows: list[Any]) -> list[WriteOff]:
    """What of which charge was not paid, the latest first, as a payment writes it off."""
    if not rows:
        return [_line(entry, None, -entry.amount)]
    parts = unpaid_parts([row.amount for row in rows], -entry.amount)
    return [_line(entry, row, part) for row, part in reversed(list(zip(rows, parts, strict=True))) if part]


def _line(entry: Any, charge: Any, amount: int) -> WriteOff:
    return WriteOff(
        seq=entry.entry_seq,
        at=entry.at,
        transfer_id=entry.id,
        owner_id=entry.owner_id,
        owner_email=entry.email or entry.owner_id,
        vm_id=charge.vm_id if charge else None,
        vm_name=(charge.name or charge.vm_id) if charge else "",
        interval_id=charge.interval_id if charge else None,
        amount_micro=amount,
        why=why_written_off(entry.kind, entry.at, charge.to_at if charge else None),
    )
