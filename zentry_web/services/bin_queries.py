"""Reading the recycle bin: rows to dataclasses, a constant number of statements."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, case, func, or_, select
from sqlalchemy.orm import Session, aliased

from zentry_web.domain.bin import BinnedProject, BinnedVM
from zentry_web.domain.project import ProjectAction, ProjectRole, may
from zentry_web.domain.user import Actor
from zentry_web.domain.vm import OPEN_OPERATION_STATES, OperationKind, Size, VMState
from zentry_web.models import DbOperation, DbProject, DbProjectMember, DbSize, DbUser, DbVM
from zentry_web.models.vm import IS_LEAVING
from zentry_web.services.fields import storable
from zentry_web.services.key_paging import beyond

_IS_GOING = (
    select(DbOperation.id)
    .where(
        DbOperation.vm_id == DbVM.id,
        DbOperation.state.in_(OPEN_OPERATION_STATES),
        DbOperation.kind == OperationKind.DELETE,
    )
    .exists()
)
_DELETERS = [role for role in ProjectRole if may(role, ProjectAction.DELETE_VM)]


def read_binned_vms(
    session: Session,
    prices: Mapping[str, Size],
    actor: Actor,
    *,
    user_id: str = "",
    vm_id: str = "",
    project_id: str = "",
    before: str = "",
    limit: int = 1,
) -> list[BinnedVM]:
    """The VM with that id; those that went with that project; or those of the projects in which ``user_id`` may delete,
    but for those that went with theirs; ``before`` is the id of the last one seen. One statement, two with that."""
    payer = aliased(DbUser)
    query = (
        select(DbVM, DbProject.name, DbProject.deleted_at, DbSize.name, DbUser.name, payer.id, payer.name, _IS_GOING)
        .join(DbProject, DbProject.id == DbVM.project_id)
        .join(DbSize, DbSize.id == DbVM.size_id)
        .join(payer, payer.id == DbVM.owner_id)
        .outerjoin(DbUser, DbUser.id == DbVM.deleted_by)
        .where(DbVM.purge_at.is_not(None))
        .order_by(DbVM.deleted_at.desc(), DbVM.id.desc())
        .limit(limit)
    )
    if vm_id:
        query = query.where(DbVM.id == vm_id)
    elif project_id:
        query = query.where(DbVM.binned_with_project, DbVM.project_id == project_id)
    else:
        deletes = select(DbProjectMember.project_id).where(
            DbProjectMember.user_id == user_id, DbProjectMember.role.in_(_DELETERS)
        )
        query = query.where(~DbVM.binned_with_project, DbVM.project_id.in_(deletes))
    seen = session.scalar(select(DbVM.deleted_at).where(DbVM.id == storable(before))) if before else None
    if seen is not None:
        query = query.where(beyond(DbVM.deleted_at.expression, seen, DbVM.id.expression, before, largest_first=True))
    return [_as_vm(row, prices, actor) for row in session.execute(query)]


def _as_vm(row: Any, prices: Mapping[str, Size], actor: Actor) -> BinnedVM:
    vm, project_name, project_deleted_at, size_name, deleter, payer_id, payer_name, is_going = row
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
    )


def read_binned_projects(
    session: Session,
    prices: Mapping[str, Size],
    now: datetime,
    condition: ColumnElement[bool],
    *,
    before: str = "",
    limit: int = 1,
) -> list[BinnedProject]:
    """Projects in the bin with what went with them, newest first; ``before`` is the id of the last one seen. Two
    statements, three with that."""
    query = (
        select(DbProject.id, DbProject.name, DbProject.deleted_at, DbProject.purge_at, DbUser.name)
        .outerjoin(DbUser, DbUser.id == DbProject.deleted_by)
        .where(DbProject.purge_at.is_not(None), condition)
        .order_by(DbProject.deleted_at.desc(), DbProject.id.desc())
        .limit(limit)
    )
    seen = session.scalar(select(DbProject.deleted_at).where(DbProject.id == storable(before))) if before else None
    if seen is not None:
        key, id_ = DbProject.deleted_at.expression, DbProject.id.expression
        query = query.where(beyond(key, seen, id_, before, largest_first=True))
    rows: Sequence[Any] = session.execute(query).all()
    went = and_(DbVM.binned_with_project, DbVM.purge_at.is_not(None))
    is_off = case((DbVM.state == VMState.BINNED, 1), else_=0)
    sums = (
        select(DbVM.project_id, DbVM.size_id, func.count(), func.sum(is_off), func.sum(DbVM.disk_gib))
        .where(DbVM.project_id.in_([row[0] for row in rows]), or_(went, IS_LEAVING))
        .group_by(DbVM.project_id, DbVM.size_id)
    )
    found: dict[str, list[tuple[int, int, int]]] = {}
    for project_id, size_id, count, off, disk_gib in session.execute(sums) if rows else ():
        rate = prices[size_id].disk_micro_per_gib_hour * int(disk_gib)
        found.setdefault(project_id, []).append((int(count), int(off), rate))
    projects = []
    for project_id, name, deleted_at, purge_at, deleter in rows:
        vms, off, rate = (sum(part) for part in zip(*found.get(project_id, [(0, 0, 0)]), strict=True))
        projects.append(
            BinnedProject(
                id=project_id,
                name=name,
                deleted_at=deleted_at,
                deleted_by=deleter or "",
                purge_at=purge_at,
                vms=vms,
                vms_off=off,
                is_going=purge_at <= now,
                stopped_micro_per_hour=rate,
            )
        )
    return projects
