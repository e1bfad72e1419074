"""Statements: closing months, and showing closed ones again exactly as they were.

A statement is a function of the one before it and of the ledger up to ``last_seq``. What is charged late for a
month that is closed already counts to the next statement: none ever changes.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, func, insert, or_, select
from sqlalchemy.orm import Session

from zentry_web.domain.credits.bill_csv import bill_csv, iso
from zentry_web.domain.credits.billing import TransferKind, UsageState
from zentry_web.domain.credits.bills import BillCharge
from zentry_web.domain.credits.statement import (
    CLOSE_AFTER,
    Month,
    Statement,
    StatementCredit,
    StatementVM,
    first_month,
    month_after,
    unpaid_parts,
)
from zentry_web.domain.credits.taxes import TradeParty
from zentry_web.domain.credits.usage import ChargeKind, month_start
from zentry_web.domain.language import _, dated
from zentry_web.domain.notice_texts import say
from zentry_web.domain.target import Place, Target
from zentry_web.domain.user import SYSTEM, Actor
from zentry_web.models import DbStatement, DbUser
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.billing.bills.bills import read_charges
from zentry_web.services.billing.ledger.posting import ENTRY, TRANSFER, USER_ACCOUNTS, account_id, lock_accounts
from zentry_web.services.billing.usage.reports import time_zone_of
from zentry_web.services.billing.usage.settlement import CHARGE, INTERVAL, UNSETTLED
from zentry_web.services.errors import NotFoundError
from zentry_web.services.shared.access import require_self
from zentry_web.services.shared.notices import Notices
from zentry_web.services.shared.parties import Parties
from zentry_web.services.shared.rate_limits import RateLimiter

EASTMOST = timedelta(hours=14)  # where months begin first
SLACK = timedelta(days=1)
INTERNAL = (TransferKind.HOLD, TransferKind.RELEASE, TransferKind.USAGE)
WRITE_OFF = "acc_write_off"


@dataclass(frozen=True, slots=True)
class _Scope:
    """What belongs to a statement: not in the one before, and known to the ledger up to ``last_seq``."""

    owner_id: str
    month: Month
    last_seq: int
    before: Statement | None

    def charges(self) -> list[ColumnElement[bool]]:
        """Conditions on CHARGE."""
        later = self._transfers_after(self.last_seq)
        found = [
            CHARGE.c.owner_id == self.owner_id,
            CHARGE.c.from_at < self.month.end,
            CHARGE.c.transfer_id.not_in(later),
        ]
        if self.before is not None:
            late = CHARGE.c.transfer_id.in_(self._transfers_after(self.before.last_seq))
            found.append(or_(CHARGE.c.from_at >= self.before.end, late))
        return found

    def credits(self) -> list[ColumnElement[bool]]:
        """Conditions on TRANSFER."""
        found = [
            TRANSFER.c.owner_id == self.owner_id,
            TRANSFER.c.kind.not_in(INTERNAL),
            TRANSFER.c.at < self.month.end,
            TRANSFER.c.seq <= self.last_seq,
        ]
        if self.before is not None:
            found.append(or_(TRANSFER.c.at >= self.before.end, TRANSFER.c.seq > self.before.last_seq))
        return found

    def _transfers_after(self, seq: int) -> Any:
        return select(TRANSFER.c.id).where(TRANSFER.c.owner_id == self.owner_id, TRANSFER.c.seq > seq)


class Statements(BaseService):
    """Amounts are micro-credits, times aware UTC."""

    name = "statements"

    def __init__(self, core: Core, notices: Notices, parties: Parties) -> None:
        super().__init__(core)
        self._notices = notices
        self._parties = parties

    def list_due(self) -> list[str]:
        """Accounts that may have a month to close: those without a statement up to where this month began. One query.

        Where in the world an account is decides that to the hour; a day or two of slack are left for it.
        """
        last = func.max(DbStatement.end_at)
        edge = month_start(self.now() + EASTMOST - CLOSE_AFTER)
        never = last.is_(None) & (func.min(DbUser.created_at) < edge + SLACK)
        query = (
            select(DbUser.id)
            .outerjoin(DbStatement, DbStatement.owner_id == DbUser.id)
            .group_by(DbUser.id)
            .having(or_(never, last < edge - 2 * SLACK))
            .order_by(DbUser.id)
        )
        with self.reading() as session:
            return list(session.scalars(query))

    def close_month(self, user_id: str) -> Statement | None:
        """Close an account's next month, if it is over and charged to its end; None when there is nothing to do.

        Safe to repeat and to run in several workers. Raises ConflictError when another was quicker.
        """
        with self.reading() as session:
            statement = self._next(session, user_id)
        if statement is None:
            return None
        seller, buyer = self._parties.get_seller(), self._parties.get_details(user_id)
        statement = replace(statement, seller=seller, buyer=buyer)
        with self.transaction() as session:
            lock_accounts(session, [user_id])
            number = (session.scalar(select(func.max(DbStatement.number))) or 0) + 1
            session.execute(insert(DbStatement), [_row(statement, number)])
            name = dated(statement.start, "%B %Y") if statement.zone == "UTC" else statement.month
            words = say("statement_ready", month=name)
            target = Target(Place.STATEMENT, statement.id)
            self._notices.tell(user_id, "statement", statement.month, *words, target=target)
        return self.get_statement(user_id, statement.id)

    def list_statements(self, user_id: str, *, actor: Actor = SYSTEM) -> list[Statement]:
        """A person's statements, newest first, with their lines."""
        require_self(actor, user_id)
        query = select(DbStatement).where(DbStatement.owner_id == user_id).order_by(DbStatement.month.desc())
        with self.reading() as session:
            return [as_statement(row) for row in session.scalars(query)]

    def get_statement(self, user_id: str, statement_id: str, *, actor: Actor = SYSTEM) -> Statement:
        """One statement. Raises NotFoundError (also for somebody else's)."""
        require_self(actor, user_id)
        with self.reading() as session:
            row = session.get(DbStatement, statement_id)
            if row is None or row.owner_id != user_id:
                raise NotFoundError(_("There is no such statement."))
            return as_statement(row)

    def get_for_pdf(self, user_id: str, statement_id: str, *, actor: Actor = SYSTEM) -> Statement:
        """One statement, to be set as a document, which takes a while. Raises NotFoundError, RateLimitedError."""
        statement = self.get_statement(user_id, statement_id, actor=actor)
        RateLimiter(self._core).check_actor("statement_pdf", actor)
        return statement

    def get_csv(self, user_id: str, statement_id: str, *, actor: Actor = SYSTEM) -> str:
        """The statement with every charge and all its inputs: docs/recompute.py works it out again from this alone.

        Raises NotFoundError, RateLimitedError.
        """
        statement = self.get_statement(user_id, statement_id, actor=actor)
        RateLimiter(self._core).check_actor("statement_csv", actor)
        with self.reading() as session:
            charges = list(read_charges(session, *self._scope_of(session, statement).charges()))
        before = [_record("opening", statement.opening_micro, statement.start), *map(_credit_record, statement.credits)]
        after = [
            _record("written_off", statement.written_off_micro, statement.end),
            _record("total", statement.charged_micro, statement.end),
            _record("closing", statement.closing_micro, statement.end),
        ]
        return bill_csv(charges, until=statement.end, before=before, after=after, names=statement.names)

    def replays(self, statement: Statement) -> bool:
        """Whether working it out again from the ledger gives the same amounts (names may have changed since)."""
        with self.reading() as session:
            again = _build(session, self._scope_of(session, statement), statement.zone, statement.closed_at)
        has_projects = all(vm.project_id for vm in statement.vms)  # not one that was closed before they had
        same = _amounts(statement.vms, has_projects) == _amounts(again.vms, has_projects)
        return same and again.credits == statement.credits and again.closing_micro == statement.closing_micro

    def _next(self, session: Session, user_id: str) -> Statement | None:
        zone = time_zone_of(session, user_id)
        before = _latest(session, user_id)
        if before:
            month = month_after(before.month, before.end, zone)
        else:
            first = session.scalar(select(func.min(TRANSFER.c.at)).where(TRANSFER.c.owner_id == user_id))
            if first is None:
                return None
            month = first_month(first, zone)
        if self.now() < month.closes_at:
            return None
        unsettled = select(INTERVAL.c.id).where(
            INTERVAL.c.owner_id == user_id, UNSETTLED, INTERVAL.c.settled_until < month.end
        )
        if session.execute(unsettled.limit(1)).first():
            return None  # something of it is not charged yet: a host does not answer, or the biller is late
        last_seq = session.scalar(select(func.max(TRANSFER.c.seq)).where(TRANSFER.c.owner_id == user_id)) or 0
        return _build(session, _Scope(user_id, month, last_seq, before), zone, self.now())

    def _scope_of(self, session: Session, statement: Statement) -> _Scope:
        month = Month(statement.month, statement.start, statement.end)
        return _Scope(
            statement.owner_id, month, statement.last_seq, _latest(session, statement.owner_id, before=statement.month)
        )


