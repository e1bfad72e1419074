"""The proof of a backup: it was booted once, and what was seen of it. Pure rules."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from zentry_web.domain.language import _
from zentry_web.domain.stored_texts import said

PROOF_SECONDS = 300  # so long a guest may take to show that it is up
MOST_TEXT = 4_000  # characters that are kept of its console
LEAST_MEMORY_MIB = 256


class ProofOutcome(StrEnum):
    BOOTED = "booted"
    BROKEN = "broken"  # it says that it cannot use its disk
    OFF = "off"
    SPOKE = "spoke"  # it wrote something, and nothing that shows that it is up
    SILENT = "silent"
    REFUSED = "refused"  # it could not be tried
    ABORTED = "aborted"


@dataclass(frozen=True, slots=True)
class Proof:
    """How the last one of a backup ended."""

    outcome: ProofOutcome
    at: datetime
    seconds: int  # that it ran
    text: str  # the end of what it wrote; of a refused one the reason

    @property
    def words(self) -> str:
        """A sentence."""
        match self.outcome:
            case ProofOutcome.BOOTED:
                return _("It booted in %(seconds)s s.", seconds=self.seconds)
            case ProofOutcome.BROKEN:
                return _("It began to boot, and then could not use its disk.")
            case ProofOutcome.OFF:
                return _("It went off before it was up.")
            case ProofOutcome.SPOKE:
                return _(
                    "It wrote to its console, but within %(seconds)s s no log-in prompt came.", seconds=self.seconds
                )
            case ProofOutcome.SILENT:
                return _("Nothing came from it within %(seconds)s s.", seconds=self.seconds)
            case ProofOutcome.REFUSED:
                return _("It could not be tried: %(reason)s", reason=said(self.text))
        return _("The proof was aborted.")

    @property
    def console(self) -> str:
        """What it wrote last; '' of one that did not run."""
        return "" if self.outcome in (ProofOutcome.REFUSED, ProofOutcome.ABORTED) else self.text


@dataclass(frozen=True, slots=True)
class WantedProof:
    """One that somebody has asked for."""

    backup_id: str
    vm_id: str
    asked_at: datetime
    image: str  # that boots it, by the driver's name
    memory_mib: int
