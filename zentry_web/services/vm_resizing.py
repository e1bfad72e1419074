"""Asking for another size: what can be chosen, and accepting the choice. The worker does it (worker/operations.py)."""

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from zentry_web.domain.project import ProjectAction
from zentry_web.domain.quota import Room
from zentry_web.domain.resize import SizeChoice, choose
from zentry_web.domain.user import Actor
from zentry_web.domain.vm import ALLOWED_ACTIONS, VM, Operation, OperationKind, Size, VMState
from zentry_web.models import DbImage, DbOperation, DbVM
from zentry_web.services.access import require_open, require_payer, require_vm
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.billing_service import BillingService
from zentry_web.services.errors import ConflictError, ValidationError
from zentry_web.services.quotas import Quotas, growth
from zentry_web.services.vm_catalogue import Catalogue
from zentry_web.services.vm_landing import Accept
from zentry_web.services.vm_operations import as_operation
from zentry_web.services.vm_queries import read_vm
from zentry_web.services.vm_records import billed_vm
from zentry_web.services.vm_sizes import as_paid_by

_LONGEST_KEY = 100


class VMResizing(BaseService):
    """The requests' side of a resize."""

    name = "vm_resizing"

    def __init__(
        self,
        core: Core,
        billing: BillingService,
        catalogue: Catalogue,
        quotas: Quotas,
        capacity: Callable[[], Mapping[str, int]],
        accept: Accept,
    ) -> None:
        super().__init__(core)
        self._billing = billing
        self._catalogue = catalogue
        self._quotas = quotas
        self._capacity = capacity
        self._accept = accept

    def list_choices(self, vm_id: str, *, actor: Actor) -> list[SizeChoice]:
        """Every size on offer and the VM's own, with why it cannot be chosen. Raises NotFoundError."""
        with self.reading() as session:
            require_vm(session, actor, vm_id, ProjectAction.RESIZE)
            vm = read_vm(session, vm_id)
            least = self._least_memory(session, vm_id)
            sizes = self._catalogue.list_sizes(include_inactive=True)
            offered = as_paid_by(session, vm_id, [size for size in sizes if size.active or size.id == vm.size_id])
            return [choose(vm, size, least_memory_mib=least, capacity=self._capacity()) for size in offered]

    def get_room(self, vm: VM, size: Size, *, actor: Actor) -> Room:
        """What is left of the quotas there, and whether this size fits. Raises NotFoundError, PermissionDeniedError."""
        return self._quotas.get_room(vm.project_id, growth(vm, size), actor=actor)

    def request(self, vm_id: str, size_id: str, *, actor: Actor, idempotency_key: str | None = None) -> Operation:
        """See VMService.resize_vm."""
        if idempotency_key is not None and not 0 < len(idempotency_key) <= _LONGEST_KEY:
            raise ValidationError("That request key is not usable.", details={"idempotency_key": "Not usable."})
        with self.transaction() as session:
            owner_id = require_vm(session, actor, vm_id, ProjectAction.RESIZE).owner_id
            self._billing.lock_wallet(owner_id)
            vm = require_vm(session, actor, vm_id, ProjectAction.RESIZE, lock=True)
            require_payer(vm, owner_id)
            if idempotency_key and (made := _made_before(session, vm_id, idempotency_key, size_id)):
                return as_operation(made)
            if OperationKind.RESIZE not in ALLOWED_ACTIONS[VMState(vm.state)]:
                raise ConflictError(f"{vm.name} is {vm.state}: its size cannot be changed now.")
            require_open(session, vm.project_id)
            shown = read_vm(session, vm_id)
            size = self._check(session, shown, size_id)
            self._quotas.require_room(vm.project_id, vm.owner_id, growth(shown, size))
            runs = vm.state == VMState.RUNNING
            now, then = vm.stopped_micro_per_hour, size.stopped_micro_per_hour
            if runs:
                now, then = vm.running_micro_per_hour, size.running_micro_per_hour
            if then > now:
                self._billing.budgets.require_room(vm, then, actor=actor)
            self._billing.resizes.accept(billed_vm(vm), size, runs=runs)
            details = _details(shown, size, vm.run_id, idempotency_key)
            reason = "admin" if actor.is_admin and actor.id != vm.owner_id else "owner"
            _, row = self._accept(session, vm, OperationKind.RESIZE, actor, reason, details)
            return as_operation(row)

    def _check(self, session: Session, vm: VM, size_id: str) -> Size:
        size = self._catalogue.find_size(session, size_id)
        problem = "Choose a size." if not size_id else "There is no such size. Choose another."
        if size is not None:
            least = self._least_memory(session, vm.id)
            problem = choose(vm, size, least_memory_mib=least, capacity=self._capacity()).problem
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
            if row.details["size_id"] != size_id:
                raise ConflictError("This form was already used for another size. Open a new one.")
            return row
    return None