def _latest(session: Session, owner_id: str, *, before: str | None = None) -> Statement | None:
    query = select(DbStatement).where(DbStatement.owner_id == owner_id).order_by(DbStatement.month.desc()).limit(1)
    if before is not None:
        query = query.where(DbStatement.month < before)
    row = session.scalar(query)
    return as_statement(row) if row else None


def _build(session: Session, scope: _Scope, zone: str, now: datetime) -> Statement:
    charges = list(read_charges(session, *scope.charges()))
    credits = _read_credits(session, scope)
    vms = _by_vm(charges)
    opening = scope.before.closing_micro if scope.before else 0
    charged = sum(vm.amount_micro for vm in vms)
    credited = sum(each.amount_micro for each in credits)
    written_off = _written_off(session, scope)
    return Statement(
        id=f"stm_{scope.month.name}_{scope.owner_id.removeprefix('usr_')}"[:40],
        number=0,
        owner_id=scope.owner_id,
        month=scope.month.name,
        zone=zone,
        start=scope.month.start,
        end=scope.month.end,
        last_seq=scope.last_seq,
        closed_at=now,
        opening_micro=opening,
        credited_micro=credited,
        charged_micro=charged,
        written_off_micro=written_off,
        closing_micro=opening + credited + written_off - charged,
        credits=credits,
        vms=vms,
    )


