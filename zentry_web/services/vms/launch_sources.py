"""Launching from a snapshot or a backup: whose disk it is, and what a machine of it needs (ADR 0042, 0045)."""

from dataclasses import replace

from sqlalchemy import select
from sqlalchemy.orm import Session

from zentry_web.adapters.compute.copies import DiskSource
from zentry_web.domain.language import _
from zentry_web.domain.projects.project import ProjectAction
from zentry_web.domain.user import Actor
from zentry_web.domain.vms.backup import BackupState
from zentry_web.domain.vms.catalogue import Image
from zentry_web.domain.vms.launch_source import LaunchSource, SourceKind
from zentry_web.domain.vms.operation import OperationKind
from zentry_web.domain.vms.snapshot import SnapshotState
from zentry_web.domain.vms.state import VMState
from zentry_web.models import DbBackup, DbImageVersion, DbOperation, DbProject, DbSnapshot, DbVM
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.errors import ConflictError, NotFoundError
from zentry_web.services.shared.access import require_vm
from zentry_web.services.vms.catalogue import Catalogue

_FROM = {kind: f"from_{kind}" for kind in SourceKind}  # in the details of a launch


class LaunchSources(BaseService):
    """A part of VMService. What is in them is for whoever may make and delete them."""

    name = "launch_sources"

    def __init__(self, core: Core, catalogue: Catalogue) -> None:
        super().__init__(core)
        self._catalogue = catalogue

    def get(self, kind: SourceKind, source_id: str, *, actor: Actor) -> LaunchSource:
        """One that machines can be launched from. Raises NotFoundError, PermissionDeniedError, ConflictError (it is not
        ready; its project is in the recycle bin)."""
        with self.reading() as session:
            return self.read(session, kind, source_id, actor)

    def read(self, session: Session, kind: SourceKind, source_id: str, actor: Actor) -> LaunchSource:
        """The same in the caller's transaction."""
        read = self._read_snapshot if kind == SourceKind.SNAPSHOT else self._read_backup
        return read(session, source_id[:40], actor)

    def _read_snapshot(self, session: Session, snapshot_id: str, actor: Actor) -> LaunchSource:
        row = session.get(DbSnapshot, snapshot_id)
        if row is None:
            raise NotFoundError(_("There is no such snapshot."))
        vm = require_vm(session, actor, row.vm_id, ProjectAction.RESIZE)
        if row.state != SnapshotState.READY:
            raise ConflictError(_("This snapshot is not ready."))
        image = self._image(session, vm.image_id, vm.image_version_id)
        # A machine with snapshots keeps its size.
        return _source(SourceKind.SNAPSHOT, row, vm, vm.disk_gib, image, was_cut=row.has_memory)

    def _read_backup(self, session: Session, backup_id: str, actor: Actor) -> LaunchSource:
        """Its machine may lie in the recycle bin, unless its project does as well."""
        row = session.get(DbBackup, backup_id)
        if row is None or row.state == BackupState.DELETING:
            raise NotFoundError(_("There is no such backup."))
        is_binned = session.scalar(select(DbVM.purge_at).where(DbVM.id == row.vm_id)) is not None
        vm = require_vm(session, actor, row.vm_id, ProjectAction.RESIZE, binned=is_binned)
        if row.state != BackupState.READY:
            raise ConflictError(_("This backup is not ready."))
        if is_binned and session.get_one(DbProject, vm.project_id).deleted_at is not None:
            raise ConflictError(_("Its project is in the recycle bin. Restore that first."))
        image = self._image(session, row.image_id, row.image_version_id)
        is_cut = row.was_on and not row.is_frozen
        return _source(SourceKind.BACKUP, row, vm, row.disk_gib, image, was_cut=is_cut)

    def _image(self, session: Session, image_id: str, version_id: str | None) -> Image:
        """In the version that the disk was made from, on offer or not."""
        image = self._catalogue.read_image(session, image_id)
        version = session.get(DbImageVersion, version_id) if version_id else None
        if version is None:
            return image
        return replace(image, driver_name=version.driver_name, version_id=version.id, version=version.number)


def _source(
    kind: SourceKind, row: DbSnapshot | DbBackup, vm: DbVM, disk_gib: int, image: Image, *, was_cut: bool
) -> LaunchSource:
    return LaunchSource(
        kind=kind,
        id=row.id,
        name=row.name,
        created_at=row.created_at,
        was_cut=was_cut,
        vm_id=vm.id,
        vm_name=vm.name,
        project_id=vm.project_id,
        size_id=vm.size_id,
        disk_gib=disk_gib,
        image=image,
    )


def launch_details(source: LaunchSource | None) -> dict[str, str]:
    """What a launch's operation notes of the snapshot or backup."""
    return {_FROM[source.kind]: source.id, "from_vm": source.vm_id} if source else {}


def find_origin(session: Session, vm_id: str) -> DiskSource | None:
    """What a machine that never ran is to begin as; None: as its image."""
    query = select(DbOperation.details).join(DbVM, DbVM.id == DbOperation.vm_id)
    mine = DbOperation.vm_id == vm_id, DbOperation.kind == OperationKind.CREATE, DbVM.started_at.is_(None)
    details = session.scalars(query.where(*mine).order_by(DbOperation.id).limit(1)).first() or {}
    if "from_vm" not in details:
        return None
    snapshot, backup = (details.get(_FROM[kind], "") for kind in (SourceKind.SNAPSHOT, SourceKind.BACKUP))
    return DiskSource(details["from_vm"], snapshot, backup)


def list_being_launched(session: Session, kind: SourceKind) -> set[str]:
    """The ids of those of which a machine is being made just now."""
    coming = DbVM.state.in_((VMState.CREATING, VMState.STARTING)), DbVM.started_at.is_(None)
    query = select(DbOperation.details).join(DbVM, DbVM.id == DbOperation.vm_id)
    rows = session.scalars(query.where(DbOperation.kind == OperationKind.CREATE, *coming))
    return {details[_FROM[kind]] for details in rows if _FROM[kind] in details}
