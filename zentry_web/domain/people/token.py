"""What programs log in with."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from zentry_web.domain.language import lazy


class TokenKind(StrEnum):
    ACCESS = "access"  # minutes; from a log-in or a refresh token
    REFRESH = "refresh"  # days; used once, for the next pair
    PERSONAL = "personal"  # made by hand, with scopes and an end


class Party(StrEnum):
    """Who takes part in calls between processes."""

    WEB = "web"
    WORKER = "worker"
    AGENT = "agent"  # something beside Zentry that hands samples in
    OPERATOR = "operator"  # whoever runs the machine, by hand or by a scraper


class TokenScope(StrEnum):
    ACCOUNT_READ = "account:read"
    VMS_READ = "vms:read"


SCOPES: dict[TokenScope, str] = {
    TokenScope.ACCOUNT_READ: lazy("Read your name, address and role"),
    TokenScope.VMS_READ: lazy("List your virtual machines"),
}
# Begins a token, so that whoever finds one knows what it is, and scanners for leaked secrets do too.
PREFIXES = {TokenKind.ACCESS: "zta_", TokenKind.REFRESH: "ztr_", TokenKind.PERSONAL: "ztp_"}


@dataclass(frozen=True, slots=True)
class TokenPair:
    """The answer of a log-in by a program. Neither secret is shown again."""

    access_token: str
    expires_in: int  # seconds
    refresh_token: str
    refresh_expires_in: int  # seconds


@dataclass(frozen=True, slots=True)
class PersonalToken:
    """A token made by hand, without its secret."""

    id: str
    name: str
    scopes: tuple[TokenScope, ...]
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None
