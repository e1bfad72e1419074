"""Machines that only the hypervisor has, as after an older backup was put back: listed, removed, or taken over."""

from collections.abc import Mapping
from dataclasses import replace

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from zentry_web.adapters.compute.base import MachineSpec, PowerState
from zentry_web.domain.credits.usage import BilledVM, UsageState
from zentry_web.domain.event import Outcome, Subject
from zentry_web.domain.language import _
from zentry_web.domain.projects.project import ProjectAction
from zentry_web.domain.user import SYSTEM, Actor
from zentry_web.domain.vms.catalogue import Image, Size
from zentry_web.domain.vms.state import VMState
from zentry_web.domain.vms.stray import Stray
from zentry_web.domain.vms.vm import VM
from zentry_web.models import DbImageVersion, DbProject, DbStrayMachine, DbVM
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.errors import ConflictError, NotFoundError, ValidationError
from zentry_web.services.shared.access import require_admin, require_recent_proof, require_staying
from zentry_web.services.vms.basis import VMBasis
from zentry_web.services.vms.bin import free_name
from zentry_web.services.vms.queries import read_vm
from zentry_web.services.vms.quotas import size_amounts
from zentry_web.services.vms.sizes import columns_of

_LONGEST_ID = 64  # what the table takes; the id of a VM of ours is shorter
_LONGEST_OWN_ID = 40


