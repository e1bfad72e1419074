"""Deleting and restoring all machines of a project: what vm_bin.py does for one, by a number of statements that does
not grow with them, so that the one transaction stays short. Callers hold the owner's wallet and the machines."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from zentry_web.domain.event import Outcome
from zentry_web.domain.user import Actor
from zentry_web.domain.vm import STATE_WHEN_ACCEPTED, OperationKind, VMState
from zentry_web.models import DbVM
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.billing_service import BillingService
from zentry_web.services.vm_operations import OperationQueue
from zentry_web.services.vm_records import VANISHED, billed_vm


class VMBinSets(BaseService):
    """A part of VMBin."""

    name = "vm_bin_sets"

    def __init__(self, core: Core, billing: BillingService, operations: OperationQueue) -> None:
        super().__init__(core)
        self._billing = billing
        self._operations = operations

    def delete(
        self,
        session: Session,
        vms: Sequence[DbVM],
        kinds: Mapping[str, OperationKind],
        ends: Mapping[str, datetime],
        purge_at: datetime | None,
        reason: str,
        *,
        actor: Actor,
    ) -> None:
        """These VMs of one owner are deleted; those in ``kinds`` by such an operation, billed up to their ``ends``."""
        asked = [vm for vm in vms if vm.id in kinds]
        operations = self._operations.enqueue_all(session, kinds, dict.fromkeys(kinds, reason), actor=actor)
        drafts = [
            _draft(vm, f"vm.{kinds[vm.id]}", Outcome.ACCEPTED, {"reason": reason}, operations[vm.id]) for vm in asked
        ]
        events = dict(zip((vm.id for vm in asked), self.log_audit_events(drafts, actor=actor), strict=True))
        if asked:
            self._billing.close_intervals(asked[0].owner_id, ends, events)
        gone = {"deleted_at": self.now(), "deleted_by": actor.id}
        off = gone | {"state_reason": "", "credit_stopped_at": None, "disk_until": None}
        for kind in set(kinds.values()):
            kept = kind == OperationKind.BIN
            more = {"state": STATE_WHEN_ACCEPTED[kind], "purge_at": purge_at if kept else None}
            some = [vm_id for vm_id, each in kinds.items() if each == kind]
            _write(session, some, off | more | {"binned_with_project": kept})
        _write(session, [vm.id for vm in vms if vm.id not in kinds], gone)
        _forget(session, vms)

    def restore(self, session: Session, vms: Sequence[DbVM], *, actor: Actor) -> None:
        """These VMs of one owner are back, off; their disks are paid for from now on."""
        drafts = [_draft(vm, "vm.restore", Outcome.SUCCEEDED, {}, None) for vm in vms]
        events = dict(zip((vm.id for vm in vms), self.log_audit_events(drafts, actor=actor), strict=True))
        back = {"deleted_at": None, "purge_at": None, "deleted_by": None, "binned_with_project": False}
        made = [vm for vm in vms if vm.made]
        billed = [billed_vm(vm) for vm in made]
        _write(session, [vm.id for vm in made], back | {"state": VMState.STOPPED, "state_reason": ""})
        lost = [vm.id for vm in vms if not vm.made]
        _write(session, lost, back | {"state": VMState.ERROR, "state_reason": VANISHED})
        _forget(session, vms)
        self._billing.open_stopped(billed, events)


def copy_prices(session: Session, vms: Sequence[DbVM]) -> None:
    """Give the others the prices of the first of these VMs, which have the same size, image and disk."""
    first, ids = vms[0], [vm.id for vm in vms[1:]]
    names = ("price_version_id", "image_price_version_id", "running_micro_per_hour", "stopped_micro_per_hour")
    session.flush()
    _write(session, ids, {name: getattr(first, name) for name in names})
    if ids:
        session.scalars(select(DbVM).where(DbVM.id.in_(ids)).execution_options(populate_existing=True)).all()


def _write(session: Session, vm_ids: Sequence[str], values: Mapping[str, Any]) -> None:
    """Set these columns, as the session would: with another version, so that observations made before do not count."""
    if vm_ids:
        change = update(DbVM).where(DbVM.id.in_(vm_ids)).values(version=DbVM.version + 1, **values)
        session.execute(change.execution_options(synchronize_session=False))


def _forget(session: Session, vms: Sequence[DbVM]) -> None:
    """What the session knows of them is old now."""
    for vm in vms:
        session.expire(vm)


def _draft(
    vm: DbVM, action: str, outcome: Outcome, details: dict[str, str], operation_id: str | None
) -> dict[str, Any]:
    return {
        "action": action,
        "outcome": outcome,
        "resource_type": "vm",
        "resource_id": vm.id,
        "owner_id": vm.owner_id,
        "project_id": vm.project_id,
        "vm_id": vm.id,
        "operation_id": operation_id,
        "details": details,
    }
