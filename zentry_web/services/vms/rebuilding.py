"""Making a machine anew from an image, and taking that back within an hour. The worker does both
(worker/operations/rebuilding.py)."""

from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from zentry_web.adapters.compute.base import MachineSpec
from zentry_web.domain.credits.usage import BilledVM
from zentry_web.domain.language import _
from zentry_web.domain.projects.project import ProjectAction
from zentry_web.domain.user import SYSTEM, Actor, User
from zentry_web.domain.vms.catalogue import Image
from zentry_web.domain.vms.claim import Claim
from zentry_web.domain.vms.image import user_data_problem
from zentry_web.domain.vms.operation import ALLOWED_ACTIONS, OPEN_OPERATION_STATES, Operation, OperationKind
from zentry_web.domain.vms.plan import Facts, rebuild_facts
from zentry_web.domain.vms.rebuild import DiskAside, ImageChoice, image_problem
from zentry_web.domain.vms.state import VMState, state_words
from zentry_web.domain.vms.vm import Rates
from zentry_web.models import DbDiskAside, DbImage, DbImageVersion, DbOperation, DbVM
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.errors import ConflictError, ValidationError
from zentry_web.services.shared.access import require_open, require_staying, require_vm
from zentry_web.services.shared.fields import invalid
from zentry_web.services.shared.undo_book import UndoBook
from zentry_web.services.vms import asides
from zentry_web.services.vms.basis import VMBasis
from zentry_web.services.vms.bin import require_name, require_unprotected
from zentry_web.services.vms.launch_request import Access, parse_access
from zentry_web.services.vms.launching import take_keys
from zentry_web.services.vms.operations import as_operation, reason_of
from zentry_web.services.vms.payer import require_shown
from zentry_web.services.vms.planning import require_plan
from zentry_web.services.vms.queries import read_vm
from zentry_web.services.vms.snapshots import count_snapshots


@dataclass(frozen=True, slots=True)
class RebuildRequest:
    """What is asked for. ``access`` None: keys and user data stay as they are."""

    image_id: str
    confirm_name: str
    access: Access | None = None

    @classmethod
    def parse(cls, data: dict[str, Any]) -> "RebuildRequest":
        """Of image_id, confirm_name, access ('keep' or 'new') and, for 'new', ssh_key, ssh_key_ids, user_data.

        Raises ValidationError with a sentence per wrong field.
        """
        image_id, confirm = (str(data.get(name) or "").strip() for name in ("image_id", "confirm_name"))
        errors: dict[str, str] = {}
        access = parse_access(data, errors) if data.get("access") == "new" else None
        if not image_id:
            errors["image_id"] = _("Choose an image.")
        if errors:
            raise ValidationError(_("Please check the marked fields."), details=errors)
        return cls(image_id, confirm, access)


