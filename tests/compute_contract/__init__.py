"""What every compute driver must do. Run on the simulator and on real libvirt, so that the twin cannot lie.

A subclass gives a class-scoped fixture ``rig`` (a ``ComputeRig``) and inherits the tests; a module for each capability.
"""

from tests.compute_contract.agents import AgentContract
from tests.compute_contract.backups import BackupContract
from tests.compute_contract.consoles import ConsoleContract
from tests.compute_contract.identity import IdentityContract
from tests.compute_contract.machines import ComputeContract
from tests.compute_contract.proofs import ProofContract
from tests.compute_contract.rebuilds import RebuildContract
from tests.compute_contract.rescues import RescueContract
from tests.compute_contract.rig import ComputeRig, wait_for
from tests.compute_contract.snapshots import SnapshotContract

__all__ = [
    "AgentContract",
    "BackupContract",
    "ComputeContract",
    "ComputeRig",
    "ConsoleContract",
    "IdentityContract",
    "ProofContract",
    "RebuildContract",
    "RescueContract",
    "SnapshotContract",
    "wait_for",
]
