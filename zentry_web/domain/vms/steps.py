"""The steps of an operation as its page shows them."""

from dataclasses import dataclass
from datetime import datetime

from zentry_web.domain.event import Event
from zentry_web.domain.monitoring import ComputeStatus
from zentry_web.domain.vms.kinds import KINDS
from zentry_web.domain.vms.operation import CHANGES, Operation, OperationKind, OperationState
from zentry_web.domain.vms.state import VMState
from zentry_web.domain.vms.vm import VM

# The steps a person watches while a VM comes up.
LAUNCH_STEPS = ("queued", "disk", "boot", "running", "answered")


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a launch as the page shows it."""

    name: str
    status: str  # 'done', 'current', 'waiting', 'failed'
    at: datetime | None = None
    lasted: float | None = None  # seconds, where the operation's own page says so


@dataclass(frozen=True, slots=True)
class VMPage:
    """A VM with what its page shows beside it."""

    vm: VM
    operation: Operation | None  # the one under way, or the last
    steps: tuple[Step, ...]
    compute: ComputeStatus
    events: tuple[Event, ...] = ()  # the newest, where they were asked for


def launch_steps(vm: VM, operation: Operation | None) -> tuple[Step, ...]:
    """The steps of coming up or of a change, from the VM's own facts and its operation's recorded step."""
    names = _step_names(operation)
    if operation is None or not names:
        return ()
    # Before a change is done, the machine has answered in the run before.
    ended = operation.state == OperationState.SUCCEEDED or operation.kind not in CHANGES
    if ended and (vm.answered_at is not None or "answered" not in names):
        reached = len(names)
    elif vm.state == VMState.RUNNING and "running" in names:
        reached = names.index("answered")  # 'running' is done, 'answered' is awaited
    else:
        reached = names.index(operation.step) if operation.step in names else 0
    failed = operation.state == OperationState.FAILED
    times = {"queued": operation.created_at, "running": vm.started_at, "answered": vm.answered_at}
    steps = []
    for index, name in enumerate(names):
        status = "done" if index < reached else "waiting"
        if index == reached:
            status = "failed" if failed else "current"
        steps.append(Step(name, status, times.get(name) if status == "done" else None))
    return tuple(steps)


def _step_names(operation: Operation | None) -> tuple[str, ...]:
    if operation is None:
        return ()
    if operation.kind in CHANGES:  # off, changed, up again; one that is off already is only changed
        steps = KINDS[operation.kind].steps
        return steps if operation.restarts else (steps[0], steps[2])
    return LAUNCH_STEPS if operation.kind in (OperationKind.CREATE, OperationKind.START) else ()
