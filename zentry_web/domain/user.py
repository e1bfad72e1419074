"""People, and who is acting."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Role(StrEnum):
    USER = "user"
    ADMIN = "admin"
    SYSTEM = "system"  # Zentry itself: the worker, the command line


@dataclass(frozen=True, slots=True)
class Actor:
    """Who does something, and from where. The address and agent go to the audit trail's side table only."""

    id: str
    role: Role
    address: str | None = None
    user_agent: str | None = None
    request_id: str | None = None

    @property
    def is_admin(self) -> bool:
        return self.role in (Role.ADMIN, Role.SYSTEM)


SYSTEM = Actor(id="system", role=Role.SYSTEM)


@dataclass(frozen=True, slots=True)
class User:
    """An account. E-mail and name are personal: never put them into an event's details."""

    id: str
    email: str
    name: str
    role: Role
    time_zone: str
    created_at: datetime
    disabled_at: datetime | None = None

    @property
    def is_admin(self) -> bool:
        return self.role == Role.ADMIN


@dataclass(frozen=True, slots=True)
class SignedIn:
    """The answer of a successful log-in: who, and the secret that the session cookie carries."""

    user: User
    session_token: str
    expires_at: datetime