def _by_vm(charges: Iterable[BillCharge]) -> tuple[StatementVM, ...]:
    sums: dict[tuple[str, str], list[Any]] = {}
    for charge in charges:
        interval, line = charge.of.interval, charge.line
        key = (interval.vm_id, interval.project_id)
        found = sums.setdefault(key, [charge.of.vm_name, charge.of.project_name, 0, 0, 0])
        if line.kind == ChargeKind.USAGE and interval.stored_id is None:
            found[2 if interval.state == UsageState.RUNNING else 3] += line.seconds
        found[4] += line.amount
    vms = [
        StatementVM(vm_id, name, project, running, stopped, micro, project_id)
        for (vm_id, project_id), (name, project, running, stopped, micro) in sums.items()
    ]
    return tuple(sorted(vms, key=lambda vm: (-vm.amount_micro, vm.vm_id, vm.project_id)))


def _amounts(vms: Iterable[StatementVM], by_project: bool) -> Counter[tuple[str, str]]:
    """What each VM cost, in each project or in all."""
    amounts: Counter[tuple[str, str]] = Counter()
    for vm in vms:
        amounts[vm.vm_id, vm.project_id if by_project else ""] += vm.amount_micro
    return amounts


def _read_credits(session: Session, scope: _Scope) -> tuple[StatementCredit, ...]:
    mine = [account_id(kind, scope.owner_id) for kind in USER_ACCOUNTS]
    amount = (
        select(func.coalesce(func.sum(ENTRY.c.amount), 0))
        .where(ENTRY.c.transfer_id == TRANSFER.c.id, ENTRY.c.account_id.in_(mine))
        .scalar_subquery()
    )
    query = select(TRANSFER.c.at, TRANSFER.c.kind, amount, TRANSFER.c.reason, TRANSFER.c.id).where(*scope.credits())
    return tuple(
        StatementCredit(at, TransferKind(kind), int(micro), reason, transfer_id)
        for at, kind, micro, reason, transfer_id in session.execute(query.order_by(TRANSFER.c.seq))
    )


