"""Reading and writing labels. Those of a machine belong to VMService, those of a project to its settings."""

import unicodedata
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import ColumnElement, delete, insert, select
from sqlalchemy.orm import Session

from zentry_web.adapters.database import run
from zentry_web.domain.event import Subject
from zentry_web.domain.label import NO_LABELS, Label, LabelChange, parse_labels, written
from zentry_web.domain.projects.project import Project, ProjectAction
from zentry_web.domain.user import SYSTEM, Actor
from zentry_web.domain.vms.vm import VM
from zentry_web.models import DbProject, DbProjectLabel, DbVM, DbVMLabel
from zentry_web.services.base_service import BaseService
from zentry_web.services.shared.access import member_projects, require_self, require_vm
from zentry_web.services.shared.fields import Fields, invalid, storable
from zentry_web.services.shared.undo_book import UndoBook

MOST_OFFERED = 200


class VMLabels(BaseService):
    """A part of VMService."""

    name = "vm_labels"

    def set(self, vm_id: str, text: str, *, actor: Actor = SYSTEM, together: str | None = "") -> None:
        """Let a machine have the labels in ``text`` and no others; audited when anything changes, and can be undone
        (``together``: see UndoBook.keep).

        Raises ValidationError (``labels``), NotFoundError, PermissionDeniedError.
        """
        fields = Fields({"labels": text})
        labels = fields.take("labels", parse_labels, NO_LABELS)
        with self.transaction() as session:
            vm = require_vm(session, actor, vm_id, ProjectAction.LABEL, lock=True)
            fields.check()
            self.write(session, vm, labels, actor, together)

    def change(self, vm_id: str, change: LabelChange, *, actor: Actor = SYSTEM, together: str | None = "") -> bool:
        """Give a machine some labels, or take some away; whether that changed anything. Audited as ``set``.

        Raises ValidationError (``labels``: too many), NotFoundError, PermissionDeniedError.
        """
        with self.transaction() as session:
            vm = require_vm(session, actor, vm_id, ProjectAction.LABEL, lock=True)
            try:
                labels = change.of(read_labels(session, DbVMLabel, [vm_id]).get(vm_id, ()))
            except ValueError as error:
                raise invalid({"labels": str(error)}) from None
            return self.write(session, vm, labels, actor, together)

    def write(
        self, session: Session, vm: DbVM, labels: tuple[Label, ...], actor: Actor, together: str | None = None
    ) -> bool:
        """Put these in the place of a machine's, in the caller's transaction; whether that changed anything."""
        before = write_labels(session, DbVMLabel, vm.id, labels)
        if before == labels:
            return False
        personal = {"labels": written(labels, ", "), "labels_before": written(before, ", ")}
        event_id = self.audit("vm.labels", Subject.vm(vm), {"count": len(labels)}, actor=actor, personal=personal)
        was = {"labels": written(before), "then": written(labels)}
        UndoBook(self._core).keep("vm.labels", vm.id, event_id, was, actor=actor, together=together)
        return True

    def get(self, vm_id: str, *, actor: Actor = SYSTEM) -> tuple[Label, ...]:
        """The labels of a machine, by key. Raises NotFoundError, PermissionDeniedError."""
        with self.reading() as session:
            require_vm(session, actor, vm_id, ProjectAction.VIEW)
            return read_labels(session, DbVMLabel, [vm_id]).get(vm_id, ())

    def list_in_use(self, user_id: str, *, actor: Actor = SYSTEM) -> list[Label]:
        """The labels on machines that a person sees, by key, as many as a form can offer. One statement."""
        require_self(actor, user_id)
        query = (
            select(DbVMLabel.key, DbVMLabel.value)
            .join(DbVM, DbVM.id == DbVMLabel.vm_id)
            .where(DbVM.project_id.in_(member_projects(user_id)), DbVM.deleted_at.is_(None))
            .distinct()
        )
        with self.reading() as session:
            rows = session.execute(query.order_by(DbVMLabel.key, DbVMLabel.value).limit(MOST_OFFERED))
            return [Label(*row) for row in rows]


def labelled(text: str) -> list[ColumnElement[bool]]:
    """What a filter asks of DbVM: ``key=value`` that label, ``key`` any value of it, nothing nothing."""
    return _labelled(text, DbVMLabel, DbVM.id)


def project_labelled(text: str) -> list[ColumnElement[bool]]:
    """As ``labelled``, of DbProject."""
    return _labelled(text, DbProjectLabel, DbProject.id)


def _labelled(text: str, table: Any, holder_id: Any) -> list[ColumnElement[bool]]:
    key, has_value, value = unicodedata.normalize("NFKC", storable(text)[:500]).partition("=")
    if not key.strip():
        return []
    found = select(_holder(table)).where(table.key == key.strip())
    return [holder_id.in_(found.where(table.value == value.strip()) if has_value else found)]


def with_labels(session: Session, vms: Sequence[VM]) -> list[VM]:
    """The VMs with their labels. One statement, none for none."""
    found = read_labels(session, DbVMLabel, [vm.id for vm in vms])
    return [replace(vm, labels=found.get(vm.id, ())) for vm in vms]


def with_project_labels(session: Session, projects: Sequence[Project]) -> list[Project]:
    """The projects with their labels. One statement, none for none."""
    found = read_labels(session, DbProjectLabel, [project.id for project in projects])
    return [replace(project, labels=found.get(project.id, ())) for project in projects]


def read_labels(session: Session, table: Any, ids: Collection[str]) -> dict[str, tuple[Label, ...]]:
    """The labels of these things, by key; those without any are left out. One statement, none for none."""
    holder = _holder(table)
    found: dict[str, list[Label]] = {}
    if ids:
        for holder_id, key, value in session.execute(select(holder, table.key, table.value).where(holder.in_(ids))):
            found.setdefault(holder_id, []).append(Label(key, value))
    return {holder_id: tuple(sorted(labels)) for holder_id, labels in found.items()}


def labels_of(pairs: Iterable[tuple[str | None, str | None]]) -> tuple[Label, ...]:
    """Labels by key of what an outer join found: keys and values, None where there is no label."""
    return tuple(sorted(Label(key, value) for key, value in pairs if key is not None and value is not None))


def write_labels(session: Session, table: Any, holder_id: str, labels: tuple[Label, ...]) -> tuple[Label, ...]:
    """Put these in the place of the thing's labels, in the caller's transaction; returns those before."""
    before = read_labels(session, table, [holder_id]).get(holder_id, ())
    if before != labels:
        run(session, delete(table).where(_holder(table) == holder_id))
        name = _holder(table).key
        rows = [{name: holder_id, "key": label.key, "value": label.value} for label in labels]
        if rows:
            session.execute(insert(table.__table__), rows)
    return before


def _holder(table: Any) -> Any:
    return table.vm_id if table is DbVMLabel else table.project_id
