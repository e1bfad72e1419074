"""Consoles that people open: by what, for how long, and why they end (docs/adr/0034)."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

TICKET_LASTS = timedelta(seconds=30)
LOST_AFTER = timedelta(seconds=30)  # without a sign of the process that holds it
PER_PERSON = 12  # open at once
PER_VM = 12


class ConsoleKind(StrEnum):
    TEXT = "text"  # the serial port
    SCREEN = "screen"
    TEST = "test"  # looks at the way to it, hop by hop, and touches nothing


class ConsoleEnd(StrEnum):
    """Why one ended; what closes a WebSocket carries it as its reason."""

    LEFT = "left"  # the window was closed
    ACCESS = "access"  # the right, the session or the account ended
    OFF = "off"  # the machine went off, or its host ended the stream
    REFUSED = "refused"  # it cannot be opened: the words follow
    HOST = "host"  # the hypervisor does not answer
    FULL = "full"  # too many are open here
    DOOR = "door"  # the process for consoles does not run here
    STOPPED = "stopped"  # that process stopped
    LOST = "lost"  # it was killed
    DATABASE = "database"  # nobody can say any more who may stay


@dataclass(frozen=True, slots=True)
class ConsoleTicket:
    """Lets one browser session open one console of one machine, once, within ``TICKET_LASTS``."""

    token: str
    kind: ConsoleKind


@dataclass(frozen=True, slots=True)
class OpenConsole:
    """A console that somebody was let in to."""

    id: str
    vm_id: str
    kind: ConsoleKind
