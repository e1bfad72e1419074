"""Reading projects in the recycle bin: rows to dataclasses, a constant number of statements."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, case, func, or_, select
from sqlalchemy.orm import Session

from zentry_web.domain.vms.bin import BinnedProject
from zentry_web.domain.vms.catalogue import Size
from zentry_web.domain.vms.state import VMState
from zentry_web.models import DbProject, DbUser, DbVM
from zentry_web.models.vm import IS_LEAVING
from zentry_web.services.shared.paging import beyond


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
    seen = session.scalar(select(DbProject.deleted_at).where(DbProject.id == before)) if before else None
    if seen is not None:
        key, id_ = DbProject.deleted_at.expression, DbProject.id.expression
        query = query.where(beyond(key, seen, id_, before, largest_first=True))
    rows: Sequence[Any] = session.execute(query).all()
    found = _sums_of(session, prices, [row[0] for row in rows])
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


def _sums_of(
    session: Session, prices: Mapping[str, Size], project_ids: Sequence[str]
) -> dict[str, list[tuple[int, int, int]]]:
    """By project, for each size of the machines that went with it: how many, how many of them off, and what their
    disks cost per hour. One statement."""
    went = and_(DbVM.binned_with_project, DbVM.purge_at.is_not(None))
    is_off = case((DbVM.state == VMState.BINNED, 1), else_=0)
    sums = (
        select(DbVM.project_id, DbVM.size_id, func.count(), func.sum(is_off), func.sum(DbVM.disk_gib))
        .where(DbVM.project_id.in_(project_ids), or_(went, IS_LEAVING))
        .group_by(DbVM.project_id, DbVM.size_id)
    )
    found: dict[str, list[tuple[int, int, int]]] = {}
    for project_id, size_id, count, off, disk_gib in session.execute(sums) if project_ids else ():
        rate = prices[size_id].disk_micro_per_gib_hour * int(disk_gib)
        found.setdefault(project_id, []).append((int(count), int(off), rate))
    return found
