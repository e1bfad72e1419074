"""Machines that went off though nobody asked Zentry for it: noted as they are seen, and started again where chosen.

``note`` is called within the transaction that records what was seen; the rest is the worker's loop, which each time
looks afresh and does nothing twice.
"""

from datetime import datetime, timedelta

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from zentry_web.domain.event import Subject
from zentry_web.domain.language import _
from zentry_web.domain.projects.project import ProjectAction
from zentry_web.domain.user import SYSTEM, Actor
from zentry_web.domain.vms.operation import OperationKind, OperationState
from zentry_web.domain.vms.outage import (
    AGAIN,
    BEFORE_THE_HOST,
    COUNTED,
    FAILURES,
    OPEN_OUTAGES,
    REASONS,
    Cause,
    Outage,
    OutageState,
    Restart,
    cool_down,
    is_started_again,
)
from zentry_web.domain.vms.state import VMState
from zentry_web.models import DbOperation, DbOutage, DbProject, DbVM
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.billing_service import BillingService
from zentry_web.services.errors import InsufficientCreditsError
from zentry_web.services.shared.access import require_vm
from zentry_web.services.shared.fields import invalid
from zentry_web.services.shared.rounds import each_alone
from zentry_web.services.vms.operations import OperationQueue

_LOOK_AGAIN = timedelta(seconds=10)  # at a machine that is busy
_REASON = "restart"  # of its start
_ENDS = {
    OperationState.SUCCEEDED: OutageState.BACK,
    OperationState.FAILED: OutageState.FAILED,
    OperationState.CANCELLED: OutageState.OVERTAKEN,
}
SHOWN = 5  # of a machine, the newest


