"""The event log: who did what, when, to what, and how it ended. It is also what live pages follow."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from zentry_web.domain.query_language import EVERYTHING, ListSearch

UNKNOWN_ACCOUNT = "unknown"  # the resource of a refused log-in for an address without an account


class Outcome(StrEnum):
    ACCEPTED = "accepted"  # it was asked for and will be done
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    REFUSED = "refused"


class _VM(Protocol):
    """A VM, as a row or as an object."""

    @property
    def id(self) -> str: ...
    @property
    def owner_id(self) -> str: ...
    @property
    def project_id(self) -> str: ...


class _Project(Protocol):
    """A project, as a row or as an object."""

    @property
    def id(self) -> str: ...
    @property
    def owner_id(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Subject:
    """What an event is about, and in whose activity lists it stands; without an owner: in those of who did it."""

    kind: str  # the event's resource_type
    id: str
    owner_id: str | None = None
    project_id: str | None = None
    vm_id: str | None = None
    operation_id: str | None = None

    @classmethod
    def vm(cls, vm: _VM, operation_id: str | None = None) -> "Subject":
        """A machine, in its owner's and its project's lists."""
        return cls("vm", vm.id, vm.owner_id, vm.project_id, vm.id, operation_id)

    @classmethod
    def project(cls, project: _Project) -> "Subject":
        return cls("project", project.id, project.owner_id, project.id)

    @classmethod
    def member(cls, user_id: str, project: _Project) -> "Subject":
        """Somebody as a member of a project."""
        return cls("member", user_id, project.owner_id, project.id)

    @classmethod
    def user(cls, user_id: str) -> "Subject":
        """An account, in its own list."""
        return cls("user", user_id, user_id)


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
    undo_id: str = ""  # by which it can be undone
    undo_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class TrailFilter:
    """What of the audit trail is looked for; empty: any. ``action`` may be a group such as ``auth.``; ``actor_id`` and
    ``resource_id`` are ids, or e-mail addresses of accounts; [``start``, ``end``) are moments. ``search``: what else
    has to fit (``list_keys.AUDIT``)."""

    action: str = ""
    actor_id: str = ""
    resource_id: str = ""
    outcome: str = ""
    start: datetime | None = None
    end: datetime | None = None
    search: ListSearch = EVERYTHING


@dataclass(frozen=True, slots=True)
class TrailCheck:
    """What came of checking a stretch of the audit trail, the newest first: events with the numbers ``first`` to
    ``last``. ``missing``: numbers between them that no event has; None where the database leaves numbers out by itself.
    """

    count: int
    first: int
    last: int
    first_at: datetime
    last_at: datetime
    missing: int | None
    intact: int  # whose personal fields match their hash
    erased: int  # whose personal fields are gone, as of a deleted account
    altered: tuple[int, ...]  # the numbers of those whose fields do not match
    unknown: int  # records of usage that name an event of this stretch that is not there
    next_before: int | None  # where the next stretch begins, if there is one

    @property
    def ok(self) -> bool:
        return not (self.missing or self.altered or self.unknown)
