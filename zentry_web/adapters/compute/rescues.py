"""Booting a rescue system in the place of a machine's own."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class RescueAccess:
    """Who may log in to it as root."""

    password_hash: str  # as /etc/shadow has it
    ssh_keys: tuple[str, ...] = ()


class Rescues(Protocol):
    """A part of ComputeDriver, which says what all of its methods may raise."""

    def enter(self, vm_id: str, access: RescueAccess) -> None:
        """Let a machine that is off boot the rescue system from its next start on, until ``leave``. It sees the
        machine's disk and mounts nothing of it; the address stays. Success if it does already.

        Raises MachineMissing, ComputeRefused (it runs; there is no rescue system; ``check_resize``): then nothing has
        changed.
        """

    def leave(self, vm_id: str) -> None:
        """Let a machine that is off boot its own system again. Success if it does. Raises MachineMissing,
        ComputeRefused (it runs; its image is gone)."""
