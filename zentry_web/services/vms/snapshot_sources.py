"""Launching from a snapshot: whose disk it is, and what a machine of it needs (ADR 0042)."""

from dataclasses import replace

from sqlalchemy import select
from sqlalchemy.orm import Session

from zentry_web.domain.language import _
from zentry_web.domain.projects.project import ProjectAction
from zentry_web.domain.user import Actor
from zentry_web.domain.vms.catalogue import Image
from zentry_web.domain.vms.operation import OperationKind
from zentry_web.domain.vms.snapshot import SnapshotSource, SnapshotState
from zentry_web.domain.vms.state import VMState
from zentry_web.models import DbImageVersion, DbOperation, DbSnapshot, DbVM
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.errors import ConflictError, NotFoundError
from zentry_web.services.shared.access import require_vm
from zentry_web.services.vms.catalogue import Catalogue

_FROM = "from_snapshot"  # in the details of a launch


class SnapshotSources(BaseService):
    """A part of VMService. What a snapshot holds is for whoever may take and delete it."""

    name = "snapshot_sources"

    def __init__(self, core: Core, catalogue: Catalogue) -> None:
        super().__init__(core)
        self._catalogue = catalogue

    def get(self, snapshot_id: str, *, actor: Actor) -> SnapshotSource:
        """One that machines can be launched from. Raises NotFoundError, PermissionDeniedError, ConflictError (it is not
        ready)."""
        with self.reading() as session:
            return self.read(session, snapshot_id, actor)

    def read(self, session: Session, snapshot_id: str, actor: Actor) -> SnapshotSource:
        """The same in the caller's transaction."""
        row = session.get(DbSnapshot, snapshot_id[:40])
        if row is None:
            raise NotFoundError(_("There is no such snapshot."))
        vm = require_vm(session, actor, row.vm_id, ProjectAction.RESIZE)
        if row.state != SnapshotState.READY:
            raise ConflictError(_("This snapshot is not ready."))
        return SnapshotSource(
            id=row.id,
            name=row.name,
            created_at=row.created_at,
            has_memory=row.has_memory,
            vm_id=vm.id,
            vm_name=vm.name,
            project_id=vm.project_id,
            size_id=vm.size_id,
            disk_gib=vm.disk_gib,  # a machine with snapshots keeps its size
            image=self._image(session, vm),
        )

    def _image(self, session: Session, vm: DbVM) -> Image:
        """The machine's own: in the version that it was made from, on offer or not."""
        image = self._catalogue.read_image(session, vm.image_id)
        version = session.get(DbImageVersion, vm.image_version_id) if vm.image_version_id else None
        if version is None:
            return image
        return replace(image, driver_name=version.driver_name, version_id=version.id, version=version.number)


def launch_details(source: SnapshotSource | None) -> dict[str, str]:
    """What a launch's operation notes of the snapshot."""
    return {_FROM: source.id, "from_vm": source.vm_id} if source else {}


def find_origin(session: Session, vm_id: str) -> tuple[str, str] | None:
    """Machine and snapshot that a machine which never ran is to begin as; None: as its image."""
    query = select(DbOperation.details).join(DbVM, DbVM.id == DbOperation.vm_id)
    mine = DbOperation.vm_id == vm_id, DbOperation.kind == OperationKind.CREATE, DbVM.started_at.is_(None)
    details = session.scalars(query.where(*mine).order_by(DbOperation.id).limit(1)).first() or {}
    return (details["from_vm"], details[_FROM]) if _FROM in details else None


def is_being_launched(session: Session, snapshot_id: str) -> bool:
    """Whether a machine is being made of a snapshot just now."""
    coming = DbVM.state.in_((VMState.CREATING, VMState.STARTING)), DbVM.started_at.is_(None)
    query = select(DbOperation.details).join(DbVM, DbVM.id == DbOperation.vm_id)
    rows = session.scalars(query.where(DbOperation.kind == OperationKind.CREATE, *coming))
    return any(details.get(_FROM) == snapshot_id for details in rows)
