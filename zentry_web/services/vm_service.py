"""VMService: launching, acting on and looking at virtual machines. It never calls the hypervisor: the worker does."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from zentry_web.domain.billing import CreditStop
from zentry_web.domain.event import Event, Outcome
from zentry_web.domain.monitoring import ComputeStatus
from zentry_web.domain.project import ProjectAction
from zentry_web.domain.user import SYSTEM, Actor, User
from zentry_web.domain.vm import (
    ALLOWED_ACTIONS,
    OVERTAKING,
    STATE_WHEN_ACCEPTED,
    VM,
    Image,
    Operation,
    OperationKind,
    Size,
    VMOrder,
    VMPage,
    VMState,
    launch_steps,
)
from zentry_web.models import DbEvent, DbVM
from zentry_web.services.access import (
    member_projects,
    require_admin,
    require_member,
    require_open,
    require_payer,
    require_self,
    require_vm,
)
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.billing_service import BillingService
from zentry_web.services.errors import ConflictError
from zentry_web.services.event_log import for_viewer, read_events
from zentry_web.services.labels import VMLabels, with_labels
from zentry_web.services.monitoring_service import MonitoringService
from zentry_web.services.quotas import Quotas
from zentry_web.services.rate_limit import RateLimiter
from zentry_web.services.vm_bin import VMBin
from zentry_web.services.vm_bulk import VMBulk
from zentry_web.services.vm_catalogue import Catalogue
from zentry_web.services.vm_fleet import Fleet, Order
from zentry_web.services.vm_landing import VMLanding
from zentry_web.services.vm_launching import VMLaunching
from zentry_web.services.vm_moving import VMMoving
from zentry_web.services.vm_operations import OperationQueue, as_operation
from zentry_web.services.vm_payer import Payer
from zentry_web.services.vm_queries import VMList, matching, read_page, read_vm, with_rights
from zentry_web.services.vm_records import VMRecords, is_billed_as_running
from zentry_web.services.vm_resizing import VMResizing

_CREDIT_STOP_MARGIN = timedelta(seconds=15)  # before the end of a hold, whatever else is under way

_VERBS = {
    OperationKind.START: "started",
    OperationKind.STOP: "stopped",
    OperationKind.FORCE_OFF: "forced off",
    OperationKind.REBOOT: "rebooted",
}


class VMService(BaseService):
    """The virtual machines of all projects. Requests become operations; ``operations`` and ``records`` are the
    worker's side of it."""

    name = "vm"

    def __init__(
        self,
        core: Core,
        billing: BillingService,
        monitoring: MonitoringService,
        *,
        stop_timeout_seconds: int,
    ) -> None:
        super().__init__(core)
        self._billing = billing
        self._monitoring = monitoring
        self._limiter = RateLimiter(core)
        self._stop_timeout = timedelta(seconds=stop_timeout_seconds)
        self.catalogue = Catalogue(core)
        self.quotas = Quotas(core, billing.settings)
        self.payer = Payer(core, billing, self.quotas)
        self.operations = OperationQueue(core)
        self.labels = VMLabels(core)
        self.records = VMRecords(core, billing, self.operations)
        self.bin = VMBin(
            core,
            billing,
            self.catalogue,
            self.payer,
            self.quotas,
            self.operations,
            self._accept,
            self.get_compute_status,
        )
        orders: dict[OperationKind, Order] = {
            OperationKind.START: lambda vm, actor: self.start_vm(vm.id, actor=actor),
            OperationKind.STOP: lambda vm, actor: self.stop_vm(vm.id, actor=actor),
            OperationKind.REBOOT: lambda vm, actor: self.reboot_vm(vm.id, actor=actor),
            OperationKind.FORCE_OFF: lambda vm, actor: self.force_off_vm(vm.id, actor=actor),
            OperationKind.DELETE: lambda vm, actor: self.delete_vm(vm.id, vm.name, actor=actor),
        }
        self.fleet = Fleet(core, billing.notices, orders)
        self.landing = VMLanding(core, billing, self.operations, self._accept)
        self.launching = VMLaunching(
            core, billing, self.catalogue, self.payer, self.quotas, self.get_compute_status, self._accept, self.labels
        )
        self.moving = VMMoving(core, billing, self.quotas, self.operations, self.bin.confirmed_end)
        self.bulk = VMBulk(core, self.labels, self.moving, orders)
        self.resizing = VMResizing(
            core, billing, self.catalogue, self.quotas, lambda: self.get_compute_status().capacity, self._accept
        )

    # -- catalogue ------------------------------------------------------------------------------

    def list_sizes(self, *, include_inactive: bool = False) -> list[Size]:
        """Sizes on offer with the price in force, smallest first."""
        return self.catalogue.list_sizes(include_inactive=include_inactive)

    def list_images(self, *, include_inactive: bool = False) -> list[Image]:
        """Images on offer."""
        return self.catalogue.list_images(include_inactive=include_inactive)

    def update_size(self, size_id: str, data: dict[str, object], *, actor: Actor = SYSTEM) -> None:
        """Offer or withdraw a size (``active``); admins only."""
        self.catalogue.update_size(size_id, data, actor=actor)

    def update_image(self, image_id: str, data: dict[str, object], *, actor: Actor = SYSTEM) -> None:
        """Offer or withdraw an image (``active``); admins only."""
        self.catalogue.update_image(image_id, data, actor=actor)

    # -- requests -------------------------------------------------------------------------------

    def create_vm(
        self,
        vm_data: dict[str, Any],
        current_user: User,
        *,
        actor: Actor = SYSTEM,
        idempotency_key: str | None = None,
    ) -> VM:
        """Accept a launch: the VM's row, its hold, its operation and the event, all or nothing.

        ``vm_data``: project_id, name, size_id, image_id, ssh_key (pasted), ssh_key_ids (of ``current_user``'s
        account), user_data, labels (as typed). The same ``idempotency_key`` gives the same VM. Raises ValidationError
        (per field), NotFoundError (project), InsufficientCreditsError (``needed``, ``available`` in micro-credits),
        BudgetExceededError, QuotaExceededError, ConflictError (key used for something else), RateLimitedError.
        """
        if actor is SYSTEM:
            actor = Actor(current_user.id, current_user.role)
        self._limiter.check_actor("launch", actor)
        return self.launching.request(vm_data, current_user, actor=actor, idempotency_key=idempotency_key)

    def start_vm(self, vm_id: str, *, actor: Actor = SYSTEM) -> Operation:
        """Accept a start and hold its first hour. Raises ConflictError (the state), BudgetExceededError."""
        with self.payer.words(actor, vm_id=vm_id):
            return self._request(OperationKind.START, vm_id, actor)

    def stop_vm(self, vm_id: str, *, actor: Actor = SYSTEM) -> Operation:
        """Accept asking the guest to power off. Billing as running ends when it is off."""
        return self._request(OperationKind.STOP, vm_id, actor)

    def force_off_vm(self, vm_id: str, *, actor: Actor = SYSTEM) -> Operation:
        """Accept cutting the power; overtakes whatever is under way."""
        return self._request(OperationKind.FORCE_OFF, vm_id, actor)

    def reboot_vm(self, vm_id: str, *, actor: Actor = SYSTEM) -> Operation:
        """Accept asking the guest to restart; the bill runs on."""
        return self._request(OperationKind.REBOOT, vm_id, actor)

    def resize_vm(
        self, vm_id: str, size_id: str, *, actor: Actor = SYSTEM, idempotency_key: str | None = None
    ) -> Operation:
        """Accept another size: a VM that is off is changed, one that runs is stopped, changed and started again.

        The same ``idempotency_key`` gives the same operation. Raises NotFoundError, ValidationError (``size_id``: not
        on offer, a smaller disk, too large), InsufficientCreditsError, QuotaExceededError, ConflictError (state, key
        used otherwise).
        """
        with self.payer.words(actor, vm_id=vm_id):
            return self.resizing.request(vm_id, size_id, actor=actor, idempotency_key=idempotency_key)

    def delete_vm(self, vm_id: str, confirm_name: str, *, actor: Actor = SYSTEM) -> Operation:
        """Accept deleting: off at once, then in the recycle bin for the time that is set (0 days, or never made: gone
        for good). Billing ends now. ``confirm_name`` must be its name. Raises ValidationError, ConflictError."""
        return self.bin.delete(vm_id, confirm_name, actor=actor)

    def stop_for_credit(self, stop: CreditStop) -> None:
        """Queue the stop of a VM whose credit ends, when that is less than the stop time-out away; once.

        It overtakes a restart, and shortly before the end also the owner's own stop that the guest ignores. The owner
        is told before: as soon as the end is known, at the latest with the stop.
        """
        self._billing.landing.tell_stop(stop)
        if self.now() < stop.ends_at - self._stop_timeout:
            return
        with self.reading() as session:
            vm = session.get(DbVM, stop.vm_id)
            if vm is None or vm.deleted_at is not None or not self._must_stop(session, vm, stop):
                return
            owner_id = vm.owner_id
        with self.transaction() as session:
            self._billing.lock_wallet(owner_id)
            vm = require_vm(session, SYSTEM, stop.vm_id, lock=True)
            require_payer(vm, owner_id)
            if self._must_stop(session, vm, stop):
                self._billing.landing.tell_stop(stop)
                under_way = self.operations.find_open(session, vm.id)
                asked = under_way is not None and under_way.kind == OperationKind.STOP  # it is not started again then
                self.operations.cancel_open(session, vm.id)
                details = {"ends_at": stop.ends_at.isoformat()} | ({"asked": True} if asked else {})
                self._accept(session, vm, OperationKind.STOP, SYSTEM, "credit", details)

    def _must_stop(self, session: Session, vm: DbVM, stop: CreditStop) -> bool:
        if not is_billed_as_running(vm.state, vm.run_id):
            return False
        under_way = self.operations.find_open(session, vm.id)
        if under_way is None:
            return vm.state == VMState.RUNNING
        if under_way.kind in (OperationKind.REBOOT, OperationKind.RESIZE):
            return True
        is_owners_stop = under_way.kind == OperationKind.STOP and "ends_at" not in under_way.details
        return is_owners_stop and self.now() >= stop.ends_at - _CREDIT_STOP_MARGIN

    # -- looking --------------------------------------------------------------------------------

    def get_vm(self, vm_id: str, *, actor: Actor = SYSTEM, action: ProjectAction = ProjectAction.VIEW) -> VM:
        """The VM, if the actor may do ``action`` to it. Raises NotFoundError (also when deleted), PermissionDenied."""
        with self.reading() as session:
            require_vm(session, actor, vm_id, action)
            return with_rights(session, [read_vm(session, vm_id)], actor)[0]

    def get_vm_page(self, vm_id: str, *, actor: Actor = SYSTEM) -> VMPage:
        """The VM with its steps, its last operation and whether the hypervisor answers."""
        with self.reading() as session:
            require_vm(session, actor, vm_id, ProjectAction.VIEW)
            (vm,) = with_rights(session, with_labels(session, [read_vm(session, vm_id)]), actor)
            row = self.operations.find_last(session, vm_id)
            operation = as_operation(row) if row else None
            status = self.get_compute_status()
            return VMPage(vm, operation, launch_steps(vm, operation), status.ok, status.answered_at)

    def list_vms(
        self,
        user_id: str | None = None,
        *,
        actor: Actor = SYSTEM,
        project_id: str | None = None,
        state: VMState | None = None,
        search: str = "",
        label: str = "",
        before: str | None = None,
        limit: int = 50,
        order: VMOrder = VMOrder.NEWEST,
    ) -> VMList:
        """One page of the VMs in a person's projects, those of others they belong to as well. ``label`` is
        ``key=value`` or a key, ``before`` the last one seen. ``user_id`` None: everything in ``project_id``, for its
        members; without that everyone's, for admins.
        """
        conditions = matching(project_id, state, search, label)
        if user_id is not None:
            require_self(actor, user_id)
            conditions.append(DbVM.project_id.in_(member_projects(user_id)))
        elif not project_id:
            require_admin(actor)
        with self.reading() as session:
            if project_id and user_id is None:
                require_member(session, actor, project_id, ProjectAction.VIEW)
            page = read_page(session, conditions, before, limit, order)
            return replace(page, vms=with_rights(session, page.vms, actor))

    def list_vm_activity(
        self, vm_id: str, *, actor: Actor = SYSTEM, before: int | None = None, limit: int = 30
    ) -> list[Event]:
        """What was done to the VM, newest first: who, when, from where, how it ended."""
        with self.reading() as session:
            require_vm(session, actor, vm_id, ProjectAction.VIEW)
            events = read_events(session, DbEvent.vm_id == vm_id, before=before, limit=limit, endings=False)
        return for_viewer(events, actor)

    def count_by_state(self, user_id: str | None, *, actor: Actor = SYSTEM) -> dict[VMState, int]:
        """How many VMs are in each state, in the projects a person belongs to (None: in all, admins only); states
        without any are left out."""
        query = select(DbVM.state, func.count()).where(DbVM.deleted_at.is_(None)).group_by(DbVM.state)
        if user_id is None:
            require_admin(actor)
        else:
            require_self(actor, user_id)
            query = query.where(DbVM.project_id.in_(member_projects(user_id)))
        with self.reading() as session:
            return {VMState(state): count for state, count in session.execute(query)}

    def get_compute_status(self) -> ComputeStatus:
        """What the worker last learned of the hypervisor."""
        return self._monitoring.get_compute_status()

    def get_confirmed(self, vm_id: str) -> datetime | None:
        """Up to when the hypervisor has confirmed this VM's running seconds; None: never yet."""
        return self._monitoring.processes.get_confirmed(vm_id)

    # -- inside ---------------------------------------------------------------------------------

    def _request(self, kind: OperationKind, vm_id: str, actor: Actor) -> Operation:
        right = ProjectAction.OPERATE
        with self.transaction() as session:
            owner_id = require_vm(session, actor, vm_id, right).owner_id
            self._billing.lock_wallet(owner_id)
            vm = require_vm(session, actor, vm_id, right, lock=True)
            require_payer(vm, owner_id)
            state = VMState(vm.state)
            if kind not in ALLOWED_ACTIONS[state]:
                raise ConflictError(f"{vm.name} is {state}: it cannot be {_VERBS[kind]} now.")
            if kind in OVERTAKING:
                self.operations.cancel_open(session, vm.id)
            reason = "admin" if actor.is_admin and actor.id != vm.owner_id else "owner"  # or a member in their place
            if kind == OperationKind.START:
                require_open(session, vm.project_id)
                self.payer.require_able(session, actor, vm.owner_id)
                self._billing.budgets.require_room(vm, vm.running_micro_per_hour, actor=actor)
                self._billing.place_hold(vm.id, vm.owner_id, vm.running_micro_per_hour)
            event_id, row = self._accept(session, vm, kind, actor, reason, {})
            if kind == OperationKind.START:
                self._billing.landing.leave_grace(session, vm, event_id)
            vm.credit_stopped_at = None  # its owner has decided since
            return as_operation(row)

    def _accept(
        self, session: Session, vm: DbVM, kind: OperationKind, actor: Actor, reason: str, details: dict[str, Any]
    ) -> tuple[str, Any]:
        vm.state = STATE_WHEN_ACCEPTED[kind]
        vm.state_reason = ""
        row = self.operations.enqueue(session, kind, vm.id, actor=actor, reason=reason, details=details)
        event_id = self.log_audit_event(
            actor.id,
            f"vm.{kind}",
            "vm",
            vm.id,
            {"reason": reason} | details,
            actor=actor,
            outcome=Outcome.ACCEPTED,
            owner_id=vm.owner_id,
            project_id=vm.project_id,
            vm_id=vm.id,
            operation_id=row.id,
        )
        return event_id, row
