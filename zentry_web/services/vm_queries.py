"""Reading VMs: rows to dataclasses, lists with filters, a constant number of statements."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, func, or_, select
from sqlalchemy.orm import Session, aliased

from zentry_web.domain.project import RIGHTS
from zentry_web.domain.user import Actor
from zentry_web.domain.vm import VM, VMOrder, VMState
from zentry_web.models import DbImage, DbProject, DbSize, DbUser, DbVM
from zentry_web.services.access import find_roles
from zentry_web.services.labels import labelled, with_labels


@dataclass(frozen=True, slots=True)
class VMList:
    """One page of a list: ``total`` counts all that match, ``next_before`` leads to the next page."""

    vms: list[VM]
    total: int
    next_before: str | None


def vm_query() -> Select[DbVM, str, str, str, str, datetime | None, str]:
    """VMs with the names of their size, image, project and owner, and of the project since when it is archived and its
    colour."""
    return (
        select(DbVM, DbSize.name, DbImage.name, DbProject.name, DbUser.email, DbProject.archived_at)
        .add_columns(DbProject.colour)
        .join(DbSize, DbSize.id == DbVM.size_id)
        .join(DbImage, DbImage.id == DbVM.image_id)
        .join(DbProject, DbProject.id == DbVM.project_id)
        .join(DbUser, DbUser.id == DbVM.owner_id)
    )


def read_vm(session: Session, vm_id: str) -> VM:
    """One VM, deleted or not; it must exist."""
    return as_vm(session.execute(vm_query().where(DbVM.id == vm_id)).one())


def matching(project_id: str | None, state: VMState | None, search: str, label: str = "") -> list[ColumnElement[bool]]:
    """What a list's filters ask for; deleted VMs are in none."""
    conditions: list[ColumnElement[bool]] = [DbVM.deleted_at.is_(None), *labelled(label)]
    if project_id:
        conditions.append(DbVM.project_id == project_id)
    if state:
        conditions.append(DbVM.state == state)
    if search.strip():
        text = search.strip().lower()
        conditions.append(or_(DbVM.name.contains(text, autoescape=True), DbVM.address == text, DbVM.id == text))
    return conditions


def read_page(
    session: Session,
    conditions: list[ColumnElement[bool]],
    before: str | None,
    limit: int,
    order: VMOrder = VMOrder.NEWEST,
) -> VMList:
    """``limit`` VMs in ``order``, those after the VM with id ``before``, with their labels. Three statements."""
    total = session.scalar(select(func.count()).select_from(DbVM).where(*conditions)) or 0
    query = vm_query().where(*conditions).order_by(*_ORDERS[order]).limit(limit + 1)
    if before:
        query = query.where(_beyond(before, order))
    rows = session.execute(query).all()
    vms = with_labels(session, [as_vm(row) for row in rows[:limit]])
    return VMList(vms, total, vms[-1].id if len(rows) > limit else None)


def with_rights(session: Session, vms: Sequence[VM], actor: Actor) -> list[VM]:
    """The VMs with what ``actor`` may do to each. One statement, none for admins."""
    roles = find_roles(session, actor, {vm.project_id for vm in vms}) if vms else {}
    rights = {project_id: RIGHTS[role] for project_id, role in roles.items()}
    return [replace(vm, rights=rights.get(vm.project_id, frozenset())) for vm in vms]


_ORDERS: dict[VMOrder, tuple[Any, ...]] = {
    VMOrder.NEWEST: (DbVM.id.desc(),),
    VMOrder.OLDEST: (DbVM.id,),
    VMOrder.NAME: (DbVM.name, DbVM.id),
}


def _beyond(vm_id: str, order: VMOrder) -> ColumnElement[bool]:
    """What comes after that VM in ``order``."""
    if order == VMOrder.NEWEST:
        return DbVM.id < vm_id
    if order == VMOrder.OLDEST:
        return DbVM.id > vm_id
    other = aliased(DbVM)
    name = select(other.name).where(other.id == vm_id).scalar_subquery()
    return (DbVM.name > name) | ((DbVM.name == name) & (DbVM.id > vm_id))


def as_vm(row: Row[DbVM, str, str, str, str, datetime | None, str]) -> VM:
    """The row as pages see it."""
    vm, size_name, image_name, project_name, owner_email, archived_at, colour = row
    return VM(
        id=vm.id,
        project_id=vm.project_id,
        owner_id=vm.owner_id,
        name=vm.name,
        state=VMState(vm.state),
        size_id=vm.size_id,
        size_name=size_name,
        image_name=image_name,
        vcpus=vm.vcpus,
        memory_mib=vm.memory_mib,
        disk_gib=vm.disk_gib,
        running_micro_per_hour=vm.running_micro_per_hour,
        stopped_micro_per_hour=vm.stopped_micro_per_hour,
        ssh_key=vm.ssh_key,
        created_at=vm.created_at,
        started_at=vm.started_at,
        answered_at=vm.answered_at,
        stopped_at=vm.stopped_at,
        deleted_at=vm.deleted_at,
        address=vm.address,
        reach=vm.reach,
        state_reason=vm.state_reason,
        project_name=project_name,
        owner_email=owner_email,
        protected=vm.protected,
        is_archived=archived_at is not None,
        project_colour=colour,
    )
