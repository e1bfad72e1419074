"""What a guest learns of itself from its seed: name, keys, user data."""

from typing import Protocol

from zentry_web.adapters.compute.base import MachineSpec


class Identities(Protocol):
    """A part of ComputeDriver, which says what all of its methods may raise."""

    def renew(self, spec: MachineSpec) -> None:
        """Let the guest be called as in ``spec`` from its next boot on, running now or not. Success if it is already.

        A machine that runs under a hypervisor who may alone write its files follows when it is next powered on.
        Raises MachineMissing, ComputeRefused (its files are gone or cannot be written).
        """
