"""The event log: who did what, when, to what, and how it ended. It is also what live pages follow."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class Outcome(StrEnum):
    ACCEPTED = "accepted"  # it was asked for and will be done
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Event:
    """One row of the log. ``details`` hold ids and figures only, nothing personal."""

    seq: int
    id: str
    at: datetime
    actor_id: str
    action: str  # 'vm.start', 'auth.login', …
    outcome: Outcome
    resource_type: str
    resource_id: str
    owner_id: str | None = None  # whose activity list and live stream it belongs to
    project_id: str | None = None
    vm_id: str | None = None
    operation_id: str | None = None
    details: dict[str, Any] = field(default_factory=dict)
    personal: dict[str, str] = field(default_factory=dict)  # e-mail, name, address, agent; empty once erased
    personal_intact: bool | None = None  # fields match the hash; None when erased or never there
    actor_name: str = ""  # the account's name now; 'Zentry' for the system
    resource_name: str = ""  # the VM's name now, when it is about one
    ended: str = ""  # for a request that became an operation: its state now
    ended_at: datetime | None = None
    error: str = ""  # why it failed, or what it waits for
