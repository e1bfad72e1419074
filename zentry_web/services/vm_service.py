"""VMService: launching, acting on and looking at virtual machines. It never calls the hypervisor: the worker does."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from zentry_web.adapters.compute.images import ImageLimits
from zentry_web.adapters.console_door import ConsoleDoor, NullConsoleDoor
from zentry_web.domain.event import Event
from zentry_web.domain.monitoring import ComputeStatus
from zentry_web.domain.projects.project import ProjectAction
from zentry_web.domain.user import SYSTEM, Actor, User
from zentry_web.domain.vms.catalogue import Image, Size
from zentry_web.domain.vms.fleet import EVERY_VM, VMFilter, VMList
from zentry_web.domain.vms.naming import base_of, next_name
from zentry_web.domain.vms.operation import Operation, OperationKind
from zentry_web.domain.vms.plan import Facts
from zentry_web.domain.vms.state import ON, VMState
from zentry_web.domain.vms.steps import VMPage, launch_steps
from zentry_web.domain.vms.vm import VM, Rates
from zentry_web.models import DbEvent, DbVM
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.billing_service import BillingService
from zentry_web.services.monitoring_service import MonitoringService
from zentry_web.services.shared.access import (
    member_projects,
    require_admin,
    require_member,
    require_self,
    require_vm,
)
from zentry_web.services.shared.event_log import for_viewer, read_events
from zentry_web.services.shared.labels import VMLabels
from zentry_web.services.shared.rate_limits import RateLimiter
from zentry_web.services.vms.actions import VMActions
from zentry_web.services.vms.backup_records import BackupRecords
from zentry_web.services.vms.backups import VMBackups
from zentry_web.services.vms.basis import VMBasis
from zentry_web.services.vms.bin import VMBin
from zentry_web.services.vms.bin_lists import VMBinLists
from zentry_web.services.vms.bulk import VMBulk
from zentry_web.services.vms.catalogue import Catalogue
from zentry_web.services.vms.consoles import VMConsoles
from zentry_web.services.vms.credit import VMLanding
from zentry_web.services.vms.finding import VMFinder
from zentry_web.services.vms.fleet import Fleet
from zentry_web.services.vms.image_making import ImageMaking
from zentry_web.services.vms.images import VMImages
from zentry_web.services.vms.launch_request import parse_launch
from zentry_web.services.vms.launching import VMLaunching
from zentry_web.services.vms.machine_image_records import MachineImageRecords
from zentry_web.services.vms.machine_images import MachineImages
from zentry_web.services.vms.moving import VMMoving
from zentry_web.services.vms.operations import OperationQueue, as_operation
from zentry_web.services.vms.outage_notices import OutageNotices
from zentry_web.services.vms.outages import VMOutages
from zentry_web.services.vms.passwords import VMPasswords
from zentry_web.services.vms.payer import Payer
from zentry_web.services.vms.planning import VMPlanning
from zentry_web.services.vms.proofs import VMProofs
from zentry_web.services.vms.queries import load_vm, read_list, read_striking, read_sum, read_vms
from zentry_web.services.vms.quotas import Quotas
from zentry_web.services.vms.rebuilding import VMRebuilding
from zentry_web.services.vms.records import VMRecords
from zentry_web.services.vms.recovering import VMRecovering
from zentry_web.services.vms.renaming import VMRenaming
from zentry_web.services.vms.rescuing import VMRescuing
from zentry_web.services.vms.resizing import VMResizing
from zentry_web.services.vms.reverts import RevertAsides
from zentry_web.services.vms.schedules import Schedules
from zentry_web.services.vms.sightings import Sightings
from zentry_web.services.vms.snapshot_records import SnapshotRecords
from zentry_web.services.vms.snapshots import VMSnapshots
from zentry_web.services.vms.strays import Strays
from zentry_web.services.vms.timers import VMTimers
from zentry_web.services.vms.truths import VMTruths
from zentry_web.services.vms.undoing import VMUndo
from zentry_web.services.vms.work import VMWork


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
        console_door: ConsoleDoor | None = None,
        image_limits: ImageLimits | None = None,
    ) -> None:
        super().__init__(core)
        self._monitoring, self._limiter = monitoring, RateLimiter(core)
        self.catalogue = Catalogue(core, billing)
        self.images = VMImages(core, billing, image_limits or ImageLimits())
        self.quotas = Quotas(core, billing)
        self.payer = Payer(core, billing, self.quotas)
        self.operations = OperationQueue(core)
        self.truths = VMTruths(core, monitoring)
        self.labels, self.image_making = VMLabels(core), ImageMaking(core)
        self.snapshot_records = SnapshotRecords(core, billing, self.operations)
        self.backup_records = BackupRecords(core, billing, self.operations)
        self.outages, self.outage_notices = VMOutages(core, billing, self.operations), OutageNotices(core, billing)
        self.records = VMRecords(
            core, billing, self.operations, self.outages, self.snapshot_records, self.backup_records
        )
        self.sightings = Sightings(core, billing, self.operations, self.outages)
        basis = VMBasis(billing, monitoring, self.catalogue, self.quotas, self.payer, self.operations)
        self.bin = VMBin(core, basis)
        self.bin_lists = VMBinLists(core, self.bin)
        self.strays = Strays(core, basis)
        self.actions = VMActions(core, basis, self.bin)
        self.consoles = VMConsoles(core, console_door or NullConsoleDoor())
        self.fleet = Fleet(core, billing.notices, self.actions)
        self.landing = VMLanding(core, billing, self.operations, timedelta(seconds=stop_timeout_seconds))
        self.launching = VMLaunching(core, basis)
        self.moving = VMMoving(core, basis)
        self.finder, self.renaming = VMFinder(core), VMRenaming(core)
        self.rebuilding = VMRebuilding(core, basis)
        self.rescuing = VMRescuing(core, basis)
        self.passwords = VMPasswords(core, basis)
        self.bulk = VMBulk(core, self.labels, self.moving, self.actions)
        self.resizing = VMResizing(core, basis)
        self._add_copies(core, basis)
        self.work = VMWork(core, basis, self.actions, self.resizing)
        self.planning = VMPlanning(core, basis)
        self.timers = VMTimers(core, basis, self.actions, self.bin)
        self.undo = VMUndo(core, basis, self.actions, self.bin, self.moving, self.rebuilding, self.snapshots)

    def _add_copies(self, core: Core, basis: VMBasis) -> None:
        """What is kept of machines: snapshots, backups, images of their disks."""
        self.snapshots = VMSnapshots(core, basis)
        self.revert_asides = RevertAsides(core)
        self.snapshot_schedules = Schedules(core, basis, self.snapshots)
        self.backups = VMBackups(core, basis)
        self.proofs = VMProofs(core, basis, self.backups)
        self.backup_schedules = Schedules(core, basis, self.backups)
        self.recovering = VMRecovering(core, basis, self.rebuilding)
        self.machine_images = MachineImages(core, basis)
        self.machine_image_records = MachineImageRecords(core, basis, self.machine_images)

    # -- catalogue ------------------------------------------------------------------------------

    def list_sizes(self, *, include_inactive: bool = False) -> list[Size]:
        """Sizes on offer with the price in force, smallest first."""
        return self.catalogue.list_sizes(include_inactive=include_inactive)

    def list_images(self, *, include_inactive: bool = False) -> list[Image]:
        """Images on offer."""
        return self.catalogue.list_images(include_inactive=include_inactive)

    def list_launch_images(self, project_ids: Sequence[str]) -> list[Image]:
        """Images on offer, and those of these projects; callers have checked who asks."""
        return self.catalogue.list_launch_images(project_ids)

    def list_planned_sizes(self) -> list[Size]:
        """Sizes that will be on offer once their first price begins, which is their ``coming`` one."""
        return self.catalogue.list_planned_sizes()

    def create_size(self, data: Mapping[str, Any], *, starts_at: datetime | None = None, actor: Actor = SYSTEM) -> str:
        """Make a size with its first price (see Catalogue.create_size); admins only. Raises ValidationError."""
        return self.catalogue.create_size(data, starts_at=starts_at, actor=actor)

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
        shown: Rates | None = None,
    ) -> VM:
        """Accept a launch: the VM's row, its hold, its operation and the event, all or nothing.

        ``vm_data``: project_id, name, size_id, image_id, ssh_key (pasted), ssh_key_ids (of ``current_user``'s
        account), user_data, labels (as typed). The same ``idempotency_key`` gives the same VM. ``shown``: the price the
        person saw; at another nothing is launched (PriceChangedError). Raises ValidationError
        (per field), NotFoundError (project), InsufficientCreditsError (``needed``, ``available`` in micro-credits),
        BudgetExceededError, QuotaExceededError, ConflictError (key used for something else), RateLimitedError.
        """
        data = vm_data | {"count": 1}
        return self.create_vms(data, current_user, actor=actor, idempotency_key=idempotency_key, shown=shown)[0]

    def create_vms(
        self,
        vm_data: dict[str, Any],
        current_user: User,
        *,
        actor: Actor = SYSTEM,
        idempotency_key: str | None = None,
        shown: Rates | None = None,
    ) -> list[VM]:
        """Accept the launch of ``count`` (1 to 10) alike machines: all of them or none. Their names go on from ``name``
        (domain/vms/naming.py). ``shown``: the price of all together; quota, budget and credits are judged of all.
        Otherwise as ``create_vm``."""
        if actor is SYSTEM:
            actor = Actor(current_user.id, current_user.role)
        request = parse_launch(vm_data)
        self._limiter.check_actor("launch", actor, times=request.count)
        return self.launching.request(request, current_user, actor=actor, idempotency_key=idempotency_key, shown=shown)

    def start_vm(self, vm_id: str, *, actor: Actor = SYSTEM, shown: Rates | None = None) -> Operation:
        """Accept a start and hold its first hour. Raises ConflictError (the state), BudgetExceededError,
        PriceChangedError (it costs another price than was ``shown``)."""
        return self.actions.request(OperationKind.START, vm_id, actor=actor, shown=shown)

    def stop_vm(self, vm_id: str, *, actor: Actor = SYSTEM) -> Operation:
        """Accept asking the guest to power off. Billing as running ends when it is off."""
        return self.actions.request(OperationKind.STOP, vm_id, actor=actor)

    def force_off_vm(self, vm_id: str, *, actor: Actor = SYSTEM) -> Operation:
        """Accept cutting the power; overtakes whatever is under way."""
        return self.actions.request(OperationKind.FORCE_OFF, vm_id, actor=actor)

    def reboot_vm(self, vm_id: str, *, actor: Actor = SYSTEM) -> Operation:
        """Accept asking the guest to restart; the bill runs on."""
        return self.actions.request(OperationKind.REBOOT, vm_id, actor=actor)

    def reset_vm(self, vm_id: str, *, actor: Actor = SYSTEM) -> Operation:
        """Accept pressing its reset button, which asks no guest; the bill runs on."""
        return self.actions.request(OperationKind.RESET, vm_id, actor=actor)

    def suspend_vm(self, vm_id: str, *, actor: Actor = SYSTEM) -> Operation:
        """Accept letting it stand still with its memory; the bill runs on, as the memory is held."""
        return self.actions.request(OperationKind.SUSPEND, vm_id, actor=actor)

    def resume_vm(self, vm_id: str, *, actor: Actor = SYSTEM) -> Operation:
        """Accept letting a paused VM go on, or waking one that sleeps; the bill runs on."""
        return self.actions.request(OperationKind.RESUME, vm_id, actor=actor)

    def resize_vm(
        self,
        vm_id: str,
        size_id: str,
        *,
        actor: Actor = SYSTEM,
        idempotency_key: str | None = None,
        shown: Rates | None = None,
        plan: Facts | None = None,
    ) -> Operation:
        """Accept another size: a VM that is off is changed, one that runs is stopped, changed and started again.

        The same ``idempotency_key`` gives the same operation. Raises NotFoundError, ValidationError (``size_id``: not
        on offer, a smaller disk, too large), InsufficientCreditsError, QuotaExceededError, ConflictError (state, key
        used otherwise), PriceChangedError (the size costs another price than was ``shown``), PlanChangedError (another
        ``plan`` was shown).
        """
        with self.payer.words(actor, vm_id=vm_id):
            return self.resizing.request(
                vm_id, size_id, actor=actor, idempotency_key=idempotency_key, shown=shown, plan=plan
            )

    def delete_vm(
        self, vm_id: str, confirm_name: str, *, actor: Actor = SYSTEM, plan: Facts | None = None
    ) -> Operation:
        """Accept deleting: off at once, then in the recycle bin for the time that is set (0 days, or never made: gone
        for good). Billing ends now. ``confirm_name`` must be its name. Raises ValidationError, ConflictError,
        PlanChangedError (another ``plan`` was shown)."""
        return self.bin.delete(vm_id, confirm_name, actor=actor, plan=plan)

    # -- looking --------------------------------------------------------------------------------

    def get_vm(self, vm_id: str, *, actor: Actor = SYSTEM, action: ProjectAction = ProjectAction.VIEW) -> VM:
        """The VM, if the actor may do ``action`` to it. Raises NotFoundError (also when deleted), PermissionDenied."""
        with self.reading() as session:
            return load_vm(session, actor, vm_id, action)[0]

    def get_vm_page(
        self, vm_id: str, *, actor: Actor = SYSTEM, events: int = 0, compute: ComputeStatus | None = None
    ) -> VMPage:
        """The VM with its steps, its last operation, so many of its newest events, and whether the hypervisor answers
        (``compute``, where that was read already). Five statements at most. Raises as ``get_vm``."""
        with self.reading() as session:
            vm, row = load_vm(session, actor, vm_id, ProjectAction.VIEW)
            operation = as_operation(row) if row else None
            vm = self.payer.with_funds(vm)
            found = self._activity(session, vm_id, actor, None, events) if events else []
            steps = launch_steps(vm, operation)
            return VMPage(vm, operation, steps, compute or self.get_compute_status(), tuple(found))

    def suggest_name(self, project_id: str, *, after: str = "", actor: Actor = SYSTEM) -> str:
        """A name that is free in the project: it goes on from ``after``, or from the name of the newest VM there.
        Raises NotFoundError."""
        with self.reading() as session:
            require_member(session, actor, project_id, ProjectAction.VIEW)
            here = DbVM.project_id == project_id, DbVM.deleted_at.is_(None)
            newest = after or session.scalar(select(DbVM.name).where(*here).order_by(DbVM.id.desc()).limit(1)) or ""
            like = DbVM.name.startswith(f"{base_of(newest)}-", autoescape=True)
            return next_name(newest, session.scalars(select(DbVM.name).where(*here, like)).all())

    def list_vms(
        self,
        user_id: str | None = None,
        *,
        actor: Actor = SYSTEM,
        wanted: VMFilter = EVERY_VM,
        before: str | None = None,
        limit: int = 50,
    ) -> VMList:
        """One page of the VMs in a person's projects, those of others they belong to as well; ``before`` is the last
        one seen. ``user_id`` None: everything in the project that is ``wanted``, for its members; without one
        everyone's, for admins. Four statements at most.
        """
        with self.reading() as session:
            within = _within(session, user_id, wanted, actor)
            return read_list(session, wanted, actor, within=within, before=before, limit=limit)

    def sum_vms(
        self, user_id: str | None = None, *, actor: Actor = SYSTEM, wanted: VMFilter = EVERY_VM
    ) -> tuple[int, int]:
        """How many of the VMs that ``list_vms`` gives fit, and what those cost per hour together now (micro-credits).
        Two statements at most."""
        with self.reading() as session:
            return read_sum(session, wanted, within=_within(session, user_id, wanted, actor))

    def list_of_project(self, project_id: str) -> list[VM]:
        """Every VM of a project, by name; callers have checked who asks. One statement."""
        here = DbVM.project_id == project_id, DbVM.deleted_at.is_(None)
        with self.reading() as session:
            return read_vms(session, *here, order=(DbVM.name, DbVM.id))

    def list_striking(self, user_id: str, busy_ids: Sequence[str], limit: int) -> tuple[list[VM], dict[str, VM]]:
        """Of the VMs in a person's projects the newest ``limit`` that say why they are off or in error, and those of
        ``busy_ids`` that are on, by id. One statement."""
        with self.reading() as session:
            vms = read_striking(session, user_id, busy_ids, limit)
        return [vm for vm in vms if vm.state_reason][:limit], {
            vm.id: vm for vm in vms if vm.id in busy_ids and vm.state in ON
        }

    def list_vm_activity(
        self, vm_id: str, *, actor: Actor = SYSTEM, before: int | None = None, limit: int = 30
    ) -> list[Event]:
        """What was done to the VM, newest first: who, when, from where, how it ended."""
        with self.reading() as session:
            require_vm(session, actor, vm_id, ProjectAction.VIEW)
            return self._activity(session, vm_id, actor, before, limit)

    def _activity(self, session: Session, vm_id: str, actor: Actor, before: int | None, limit: int) -> list[Event]:
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


def _within(session: Session, user_id: str | None, wanted: VMFilter, actor: Actor) -> ColumnElement[bool] | None:
    """What a list is of, as far as the filter does not say it; raises where the actor may not see that."""
    if user_id is not None:
        require_self(actor, user_id)
        return DbVM.project_id.in_(member_projects(user_id))
    if wanted.project_id:
        require_member(session, actor, wanted.project_id, ProjectAction.VIEW)
    else:
        require_admin(actor)
    return None
