"""Machines by a few letters: for the command palette."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, or_, select

from zentry_web.domain.search import fit
from zentry_web.domain.user import Actor
from zentry_web.domain.vms.vm import VM
from zentry_web.models import DbProject, DbProjectMember, DbVM
from zentry_web.services.base_service import BaseService
from zentry_web.services.shared.access import member_projects
from zentry_web.services.shared.finding import CANDIDATES, in_order, nearness
from zentry_web.services.vms.queries import as_vm, rights_in, vm_query


class VMFinder(BaseService):
    """A part of VMService."""

    name = "vm_finder"

    def find(self, words: Sequence[str], limit: int, *, actor: Actor) -> list[VM]:
        """The machines whose names, projects and addresses fit best, with what ``actor`` may do to them: those of the
        actor's projects; for admins all, their own first. Two statements."""
        query = select(DbVM.id).join(DbProject, DbProject.id == DbVM.project_id).where(DbVM.deleted_at.is_(None))
        query = query.where(*(_has(word) for word in words), *_seen_by(actor))
        query = query.order_by(*_own_first(actor), *nearness(DbVM.name, words)).limit(CANDIDATES)
        with self.reading() as session:
            ids = session.scalars(query).all()
            found = self._read(session, ids, actor)
        ordered = sorted(found, key=lambda each: (not each[1], _fit(words, each[0]), each[0].name, each[0].id))
        return [vm for vm, _ in ordered][:limit]

    def list_these(self, vm_ids: Sequence[str], *, actor: Actor) -> list[VM]:
        """Those of these machines that ``actor`` sees, in the order of their ids here. One statement."""
        with self.reading() as session:
            found = {vm.id: vm for vm, _ in self._read(session, vm_ids, actor)}
        return [found[each] for each in vm_ids if each in found]

    def _read(self, session: Any, vm_ids: Sequence[str], actor: Actor) -> list[tuple[VM, bool]]:
        """The machines, and whether ``actor`` is a member of their projects. One statement, none for none."""
        if not vm_ids:
            return []
        mine = (DbProjectMember.project_id == DbVM.project_id) & (DbProjectMember.user_id == actor.id)
        query = vm_query().add_columns(DbProjectMember.role).outerjoin(DbProjectMember, mine)
        rows = session.execute(query.where(DbVM.id.in_(vm_ids), DbVM.deleted_at.is_(None), *_seen_by(actor)))
        return [(as_vm(row, rights=rights_in(actor, row.role)), row.role is not None) for row in rows]


def _has(word: str) -> ColumnElement[bool]:
    elsewhere = DbProject.name_key.contains(word, autoescape=True), DbVM.address.startswith(word, autoescape=True)
    return or_(in_order(DbVM.name, word), *elsewhere, DbVM.id == word)


def _fit(words: Sequence[str], vm: VM) -> int:
    found = fit(words, vm.name, f"{vm.project_name} {vm.address} {vm.id}")
    return found if found is not None else 10**6


def _seen_by(actor: Actor) -> list[ColumnElement[bool]]:
    return [] if actor.is_admin else [DbVM.project_id.in_(member_projects(actor.id))]


def _own_first(actor: Actor) -> list[ColumnElement[bool]]:
    return [DbVM.project_id.in_(member_projects(actor.id)).desc()] if actor.is_admin else []
