"""Three truths about a machine, read together; and when they were not one."""

from typing import Any

from sqlalchemy import and_, bindparam, select

from zentry_web.domain.projects.project import ProjectAction
from zentry_web.domain.user import Actor
from zentry_web.domain.vms.operation import OPEN_OPERATION_STATES
from zentry_web.domain.vms.state import VMState, is_billed_as_running
from zentry_web.domain.vms.truths import Disagreement, Truths
from zentry_web.models import DbEvent, DbOperation, DbUsageInterval, DbVM
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.monitoring_service import MonitoringService
from zentry_web.services.shared.access import require_vm

SHOWN = 20  # of its history, the newest
_SAID_OTHERWISE = (
    *("vm.off_seen", "vm.gone_seen", "vm.new_run_seen", "vm.run_seen"),
    *("vm.pause_seen", "vm.sleep_seen", "vm.resume_seen"),
)


class VMTruths(BaseService):
    """A part of VMService."""

    name = "vm_truths"

    def __init__(self, core: Core, monitoring: MonitoringService) -> None:
        super().__init__(core)
        self._monitoring = monitoring

    def get(self, vm_id: str, *, actor: Actor) -> Truths:
        """All three, for who may see the machine. Four statements. Raises NotFoundError."""
        with self.reading() as session:
            vm = require_vm(session, actor, vm_id, ProjectAction.VIEW)
            billed, open_operation = session.execute(_NOW, {"vm_id": vm_id}).one()
            compute = self._monitoring.get_compute_status()
            history = session.execute(_HISTORY, {"vm_id": vm_id}).all()
            return Truths(
                seen=vm.seen,
                seen_since=vm.seen_since,
                asked_at=compute.answered_at,
                answers=compute.ok,
                state=VMState(vm.state),
                state_since=vm.started_at if vm.run_id is not None else vm.stopped_at or vm.created_at,
                is_on=is_billed_as_running(vm.state, vm.run_id),
                is_busy=open_operation is not None,
                billed=billed.state if billed else None,
                billed_since=billed.start_at if billed else None,
                charged_until=billed.settled_until if billed else None,
                rate_micro_per_hour=billed.rate_micro_per_hour if billed else 0,
                history=tuple(_as_disagreement(row) for row in history),
            )


def _as_disagreement(row: Any) -> Disagreement:
    return Disagreement(row.at, row.action, row.details.get("cause", ""), row.end_at)


def _read_now() -> Any:
    vm_id: Any = bindparam("vm_id")
    billed = and_(
        DbUsageInterval.vm_id == DbVM.id, DbUsageInterval.end_at.is_(None), DbUsageInterval.stored_id.is_(None)
    )
    under_way = and_(DbOperation.vm_id == DbVM.id, DbOperation.state.in_(OPEN_OPERATION_STATES))
    query = select(DbUsageInterval, DbOperation.id).select_from(DbVM).outerjoin(DbUsageInterval, billed)
    return query.outerjoin(DbOperation, under_way).where(DbVM.id == vm_id)


def _read_history() -> Any:
    ended = and_(DbUsageInterval.closed_by == DbEvent.id, DbUsageInterval.state == "running")
    mine = and_(ended, DbUsageInterval.vm_id == DbEvent.vm_id)
    query = select(DbEvent.at, DbEvent.action, DbEvent.details, DbUsageInterval.end_at).outerjoin(DbUsageInterval, mine)
    query = query.where(DbEvent.vm_id == bindparam("vm_id"), DbEvent.action.in_(_SAID_OTHERWISE))
    return query.order_by(DbEvent.seq.desc()).limit(SHOWN)


_NOW, _HISTORY = _read_now(), _read_history()
