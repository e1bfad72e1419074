"""What a project is called and looks like, and putting it into the archive."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from zentry_web.domain.label import NO_LABELS, parse_labels, written
from zentry_web.domain.project import MAX_DESCRIPTION, Project, ProjectAction, parse_colour
from zentry_web.domain.text import clean_text
from zentry_web.domain.user import SYSTEM, Actor
from zentry_web.domain.vm import VMState
from zentry_web.models import DbProject, DbProjectLabel, DbVM
from zentry_web.services.access import require_member
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.billing_service import BillingService
from zentry_web.services.errors import ConflictError
from zentry_web.services.fields import Fields
from zentry_web.services.labels import write_labels
from zentry_web.services.project_rows import as_project, name_key, parse_name, refuse_taken, take_name

_AT_REST = (VMState.STOPPED, VMState.ERROR)


class ProjectSettings(BaseService):
    """A part of ProjectService: for those who run a project."""

    name = "project_settings"

    def __init__(self, core: Core, billing: BillingService) -> None:
        super().__init__(core)
        self._billing = billing

    def rename(self, project_id: str, name: str, *, actor: Actor = SYSTEM) -> Project:
        """See ProjectService.rename_project."""
        name = take_name({"name": name})
        with self.transaction() as session:
            row = require_member(session, actor, project_id, ProjectAction.RENAME)
            self._rename(session, row, name, actor)
            return as_project(row)

    def update(self, project_id: str, data: Mapping[str, object], *, actor: Actor = SYSTEM) -> Project:
        """Set ``name``, ``description`` (plain text, may be empty), ``colour`` (of ProjectColour, or nothing)
        and ``labels`` (as parse_labels reads them).

        Raises ValidationError (per field), NotFoundError, PermissionDeniedError.
        """
        fields = Fields(data)
        name = fields.take("name", parse_name, "")
        description = fields.take("description", partial(clean_text, longest=MAX_DESCRIPTION), "")
        colour = fields.take("colour", parse_colour, None)
        labels = fields.take("labels", parse_labels, NO_LABELS)
        with self.transaction() as session:
            row = require_member(session, actor, project_id, ProjectAction.RENAME)
            fields.check()
            self._rename(session, row, name, actor)
            wanted = {"description": description, "colour": colour.value if colour else ""}
            changed = [field for field, value in wanted.items() if getattr(row, field) != value]
            row.description, row.colour = wanted["description"], wanted["colour"]
            session.flush()
            before = write_labels(session, DbProjectLabel, project_id, labels)
            personal = {}
            if before != labels:
                changed.append("labels")
                personal = {"labels": written(labels, ", "), "labels_before": written(before, ", ")}
            if changed:
                self._log("project.update", row, actor, {"changed": changed}, **personal)
            return replace(as_project(row), labels=labels)

    def archive(self, project_id: str, *, actor: Actor = SYSTEM) -> None:
        """Let nothing new begin in a project and leave it out of lists; nothing when it is archived already.

        Raises ConflictError while a machine is on or something is under way with one: nobody looks there any more, and
        it would go on costing. Machines that wait for credits are not started again by themselves.
        """
        with self.transaction() as session:
            row = self._locked(session, project_id, actor)
            if row.archived_at is not None:
                return
            busy = select(func.count()).select_from(DbVM).where(
                DbVM.project_id == project_id, DbVM.deleted_at.is_(None), DbVM.state.not_in(_AT_REST)
            )  # fmt: skip
            if count := session.scalar(busy):
                machines = "A machine is" if count == 1 else f"{count} machines are"
                raise ConflictError(
                    f"{machines} still on or under way here. Stop them first: nobody would notice what they cost.",
                    details={"vms": count},
                )
            session.execute(
                update(DbVM)
                .where(DbVM.project_id == project_id, DbVM.credit_stopped_at.is_not(None))
                .values(credit_stopped_at=None)
            )
            row.archived_at = self.now()
            session.flush()
            self._log("project.archive", row, actor, {})

    def unarchive(self, project_id: str, *, actor: Actor = SYSTEM) -> None:
        """Take a project out of the archive; nothing when it is not in it."""
        with self.transaction() as session:
            row = self._locked(session, project_id, actor)
            if row.archived_at is None:
                return
            row.archived_at = None
            session.flush()
            self._log("project.unarchive", row, actor, {})

    # -- inside ---------------------------------------------------------------------------------

    def _locked(self, session: Session, project_id: str, actor: Actor) -> DbProject:
        """The project under its owner's wallet lock: nothing is launched or started meanwhile."""
        owner_id = require_member(session, actor, project_id, ProjectAction.RENAME).owner_id
        self._billing.lock_wallet(owner_id)
        row = require_member(session, actor, project_id, ProjectAction.RENAME, fresh=True)
        if row.owner_id != owner_id:
            raise ConflictError("The project was handed over at this moment. Please try again.")
        return row

    def _rename(self, session: Session, row: DbProject, name: str, actor: Actor) -> None:
        if row.name == name:
            return
        refuse_taken(session, row.owner_id, name, but_not=row.id)
        before, row.name, row.name_key = row.name, name, name_key(name)
        session.flush()
        self._log("project.rename", row, actor, {}, project_before=before)

    def _log(self, action: str, row: DbProject, actor: Actor, details: dict[str, object], **more: str) -> None:
        self.log_audit_event(
            actor.id, action, "project", row.id, details, actor=actor, owner_id=row.owner_id, project_id=row.id,
            personal={"project": row.name, **more},
        )  # fmt: skip
