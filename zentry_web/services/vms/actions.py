"""Accepting what is asked of one machine: start, stop, reboot, reset, suspend, resume, force off, delete."""

from zentry_web.domain.language import _, lazy
from zentry_web.domain.projects.project import ProjectAction
from zentry_web.domain.user import Actor
from zentry_web.domain.vms.operation import ALLOWED_ACTIONS, OVERTAKING, Operation, OperationKind
from zentry_web.domain.vms.state import VMState, state_words
from zentry_web.domain.vms.undo import UNDOABLE
from zentry_web.domain.vms.vm import VM, Rates
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.errors import ConflictError
from zentry_web.services.shared.access import require_open
from zentry_web.services.shared.undo_book import UndoBook
from zentry_web.services.vms.basis import VMBasis
from zentry_web.services.vms.bin import VMBin
from zentry_web.services.vms.operations import as_operation, reason_of
from zentry_web.services.vms.payer import require_shown

_CANNOT = {
    OperationKind.START: lazy("%(name)s is %(state)s: it cannot be started now."),
    OperationKind.STOP: lazy("%(name)s is %(state)s: it cannot be stopped now."),
    OperationKind.FORCE_OFF: lazy("%(name)s is %(state)s: it cannot be forced off now."),
    OperationKind.REBOOT: lazy("%(name)s is %(state)s: it cannot be rebooted now."),
    OperationKind.RESET: lazy("%(name)s is %(state)s: it cannot be reset now."),
    OperationKind.SUSPEND: lazy("%(name)s is %(state)s: it cannot be suspended now."),
    OperationKind.RESUME: lazy("%(name)s is %(state)s: it cannot be resumed now."),
}


class VMActions(BaseService):
    """A part of VMService; its methods for one machine, and those for many, come here."""

    name = "vm_actions"

    def __init__(self, core: Core, basis: VMBasis, binned: VMBin) -> None:
        super().__init__(core)
        self._billing, self._payer, self._operations = basis.billing, basis.payer, basis.operations
        self._bin, self._undo = binned, UndoBook(core)

    def order(self, kind: OperationKind, vm: VM, *, actor: Actor, together: str | None = "") -> Operation:
        """What is chosen for a machine in a list: a start at the price that it has there, a deletion confirmed.

        Raises what ``request`` and ``VMBin.delete`` do.
        """
        if kind == OperationKind.DELETE:
            return self._bin.delete(vm.id, vm.name, actor=actor, together=together)
        return self.request(kind, vm.id, actor=actor, shown=vm.rates, together=together)

    def request(
        self,
        kind: OperationKind,
        vm_id: str,
        *,
        actor: Actor,
        shown: Rates | None = None,
        together: str | None = "",
        undoes: str = "",
        reason: str = "",
    ) -> Operation:
        """Accept one of these but a deletion; a start holds its first hour. What can be undone is noted (``together``:
        see UndoBook.keep); ``undoes``: the id of what this itself undoes, so that a start carries no minimum.
        ``reason``: why, where that is not who asks.

        Raises NotFoundError, PermissionDeniedError, ConflictError (the state); of a start also
        InsufficientCreditsError, BudgetExceededError, PriceChangedError (it costs another price than was ``shown``).
        """
        with self._payer.words(actor, vm_id=vm_id), self.transaction() as session:
            vm = self._billing.wallets.locked_vm(session, actor, vm_id, ProjectAction.OPERATE)
            state = VMState(vm.state)
            if kind not in ALLOWED_ACTIONS[state]:
                raise ConflictError(_CANNOT[kind] % {"name": vm.name, "state": state_words(state)})
            if kind in OVERTAKING:
                self._operations.cancel_open(session, vm.id)
            if kind == OperationKind.START:
                require_open(session, vm.project_id)
                require_shown(
                    shown,
                    Rates(vm.running_micro_per_hour, vm.stopped_micro_per_hour),
                    _("%(name)s starts at another price than this page showed: nothing was ordered yet.", name=vm.name),
                )
                self._payer.require_able(session, actor, vm.owner_id)
                self._billing.budgets.require_room(vm, vm.running_micro_per_hour, actor=actor)
                self._billing.place_hold(vm.id, vm.owner_id, vm.running_micro_per_hour)
            was_on = vm.run_id is not None
            details = {"undo": undoes} if undoes else None
            why = reason or reason_of(vm, actor)
            event_id, row = self._operations.accept(session, vm, kind, why, details, actor=actor)
            if was_on and not undoes and f"vm.{kind}" in UNDOABLE:
                was = {"operation": row.id}
                self._undo.keep(f"vm.{kind}", vm.id, event_id, was, actor=actor, together=together)
            if kind == OperationKind.START:
                self._billing.landing.leave_grace(session, vm, event_id)
            vm.credit_stopped_at = None  # its owner has decided since
            return as_operation(row)
