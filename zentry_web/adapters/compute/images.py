"""What Zentry needs of a hypervisor's images: which there are, making one, removing one.

Making takes minutes and is done by a thread of its own; ``Watch`` keeps others told and can end it. It may be
repeated: what an attempt that was killed left is gone on with or thrown away, and what is whole is not made again.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from zentry_web.adapters.compute.watch import Watch
from zentry_web.domain.vms.image import ImageSource


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """Where images may be fetched from, and how much of it. A host that begins with a dot stands for all below it."""

    hosts: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()  # private ones that a host may be in all the same
    ca_file: Path | None = None  # who vouches for a host, where no public authority does
    most_bytes: int = 20 * 1024**3  # of the file as it comes, and of the disk in it
    fetch_seconds: float = 4 * 3600.0
    stall_seconds: float = 30.0  # in which nothing comes
    tries: int = 5  # in a row that bring nothing
    pause_seconds: float = 2.0  # between two of them
    tool_seconds: int = 3600  # of a program that looks at, converts or builds

    def allows(self, host: str) -> bool:
        """Whether a host is among those named, or below one that begins with a dot."""
        return any(host == each or (each.startswith(".") and host.endswith(each)) for each in self.hosts)


@dataclass(frozen=True, slots=True)
class ImageOrder:
    """What is to be made. ``name`` is the idempotency key."""

    name: str  # what machines will be made from; a DNS label with dots
    source: ImageSource
    reference: str  # an address, a file, a recipe's name, the key of a copy of a machine's disk
    sha256: str = ""  # of the file as it comes
    limits: ImageLimits = field(default_factory=ImageLimits)


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What was made."""

    sha256: str  # of the disk as it is kept
    size_bytes: int  # what it takes on the host
    disk_bytes: int  # what a guest sees


class Images(Protocol):
    """Methods may raise ComputeUnavailable: nobody knows, try again later."""

    def names(self) -> tuple[str, ...]:
        """Those that machines can be made from now."""

    def make(self, order: ImageOrder, watch: Watch) -> ImageFacts:
        """Fetch, look at, convert or build an image; it is there whole when this returns, or not at all.

        Raises ComputeRefused with a sentence for the admin (nothing is left over then), Stopped (what can be gone
        on with is kept; ``forget`` removes it).
        """

    def forget(self, order: ImageOrder) -> None:
        """Throw away what an attempt to make this image left, and a file that was brought here for it. Nothing there
        is fine."""

    def remove(self, name: str) -> bool:
        """Remove an image; False when machines are still based on it: then it stays whole. Success if missing."""
