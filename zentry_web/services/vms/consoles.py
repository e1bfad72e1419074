"""Who may open a machine's console, and who still may (docs/adr/0034): tickets, and the consoles that they open."""

import socket
from collections.abc import Collection
from datetime import timedelta

import structlog
from sqlalchemy import and_, delete, or_, select, update
from sqlalchemy.orm import Session

from zentry_web.adapters.console_door import ConsoleDoor, DoorClosed, say_goodbye
from zentry_web.adapters.database import run
from zentry_web.domain.event import Subject
from zentry_web.domain.language import _, language
from zentry_web.domain.projects.project import RIGHTS, ProjectAction
from zentry_web.domain.secret import new_secret, secret_hash
from zentry_web.domain.user import Actor, Role
from zentry_web.domain.vms.console import (
    LOST_AFTER,
    PER_PERSON,
    PER_VM,
    TICKET_LASTS,
    ConsoleEnd,
    ConsoleKind,
    ConsoleTicket,
    OpenConsole,
)
from zentry_web.domain.vms.state import VMState
from zentry_web.models import DbAuthSession, DbConsoleSession, DbProjectMember, DbUser, DbVM
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.errors import ConflictError, PermissionDeniedError, RateLimitedError
from zentry_web.services.shared.access import require_vm
from zentry_web.services.shared.fields import invalid
from zentry_web.services.shared.rate_limits import RateLimiter

log = structlog.get_logger(__name__)

KEEP = timedelta(days=30)  # what has ended; its events stay
_OFF = (VMState.STOPPED, VMState.ERROR, VMState.CREATING)
_ROLES = [role.value for role, rights in RIGHTS.items() if ProjectAction.CONSOLE in rights]
_IS_OPEN = and_(DbConsoleSession.opened_at.is_not(None), DbConsoleSession.ended_at.is_(None))


