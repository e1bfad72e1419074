"""Reading the recycle bin: rows to dataclasses, a constant number of statements."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session, aliased

from zentry_web.domain.bin import BinnedVM
from zentry_web.domain.project import ProjectAction, ProjectRole, may
from zentry_web.domain.user import Actor
from zentry_web.domain.vm import OPEN_OPERATION_STATES, OperationKind, Size, VMState
from zentry_web.models import DbOperation, DbProject, DbProjectMember, DbSize, DbUser, DbVM

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
    limit: int = 1,
) -> list[BinnedVM]:
    """The VM with that id; or those of the projects in which ``user_id`` may delete, but for those that went with
    their project. One statement."""
    payer = aliased(DbUser)
    query = (
        select(DbVM, DbProject.name, DbProject.deleted_at, DbSize.name, DbUser.name, payer.id, payer.name, _IS_GOING)
        .join(DbProject, DbProject.id == DbVM.project_id)
        .join(DbSize, DbSize.id == DbVM.size_id)
        .join(payer, payer.id == DbVM.owner_id)
        .outerjoin(DbUser, DbUser.id == DbVM.deleted_by)
        .where(DbVM.purge_at.is_not(None))
        .order_by(DbVM.deleted_at.desc(), DbVM.id)
        .limit(limit)
    )
    if vm_id:
        query = query.where(DbVM.id == vm_id)
    else:
        deletes = select(DbProjectMember.project_id).where(
            DbProjectMember.user_id == user_id, DbProjectMember.role.in_(_DELETERS)
        )
        query = query.where(~DbVM.binned_with_project, DbVM.project_id.in_(deletes))
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
