"""Images made of machines' own disks: one project's, paid by the GiB and hour (ADR 0042).

worker/operations/imaging.py makes them, machine_image_records.py writes down what came of it.
"""

from collections.abc import Mapping
from functools import partial

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from zentry_web.domain.credits.storage import StoredKind
from zentry_web.domain.event import Subject
from zentry_web.domain.language import _
from zentry_web.domain.projects.project import ProjectAction
from zentry_web.domain.text import clean_text
from zentry_web.domain.user import Actor
from zentry_web.domain.vms.image import ImageSource, VersionState
from zentry_web.domain.vms.machine_image import MOST_NOTE, MachineImage
from zentry_web.domain.vms.new_image import parse_image_name
from zentry_web.domain.vms.operation import ALLOWED_ACTIONS, Operation, OperationKind
from zentry_web.domain.vms.state import VMState, state_words
from zentry_web.domain.vms.vm import VM
from zentry_web.models import DbImage, DbImageVersion, DbProject, DbStored, DbVM
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.errors import ConflictError, NotFoundError
from zentry_web.services.shared.access import require_member, require_open
from zentry_web.services.shared.fields import Fields, invalid
from zentry_web.services.vms import storing
from zentry_web.services.vms.basis import VMBasis
from zentry_web.services.vms.operations import as_operation, reason_of

_KIND = StoredKind.IMAGE


class MachineImages(BaseService):
    """A part of VMService. Making and deleting one takes the right to change a machine's size, as with snapshots."""

    name = "machine_images"

    def __init__(self, core: Core, basis: VMBasis) -> None:
        super().__init__(core)
        self._basis, self._billing = basis, basis.billing
        self._payer, self._operations = basis.payer, basis.operations

    # -- looking --------------------------------------------------------------------------------

    def list(self, project_id: str, *, actor: Actor) -> list[MachineImage]:
        """Those of a project, by name. Raises NotFoundError."""
        with self.reading() as session:
            require_member(session, actor, project_id, ProjectAction.VIEW)
            return _read(session, project_id)

    def get(self, project_id: str, image_id: str, *, actor: Actor) -> MachineImage:
        """One, for who may delete it. Raises NotFoundError, PermissionDeniedError."""
        with self.reading() as session:
            require_member(session, actor, project_id, ProjectAction.RESIZE)
            found = next((each for each in _read(session, project_id) if each.id == image_id), None)
            if found is None:
                raise NotFoundError(_("There is no such image."))
            return found

    def price(self, vm: VM) -> tuple[int, int]:
        """The most GiB that an image made now would have, and what those cost per hour. One statement."""
        return storing.price_of(self._billing, _KIND, storing.disk_bytes(vm.disk_gib))

    def problem(self, vm: VM | DbVM) -> str:
        """Why no image can be made of a machine now; '' when one can."""
        if isinstance(vm, VM) and vm.is_archived:
            return _("The project is archived: nothing new begins in it.")
        if vm.rescued_at is not None:
            return _("%(name)s is in rescue. Leave that first.", name=vm.name)
        if OperationKind.IMAGE not in ALLOWED_ACTIONS[VMState(vm.state)]:
            words = state_words(vm.state)
            return _("%(name)s is %(state)s: no image can be made of it now.", name=vm.name, state=words)
        return ""

    # -- asking ---------------------------------------------------------------------------------

    def make(self, vm_id: str, data: Mapping[str, object], *, actor: Actor) -> Operation:
        """Accept an image (``name``, ``note``) of a machine's disk as it is when the worker begins; it may run.

        Raises ValidationError, ConflictError (the state), QuotaExceededError, BudgetExceededError,
        InsufficientCreditsError (for a hold window, at the most that it can take up), NotFoundError,
        PermissionDeniedError.
        """
        fields = Fields(data)
        name = fields.take("name", parse_image_name, "")
        note = fields.take("note", partial(clean_text, longest=MOST_NOTE), "")
        fields.check()
        with self._payer.words(actor, vm_id=vm_id), self.transaction() as session:
            vm = self._billing.wallets.locked_vm(session, actor, vm_id, ProjectAction.RESIZE)
            problem = self.problem(vm)
            if not problem and self._operations.find_open(session, vm.id) is not None:
                problem = _("Something is under way with %(name)s: no image can be made of it now.", name=vm.name)
            if problem:
                raise ConflictError(problem)
            require_open(session, vm.project_id)
            self._payer.require_able(session, actor, vm.owner_id)
            mine = DbImage.project_id == vm.project_id, DbImage.name == name, DbImage.deleted_at.is_(None)
            if session.scalar(select(DbImage.id).where(*mine)) is not None:
                raise invalid({"name": _("This project has an image of this name. Choose another.")})
            storing.require_room(self._basis, vm, _KIND, storing.disk_bytes(vm.disk_gib), actor)
            image, version = self._rows(session, vm, name, note, actor)
            details = {"image_id": image.id, "version_id": version.id}
            kind, reason = OperationKind.IMAGE, reason_of(vm, actor)
            row = self._operations.accept(session, vm, kind, reason, details, actor=actor)[1]
            version.reference = row.id
            return as_operation(row)

    def delete(self, project_id: str, image_id: str, *, actor: Actor) -> None:
        """Delete one: no launches any more, and no charge from now on; machines made from it stay as they are, and what
        they need of it stays on the host for them. Raises ConflictError (it is being made), NotFoundError,
        PermissionDeniedError."""
        with self.transaction() as session:
            project = self._billing.wallets.locked_project(session, actor, project_id, action=ProjectAction.RESIZE)
            row = session.get(DbImage, image_id[:40], with_for_update=True)
            if row is None or row.project_id != project.id or row.deleted_at is not None:
                raise NotFoundError(_("There is no such image."))
            if _version(session, row.id).state != VersionState.READY:
                raise ConflictError(_("“%(name)s” is being made. Abort that first.", name=row.name))
            self._drop(session, project, row, actor)

    def drop_of_project(self, session: Session, project: DbProject, actor: Actor) -> None:
        """Delete all of a project, in the caller's transaction, the wallet being locked."""
        mine = DbImage.project_id == project.id, DbImage.deleted_at.is_(None)
        for row in session.scalars(select(DbImage).where(*mine).order_by(DbImage.id)):
            if _version(session, row.id).state == VersionState.READY:
                self._drop(session, project, row, actor)

    # -- inside ---------------------------------------------------------------------------------

    def _rows(self, session: Session, vm: DbVM, name: str, note: str, actor: Actor) -> tuple[DbImage, DbImageVersion]:
        """Taken over from the machine's image: what a machine needs to boot it, and how one logs in."""
        base = session.get_one(DbImage, vm.image_id)
        image_id = self.new_id("img")
        driver_name = image_id.lower().replace("_", "-")
        image = DbImage(
            id=image_id,
            name=name,
            driver_name=driver_name,
            description=note,
            min_memory_mib=base.min_memory_mib,
            min_disk_gib=vm.disk_gib,
            position=0,
            active=True,
            project_id=vm.project_id,
            architecture=base.architecture,
            default_user=base.default_user,
            first_login=base.first_login,
            user_data=base.user_data,
        )
        session.add(image)
        session.flush()
        version = DbImageVersion(
            id=self.new_id("iv"),
            image_id=image_id,
            number=1,
            driver_name=driver_name,
            state=VersionState.IMPORTING,
            source=ImageSource.MACHINE,
            reference="",
            expected_sha256="",
            sha256="",
            size_bytes=0,
            disk_bytes=0,
            step="",
            done_bytes=0,
            total_bytes=0,
            cancelling=False,
            reason="",
            created_by=actor.id,
            created_at=self.now(),
        )
        session.add(version)
        session.flush()
        return image, version

    def _drop(self, session: Session, project: DbProject, row: DbImage, actor: Actor) -> None:
        subject = Subject("project", project.id, project.owner_id, project.id)
        event_id = self.audit("image.own_delete", subject, {"image_id": row.id}, actor=actor)
        self._billing.storage.end(session, [row.id], event_id)
        row.deleted_at = self.now()
        _version(session, row.id).state = VersionState.REMOVING


