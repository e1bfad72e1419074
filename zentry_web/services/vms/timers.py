"""What is done with machines at set times. What was missed while Zentry was away is done once, or left, as chosen."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from zentry_web.domain.event import Subject
from zentry_web.domain.language import _, dated, kept, later
from zentry_web.domain.notice_texts import say
from zentry_web.domain.projects.project import ProjectAction
from zentry_web.domain.stored_texts import said
from zentry_web.domain.target import Place, Target
from zentry_web.domain.user import SYSTEM, Actor
from zentry_web.domain.vms.kinds import title_of
from zentry_web.domain.vms.operation import ALLOWED_ACTIONS, OperationKind
from zentry_web.domain.vms.state import ON, VMState
from zentry_web.domain.vms.timer import (
    EXTENSION,
    LAST_YEAR,
    LATE,
    MOST_TIMERS,
    Repeat,
    Timer,
    TimerAction,
    next_run,
    notice_due,
)
from zentry_web.domain.zones import zone_of
from zentry_web.models import DbTimer, DbUser, DbVM
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.errors import ConflictError, NotFoundError, ServiceError
from zentry_web.services.shared.access import require_vm
from zentry_web.services.shared.account_rows import read_zone
from zentry_web.services.shared.fields import Fields, invalid
from zentry_web.services.shared.rounds import each_alone
from zentry_web.services.vms.actions import VMActions
from zentry_web.services.vms.basis import VMBasis
from zentry_web.services.vms.bin import VMBin

MISSED = kept("It was missed: Zentry was away then.")
_PATIENCE = timedelta(hours=1)  # for a machine that is busy
_RIGHTS = {TimerAction.DELETE: ProjectAction.DELETE_VM}  # of the others: to operate it
_GONE = (VMState.DELETING, VMState.BINNED, VMState.DELETED)
_REASON = "schedule"


class VMTimers(BaseService):
    """A part of VMService."""

    name = "vm_timers"

    def __init__(self, core: Core, basis: VMBasis, actions: VMActions, binned: VMBin) -> None:
        super().__init__(core)
        self._billing, self._actions, self._bin = basis.billing, actions, binned

    # -- asking ---------------------------------------------------------------------------------

    def list(self, vm_id: str, *, actor: Actor) -> list[Timer]:
        """Those of a machine, the next first. Raises NotFoundError."""
        with self.reading() as session:
            require_vm(session, actor, vm_id, ProjectAction.VIEW)
            rows = session.scalars(select(DbTimer).where(DbTimer.vm_id == vm_id))
            return sorted(map(_as_timer, rows), key=lambda each: (each.next_at is None, each.next_at, each.id))

    def get(self, vm_id: str, timer_id: str, *, actor: Actor) -> Timer:
        """One of them, for who may change it. Raises NotFoundError, PermissionDeniedError."""
        with self.reading() as session:
            return _as_timer(self._load(session, vm_id, timer_id, actor)[1])

    def add(self, vm_id: str, data: Mapping[str, object], *, actor: Actor) -> Timer:
        """Set a time: ``action``, ``repeat``, ``first`` (a datetime by the clock of the actor's zone), ``catches_up``.

        Raises ValidationError, NotFoundError, PermissionDeniedError, ConflictError (too many).
        """
        fields = Fields(data)
        action = fields.take("action", _parse_action, TimerAction.STOP)
        repeat = fields.take("repeat", _parse_repeat, Repeat.ONCE)
        first = fields.take("first", _parse_first, self.now())
        if action == TimerAction.DELETE and repeat != Repeat.ONCE:
            fields.errors["repeat"] = _("A machine is deleted once.")
        fields.check()
        with self.transaction() as session:
            vm = require_vm(session, actor, vm_id, _RIGHTS.get(action, ProjectAction.OPERATE), lock=True)
            zone = read_zone(session, actor.id, vm.owner_id)
            due = next_run(repeat, first, zone, self.now())
            if due is None:
                raise invalid({"first": _("That moment is over.")})
            if action == TimerAction.DELETE and vm.protected:
                raise invalid({"action": _("It is protected from deletion. Switch that off first.")})
            count = session.scalar(select(func.count()).where(DbTimer.vm_id == vm_id)) or 0
            if count >= MOST_TIMERS:
                raise ConflictError(_("A machine has %(most)s scheduled actions at most.", most=MOST_TIMERS))
            row = DbTimer(
                id=self.new_id("tmr"), vm_id=vm_id, action=action, repeat=repeat, first=first.isoformat("T", "minutes"),
                time_zone=zone, catches_up=bool(data.get("catches_up")), next_at=due, last_at=None,
                last_error="", created_by=actor.id, created_at=self.now(), told_seconds=_told(due - self.now()),
            )  # fmt: skip
            session.add(row)
            self.audit("vm.timer_add", Subject.vm(vm), {"action": action, "repeat": repeat}, actor=actor)
            session.flush()
            self.after_commit(self._core.bell.ring)
            return _as_timer(row)

    def remove(self, vm_id: str, timer_id: str, *, actor: Actor) -> None:
        """It is not done any more. Raises NotFoundError, PermissionDeniedError."""
        with self.transaction() as session:
            vm, row = self._load(session, vm_id, timer_id, actor, lock=True)
            session.delete(row)
            self.audit("vm.timer_remove", Subject.vm(vm), {"action": row.action, "repeat": row.repeat}, actor=actor)

    def extend(self, vm_id: str, timer_id: str, *, actor: Actor) -> datetime:
        """A deletion comes a week later; when. Raises NotFoundError, PermissionDeniedError, ConflictError (over)."""
        with self.transaction() as session:
            vm, row = self._load(session, vm_id, timer_id, actor, lock=True)
            if row.action != TimerAction.DELETE or row.next_at is None:
                raise ConflictError(_("There is nothing to put off."))
            first = datetime.fromisoformat(row.first) + EXTENSION
            due = next_run(Repeat.ONCE, first, row.time_zone, row.next_at)
            if due is None or due.year > LAST_YEAR:
                raise ConflictError(_("There is nothing to put off."))
            row.first, row.next_at = first.isoformat("T", "minutes"), due
            row.told_seconds = _told(due - self.now())
            self.audit("vm.timer_extend", Subject.vm(vm), actor=actor)
            return due

    def _load(
        self, session: Session, vm_id: str, timer_id: str, actor: Actor, *, lock: bool = False
    ) -> tuple[DbVM, DbTimer]:
        require_vm(session, actor, vm_id, ProjectAction.OPERATE)
        row = session.get(DbTimer, timer_id, populate_existing=True)
        if row is None or row.vm_id != vm_id:
            raise NotFoundError(_("There is no such scheduled action."))
        right = _RIGHTS.get(TimerAction(row.action), ProjectAction.OPERATE)
        return require_vm(session, actor, vm_id, right, lock=lock), row

    # -- the worker's side ----------------------------------------------------------------------

    def run(self) -> datetime | None:
        """Do what is due, and tell of deletions that come. When the next is due; None: none is. Safe to repeat and in
        several workers."""
        now = self.now()
        with self.looking() as session:
            found = session.execute(_WAITING).all()
        each_alone("scheduled action", [row.id for row in found if row.next_at <= now], self._do)
        leases = [row for row in found if row.action == TimerAction.DELETE and row.next_at > now]
        untold = [row.id for row in leases if _told(row.next_at - now) != row.told_seconds]
        each_alone("notice of deletion", untold, self._tell_lease)
        return min((row.next_at for row in found if row.next_at > now), default=None)

    def _do(self, timer_id: str) -> None:
        refusal = ""
        try:
            with self.transaction() as session:
                vm, row, at = self._locked(session, timer_id)
                if row and at and at <= self.now() and (error := self._order(session, vm, row, at)) is not None:
                    self._go_on(vm, row, error)
        except ServiceError as refused:
            refusal = refused.message
        if refusal:
            with self.transaction() as session:
                vm, row, at = self._locked(session, timer_id)
                if row and at and at <= self.now():
                    self._go_on(vm, row, refusal)

    def _order(self, session: Session, vm: DbVM, row: DbTimer, at: datetime) -> str | None:
        """Have done what is due since ``at``. '' when that is accepted or needless, why it was left out; None: the
        machine is busy, and looked at again in the next round. Raises ServiceError."""
        action, kind, state, late = (
            TimerAction(row.action),
            OperationKind(row.action),
            VMState(vm.state),
            self.now() - at,
        )
        if vm.deleted_at is not None or state in _GONE or _is_needless(action, state):
            return ""
        if late > LATE and not row.catches_up:
            return MISSED
        if kind not in ALLOWED_ACTIONS[state] and late < _PATIENCE:
            return None
        if session.scalars(select(DbUser.disabled_at).where(DbUser.id == vm.owner_id)).one() is not None:
            return ""
        if kind == OperationKind.DELETE:
            self._bin.delete(vm.id, vm.name, actor=SYSTEM)
        else:
            self._actions.request(kind, vm.id, actor=SYSTEM, reason=_REASON)
        self._core.checkpoint("timers.done")
        return ""

    def _go_on(self, vm: DbVM, row: DbTimer, error: str) -> None:
        """It had its turn: when the next is, and why this one was left out."""
        row.last_at, row.last_error = row.next_at, error
        first = datetime.fromisoformat(row.first)
        row.next_at = next_run(Repeat(row.repeat), first, row.time_zone, self.now())
        if error:
            self.audit("vm.timer_left", Subject.vm(vm), {"action": row.action, "why": error})
            self._tell_left(vm, row, error)

    def _tell_left(self, vm: DbVM, row: DbTimer, error: str) -> None:
        name, kind = vm.name, OperationKind(row.action)
        words = say("timer_left", what=later(lambda: title_of(kind, name)), why=later(lambda: said(error)))
        key = f"{row.id}:{row.last_at}"
        self._billing.notices.tell(vm.owner_id, "timer", key, *words, target=Target(Place.VM, vm.id))

    def _tell_lease(self, timer_id: str) -> None:
        with self.transaction() as session:
            vm, row, at = self._locked(session, timer_id)
            if row is None or at is None or vm.deleted_at is not None:
                return
            row.told_seconds = _told(at - self.now())
            if row.told_seconds is None:
                return
            moment = dated(at.astimezone(zone_of(read_zone(session, vm.owner_id))), "%a %d %b %H:%M")
            key = f"{row.id}:{row.first}:{row.told_seconds}"
            target = Target(Place.TIMERS, vm.id)
            self._billing.notices.tell(vm.owner_id, "lease", key, *say("lease", vm=vm.name, at=moment), target=target)

    def _locked(self, session: Session, timer_id: str) -> tuple[Any, DbTimer | None, datetime | None]:
        """Machine and row under the wallet's lock, and when it is due next; nothing where it was removed."""
        row = session.get(DbTimer, timer_id)
        if row is None:
            return None, None, None
        vm = self._billing.wallets.locked_vm_row(session, row.vm_id)
        row = session.get(DbTimer, timer_id, populate_existing=True)
        return vm, row, row.next_at if row else None


def _is_needless(action: TimerAction, state: VMState) -> bool:
    """Whether it is as it would be then."""
    if action == TimerAction.START:
        return state in ON
    return action in (TimerAction.STOP, TimerAction.REBOOT) and state in (VMState.STOPPED, VMState.ERROR)


def _told(left: timedelta) -> int | None:
    """Seconds that the last notice of a deletion names, so much before it; None: none is due yet."""
    due = notice_due(left)
    return None if due is None else int(due.total_seconds())


def _as_timer(row: DbTimer) -> Timer:
    return Timer(
        row.id, TimerAction(row.action), Repeat(row.repeat), datetime.fromisoformat(row.first), row.time_zone,
        row.catches_up, row.next_at, row.last_at, row.last_error,
    )  # fmt: skip


def _parse_action(value: object) -> TimerAction:
    try:
        return TimerAction(str(value))
    except ValueError:
        raise ValueError(_("Choose what is to be done.")) from None


def _parse_repeat(value: object) -> Repeat:
    try:
        return Repeat(str(value))
    except ValueError:
        raise ValueError(_("Choose how often.")) from None


def _parse_first(value: object) -> datetime:
    if not isinstance(value, datetime):
        raise ValueError(_("Choose a day and a time."))
    if value.year > LAST_YEAR:
        raise ValueError(_("Choose a day in this century."))
    return value.replace(second=0, microsecond=0, tzinfo=None)


_WAITING = select(DbTimer.id, DbTimer.action, DbTimer.next_at, DbTimer.told_seconds).where(DbTimer.next_at.is_not(None))
