"""Why something cannot be ordered of a machine now, in a short sentence: controls are there all the same, disabled, and
say it. The services decide, and refuse by the same rules. A new order gets a line in ``ORDERS``."""

from zentry_web.domain.language import _, lazy
from zentry_web.domain.projects.project import ProjectAction
from zentry_web.domain.vms.operation import ALLOWED_ACTIONS, BEGINNING, OperationKind
from zentry_web.domain.vms.state import IN_TRANSITION, MOVABLE, VMState, state_words
from zentry_web.domain.vms.vm import VM

# By the name of the order: the right it takes, and the operation it becomes, if any.
ORDERS: dict[str, tuple[ProjectAction, OperationKind | None]] = {
    "start": (ProjectAction.OPERATE, OperationKind.START),
    "stop": (ProjectAction.OPERATE, OperationKind.STOP),
    "force_off": (ProjectAction.OPERATE, OperationKind.FORCE_OFF),
    "reboot": (ProjectAction.OPERATE, OperationKind.REBOOT),
    "reset": (ProjectAction.OPERATE, OperationKind.RESET),
    "suspend": (ProjectAction.OPERATE, OperationKind.SUSPEND),
    "resume": (ProjectAction.OPERATE, OperationKind.RESUME),
    "resize": (ProjectAction.RESIZE, OperationKind.RESIZE),
    "snapshot": (ProjectAction.RESIZE, OperationKind.SNAPSHOT),
    "revert": (ProjectAction.RESIZE, OperationKind.REVERT),
    "unrevert": (ProjectAction.RESIZE, OperationKind.UNREVERT),
    "discard": (ProjectAction.RESIZE, OperationKind.DISCARD),
    "backup": (ProjectAction.RESIZE, OperationKind.BACKUP),
    "recover": (ProjectAction.DELETE_VM, OperationKind.RECOVER),
    "image": (ProjectAction.RESIZE, OperationKind.IMAGE),
    "rebuild": (ProjectAction.DELETE_VM, OperationKind.REBUILD),
    "bring_back": (ProjectAction.DELETE_VM, OperationKind.BRING_BACK),
    "rescue": (ProjectAction.LAUNCH, OperationKind.RESCUE),
    "unrescue": (ProjectAction.LAUNCH, OperationKind.UNRESCUE),
    "password": (ProjectAction.LAUNCH, OperationKind.PASSWORD),
    "delete": (ProjectAction.DELETE_VM, OperationKind.DELETE),
    "move": (ProjectAction.DELETE_VM, None),
    "launch": (ProjectAction.LAUNCH, None),  # another like it
    "rename": (ProjectAction.LABEL, None),
    "label": (ProjectAction.LABEL, None),
    "protect": (ProjectAction.DELETE_VM, None),
}

_NEW_DISK = (OperationKind.REBUILD, OperationKind.BRING_BACK, OperationKind.RECOVER)
_NOT_IN_RESCUE = (OperationKind.RESCUE, OperationKind.IMAGE, OperationKind.PASSWORD, *_NEW_DISK)
NO_AGENT = lazy("No agent answers in its guest, so a new password takes rescue.")
_STANDS = {
    VMState.RUNNING: lazy("It runs."),
    VMState.STOPPED: lazy("It is off."),
    VMState.PAUSED: lazy("It stands still: resume it first."),
    VMState.SLEEPING: lazy("It sleeps: wake it first."),
    VMState.ERROR: lazy("It is in error: it can be started or deleted."),
}


def obstacles(vm: VM) -> dict[str, str]:
    """For each of ``ORDERS`` why the one who looks cannot give it now; '' where they can."""
    return {order: _obstacle(vm, order, *rule) for order, rule in ORDERS.items()}


def _obstacle(vm: VM, order: str, right: ProjectAction, kind: OperationKind | None) -> str:
    if not vm.allows(right):
        return _("Your role in this project does not include this.")
    if vm.is_archived and (kind in BEGINNING or order in ("move", "launch")):
        return _("The project is archived.")
    is_possible = vm.state in MOVABLE if order == "move" else kind is None or kind in ALLOWED_ACTIONS[vm.state]
    if not is_possible:
        return _of_state(vm.state)
    return _of_the_rest(vm, kind)


def _of_state(state: VMState) -> str:
    if state in IN_TRANSITION:
        return _("It is %(state)s: wait for that to end.", state=state_words(state))
    return str(_STANDS.get(state, ""))


def _of_the_rest(vm: VM, kind: OperationKind | None) -> str:
    """What the services look at beside role, project and state."""
    if vm.protected and kind in (OperationKind.DELETE, *_NEW_DISK):
        return _("It is protected: switch that off first.")
    if vm.rescued_at is not None and kind in _NOT_IN_RESCUE:
        return _("It is in rescue: leave that first.")
    if vm.rescued_at is None and kind == OperationKind.UNRESCUE:
        return _("It is not in rescue.")
    if not vm.agent and kind == OperationKind.PASSWORD:
        return str(NO_AGENT)
    if vm.has_snapshots and kind in (OperationKind.RESIZE, *_NEW_DISK):
        return _("It has snapshots: delete them first.")
    if vm.lacks_credits and kind == OperationKind.START:
        return _("There are not enough credits to start it.")
    return ""
