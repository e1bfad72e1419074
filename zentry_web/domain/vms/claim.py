"""What a worker has taken up."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from zentry_web.domain.vms.operation import OperationKind


@dataclass(frozen=True, slots=True)
class Claim:
    """An operation that a worker holds. ``attempt`` is the fence: an older claim can record nothing."""

    operation_id: str
    owner_id: str  # whose wallet pays for the VM: turns go round by it
    kind: OperationKind
    vm_id: str
    reason: str
    requested_by: str
    worker: str
    step: str  # how far an attempt before this one came
    attempt: int
    created_at: datetime
    give_up_at: datetime
    details: dict[str, Any]
    log: list[dict[str, str]] = field(default_factory=list)  # as Operation.log
    aborted_by: str | None = None  # somebody wants it to end: what was done is put back, nothing more is begun
