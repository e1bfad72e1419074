"""Reading and writing labels. Those of a machine belong to VMService, those of a project to its settings."""

import unicodedata
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import ColumnElement, delete, insert, select
from sqlalchemy.orm import Session

from zentry_web.domain.label import NO_LABELS, Label, LabelChange, parse_labels, written
from zentry_web.domain.project import Project, ProjectAction
from zentry_web.domain.user import SYSTEM, Actor
from zentry_web.domain.vm import VM
from zentry_web.models import DbProjectLabel, DbVM, DbVMLabel
from zentry_web.services.access import member_projects, require_self, require_vm
from zentry_web.services.base_service import BaseService
from zentry_web.services.fields import Fields, invalid, storable

MOST_OFFERED = 200


class VMLabels(BaseService):
    """A part of VMService."""

    name = "vm_labels"

    def set(self, vm_id: str, text: str, *, actor: Actor = SYSTEM) -> None:
        """Let a machine have the labels in ``text`` and no others; audited when anything changes.

        Raises ValidationError (``labels``), NotFoundError, PermissionDeniedError.
        """
        fields = Fields({"labels": text})
        labels = fields.take("labels", parse_labels, NO_LABELS)
        with self.transaction() as session:
            vm = require_vm(session, actor, vm_id, ProjectAction.LABEL, lock=True)
            fields.check()
            self.write(session, vm, labels, actor)

    def change(self, vm_id: str, change: LabelChange, *, actor: Actor = SYSTEM) -> bool:
        """Give a machine some labels, or take some away; whether that changed anything. Audited as ``set``.

        Raises ValidationError (``labels``: too many), NotFoundError, PermissionDeniedError.
        """
        with self.transaction() as session:
            vm = require_vm(session, actor, vm_id, ProjectAction.LABEL, lock=True)
            try:
                labels = change.of(read_labels(session, DbVMLabel, [vm_id]).get(vm_id, ()))
            except ValueError as error:
                raise invalid({"labels": str(error)}) from None
            return self.write(session, vm, labels, actor)

    def write(self, session: Session, vm: DbVM, labels: tuple[Label, ...], actor: Actor) -> bool:
        """Put these in the place of a machine's, in the caller's transaction; whether that changed anything."""
        before = write_labels(session, DbVMLabel, vm.id, labels)
        if before == labels:
            return False
        self.log_audit_event(
            actor.id, "vm.labels", "vm", vm.id, {"count": len(labels)}, actor=actor,
            owner_id=vm.owner_id, project_id=vm.project_id, vm_id=vm.id,
            personal={"labels": written(labels, ", "), "labels_before": written(before, ", ")},
        )  # fmt: skip
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
    key, has_value, value = unicodedata.normalize("NFKC", storable(text)[:500]).partition("=")
    if not key.strip():
        return []
    found = select(DbVMLabel.vm_id).where(DbVMLabel.key == key.strip())
    return [DbVM.id.in_(found.where(DbVMLabel.value == value.strip()) if has_value else found)]


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


def write_labels(session: Session, table: Any, holder_id: str, labels: tuple[Label, ...]) -> tuple[Label, ...]:
    """Put these in the place of the thing's labels, in the caller's transaction; returns those before."""
    before = read_labels(session, table, [holder_id]).get(holder_id, ())
    if before != labels:
        session.execute(delete(table).where(_holder(table) == holder_id).execution_options(synchronize_session=False))
        name = _holder(table).key
        rows = [{name: holder_id, "key": label.key, "value": label.value} for label in labels]
        if rows:
            session.execute(insert(table.__table__), rows)
    return before


def _holder(table: Any) -> Any:
    return table.vm_id if table is DbVMLabel else table.project_id
