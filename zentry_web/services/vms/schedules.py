"""Snapshots and backups that Zentry takes by itself: when, and how many it keeps.

The worker's loop looks every few seconds: what was missed while it was away is taken once.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Protocol

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from zentry_web.domain.credits.storage import StoredKind
from zentry_web.domain.event import Subject
from zentry_web.domain.language import _
from zentry_web.domain.projects.project import ProjectAction
from zentry_web.domain.user import SYSTEM, Actor
from zentry_web.domain.vms.operation import ALLOWED_ACTIONS, OperationKind
from zentry_web.domain.vms.schedule import MOST_SCHEDULED, Every, Schedule, Taken, next_run, too_many
from zentry_web.domain.vms.state import VMState
from zentry_web.domain.zones import zone_of
from zentry_web.models import DbBackup, DbSchedule, DbSnapshot, DbVM
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.errors import ConflictError, ServiceError
from zentry_web.services.shared.access import require_vm
from zentry_web.services.shared.account_rows import read_zone
from zentry_web.services.shared.fields import Fields
from zentry_web.services.shared.rounds import each_alone
from zentry_web.services.vms.basis import VMBasis

_PATIENCE = timedelta(hours=1)  # for a machine that is busy


class Takes(Protocol):
    """What a schedule takes: VMSnapshots, VMBackups."""

    kind: StoredKind
    operation: OperationKind

    @property
    def table(self) -> type[DbSnapshot | DbBackup]: ...

    @property
    def ready(self) -> str: ...

    def take(self, vm_id: str, data: Mapping[str, object], *, actor: Actor, is_scheduled: bool = False) -> object:
        """Accept one (``name``, ``note``)."""

    def delete(self, vm_id: str, thing_id: str, *, actor: Actor) -> object:
        """Accept that one goes."""

    def read(self, session: Session, vm_id: str) -> Sequence[Taken]:
        """All of a machine."""


class Schedules(BaseService):
    """A part of VMService: once for snapshots, once for backups."""

    name = "schedules"

    def __init__(self, core: Core, basis: VMBasis, things: Takes) -> None:
        super().__init__(core)
        self._billing, self._things, self._kind = basis.billing, things, things.kind

    # -- asking ---------------------------------------------------------------------------------

    def find(self, vm_id: str, *, actor: Actor) -> Schedule | None:
        """A machine's schedule, if it has one. Raises NotFoundError."""
        with self.reading() as session:
            require_vm(session, actor, vm_id, ProjectAction.VIEW)
            row = session.get(DbSchedule, (vm_id, self._kind))
            return _as_schedule(row) if row else None

    def set(self, vm_id: str, data: Mapping[str, object], *, actor: Actor) -> Schedule | None:
        """Take them by themselves: ``every`` ('' for never), ``hour`` of the account's day that asks, ``keep``.

        Raises ValidationError, NotFoundError, PermissionDeniedError.
        """
        fields = Fields(data)
        every = fields.take("every", _parse_every, None)
        hour = fields.take("hour", partial(_parse_number, 0, 23), 0)
        keep = fields.take("keep", partial(_parse_number, 1, MOST_SCHEDULED), 1)
        fields.check()
        with self.transaction() as session:
            vm = require_vm(session, actor, vm_id, ProjectAction.RESIZE, lock=True)
            row = session.get(DbSchedule, (vm_id, self._kind))
            details = {"every": every or "never", "hour": hour, "keep": keep}
            self.audit(_CHANGED[self._kind], Subject.vm(vm), details, actor=actor)
            if every is None:
                if row is not None:
                    session.delete(row)
                return None
            zone = read_zone(session, actor.id, vm.owner_id)
            if row is None:
                row = DbSchedule(vm_id=vm_id, kind=self._kind)
                session.add(row)
            row.every, row.hour, row.keep, row.time_zone = every, hour, keep, zone
            row.next_at, row.last_error, row.created_by = next_run(every, hour, row.time_zone, self.now()), "", actor.id
            session.flush()
            return _as_schedule(row)

    # -- the worker's side ----------------------------------------------------------------------

    def run(self) -> None:
        """Take what is due, delete what is kept no longer. Safe to repeat and in several workers. Raises nothing of its
        own."""
        now, mine = self.now(), DbSchedule.kind == self._kind
        with self.reading() as session:
            due = list(session.scalars(select(DbSchedule.vm_id).where(mine, DbSchedule.next_at <= now)))
            full = list(session.scalars(self._too_full()))
        each_alone(f"take {self._kind}", due, self._take)
        each_alone(f"keep {self._kind}s", full, self._keep)
        over = self._billing.stored_grace.list_over(self._kind)
        each_alone(f"delete unpaid {self._kind}", over, lambda each: self._delete(*each), lambda each: each[1])

    def _take(self, vm_id: str) -> None:
        error = ""
        try:
            with self.transaction() as session:
                row = session.get(DbSchedule, (vm_id, self._kind), with_for_update=True)
                vm = session.get(DbVM, vm_id)
                now = self.now()
                if row is None or vm is None or row.next_at > now:
                    return  # another worker was here
                is_gone = vm.deleted_at is not None or VMState(vm.state) in _NEVER
                is_busy = self._things.operation not in ALLOWED_ACTIONS[VMState(vm.state)]
                if is_busy and not is_gone and now - row.next_at < _PATIENCE:
                    return  # looked at again in the next round
                schedule = _as_schedule(row)
                row.next_at, row.last_error = next_run(schedule.every, schedule.hour, schedule.zone, now), ""
                if is_gone:
                    return
                local = now.astimezone(zone_of(schedule.zone))
                data = {"name": f"{local:%Y-%m-%d %H:%M}", "note": ""}
                self._things.take(vm_id, data, actor=SYSTEM, is_scheduled=True)
                self._core.checkpoint("schedules.taken")
        except ServiceError as refused:
            error = refused.message
        if error:
            self._note(vm_id, error)

    def _note(self, vm_id: str, error: str) -> None:
        """It was due and not taken: the next one is, perhaps."""
        with self.transaction() as session:
            row = session.get(DbSchedule, (vm_id, self._kind), with_for_update=True)
            if row is not None and row.next_at <= self.now():
                schedule = _as_schedule(row)
                row.next_at = next_run(schedule.every, schedule.hour, schedule.zone, self.now())
                row.last_error = error

    def _too_full(self) -> Select[str]:
        """The machines of which a schedule has taken more than it keeps."""
        table = self._things.table
        return (
            select(DbSchedule.vm_id)
            .join(table, table.vm_id == DbSchedule.vm_id)
            .where(DbSchedule.kind == self._kind, table.is_scheduled, table.state == self._things.ready)
            .group_by(DbSchedule.vm_id, DbSchedule.keep)
            .having(func.count() > DbSchedule.keep)
        )

    def _keep(self, vm_id: str) -> None:
        with self.reading() as session:
            row = session.get(DbSchedule, (vm_id, self._kind))
            over = too_many(self._things.read(session, vm_id), row.keep) if row else []
        if over:
            self._delete(vm_id, over[0].id)  # one at a time: each may be an operation

    def _delete(self, vm_id: str, thing_id: str) -> None:
        try:
            self._things.delete(vm_id, thing_id, actor=SYSTEM)
        except ConflictError:
            return  # busy: in a later round


_CHANGED = {StoredKind.SNAPSHOT: "vm.snapshot_schedule", StoredKind.BACKUP: "vm.backup_schedule"}
_NEVER = (VMState.ERROR, VMState.DELETING, VMState.BINNED, VMState.DELETED)


def _as_schedule(row: DbSchedule) -> Schedule:
    return Schedule(Every(row.every), row.hour, row.keep, row.time_zone, row.next_at, row.last_error)


def _parse_every(value: object) -> Every | None:
    if not value:
        return None
    try:
        return Every(str(value))
    except ValueError:
        raise ValueError(_("Choose how often.")) from None


def _parse_number(least: int, most: int, value: object) -> int:
    text = str(value).strip() if value is not None else ""
    if text.isascii() and text.isdigit() and len(text) < 6 and least <= int(text) <= most:
        return int(text)
    raise ValueError(_("Enter a number from %(least)s to %(most)s.", least=least, most=most))
