"""What a project is called and looks like, and putting it into the archive."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from zentry_web.domain.event import Subject
from zentry_web.domain.label import NO_LABELS, parse_labels, written
from zentry_web.domain.language import ngettext
from zentry_web.domain.projects.project import MAX_DESCRIPTION, Project, ProjectAction, parse_colour
from zentry_web.domain.text import clean_text
from zentry_web.domain.user import SYSTEM, Actor
from zentry_web.domain.vms.state import VMState
from zentry_web.models import DbProject, DbProjectLabel, DbVM
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.billing_service import BillingService
from zentry_web.services.errors import ConflictError
from zentry_web.services.projects.rows import as_project, name_key, parse_name, refuse_taken, take_name
from zentry_web.services.shared.access import require_member
from zentry_web.services.shared.fields import Fields
from zentry_web.services.shared.labels import write_labels

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
            row = self._billing.wallets.locked_project(session, actor, project_id, ProjectAction.RENAME)
            if row.archived_at is not None:
                return
            busy = select(func.count()).select_from(DbVM).where(
                DbVM.project_id == project_id, DbVM.deleted_at.is_(None), DbVM.state.not_in(_AT_REST)
            )  # fmt: skip
            if count := session.scalar(busy):
                raise ConflictError(
                    ngettext(
                        "A machine is still on or under way here. Stop them first: nobody would notice what they cost.",
                        "%(num)s machines are still on or under way here. "
                        "Stop them first: nobody would notice what they cost.",
                        count,
                    ),
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
            row = self._billing.wallets.locked_project(session, actor, project_id, ProjectAction.RENAME)
            if row.archived_at is None:
                return
            row.archived_at = None
            session.flush()
            self._log("project.unarchive", row, actor, {})

    # -- inside ---------------------------------------------------------------------------------

    def _rename(self, session: Session, row: DbProject, name: str, actor: Actor) -> None:
        if row.name == name:
            return
        refuse_taken(session, row.owner_id, name, but_not=row.id)
        before, row.name, row.name_key = row.name, name, name_key(name)
        session.flush()
        self._log("project.rename", row, actor, {}, project_before=before)

    def _log(self, action: str, row: DbProject, actor: Actor, details: dict[str, object], **more: str) -> None:
        self.audit(action, Subject.project(row), details, actor=actor, personal={"project": row.name, **more})
