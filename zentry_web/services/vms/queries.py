"""Reading VMs: rows to dataclasses, the one list of them with its filters, a constant number of statements."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Integer, Select, and_, bindparam, func, literal_column, or_, select
from sqlalchemy.orm import Session

from zentry_web.domain.language import lazy
from zentry_web.domain.projects.project import RIGHTS, ProjectAction
from zentry_web.domain.text import folded
from zentry_web.domain.user import Actor
from zentry_web.domain.vms.fleet import VMFilter, VMList, VMSort
from zentry_web.domain.vms.operation import OperationState
from zentry_web.domain.vms.state import VMState
from zentry_web.domain.vms.vm import VM
from zentry_web.models import (
    DbImage,
    DbOperation,
    DbProject,
    DbProjectMember,
    DbSize,
    DbSnapshot,
    DbUser,
    DbVM,
    DbVMLabel,
)
from zentry_web.services.shared.access import as_role, find_roles, member_projects, require_right
from zentry_web.services.shared.fields import email_part, storable
from zentry_web.services.shared.labels import labelled, labels_of, with_labels
from zentry_web.services.shared.paging import beyond, in_order
from zentry_web.services.vms.searching import RATE_NOW, term_condition

_ID = DbVM.id.expression
_NAME, _STATE, _MEMORY = DbVM.name.expression, DbVM.state.expression, DbVM.memory_mib.expression
_OWNER = DbUser.email_key.expression
# What each order compares, and whether the largest comes first; the id decides between equals.
_SORTS: dict[VMSort, tuple[ColumnElement[Any], bool]] = {
    VMSort.NEWEST: (_ID, True),
    VMSort.OLDEST: (_ID, False),
    VMSort.NAME: (_NAME, False),
    VMSort.NAME_DOWN: (_NAME, True),
    VMSort.STATE: (_STATE, False),
    VMSort.STATE_DOWN: (_STATE, True),
    VMSort.SMALLEST: (_MEMORY, False),
    VMSort.LARGEST: (_MEMORY, True),
    VMSort.CHEAPEST: (RATE_NOW, False),
    VMSort.DEAREST: (RATE_NOW, True),
    VMSort.OWNER: (_OWNER, False),
    VMSort.OWNER_DOWN: (_OWNER, True),
}


# What pages see of the row itself; plain columns, for a list has 50 of them.
_COLUMNS = (
    "id", "project_id", "owner_id", "name", "size_id", "vcpus", "memory_mib", "disk_gib", "running_micro_per_hour",
    "stopped_micro_per_hour", "ssh_key", "created_at", "started_at", "answered_at", "stopped_at", "deleted_at",
    "address", "reach", "state_reason", "protected", "state", "size_name", "image_name", "project_name", "owner_email",
    "project_colour", "login_user", "rescued_at", "agent",
)  # fmt: skip


@cache
def vm_query() -> Select[Any]:
    """VMs as ``as_vm`` takes them: with the names of their size, image, project and owner, and of the project since
    when it is archived and its colour."""
    names = (
        DbSize.name.label("size_name"),
        DbImage.name.label("image_name"),
        DbImage.default_user.label("login_user"),
        DbProject.name.label("project_name"),
        DbUser.email.label("owner_email"),
        DbProject.colour.label("project_colour"),
        DbProject.archived_at,
    )
    own = (getattr(DbVM, name) for name in _COLUMNS if hasattr(DbVM, name))
    return (
        select(*own, *names)
        .select_from(DbVM)
        .join(DbSize, DbSize.id == DbVM.size_id)
        .join(DbImage, DbImage.id == DbVM.image_id)
        .join(DbProject, DbProject.id == DbVM.project_id)
        .join(DbUser, DbUser.id == DbVM.owner_id)
    )


def read_vm(session: Session, vm_id: str) -> VM:
    """One VM, deleted or not; it must exist."""
    return as_vm(session.execute(vm_query().where(DbVM.id == vm_id)).one())


def read_vms(session: Session, *conditions: ColumnElement[bool], order: Sequence[Any]) -> list[VM]:
    """All VMs that fit. One statement."""
    return [as_vm(row) for row in session.execute(vm_query().where(*conditions).order_by(*order))]


def is_name_taken(session: Session, project_id: str, name: str) -> bool:
    """Whether a machine in the project has that name; those in the recycle bin have none."""
    here = DbVM.project_id == project_id, DbVM.name == name, DbVM.deleted_at.is_(None)
    return session.scalar(select(DbVM.id).where(*here)) is not None


def find_taken(session: Session, project_id: str, names: Collection[str]) -> str | None:
    """The first of these names that a machine in the project has; those in the recycle bin have none."""
    here = DbVM.project_id == project_id, DbVM.name.in_(names), DbVM.deleted_at.is_(None)
    return session.scalar(select(DbVM.name).where(*here).order_by(DbVM.id).limit(1))


def load_vm(session: Session, actor: Actor, vm_id: str, action: ProjectAction) -> tuple[VM, DbOperation | None]:
    """The VM with its labels and what ``actor`` may do to it, and its newest operation, if the actor may do ``action``
    to it. One statement. Raises NotFoundError (also when deleted), PermissionDeniedError."""
    rows = session.execute(_ONE, {"id": vm_id, "actor": actor.id}).all()
    role = require_right(as_role(actor, rows[0].role) if rows else None, action, _GONE)
    vm = as_vm(rows[0], rights=RIGHTS[role])
    labels = labels_of((row.key, row.value) for row in rows)
    return replace(vm, labels=labels, has_snapshots=rows[0].has_snapshots), rows[0].DbOperation


def read_list(
    session: Session,
    wanted: VMFilter,
    actor: Actor,
    *,
    within: ColumnElement[bool] | None = None,
    before: str | None = None,
    limit: int = 50,
) -> VMList:
    """One page of the machines that fit, and lie ``within``: those after the one with the id ``before`` in that order,
    with their labels and what ``actor`` may do to them. At most four statements, whatever the number."""
    key, largest_first = _SORTS[wanted.sort]
    conditions = [*_conditions(wanted), *([within] if within is not None else [])]
    chosen = _named(select(DbVM.id), wanted).where(*conditions).correlate(None)
    count = chosen.with_only_columns(func.count())
    order = in_order(key, _ID, largest_first=largest_first)
    if before and (seen := _seen(session, key, before)):
        chosen = chosen.where(beyond(key, seen[0], _ID, before, largest_first=largest_first))
    # Chosen apart from what is joined to it: that needs no look at all the others, as long as an index has the order.
    query: Any = vm_query().add_columns(DbProjectMember.role, count.scalar_subquery().label("total"))
    query = query.outerjoin(DbProjectMember, _membership(actor.id)).order_by(*order)
    rows = session.execute(query.where(DbVM.id.in_(chosen.order_by(*order).limit(limit + 1)))).all()
    vms = with_labels(session, [as_vm(row, rights=rights_in(actor, row.role)) for row in rows[:limit]])
    number = rows[0].total if rows else session.scalar(count) if before else 0
    return VMList(vms, number or 0, vms[-1].id if len(rows) > limit else None)


def _seen(session: Session, key: ColumnElement[Any], vm_id: str) -> tuple[Any, ...] | None:
    """What the order compares, of the last machine seen; None when there is none of that id."""
    if key is _ID:
        return (vm_id,)
    query = select(key).join_from(DbVM, DbUser, DbUser.id == DbVM.owner_id).where(DbVM.id == vm_id)
    found = session.execute(query).first()
    return None if found is None else tuple(found)


def with_rights(session: Session, vms: Sequence[VM], actor: Actor) -> list[VM]:
    """The VMs with what ``actor`` may do to each. One statement, none for admins."""
    roles = find_roles(session, actor, {vm.project_id for vm in vms}) if vms else {}
    rights = {project_id: RIGHTS[role] for project_id, role in roles.items()}
    return [replace(vm, rights=rights.get(vm.project_id, frozenset())) for vm in vms]


def read_sum(session: Session, wanted: VMFilter, *, within: ColumnElement[bool] | None = None) -> tuple[int, int]:
    """How many machines fit, and what they cost per hour together now. One statement."""
    found = _named(select(func.count(), func.coalesce(func.sum(RATE_NOW), 0)).select_from(DbVM), wanted)
    number, rate = session.execute(found.where(*_conditions(wanted), *([within] if within is not None else []))).one()
    return number, int(rate)


def _named(query: Any, wanted: VMFilter) -> Any:
    """With the tables that the filter looks into."""
    keys = {term.key for term in wanted.terms}
    if wanted.owner or "owner" in keys or wanted.sort in (VMSort.OWNER, VMSort.OWNER_DOWN):
        query = query.join(DbUser, DbUser.id == DbVM.owner_id)
    if wanted.project or "project" in keys:
        query = query.join(DbProject, DbProject.id == DbVM.project_id)
    if "size" in keys:
        query = query.join(DbSize, DbSize.id == DbVM.size_id)
    return query.join(DbImage, DbImage.id == DbVM.image_id) if "image" in keys else query


def _conditions(wanted: VMFilter) -> list[ColumnElement[bool]]:
    """What a list's filters ask for; deleted VMs are in none."""
    found: list[ColumnElement[bool]] = [DbVM.deleted_at.is_(None), *labelled(wanted.label)]
    if search := storable(wanted.search).strip().lower():
        found.append(or_(DbVM.name.contains(search, autoescape=True), DbVM.address == search, DbVM.id == search))
    if owner := storable(wanted.owner).strip():
        found.append(or_(DbUser.email_key.contains(email_part(owner), autoescape=True), DbUser.id == owner))
    if project := storable(wanted.project).strip():
        found.append(or_(DbProject.name_key.contains(folded(project), autoescape=True), DbProject.id == project))
    found += [term_condition(term) for term in wanted.terms]
    exact = {DbVM.project_id: wanted.project_id, DbVM.size_id: wanted.size_id, DbVM.state: wanted.state}
    return [*found, *(column == value for column, value in exact.items() if value)]


