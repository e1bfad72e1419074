"""Proving backups: one at a time, each booted and thrown away."""

from collections.abc import Callable

from zentry_web.adapters.compute.base import ComputeDriver, ComputeRefused
from zentry_web.adapters.compute.proofs import ProofLook, ProofOrder, ProofSign
from zentry_web.domain.vms.proof import PROOF_SECONDS, ProofOutcome, WantedProof
from zentry_web.services.shared.rounds import each_alone, steps
from zentry_web.services.vm_service import VMService

_ENDS = {
    ProofSign.UP: ProofOutcome.BOOTED,
    ProofSign.BROKEN: ProofOutcome.BROKEN,
    ProofSign.OFF: ProofOutcome.OFF,
}
CALM_SECONDS = 10.0  # between rounds while none is wanted
_TOO_LATE = {ProofSign.NOTHING: ProofOutcome.SILENT, ProofSign.OUTPUT: ProofOutcome.SPOKE}


class ProofKeeper:
    """A loop of the worker's. What nobody waits for any more is removed by each round: what came of it was recorded, it
    was called off, its backup is gone, or a worker was killed in the middle."""

    def __init__(self, vms: VMService, driver: ComputeDriver, checkpoint: Callable[[str], None]) -> None:
        self._proofs, self._driver, self._checkpoint = vms.proofs, driver, checkpoint
        self._is_calm = False

    def run(self) -> float | None:
        """One round; see Worker.loops."""
        steps("proofs", [("proof", self._prove), ("left over", self._end_left)])
        return CALM_SECONDS if self._is_calm else None

    def _prove(self) -> None:
        wanted = self._proofs.find_wanted()
        self._is_calm = wanted is None
        if wanted is None:
            return
        try:
            look = self._driver.proofs.look(wanted.backup_id)
            if look is None:
                self._begin(wanted)
                return
        except ComputeRefused as refused:
            self._proofs.record(wanted, ProofOutcome.REFUSED, text=str(refused))
            return
        if outcome := outcome_of(look):
            self._checkpoint("proof.seen")
            self._proofs.record(wanted, outcome, look.seconds, look.text)
            self._checkpoint("proof.recorded")

    def _begin(self, wanted: WantedProof) -> None:
        # What is left of an attempt goes first, and of others: one guest at a time.
        self._driver.proofs.end(wanted.backup_id)
        self._end_left()
        self._driver.proofs.begin(ProofOrder(wanted.backup_id, wanted.vm_id, wanted.image, wanted.memory_mib))
        self._checkpoint("proof.begun")

    def _end_left(self) -> None:
        if stored := self._driver.proofs.stored():
            wanted = self._proofs.find_wanted()
            left = [each for each in stored if wanted is None or each != wanted.backup_id]
            each_alone("end proof", left, self._driver.proofs.end)


def outcome_of(look: ProofLook) -> ProofOutcome | None:
    """How it has ended; None while it may yet come up."""
    if look.sign in _ENDS:
        return _ENDS[look.sign]
    return _TOO_LATE[look.sign] if look.seconds >= PROOF_SECONDS else None
