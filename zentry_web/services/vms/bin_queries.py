"""Reading the recycle bin: rows to dataclasses, a constant number of statements."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, and_, select
from sqlalchemy.orm import Session, aliased

from zentry_web.domain.projects.project import ProjectAction, ProjectRole, may
from zentry_web.domain.user import SYSTEM, Actor
from zentry_web.domain.vms.backup import BackupState
from zentry_web.domain.vms.bin import BinnedVM, BinSort, DeletedVM
from zentry_web.domain.vms.catalogue import Size
from zentry_web.domain.vms.operation import OPEN_OPERATION_STATES, OperationKind
from zentry_web.domain.vms.state import VMState
from zentry_web.models import DbBackup, DbEvent, DbOperation, DbProject, DbProjectMember, DbSize, DbUser, DbVM
from zentry_web.services.shared.access import as_role
from zentry_web.services.shared.event_log import read_events
from zentry_web.services.shared.paging import beyond, in_order

IS_GOING = (
    select(DbOperation.id)
    .where(
        DbOperation.vm_id == DbVM.id,
        DbOperation.state.in_(OPEN_OPERATION_STATES),
        DbOperation.kind == OperationKind.DELETE,
    )
    .exists()
)
_NEWEST_BACKUP = (
    select(DbBackup.id)
    .where(DbBackup.vm_id == DbVM.id, DbBackup.state == BackupState.READY)
    .order_by(DbBackup.id.desc())
    .limit(1)
    .scalar_subquery()
)
_SORTED: dict[BinSort, tuple[Any, bool]] = {  # by what, and whether from the largest down
    BinSort.LATEST: (DbVM.deleted_at.expression, True),
    BinSort.EARLIEST: (DbVM.deleted_at.expression, False),
    BinSort.NAME: (DbVM.name.expression, False),
    BinSort.NAME_DOWN: (DbVM.name.expression, True),
    BinSort.SOONEST: (DbVM.purge_at.expression, False),
    BinSort.LONGEST: (DbVM.purge_at.expression, True),
}
_DELETERS = [role for role in ProjectRole if may(role, ProjectAction.DELETE_VM)]


def read_binned_vms(
    session: Session,
    prices: Mapping[str, Size],
    actor: Actor,
    which: ColumnElement[bool],
    *,
    before: str = "",
    limit: int = 1,
    sort: BinSort = BinSort.LATEST,
) -> list[BinnedVM]:
    """VMs in the bin, as they are to be sorted; ``before`` is the id of the last one seen. One statement, two with
    that."""
    payer = aliased(DbUser)
    names = DbProject.name, DbProject.deleted_at, DbSize.name, DbUser.name, payer.id, payer.name
    key, falls = _SORTED[sort]
    query = (
        select(DbVM, *names, IS_GOING, _NEWEST_BACKUP)
        .join(DbProject, DbProject.id == DbVM.project_id)
        .join(DbSize, DbSize.id == DbVM.size_id)
        .join(payer, payer.id == DbVM.owner_id)
        .outerjoin(DbUser, DbUser.id == DbVM.deleted_by)
        .where(DbVM.purge_at.is_not(None), which)
        .order_by(*in_order(key, DbVM.id.expression, largest_first=falls))
        .limit(limit)
    )
    seen = session.scalar(select(key).where(DbVM.id == before)) if before else None
    if seen is not None:
        query = query.where(beyond(key, seen, DbVM.id.expression, before, largest_first=falls))
    return [_as_binned_vm(row, prices, actor) for row in session.execute(query)]


def read_deleted_vm(session: Session, actor: Actor, vm_id: str) -> DeletedVM | None:
    """A deleted VM, in the bin or not, for who belongs to its project; None for strangers. One statement, two for
    one that never lay in the bin: then the order tells who deleted it."""
    role = select(DbProjectMember.role).where(
        DbProjectMember.project_id == DbVM.project_id, DbProjectMember.user_id == actor.id
    )
    query = (
        select(DbVM, DbProject.name, DbProject.deleted_at, DbUser.name, role.scalar_subquery())
        .join(DbProject, DbProject.id == DbVM.project_id)
        .outerjoin(DbUser, DbUser.id == DbVM.deleted_by)
        .where(DbVM.id == vm_id, DbVM.deleted_at.is_not(None))
    )
    found = session.execute(query).one_or_none()
    if found is None or (seen_as := as_role(actor, found[4])) is None:
        return None
    vm, project_name, project_deleted_at, deleter, _ = found
    if not deleter:
        ordered = read_events(session, DbEvent.vm_id == vm.id, DbEvent.action == "vm.delete", limit=1, endings=False)
        deleter = ordered[0].actor_name if ordered and ordered[0].actor_id != SYSTEM.id else ""
    restorable = vm.purge_at is not None and project_deleted_at is None
    return DeletedVM(
        id=vm.id,
        name=vm.name,
        project_id=vm.project_id,
        project_name=project_name,
        project_is_gone=project_deleted_at is not None,
        deleted_at=vm.deleted_at,
        deleted_by=deleter or "",
        purge_at=vm.purge_at,
        may_restore=restorable and may(seen_as, ProjectAction.DELETE_VM),
    )


def of_deleter(user_id: str) -> ColumnElement[bool]:
    """VMs of the projects in which that person may delete, but for those that went with theirs."""
    mine = DbProjectMember.user_id == user_id, DbProjectMember.role.in_(_DELETERS)
    return and_(~DbVM.binned_with_project, DbVM.project_id.in_(select(DbProjectMember.project_id).where(*mine)))


def _as_binned_vm(row: Any, prices: Mapping[str, Size], actor: Actor) -> BinnedVM:
    vm, project_name, project_deleted_at, size_name, deleter, payer_id, payer_name, is_going, backup_id = row
    return BinnedVM(
        id=vm.id,
        name=vm.name,
        project_id=vm.project_id,
        project_name=project_name,
        project_is_gone=project_deleted_at is not None,
        size_name=size_name,
        disk_gib=vm.disk_gib,
        stopped_micro_per_hour=prices[vm.size_id].disk_micro_per_gib_hour * vm.disk_gib,
        deleted_at=vm.deleted_at,
        deleted_by=deleter or "",
        purge_at=vm.purge_at,
        is_off=vm.state == VMState.BINNED,
        is_going=is_going,
        payer_name="" if payer_id == actor.id else payer_name,
        backup_id=backup_id or "",
    )