def rights_in(actor: Actor, role: str | None) -> frozenset[ProjectAction]:
    known = as_role(actor, role)
    return RIGHTS[known] if known else frozenset()


def _membership(actor_id: Any) -> ColumnElement[bool]:
    return and_(DbProjectMember.project_id == DbVM.project_id, DbProjectMember.user_id == actor_id)


_GONE = lazy("There is no such virtual machine.")
_LAST = select(func.max(DbOperation.id)).where(DbOperation.vm_id == DbVM.id).correlate(DbVM).scalar_subquery()
_HAS_SNAPSHOTS = select(DbSnapshot.id).where(DbSnapshot.vm_id == DbVM.id).correlate(DbVM).exists()
# Built once: every page about a machine asks it. A row per label.
_ONE: Any = (
    vm_query()
    .add_columns(DbProjectMember.role, DbOperation, DbVMLabel.key, DbVMLabel.value)
    .add_columns(_HAS_SNAPSHOTS.label("has_snapshots"))
    .outerjoin(DbProjectMember, _membership(bindparam("actor")))
    .outerjoin(DbOperation, DbOperation.id == _LAST)
    .outerjoin(DbVMLabel, DbVMLabel.vm_id == DbVM.id)
    .where(DbVM.id == bindparam("id"), DbVM.deleted_at.is_(None))
)


