"""Proving backups: a backup is booted once, in a network of its own, and thrown away.

The guest is none of the machines: no listing, figure or event knows it. It boots a copy of the backup, so that nothing
touches the backup itself. Booting takes minutes, so nothing here waits for it: ``begin`` starts it, and ``look`` is
asked again and again.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class ProofSign(StrEnum):
    """What is seen of the guest. The last three end a proof."""

    NOTHING = "nothing"  # nothing yet, or only its firmware and boot loader
    OUTPUT = "output"  # it has written to its console
    UP = "up"  # a log-in prompt, or the ready line of Zentry's images
    BROKEN = "broken"  # it says that it cannot use its disk
    OFF = "off"  # it went off


@dataclass(frozen=True, slots=True)
class ProofOrder:
    """What is booted."""

    backup_id: str
    vm_id: str  # whose disk it is: the guest is told that it is that machine
    image: str  # that boots it, by the driver's name
    memory_mib: int


@dataclass(frozen=True, slots=True)
class ProofLook:
    """How far it is."""

    seconds: float = 0.0  # since it was switched on; 0 while its disk is copied
    sign: ProofSign = ProofSign.NOTHING
    text: str = ""  # the end of what it wrote to its console


class BackupProofs(Protocol):
    """A part of ComputeDriver, which says what all of its methods may raise."""

    def begin(self, order: ProofOrder) -> None:
        """Begin to boot a backup; success if that is under way. Its digest is compared first.

        Raises ComputeRefused (the backup or the image is missing; no room, no memory).
        """

    def look(self, backup_id: str) -> ProofLook | None:
        """None when it is not under way, or was lost with a killed worker. Raises ComputeRefused with the reason when
        it could not be booted (the backup’s file has changed, no room); then nothing of it is left."""

    def end(self, backup_id: str) -> None:
        """Cut its power, and remove all of it but the backup. Success if there is none."""

    def stored(self) -> tuple[str, ...]:
        """The backups of which a proof takes up room or memory here."""