def _written_off(session: Session, scope: _Scope) -> int:
    """What was written off of the statement's charges."""
    mine = select(CHARGE.c.transfer_id).where(*scope.charges())
    entries = session.execute(
        select(ENTRY.c.transfer_id, ENTRY.c.amount).where(
            ENTRY.c.account_id == WRITE_OFF, ENTRY.c.transfer_id.in_(mine)
        )
    ).all()
    found = 0
    for transfer_id, amount in entries:
        keys = (CHARGE.c.interval_id, CHARGE.c.from_at, CHARGE.c.kind)
        paid = select(*keys, CHARGE.c.amount).where(CHARGE.c.transfer_id == transfer_id)
        rows = session.execute(paid.order_by(CHARGE.c.from_at, CHARGE.c.interval_id, CHARGE.c.kind.desc())).all()
        members = {
            tuple(row)
            for row in session.execute(select(*keys).where(CHARGE.c.transfer_id == transfer_id, *scope.charges()))
        }
        parts = unpaid_parts([row.amount for row in rows], -int(amount))
        found += sum(part for row, part in zip(rows, parts, strict=True) if tuple(row)[:3] in members)
    return found


def _row(statement: Statement, number: int) -> dict[str, Any]:
    return {
        "id": statement.id,
        "number": number,
        "owner_id": statement.owner_id,
        "month": statement.month,
        "time_zone": statement.zone,
        "start_at": statement.start,
        "end_at": statement.end,
        "last_seq": statement.last_seq,
        "closed_at": statement.closed_at,
        "opening": statement.opening_micro,
        "credited": statement.credited_micro,
        "charged": statement.charged_micro,
        "written_off": statement.written_off_micro,
        "closing": statement.closing_micro,
        "body": {
            "credits": [
                [each.at.isoformat(), str(each.kind), each.amount_micro, each.reason, each.transfer_id]
                for each in statement.credits
            ],
            "vms": [
                [
                    *(vm.vm_id, vm.name, vm.project_name),
                    *(vm.running_seconds, vm.stopped_seconds, vm.amount_micro, vm.project_id),
                ]
                for vm in statement.vms
            ],
            "seller": statement.seller.as_json() if statement.seller else None,
            "buyer": statement.buyer.as_json() if statement.buyer else None,
        },
    }


def as_statement(row: DbStatement) -> Statement:
    """A statement as it was written."""
    credits = [
        StatementCredit(datetime.fromisoformat(at), TransferKind(kind), amount, reason, transfer_id)
        for at, kind, amount, reason, transfer_id in row.body["credits"]
    ]
    vms = [StatementVM(*each) for each in row.body["vms"]]
    seller, buyer = (TradeParty.from_json(kept) if (kept := row.body.get(who)) else None for who in ("seller", "buyer"))
    return Statement(
        id=row.id,
        number=row.number,
        owner_id=row.owner_id,
        month=row.month,
        zone=row.time_zone,
        start=row.start_at,
        end=row.end_at,
        last_seq=row.last_seq,
        closed_at=row.closed_at,
        opening_micro=row.opening,
        credited_micro=row.credited,
        charged_micro=row.charged,
        written_off_micro=row.written_off,
        closing_micro=row.closing,
        credits=tuple(credits),
        vms=tuple(vms),
        seller=seller,
        buyer=buyer,
    )


def _record(name: str, amount: int, at: datetime) -> dict[str, object]:
    return {"record": name, "amount_micro": amount, "from": iso(at), "to": iso(at)}


def _credit_record(credit: StatementCredit) -> dict[str, object]:
    record = _record("credit", credit.amount_micro, credit.at)
    return record | {"kind": str(credit.kind), "transfer_id": credit.transfer_id, "text": credit.reason}