def read_striking(session: Session, user_id: str, vm_ids: Sequence[str], limit: int) -> list[VM]:
    """In a person's projects, the newest first: ``limit`` VMs that say why they are as they are, and of those with
    these ids. One statement."""
    asked = {"user": user_id, "ids": list(vm_ids), "limit": limit}
    found = session.execute(_STRIKING, asked)
    return [replace(as_vm(row), failed_operation_id=row.failed_id or "") for row in found]


def _read_striking() -> Select[Any]:
    mine = DbVM.project_id.in_(member_projects(bindparam("user"))), DbVM.deleted_at.is_(None)
    # Spelled as the partial index does.
    saying = select(DbVM.id).where(*mine, DbVM.state_reason != literal_column("''")).correlate(None)
    newest = saying.order_by(_ID.desc()).limit(bindparam("limit", type_=Integer)).subquery()
    named = select(DbVM.id).where(_ID.in_(bindparam("ids", expanding=True))).correlate(None)
    # As one set, not with OR: for that PostgreSQL would read every machine.
    either = _ID.in_(select(newest.c.id).union(named))
    failed = select(DbOperation.id).where(DbOperation.id == _LAST, DbOperation.state == OperationState.FAILED)
    query = vm_query().add_columns(failed.correlate(DbVM).scalar_subquery().label("failed_id"))
    return query.where(*mine, either).order_by(_ID.desc())


_STRIKING = _read_striking()  # built once: each overview asks it


def as_vm(row: Any, *, rights: frozenset[ProjectAction] = frozenset()) -> VM:
    """The row as pages see it."""
    fields = {name: getattr(row, name) for name in _COLUMNS}
    fields["state"] = VMState(row.state)
    return VM(**fields, is_archived=row.archived_at is not None, rights=rights)