class VMRebuilding(BaseService):
    """A part of VMService. Rebuilding takes the right to delete, for the disk is lost as it is then."""

    name = "vm_rebuilding"

    def __init__(self, core: Core, basis: VMBasis) -> None:
        super().__init__(core)
        self._billing, self._monitoring, self._operations = basis.billing, basis.monitoring, basis.operations
        self._catalogue, self._payer = basis.catalogue, basis.payer

    def list_choices(self, vm_id: str, *, actor: Actor) -> list[ImageChoice]:
        """Every image on offer and the machine's own, with what it would cost and why it cannot be chosen.

        Raises NotFoundError, PermissionDeniedError.
        """
        with self.reading() as session:
            row = require_vm(session, actor, vm_id, ProjectAction.DELETE_VM)
            vm, host = read_vm(session, vm_id), self._monitoring.get_compute_status()
            images = self._catalogue.list_launch_images([row.project_id])
            if row.image_id not in {image.id for image in images}:
                images += filter(None, [self._catalogue.find_image(session, row.image_id)])
            return [
                ImageChoice(
                    image, _rates(session, row, image), image_problem(vm, image, host), image.id == row.image_id
                )
                for image in images
            ]

    def find_aside(self, vm_id: str, *, actor: Actor) -> DiskAside | None:
        """The disk that can be brought back now, for who may rebuild. Raises NotFoundError, PermissionDeniedError."""
        with self.reading() as session:
            require_vm(session, actor, vm_id, ProjectAction.DELETE_VM)
            row = asides.find_last(session, vm_id, self.now())
            if row is None or row.until is None:
                return None
            name = session.scalar(select(DbImage.name).where(DbImage.id == row.image_id))
            return DiskAside(row.operation_id, name or "", row.until)

    def request(
        self,
        vm_id: str,
        data: dict[str, Any],
        current_user: User,
        *,
        actor: Actor = SYSTEM,
        shown: Rates | None = None,
        plan: Facts | None = None,
    ) -> Operation:
        """Accept a rebuild: name, address, labels and protection stay, and the bill goes on as it is.

        ``data`` as RebuildRequest.parse; keys are those of ``current_user``'s account. Raises ValidationError (per
        field), NotFoundError, PermissionDeniedError, ConflictError (the state, its protection, an archived project),
        InsufficientCreditsError, BudgetExceededError, PriceChangedError (it costs another price than was ``shown``),
        PlanChangedError (another ``plan`` was shown).
        """
        request = RebuildRequest.parse(data)
        with self._payer.words(actor, vm_id=vm_id), self.transaction() as session:
            vm = self._billing.wallets.locked_vm(session, actor, vm_id, ProjectAction.DELETE_VM)
            require_name(vm.name, request.confirm_name)
            self._require_state(session, vm, OperationKind.REBUILD)
            require_unprotected(vm)
            require_staying(session, actor, vm.owner_id)
            image = self._check(session, vm, request.image_id)
            rates = _rates(session, vm, image)
            message = _(
                "%(name)s comes at another price than this page showed: nothing was ordered yet.", name=image.name
            )
            require_shown(shown, rates, message)
            require_plan(plan, rebuild_facts(read_vm(session, vm_id), image, rates))
            self.require_funds(session, vm, rates, actor)
            kept = vm.ssh_key, vm.user_data
            if request.access is not None:
                kept = take_keys(session, current_user.id, request.access, self.now()), request.access.user_data
                if problem := user_data_problem(image.user_data, kept[1]):
                    raise invalid({"user_data": problem})
            details = {"image": image.common_name, "run_id": vm.run_id}
            row = self._accept(session, vm, OperationKind.REBUILD, details, actor)
            price = vm.image_price_version_id if image.id == vm.image_id else image.price_version_id
            session.add(
                DbDiskAside(
                    operation_id=row.id,
                    vm_id=vm.id,
                    image_id=image.id,
                    image_version_id=image.version_id,
                    image_price_version_id=price,
                    ssh_key=kept[0],
                    user_data=kept[1],
                )
            )
            return as_operation(row)

    def request_back(self, vm_id: str, *, actor: Actor = SYSTEM) -> Operation:
        """Accept bringing the disk back that the last rebuild has put aside; what was written since is lost.

        Raises NotFoundError, PermissionDeniedError, ConflictError (the state, its protection, there is none any more),
        InsufficientCreditsError, BudgetExceededError.
        """
        with self._payer.words(actor, vm_id=vm_id), self.transaction() as session:
            vm = self._billing.wallets.locked_vm(session, actor, vm_id, ProjectAction.DELETE_VM)
            self._require_state(session, vm, OperationKind.BRING_BACK)
            require_unprotected(vm)
            aside = asides.find_last(session, vm.id, self.now())
            if aside is None:
                raise ConflictError(_("The disk from before is not kept any more."))
            running = asides.running_price(session, vm, aside.image_price_version_id)
            self.require_funds(session, vm, Rates(running, vm.stopped_micro_per_hour), actor)
            details = {"aside": aside.operation_id, "run_id": vm.run_id}
            return as_operation(self._accept(session, vm, OperationKind.BRING_BACK, details, actor))

    # -- the worker's side ----------------------------------------------------------------------

    def spec(self, claim: Claim) -> MachineSpec | None:
        """What the driver needs to rebuild it; None: something has overtaken that, and put it right by now."""
        with self.reading() as session:
            vm, aside = session.get_one(DbVM, claim.vm_id), session.get(DbDiskAside, claim.operation_id)
            if aside is None:
                return None
            version = session.get(DbImageVersion, aside.image_version_id) if aside.image_version_id else None
            image = version or session.get_one(DbImage, aside.image_id)
            keys = tuple(aside.ssh_key.splitlines())
            return MachineSpec(
                vm.id, vm.name, vm.vcpus, vm.memory_mib, vm.disk_gib, image.driver_name, keys, aside.user_data
            )

    def list_overtaken(self, vm_id: str) -> list[str]:
        """The rebuilds of a machine that something else overtook: nobody knows how far they came."""
        is_open = (
            select(DbOperation.id)
            .where(DbOperation.id == DbDiskAside.operation_id, DbOperation.state.in_(OPEN_OPERATION_STATES))
            .exists()
        )
        with self.reading() as session:
            query = select(DbDiskAside.operation_id).where(DbDiskAside.vm_id == vm_id, DbDiskAside.until.is_(None))
            return list(session.scalars(query.where(~is_open)))

    def list_due(self) -> list[tuple[str, str]]:
        """Disks that were kept long enough: the machine, and the name they lie aside under."""
        with self.reading() as session:
            query = select(DbDiskAside.vm_id, DbDiskAside.operation_id).where(DbDiskAside.until <= self.now())
            return [(row.vm_id, row.operation_id) for row in session.execute(query.order_by(DbDiskAside.until))]

    def forget(self, operation_id: str) -> None:
        """A disk that was kept long enough is gone from the host."""
        with self.transaction() as session:
            row = session.get(DbDiskAside, operation_id)
            if row is not None:
                session.delete(row)

    # -- inside ---------------------------------------------------------------------------------

    def _accept(
        self, session: Session, vm: DbVM, kind: OperationKind, details: dict[str, Any], actor: Actor
    ) -> DbOperation:
        vm.credit_stopped_at = None  # its owner has decided since
        event_id, row = self._operations.accept(session, vm, kind, reason_of(vm, actor), details, actor=actor)
        if kind == OperationKind.REBUILD:
            UndoBook(self._core).keep("vm.rebuild", vm.id, event_id, {"operation": row.id}, actor=actor)
        return row

    def _require_state(self, session: Session, vm: DbVM, kind: OperationKind) -> None:
        if kind not in ALLOWED_ACTIONS[VMState(vm.state)]:
            state = state_words(vm.state)
            raise ConflictError(_("%(name)s is %(state)s: it cannot be rebuilt now.", name=vm.name, state=state))
        if vm.rescued_at is not None:
            raise ConflictError(_("%(name)s is in rescue. Leave that first.", name=vm.name))
        require_open(session, vm.project_id)
        if count_snapshots(session, vm.id):
            raise ConflictError(
                _("%(name)s has snapshots, which lie on its disk of now. Delete them first.", name=vm.name)
            )

    def require_funds(self, session: Session, vm: DbVM, rates: Rates, actor: Actor) -> None:
        """Of one that runs, what is dearer must be payable for the hold window, and within its project's budget."""
        if vm.state != VMState.RUNNING or rates.running <= vm.running_micro_per_hour:
            return
        self._payer.require_able(session, actor, vm.owner_id)
        self._billing.budgets.require_room(vm, rates.running, actor=actor)
        size = self._catalogue.find_size(session, vm.size_id)
        if size is not None:
            now = replace(size, running_micro_per_hour=rates.running)
            self._billing.resizes.accept(BilledVM.of(vm), now, runs=True)

    def _check(self, session: Session, vm: DbVM, image_id: str) -> Image:
        image = self._catalogue.find_image(session, image_id)
        if image is None or image.version_id is None or image.project_id not in (None, vm.project_id):
            raise invalid({"image_id": _("There is no such image. Choose another.")})
        problem = image_problem(read_vm(session, vm.id), image, self._monitoring.get_compute_status())
        if problem:
            raise invalid({"image_id": problem})
        return image


def _rates(session: Session, vm: DbVM, image: Image) -> Rates:
    """What the machine would cost with that image: with its own, what it does now."""
    if image.id == vm.image_id:
        return Rates(vm.running_micro_per_hour, vm.stopped_micro_per_hour)
    return Rates(asides.running_price(session, vm, image.price_version_id), vm.stopped_micro_per_hour)
