"""An operation as its own page shows it: steps with their times, the driver's words, and what can be done about it."""

from dataclasses import dataclass
from datetime import datetime

from zentry_web.domain.vms.kinds import KINDS
from zentry_web.domain.vms.operation import OPEN_OPERATION_STATES, Operation, OperationKind, OperationState
from zentry_web.domain.vms.steps import Step
from zentry_web.domain.vms.vm import VM


@dataclass(frozen=True, slots=True)
class Said:
    """What the driver said when an attempt did not come to its end."""

    at: datetime
    text: str


@dataclass(frozen=True, slots=True)
class OperationPage:
    """``abort_problem``, ``again_problem``: why it cannot be aborted, or tried again ('' if it can; None: there is
    nothing to abort, or to try again)."""

    operation: Operation
    vm: VM
    who: str  # who asked for it
    aborted_by: str  # a name
    steps: tuple[Step, ...]
    said: tuple[Said, ...]
    sizes: tuple[str, str] | None  # of a resize: before and after
    abort_problem: str | None
    again_problem: str | None

    @property
    def is_open(self) -> bool:
        return self.operation.state in OPEN_OPERATION_STATES


@dataclass(frozen=True, slots=True)
class OperationLine:
    """One operation of a list."""

    id: str
    kind: OperationKind
    state: OperationState
    step: str
    vm_id: str
    vm_name: str
    is_gone: bool  # the machine is deleted
    project_name: str
    who: str
    created_at: datetime
    finished_at: datetime | None
    error: str


def operation_steps(operation: Operation) -> tuple[Step, ...]:
    """The steps of any operation with the times at which each began; pages of a machine that comes up show more
    (``launch_steps``)."""
    names = [name for name in KINDS[operation.kind].steps if name not in ("running", "answered")]
    if operation.kind == OperationKind.RESIZE and not operation.restarts:
        names = ["queued", "resize"]
    began = {"queued": operation.created_at} | {
        entry["step"]: datetime.fromisoformat(entry["at"]) for entry in operation.log if "step" in entry
    }
    reached = names.index(operation.step) if operation.step in names else 0
    ends = [began.get(name) for name in names[1:]] + [operation.finished_at]
    steps = []
    for index, name in enumerate(names):
        status = "done" if index < reached or operation.state == OperationState.SUCCEEDED else "waiting"
        if index == reached and operation.state != OperationState.SUCCEEDED:
            status = "current" if operation.state in OPEN_OPERATION_STATES else "failed"
        begin, end = began.get(name), ends[index] or (operation.finished_at if index == reached else None)
        lasted = max(0.0, (end - begin).total_seconds()) if begin and end else None
        steps.append(Step(name, status, begin, lasted))
    return tuple(steps)


def words_said(operation: Operation) -> tuple[Said, ...]:
    """What the driver said of the attempts that were put back, the last one first."""
    found = [Said(datetime.fromisoformat(entry["at"]), entry["said"]) for entry in operation.log if "said" in entry]
    return tuple(reversed(found))