def _version(session: Session, image_id: str) -> DbImageVersion:
    return session.scalars(select(DbImageVersion).where(DbImageVersion.image_id == image_id)).one()


def _read(session: Session, project_id: str) -> list[MachineImage]:
    """Those of a project, by name. One statement."""
    living = DbVM.image_id == DbImage.id, DbVM.state != VMState.DELETED
    machines = select(func.count()).select_from(DbVM).where(*living).correlate(DbImage).scalar_subquery()
    of = DbVM.__table__.alias("of_vm")
    query = (
        select(DbImage, DbImageVersion, DbStored, of.c.name, machines)
        .join(DbImageVersion, DbImageVersion.image_id == DbImage.id)
        .outerjoin(DbStored, DbStored.id == DbImage.id)
        .outerjoin(of, of.c.id == DbStored.vm_id)
        .where(DbImage.project_id == project_id, DbImage.deleted_at.is_(None))
        .order_by(DbImage.name, DbImage.id)
    )
    return [_as_image(*row) for row in session.execute(query)]


def _as_image(
    row: DbImage, version: DbImageVersion, stored: DbStored | None, vm_name: str | None, machines: int
) -> MachineImage:
    return MachineImage(
        id=row.id,
        name=row.name,
        note=row.description,
        project_id=row.project_id or "",
        vm_name=vm_name or "",
        min_disk_gib=row.min_disk_gib,
        created_at=version.created_at,
        is_ready=version.state == VersionState.READY,
        operation_id=version.reference,
        machines=machines,
        gib=stored.gib if stored else None,
        rate_micro_per_hour=stored.rate_micro_per_hour if stored else None,
        kept_until=stored.kept_until if stored else None,
    )
