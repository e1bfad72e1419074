"""Several of one's machines at once: each by itself, by the services that decide for one (rights, state, credits,
budget, quotas), so that what one of them is refused holds up no other. Asked for again, nothing happens twice."""

from collections.abc import Callable, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from zentry_web.domain.label import NO_LABELS, Label, LabelChange, parse_labels
from zentry_web.domain.language import _, lazy, ngettext
from zentry_web.domain.projects.project import ProjectAction
from zentry_web.domain.user import Actor
from zentry_web.domain.vms.fleet import MAX_ORDERED, PLANNED, Change, Wanted, can_be, confirmation, rates_of
from zentry_web.domain.vms.operation import OperationKind
from zentry_web.domain.vms.plan import facts_of_several
from zentry_web.domain.vms.state import VMState
from zentry_web.domain.vms.vm import VM
from zentry_web.models import DbVM
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.errors import ConflictError, NotFoundError
from zentry_web.services.shared.access import member_projects, require_member
from zentry_web.services.shared.fields import Fields, invalid
from zentry_web.services.shared.labels import VMLabels, with_labels
from zentry_web.services.shared.one_by_one import Became, EachOutcome, EachResult, do_each
from zentry_web.services.shared.rate_limits import RateLimiter
from zentry_web.services.vms.actions import VMActions
from zentry_web.services.vms.moving import VMMoving
from zentry_web.services.vms.payer import require_shown
from zentry_web.services.vms.planning import require_plan
from zentry_web.services.vms.queries import as_vm, vm_query, with_rights

_NOBODY = lazy("Choose at least one machine.")
_COMING_UP = (VMState.CREATING, VMState.STARTING, VMState.RUNNING, VMState.RESUMING)
# What a machine that is so already is told with instead of a refusal.
_ALREADY: dict[Change, tuple[tuple[VMState, ...], str]] = {
    Change.START: (_COMING_UP, lazy("Runs or comes up already.")),
    Change.STOP: ((VMState.STOPPING, VMState.STOPPED), lazy("Is off or goes off already.")),
    Change.DELETE: ((VMState.DELETING, VMState.BINNED, VMState.DELETED), lazy("Was deleted already.")),
}


class VMBulk(BaseService):
    """A part of VMService."""

    name = "vm_bulk"

    def __init__(
        self,
        core: Core,
        labels: VMLabels,
        moving: VMMoving,
        actions: VMActions,
    ) -> None:
        super().__init__(core)
        self._limiter = RateLimiter(core)
        self._labels = labels
        self._moving = moving
        self._actions = actions

    def list_chosen(self, vm_ids: Sequence[str], *, actor: Actor) -> list[VM]:
        """These machines by name, as far as they exist and the person sees them, with labels and rights. Three
        statements."""
        with self.reading() as session:
            return self._read(session, vm_ids, actor, gone_too=False)

    def run(self, wanted: Wanted, vm_ids: Sequence[str], *, actor: Actor, together: str = "") -> list[Became[VM]]:
        """Do it to each of these machines, and tell what became of each that the person sees. ``together``: the id by
        which all of it can be undone.

        Raises ValidationError (``vms``: none, too many; ``labels``, ``project_id``, ``confirm``), NotFoundError and
        PermissionDeniedError (the project to move into), RateLimitedError.
        """
        if len(set(vm_ids)) > MAX_ORDERED:
            raise invalid({"vms": _("Choose at most %(most)s machines at a time.", most=MAX_ORDERED)})
        with self.reading() as session:
            chosen = self._read(session, vm_ids, actor, gone_too=wanted.change == Change.DELETE)
            if not chosen:
                raise invalid({"vms": _NOBODY})
            do = self._prepare(session, wanted, chosen, actor, together)
        self._limiter.check_actor("bulk", actor)
        return do_each(chosen, do, self.give_way)

    # -- inside ---------------------------------------------------------------------------------

    def _read(self, session: Session, vm_ids: Sequence[str], actor: Actor, *, gone_too: bool) -> list[VM]:
        ids = [each[:40] for each in dict.fromkeys(vm_ids)][:MAX_ORDERED]
        query = vm_query().where(DbVM.id.in_(ids))
        if not actor.is_admin:
            query = query.where(DbVM.project_id.in_(member_projects(actor.id)))
        if not gone_too:
            query = query.where(DbVM.deleted_at.is_(None))
        rows = session.execute(query.order_by(DbVM.name, DbVM.id)).all()
        return with_rights(session, with_labels(session, [as_vm(row) for row in rows]), actor)

    def _prepare(
        self, session: Session, wanted: Wanted, chosen: list[VM], actor: Actor, together: str
    ) -> Callable[[VM], EachResult]:  # fmt: skip
        """What is done to each, once everything has been looked at that they have in common."""
        change = wanted.change
        able = [vm for vm in chosen if can_be(change, vm)]
        if able and change in PLANNED:  # when there is none left, it may have been pressed twice
            require_plan(wanted.plan, facts_of_several(able))
        if change in (Change.LABEL, Change.UNLABEL):
            labels = _take_labels(wanted.labels)
            both = LabelChange(add=labels) if change == Change.LABEL else LabelChange(remove=labels)
            return lambda vm: self._label(vm, both, actor, together)
        if change == Change.MOVE:
            if not wanted.project_id:
                raise invalid({"project_id": _("Choose a project.")})
            target = require_member(session, actor, wanted.project_id, ProjectAction.LAUNCH).id
            return lambda vm: self._move(vm, target, actor, together)
        if change == Change.DELETE and wanted.confirm.strip() != confirmation(chosen):
            raise invalid({"confirm": _("Type “%(chosen)s” to confirm.", chosen=confirmation(chosen))})
        if change == Change.START:
            require_shown(
                wanted.shown,
                rates_of(able),
                ngettext(
                    "It would start at another price than this page showed: nothing was ordered yet.",
                    "They would start at another price than this page showed: nothing was ordered yet.",
                    len(able),
                ),
            )
        return lambda vm: self._order(change, vm, actor, together)

    def _label(self, vm: VM, change: LabelChange, actor: Actor, together: str) -> EachResult:
        done = self._labels.change(vm.id, change, actor=actor, together=together)
        return (EachOutcome.DONE, "") if done else (EachOutcome.UNCHANGED, _("Its labels are so already."))

    def _move(self, vm: VM, project_id: str, actor: Actor, together: str) -> EachResult:
        if vm.project_id == project_id:
            return EachOutcome.UNCHANGED, _("Is in that project already.")
        self._moving.move(vm.id, project_id, actor=actor, together=together)
        return EachOutcome.DONE, ""

    def _order(self, change: Change, vm: VM, actor: Actor, together: str) -> EachResult:
        try:
            self._actions.order(OperationKind(change), vm, actor=actor, together=together)
        except (ConflictError, NotFoundError):
            states, text = _ALREADY[change]
            with self.reading() as session:
                state = session.scalar(select(DbVM.state).where(DbVM.id == vm.id))
            if state not in states:
                raise
            return EachOutcome.UNCHANGED, text
        return EachOutcome.DONE, ""


def _take_labels(text: str) -> tuple[Label, ...]:
    fields = Fields({"labels": text})
    labels = fields.take("labels", parse_labels, NO_LABELS)
    fields.check()
    if not labels:
        raise invalid({"labels": _("Write at least one label.")})
    return labels
