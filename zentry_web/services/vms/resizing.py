"""Asking for another size: what can be chosen, and accepting the choice. worker/operations/resizing.py does it."""

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from zentry_web.domain.credits.usage import BilledVM
from zentry_web.domain.language import _
from zentry_web.domain.projects.project import ProjectAction
from zentry_web.domain.projects.quota import Room
from zentry_web.domain.user import Actor
from zentry_web.domain.vms.catalogue import Size
from zentry_web.domain.vms.operation import ALLOWED_ACTIONS, Operation, OperationKind
from zentry_web.domain.vms.plan import Facts, resize_facts
from zentry_web.domain.vms.resize import SizeChoice, choose
from zentry_web.domain.vms.state import VMState, state_words
from zentry_web.domain.vms.vm import VM, Rates
from zentry_web.models import DbImage, DbOperation, DbVM
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.errors import ConflictError, ValidationError
from zentry_web.services.shared.access import require_open, require_vm
from zentry_web.services.shared.request_keys import check_key, require_same
from zentry_web.services.vms.basis import VMBasis
from zentry_web.services.vms.operations import as_operation, reason_of
from zentry_web.services.vms.payer import require_shown
from zentry_web.services.vms.planning import require_plan
from zentry_web.services.vms.queries import read_vm
from zentry_web.services.vms.quotas import growth
from zentry_web.services.vms.sizes import as_paid_by
from zentry_web.services.vms.snapshots import count_snapshots


class VMResizing(BaseService):
    """The requests' side of a resize."""

    name = "vm_resizing"

    def __init__(self, core: Core, basis: VMBasis) -> None:
        super().__init__(core)
        self._billing, self._monitoring, self._operations = basis.billing, basis.monitoring, basis.operations
        self._catalogue, self._quotas = basis.catalogue, basis.quotas

    def list_choices(self, vm_id: str, *, actor: Actor) -> list[SizeChoice]:
        """Every size on offer and the VM's own, with why it cannot be chosen. Raises NotFoundError."""
        with self.reading() as session:
            require_vm(session, actor, vm_id, ProjectAction.RESIZE)
            vm = read_vm(session, vm_id)
            least = self._least_memory(session, vm_id)
            sizes = self._catalogue.list_sizes(include_inactive=True)
            offered = as_paid_by(session, vm_id, [size for size in sizes if size.active or size.id == vm.size_id])
            capacity = self._monitoring.get_compute_status().capacity
            return [choose(vm, size, least_memory_mib=least, capacity=capacity) for size in offered]

    def get_room(self, vm: VM, size: Size, *, actor: Actor) -> Room:
        """What is left of the quotas there, and whether this size fits. Raises NotFoundError, PermissionDeniedError."""
        return self._quotas.get_room(vm.project_id, growth(vm, size), actor=actor)

    def request(
        self,
        vm_id: str,
        size_id: str,
        *,
        actor: Actor,
        idempotency_key: str | None = None,
        shown: Rates | None = None,
        plan: Facts | None = None,
    ) -> Operation:
        """See VMService.resize_vm."""
        check_key(idempotency_key)
        with self.transaction() as session:
            vm = self._billing.wallets.locked_vm(session, actor, vm_id, ProjectAction.RESIZE)
            if idempotency_key and (made := _made_before(session, vm_id, idempotency_key, size_id)):
                return as_operation(made)
            if OperationKind.RESIZE not in ALLOWED_ACTIONS[VMState(vm.state)]:
                raise ConflictError(
                    _(
                        "%(name)s is %(state)s: its size cannot be changed now.",
                        name=vm.name,
                        state=state_words(vm.state),
                    )
                )
            require_open(session, vm.project_id)
            if count_snapshots(session, vm_id):
                raise ConflictError(
                    _("%(name)s has snapshots, which hold its size of now. Delete them first.", name=vm.name)
                )
            before = read_vm(session, vm_id)
            size = self._check(session, before, size_id)
            require_shown(
                shown,
                Rates(size.running_micro_per_hour, size.stopped_micro_per_hour),
                _("%(name)s comes at another price than this page showed: nothing was ordered yet.", name=size.name),
            )
            require_plan(plan, resize_facts(before, size))
            self._quotas.require_room(vm.project_id, vm.owner_id, growth(before, size))
            runs = vm.state == VMState.RUNNING
            now, then = vm.stopped_micro_per_hour, size.stopped_micro_per_hour
            if runs:
                now, then = vm.running_micro_per_hour, size.running_micro_per_hour
            if then > now:
                self._billing.budgets.require_room(vm, then, actor=actor)
            self._billing.resizes.accept(BilledVM.of(vm), size, runs=runs)
            details = _details(before, size, vm.run_id, idempotency_key)
            reason = reason_of(vm, actor)
            _created, row = self._operations.accept(session, vm, OperationKind.RESIZE, reason, details, actor=actor)
            return as_operation(row)

    def _check(self, session: Session, vm: VM, size_id: str) -> Size:
        size = self._catalogue.find_size(session, size_id)
        problem = _("Choose a size.") if not size_id else _("There is no such size. Choose another.")
        if size is not None:
            least = self._least_memory(session, vm.id)
            capacity = self._monitoring.get_compute_status().capacity
            problem = choose(vm, size, least_memory_mib=least, capacity=capacity).problem
        if size is None or problem:
            raise ValidationError(problem, details={"size_id": problem})
        return as_paid_by(session, vm.id, [size])[0]

    def _least_memory(self, session: Session, vm_id: str) -> int:
        query = select(DbImage.min_memory_mib).join(DbVM, DbVM.image_id == DbImage.id).where(DbVM.id == vm_id)
        return session.scalars(query).one()


def _details(vm: VM, size: Size, run_id: str | None, key: str | None) -> dict[str, Any]:
    """What the worker needs. The price is the one in force when it is done."""
    return {
        "from": vm.size_name,
        "size": size.name,
        "size_id": size.id,
        "vcpus": size.vcpus,
        "memory_mib": size.memory_mib,
        "disk_gib": size.disk_gib,
        "run_id": run_id,  # of the run that ends for it; None: it is off
        "key": key,
    }


def _made_before(session: Session, vm_id: str, key: str, size_id: str) -> DbOperation | None:
    query = select(DbOperation).where(DbOperation.vm_id == vm_id, DbOperation.kind == OperationKind.RESIZE)
    for row in session.scalars(query.order_by(DbOperation.id.desc())):
        if row.details.get("key") == key:
            require_same(
                row.details["size_id"] == size_id, _("This form was already used for another size. Open a new one.")
            )
            return row
    return None