class VMOutages(BaseService):
    """A part of VMService."""

    name = "vm_outages"

    def __init__(self, core: Core, billing: BillingService, operations: OperationQueue) -> None:
        super().__init__(core)
        self._billing, self._operations = billing, operations

    # -- choosing and looking -------------------------------------------------------------------

    def choose(self, vm_id: str, restart: str, *, actor: Actor) -> Restart:
        """Whether it is started again by itself from now on; 'never' also calls off what waits.

        Raises ValidationError (``restart``), NotFoundError, PermissionDeniedError.
        """
        if restart not in list(Restart):
            raise invalid({"restart": _("Choose one of these.")})
        with self.transaction() as session:
            vm = require_vm(session, actor, vm_id, ProjectAction.RESIZE, lock=True)
            if vm.restart == restart:
                return Restart(restart)
            before, vm.restart = vm.restart, restart
            self.audit("vm.restart", Subject.vm(vm), {"before": before, "after": restart}, actor=actor)
            if restart == Restart.NEVER:
                for row in session.scalars(_of(vm_id).where(DbOutage.state == OutageState.WAITING)):
                    row.state, row.due_at = OutageState.OVERTAKEN, None
                    _stays_off(vm)
            return Restart(restart)

    def find(self, vm_id: str, *, actor: Actor) -> tuple[Restart, list[Outage]]:
        """What is chosen for it, and when it was off unasked, newest first. Raises NotFoundError."""
        with self.reading() as session:
            vm = require_vm(session, actor, vm_id, ProjectAction.VIEW)
            rows = session.scalars(_of(vm_id).order_by(DbOutage.id.desc()).limit(SHOWN))
            return Restart(vm.restart), [_as_outage(row) for row in rows]

    # -- as it is seen --------------------------------------------------------------------------

    def note(self, vm: DbVM, cause: Cause, said: str) -> None:
        """It is off since its ``stopped_at``. ``said``: what the driver knows beyond the cause, or ''. In the
        caller's transaction."""
        now = self.now()
        again = is_started_again(Restart(vm.restart), cause)
        vm.state_reason = said or (AGAIN if again else REASONS)[cause]
        row = DbOutage(id=self.new_id("out"), vm_id=vm.id, cause=cause, went_at=vm.stopped_at or now, seen_at=now)
        row.state, row.due_at = OutageState.STAYS, None
        with self.transaction() as session:
            if again:
                row.state, row.due_at = OutageState.WAITING, now + cool_down(self._count_before(session, vm.id, now))
                self.after_commit(self._core.bell.ring)
            elif cause == Cause.GUEST:
                row.told_at = now  # whoever powered it off knows
            session.add(row)

    @staticmethod
    def _count_before(session: Session, vm_id: str, now: datetime) -> int:
        """How often it was started again within the last hour; what the host took with it does not count."""
        query = select(func.count()).where(DbOutage.vm_id == vm_id, DbOutage.seen_at > now - COUNTED)
        started = DbOutage.operation_id.is_not(None), DbOutage.cause != Cause.HOST
        return session.scalar(query.where(*started)) or 0

    # -- the worker's side ----------------------------------------------------------------------

    def host_rebooted(self, last_seen: datetime) -> None:
        """The host was switched off after ``last_seen``: what it powered off in good order shortly before went with it,
        too."""
        stayed = DbOutage.state == OutageState.STAYS, DbOutage.cause.not_in(FAILURES)
        with self.reading() as session:
            query = select(DbOutage.id).where(DbOutage.went_at >= last_seen - BEFORE_THE_HOST, *stayed)
            found = list(session.scalars(query.order_by(DbOutage.id)))
        each_alone("outage", found, self._went_with_the_host)

    def _went_with_the_host(self, outage_id: str) -> None:
        with self.transaction() as session:
            vm, row = self._locked(session, outage_id)
            newest = session.scalar(select(func.max(DbOutage.id)).where(DbOutage.vm_id == vm.id))
            stays = row.state == OutageState.STAYS and vm.state == VMState.STOPPED and newest == row.id
            if not stays or vm.deleted_at is not None or not is_started_again(Restart(vm.restart), Cause.HOST):
                return
            row.cause, row.state, row.due_at, row.told_at = Cause.HOST, OutageState.WAITING, self.now(), None
            vm.state_reason = AGAIN[Cause.HOST]
            self.after_commit(self._core.bell.ring)

    def run(self) -> datetime | None:
        """Have what is due started again, the most important first, and note what came of it. When the next is due;
        None: nothing waits."""
        now = self.now()
        with self.looking() as session:
            found = session.execute(_OPEN).all()
        due = [row.id for row in found if row.state == OutageState.WAITING and row.due_at <= now]
        each_alone(
            "start again", list(zip(due, range(len(due), 0, -1), strict=True)), self._start, lambda turn: turn[0]
        )
        ended = [row.id for row in found if row.state == OutageState.STARTING and row.ended in _ENDS]
        each_alone("end of outage", ended, self._end)
        waiting = [row.due_at for row in found if row.state == OutageState.WAITING and row.due_at > now]
        looked_at_soon = len(found) > len(ended) + len(waiting)  # some are being started
        return now if looked_at_soon else min(waiting, default=None)

    def _start(self, turn: tuple[str, int]) -> None:
        outage_id, before = turn
        try:
            with self.transaction() as session:
                vm, row = self._locked(session, outage_id)
                if row.state == OutageState.WAITING and self._may_start(session, vm, row):
                    self._billing.place_hold(vm.id, vm.owner_id, vm.running_micro_per_hour)
                    event_id, start = self._operations.accept(session, vm, OperationKind.START, _REASON, actor=SYSTEM)
                    start.run_at -= timedelta(microseconds=before)  # claimed in this order
                    self._billing.landing.leave_grace(session, vm, event_id)
                    row.state, row.due_at, row.operation_id = OutageState.STARTING, None, start.id
                    self._core.checkpoint("outage.started")
        except InsufficientCreditsError:
            self._cannot_pay(outage_id)

    def _may_start(self, session: Session, vm: DbVM, row: DbOutage) -> bool:
        """Whether it still is to be started; else what it waits for, or that it does not any more, is noted."""
        under_way = self._operations.find_open(session, vm.id)
        overtaking = OperationKind.START, OperationKind.DELETE, OperationKind.BIN
        if under_way is not None and under_way.kind not in overtaking:
            row.due_at = self.now() + _LOOK_AGAIN
            return False
        archived = session.scalar(select(DbProject.archived_at).where(DbProject.id == vm.project_id))
        off = vm.state == VMState.STOPPED and under_way is None and vm.deleted_at is None
        if not off or archived is not None or vm.credit_stopped_at is not None:
            row.state, row.due_at = OutageState.OVERTAKEN, None
            return False
        return True

    def _cannot_pay(self, outage_id: str) -> None:
        with self.transaction() as session:
            vm, row = self._locked(session, outage_id)
            if row.state == OutageState.WAITING:
                row.state, row.due_at = OutageState.UNPAID, None
                _stays_off(vm)

    def _end(self, outage_id: str) -> None:
        with self.transaction() as session:
            _vm, row = self._locked(session, outage_id)
            start = session.get_one(DbOperation, row.operation_id)
            row.state = _ENDS[OperationState(start.state)]
            row.back_at = start.finished_at if row.state == OutageState.BACK else None

    def _locked(self, session: Session, outage_id: str) -> tuple[DbVM, DbOutage]:
        vm_id = session.scalars(select(DbOutage.vm_id).where(DbOutage.id == outage_id)).one()
        vm = self._billing.wallets.locked_vm_row(session, vm_id)
        return vm, session.get_one(DbOutage, outage_id, populate_existing=True)


def _stays_off(vm: DbVM) -> None:
    """It is not said any more that it is started again."""
    cause = next((cause for cause, words in AGAIN.items() if words == vm.state_reason), None)
    if cause is not None:
        vm.state_reason = REASONS[cause]


def _of(vm_id: str) -> Select[DbOutage]:
    return select(DbOutage).where(DbOutage.vm_id == vm_id)


def _as_outage(row: DbOutage) -> Outage:
    return Outage(row.id, Cause(row.cause), row.went_at, OutageState(row.state), row.due_at, row.back_at)


# The most important first: the worker asks it all the time, so it is built once.
_OPEN = (
    select(DbOutage.id, DbOutage.state, DbOutage.due_at, DbOperation.state.label("ended"))
    .join(DbVM, DbVM.id == DbOutage.vm_id)
    .outerjoin(DbOperation, DbOperation.id == DbOutage.operation_id)
    .where(DbOutage.state.in_(OPEN_OUTAGES))
    .order_by(DbVM.importance.desc(), DbOutage.went_at, DbOutage.id)
)
