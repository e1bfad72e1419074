"""Giving a machine another name: in Zentry at once, in the guest at its next boot (the worker writes the seed anew)."""

from zentry_web.domain.event import Subject
from zentry_web.domain.language import _
from zentry_web.domain.projects.project import ProjectAction
from zentry_web.domain.user import SYSTEM, Actor
from zentry_web.domain.vms.vm import NAME_PATTERN, NAME_RULE
from zentry_web.services.base_service import BaseService
from zentry_web.services.shared.access import require_vm
from zentry_web.services.shared.fields import invalid
from zentry_web.services.shared.undo_book import UndoBook
from zentry_web.services.vms.queries import is_name_taken


class VMRenaming(BaseService):
    """A part of VMService."""

    name = "vm_renaming"

    def rename(self, vm_id: str, name: str, *, actor: Actor = SYSTEM, together: str | None = "") -> str:
        """Call a machine ``name``, whatever it is doing; the name it has now. Audited when that is another, and can be
        undone (``together``: see UndoBook.keep).

        Raises ValidationError (``name``: unusable, taken in its project), NotFoundError, PermissionDeniedError.
        """
        name = name.strip().lower()
        with self.transaction() as session:
            vm = require_vm(session, actor, vm_id, ProjectAction.LABEL, lock=True)
            if name == vm.name:
                return name
            if not NAME_PATTERN.fullmatch(name):
                raise invalid({"name": str(NAME_RULE)})
            if is_name_taken(session, vm.project_id, name):
                raise invalid({"name": _("This project already has a machine named “%(taken)s”.", taken=name)})
            before, vm.name = vm.name, name
            names = {"name_before": before, "name_after": name}
            event_id = self.audit("vm.rename", Subject.vm(vm), actor=actor, personal=names)
            was = {"name": before, "then": name}
            UndoBook(self._core).keep("vm.rename", vm.id, event_id, was, actor=actor, together=together)
            return name