class VMConsoles(BaseService):
    """A part of VMService. What a console needs is the right of that name, a browser session and a ticket; the process
    that holds consoles asks every few seconds which of them may stay."""

    name = "vm_consoles"

    def __init__(self, core: Core, door: ConsoleDoor) -> None:
        super().__init__(core)
        self._door = door
        self._limiter = RateLimiter(core)

    # -- for pages --------------------------------------------------------------------------------

    def order(self, vm_id: str, kind: str, session_token: str, *, actor: Actor) -> ConsoleTicket:
        """A ticket for one console, for this browser session. Raises NotFoundError, PermissionDeniedError,
        ValidationError (``kind``), ConflictError (the machine is off), RateLimitedError."""
        self._limiter.check_actor("console", actor)
        token, now = new_secret(), self.now()
        with self.transaction() as session:
            vm = require_vm(session, actor, vm_id, ProjectAction.CONSOLE)
            if kind not in list(ConsoleKind):
                raise invalid({"kind": _("There is no such console.")})
            if vm.state in _OFF and kind != ConsoleKind.TEST:
                raise ConflictError(_("The machine is off, so it has no console."))
            made = DbConsoleSession(
                id=self.new_id("con"), vm_id=vm.id, user_id=actor.id, session_hash=secret_hash(session_token),
                as_admin=actor.is_admin, kind=kind, token_hash=secret_hash(token), created_at=now,
                opened_at=None, seen_at=None, ended_at=None,
            )  # fmt: skip
            session.add(made)
        return ConsoleTicket(token, ConsoleKind(kind))

    def redeem(self, vm_id: str, token: str, session_token: str, *, actor: Actor) -> OpenConsole:
        """Use a ticket up. Raises NotFoundError, PermissionDeniedError (of another person, session or machine, used,
        too old), RateLimitedError (too many consoles are open)."""
        now, ticket = self.now(), DbConsoleSession
        with self.transaction() as session:
            vm = require_vm(session, actor, vm_id, ProjectAction.CONSOLE)
            self._check_room(session, vm.id, actor)
            used = run(
                session,
                update(ticket)
                .where(
                    ticket.token_hash == secret_hash(token),
                    ticket.vm_id == vm.id,
                    ticket.user_id == actor.id,
                    ticket.session_hash == secret_hash(session_token),
                    ticket.opened_at.is_(None),
                    ticket.created_at > now - TICKET_LASTS,
                )
                .values(opened_at=now, seen_at=now),
            )
            if not used:
                raise PermissionDeniedError(_("This ticket was used before, or is too old. Please open it again."))
            row = session.scalars(select(ticket).where(ticket.token_hash == secret_hash(token))).one()
            if row.kind != ConsoleKind.TEST:
                self.audit("vm.console", Subject.vm(vm), {"console": row.id, "kind": row.kind}, actor=actor)
            return OpenConsole(row.id, row.vm_id, ConsoleKind(row.kind))

    def hand_over(self, console: OpenConsole, connection: socket.socket) -> None:
        """Give a browser's WebSocket to the process that holds consoles; where none does, tell the browser and end."""
        message = {"id": console.id, "vm": console.vm_id, "kind": console.kind.value, "language": language()}
        try:
            self._door.hand_over(message, connection)
        except DoorClosed as error:
            log.warning("console_door_closed", error=str(error))
            say_goodbye(connection, ConsoleEnd.DOOR)
            self.end(console.id, ConsoleEnd.DOOR)

    def _check_room(self, session: Session, vm_id: str, actor: Actor) -> None:
        table = DbConsoleSession
        held = _IS_OPEN, table.seen_at > self.now() - LOST_AFTER
        query = select(table.user_id, table.vm_id).where(*held, or_(table.user_id == actor.id, table.vm_id == vm_id))
        rows = session.execute(query).all()
        own, here = sum(row.user_id == actor.id for row in rows), sum(row.vm_id == vm_id for row in rows)
        if own >= PER_PERSON:
            raise RateLimitedError(_("You have too many consoles open. Close one of them first."))
        if here >= PER_VM:
            raise RateLimitedError(_("Too many people look at this machine’s console at once."))

    # -- for the process that holds them ------------------------------------------------------------

    def find_ended(self, console_ids: Collection[str]) -> set[str]:
        """Which of these consoles may not stay: the right, the session or the account has ended, or the machine is
        gone. Notes of all that they were seen. Two statements, and one for each secret that a session changed."""
        table, auth, now = DbConsoleSession, DbAuthSession, self.now()
        secrets = (auth.token_hash, auth.next_hash, auth.previous_hash)
        role = and_(DbProjectMember.project_id == DbVM.project_id, DbProjectMember.user_id == table.user_id)
        query = (
            select(table.id, table.session_hash, auth.token_hash)
            .join(auth, or_(*(each == table.session_hash for each in secrets)))
            .join(DbUser, DbUser.id == table.user_id)
            .join(DbVM, DbVM.id == table.vm_id)
            .outerjoin(DbProjectMember, role)
            .where(
                table.id.in_(console_ids),
                _IS_OPEN,
                auth.ended_at.is_(None),
                auth.expires_at > now,
                auth.user_id == table.user_id,
                DbUser.disabled_at.is_(None),
                DbVM.deleted_at.is_(None),
                or_(DbProjectMember.role.in_(_ROLES), and_(table.as_admin, DbUser.role == Role.ADMIN)),
            )
        )
        with self.transaction() as session:
            rows = session.execute(query).all()
            run(session, update(table).where(table.id.in_(console_ids), _IS_OPEN).values(seen_at=now))
            for row in rows:  # twice a day a session gets another secret
                if row.session_hash != row.token_hash:
                    run(session, update(table).where(table.id == row.id).values(session_hash=row.token_hash))
        return set(console_ids) - {row.id for row in rows}

    def end(self, console_id: str, why: ConsoleEnd) -> None:
        """It is over; once more is no error."""
        with self.transaction() as session:
            self._end(session, console_id, why)

    def end_lost(self) -> int:
        """End those whose process has been silent for half a minute, as of when it was last heard; how many."""
        lost = select(DbConsoleSession.id).where(_IS_OPEN, DbConsoleSession.seen_at <= self.now() - LOST_AFTER)
        with self.reading() as session:
            found = session.scalars(lost).all()
        for console_id in found:
            self.end(console_id, ConsoleEnd.LOST)
        return len(found)

    def prune(self) -> int:
        """Forget what ended a month ago, and the tickets that nobody used; returns how many."""
        table, now = DbConsoleSession, self.now()
        unused = and_(table.opened_at.is_(None), table.created_at < now - timedelta(days=1))
        with self.transaction() as session:
            return run(session, delete(table).where(or_(table.ended_at < now - KEEP, unused)))

    def _end(self, session: Session, console_id: str, why: ConsoleEnd) -> None:
        table = DbConsoleSession
        row = session.get(table, console_id, populate_existing=True)
        if row is None or row.opened_at is None or row.ended_at is not None:
            return
        end = (row.seen_at or row.opened_at) if why == ConsoleEnd.LOST else self.now()
        row.ended_at = end
        session.flush()
        vm = session.get(DbVM, row.vm_id)
        if row.kind == ConsoleKind.TEST or vm is None:
            return
        seconds = int((end - row.opened_at).total_seconds())
        details = {"console": row.id, "kind": row.kind, "seconds": seconds, "why": why.value}
        self.audit("vm.console_end", Subject.vm(vm), details, actor=Actor(row.user_id, Role.USER))