class Strays(BaseService):
    """A part of VMService: the worker tells what it sees, admins decide what becomes of it."""

    name = "vm_strays"

    def __init__(self, core: Core, basis: VMBasis) -> None:
        super().__init__(core)
        self._billing, self._catalogue = basis.billing, basis.catalogue
        self._payer, self._quotas = basis.payer, basis.quotas

    # -- the worker's side ----------------------------------------------------------------------

    def compare(self, seen: Mapping[str, PowerState]) -> tuple[list[str], list[str]]:
        """The ids of those machines that are new here, and of those to be removed. ``seen``: all that the hypervisor
        has and that were not known before it was asked. Nothing is written when nothing has changed."""
        with self.reading() as session:
            rows = session.execute(
                select(DbStrayMachine.vm_id, DbStrayMachine.power, DbStrayMachine.removal_asked_at)
            ).all()
            known = set(session.scalars(select(DbVM.id).where(DbVM.id.in_(list(seen))))) if seen else set()
        strays = {vm_id: str(power) for vm_id, power in seen.items() if vm_id not in known}
        over = [row.vm_id for row in rows if row.vm_id not in strays]
        changed = [row.vm_id for row in rows if row.vm_id in strays and row.power != strays[row.vm_id]]
        if over or changed:
            with self.transaction() as session:
                self._forget(session, over)
                for vm_id in changed:
                    if row := session.get(DbStrayMachine, vm_id):
                        row.power = strays[vm_id]
        asked = [row.vm_id for row in rows if row.vm_id in strays and row.removal_asked_at]
        return [vm_id for vm_id in strays.keys() - {row.vm_id for row in rows} if len(vm_id) <= _LONGEST_ID], asked

    def record(self, vm_id: str, power: PowerState, note: MachineSpec | None) -> None:
        """A machine that was not listed yet, with what the driver noted of it."""
        row = DbStrayMachine(vm_id=vm_id, power=power, first_seen_at=self.now(), error="")
        if note is not None:
            row.name, row.image = note.name, note.image
            row.vcpus, row.memory_mib, row.disk_gib = note.vcpus, note.memory_mib, note.disk_gib
        with self.transaction() as session:
            session.add(row)
            self.audit("vm.stray_seen", Subject("stray", vm_id))

    def record_failure(self, vm_id: str, error: str) -> None:
        """It could not be removed; the worker goes on trying. Written once for each reason."""
        with self.reading() as session:
            row = session.get(DbStrayMachine, vm_id)
            if row is None or row.error == error:
                return
        with self.transaction() as session:
            if row := session.get(DbStrayMachine, vm_id):
                row.error = error

    def _forget(self, session: Session, vm_ids: list[str]) -> None:
        """They are gone, or known by now."""
        for vm_id in vm_ids:
            row = session.get(DbStrayMachine, vm_id)
            if row is not None and row.removal_asked_at is not None:
                self.audit("vm.stray_removed", Subject("stray", vm_id))
        session.execute(delete(DbStrayMachine).where(DbStrayMachine.vm_id.in_(vm_ids)))

    # -- the admins' side -----------------------------------------------------------------------

    def count(self, *, actor: Actor = SYSTEM) -> int:
        """How many there are; admins only."""
        require_admin(actor)
        with self.reading() as session:
            return session.scalar(select(func.count()).select_from(DbStrayMachine)) or 0

    def list_strays(self, *, actor: Actor = SYSTEM, before: str | None = None, limit: int = 50) -> list[Stray]:
        """One page, the newest ids first; admins only. One statement."""
        require_admin(actor)
        query = select(DbStrayMachine).order_by(DbStrayMachine.vm_id.desc()).limit(limit)
        if before is not None:
            query = query.where(DbStrayMachine.vm_id < before)
        with self.reading() as session:
            return [_as_stray(row) for row in session.scalars(query)]

    def get(self, vm_id: str, *, actor: Actor = SYSTEM) -> Stray:
        """One of them; admins only. Raises NotFoundError."""
        require_admin(actor)
        with self.reading() as session:
            return _as_stray(_require(session, vm_id))

    def ask_removal(self, vm_id: str, *, actor: Actor) -> None:
        """The worker removes it with its disk in its next round; admins only. Once asked it stays so.

        Raises NotFoundError, ProofRequiredError.
        """
        require_admin(actor)
        with self.transaction() as session:
            row = _require(session, vm_id, lock=True)
            require_recent_proof(actor, self.now())
            if row.removal_asked_at is None:
                row.removal_asked_at = self.now()
                details = {"machine": row.name or ""}
                asked = Subject("stray", vm_id)
                self.audit("vm.stray_remove", asked, details, actor=actor, outcome=Outcome.ACCEPTED)

    def fitting_sizes(self, stray: Stray) -> list[Size]:
        """The sizes, offered or not, that it can have: as many vCPUs, as much memory and as large a disk."""
        sizes = self._catalogue.list_sizes(include_inactive=True)
        return [size for size in sizes if _fits(size, stray)]

    def adopt(self, vm_id: str, project_id: str, name: str, size_id: str, *, actor: Actor) -> VM:
        """Make it a VM of a project, stopped: from now on its owner pays for the disk, and for running once the
        reconciler sees that it does. Admins only.

        Raises NotFoundError (no such stray), ProofRequiredError, ValidationError (``project_id``, ``name``,
        ``size_id``), ConflictError (it is to be removed; its image or note is unknown), InsufficientCreditsError,
        BudgetExceededError, QuotaExceededError.
        """
        require_admin(actor)
        with self._payer.words(actor, project_id=project_id), self.transaction() as session:
            _require(session, vm_id)
            require_recent_proof(actor, self.now())
            owner_id = self._lock_payer(session, project_id, actor)
            row = _require(session, vm_id, lock=True)
            size, image = self._check(session, row, size_id)
            vm = self._new_vm(row, project_id, owner_id, size, image)
            vm.name = free_name(session, vm, name)
            self._quotas.require_room(project_id, owner_id, size_amounts(size))
            session.add(vm)
            session.delete(row)
            session.flush()
            self._require_funds(session, vm, actor)
            details = {"reason": "admin", "size": size.name, "image": image.name}
            event_id = self.audit("vm.adopt", Subject.vm(vm), details, actor=actor)
            self._billing.open_interval(BilledVM.of(vm), UsageState.STOPPED, self.now(), event_id=event_id)
            return read_vm(session, vm.id)

    def _lock_payer(self, session: Session, project_id: str, actor: Actor) -> str:
        project = session.get(DbProject, project_id[:_LONGEST_OWN_ID])
        if project is None or project.deleted_at is not None:
            sentence = _("There is no project with this id.")
            raise ValidationError(sentence, details={"project_id": sentence})
        owner_id = self._payer.lock(session, actor, project.id, ProjectAction.LAUNCH).owner_id
        require_staying(session, actor, owner_id)
        return owner_id

    def _check(self, session: Session, row: DbStrayMachine, size_id: str) -> tuple[Size, Image]:
        if row.removal_asked_at is not None:
            raise ConflictError(_("It is being removed."))
        if row.vcpus is None or len(row.vm_id) > _LONGEST_OWN_ID:
            raise ConflictError(_("What it was made as cannot be read on the host, so it cannot be taken over."))
        version = session.scalar(select(DbImageVersion).where(DbImageVersion.driver_name == row.image))
        image = self._catalogue.find_image(session, version.image_id) if version else None
        if image is None:
            raise ConflictError(_("The catalogue has no image “%(image)s”, which it was made from.", image=row.image))
        size = self._catalogue.find_size(session, size_id[:_LONGEST_OWN_ID])
        if size is None or not _fits(size, row):
            sentence = _("Choose a size with exactly its vCPUs, memory and disk.")
            raise ValidationError(sentence, details={"size_id": sentence})
        return size, replace(image, version_id=version.id if version else None)

    def _require_funds(self, session: Session, vm: DbVM, actor: Actor) -> None:
        self._billing.require_disk_funds(vm.owner_id, vm.stopped_micro_per_hour)
        self._billing.budgets.require_room(vm, vm.stopped_micro_per_hour, actor=actor)

    def _new_vm(self, row: DbStrayMachine, project_id: str, owner_id: str, size: Size, image: Image) -> DbVM:
        return DbVM(
            id=row.vm_id,
            project_id=project_id,
            owner_id=owner_id,
            name="",
            state=VMState.STOPPED,
            **columns_of(size, image),
            ssh_key="",
            user_data="",
            address="",
            reach="",
            state_reason="",
            made=True,
            created_at=self.now(),
            stopped_at=self.now(),
        )


def _fits(size: Size, row: Stray | DbStrayMachine) -> bool:
    return (size.vcpus, size.memory_mib, size.disk_gib) == (row.vcpus, row.memory_mib, row.disk_gib)


def _require(session: Session, vm_id: str, *, lock: bool = False) -> DbStrayMachine:
    query = select(DbStrayMachine).where(DbStrayMachine.vm_id == vm_id)
    if lock:
        query = query.with_for_update().execution_options(populate_existing=True)
    row = session.scalars(query).one_or_none()
    if row is None:
        raise NotFoundError(_("There is no such machine. It may be gone, or known by now."))
    return row


def _as_stray(row: DbStrayMachine) -> Stray:
    return Stray(
        row.vm_id, row.power, row.name, row.vcpus, row.memory_mib, row.disk_gib, row.image, row.first_seen_at,
        row.removal_asked_at, row.error,
    )  # fmt: skip
