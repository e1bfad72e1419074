"""Proofs: a backup is booted once, and nothing of it is left."""

import pytest

from tests.compute_contract.backups import make_backup
from tests.compute_contract.rig import ComputeRig, wait_for
from zentry_web.adapters.compute.base import ComputeRefused
from zentry_web.adapters.compute.proofs import ProofLook, ProofOrder, ProofSign

OVER = (ProofSign.UP, ProofSign.BROKEN, ProofSign.OFF)


def order(backup_id: str, vm_id: str, image: str = "tiny") -> ProofOrder:
    return ProofOrder(backup_id, vm_id, image, memory_mib=256)


def outcome(rig: ComputeRig, backup_id: str) -> ProofLook | None:
    """The look that ends a proof; None while it is under way."""
    found = rig.driver.proofs.look(backup_id)
    assert found is not None, "nobody is at it"
    return found if found.sign in OVER else None


class ProofContract:
    """The tests of proofs."""

    def test_a_backup_boots_beside_its_machine_and_is_thrown_away(self, rig: ComputeRig) -> None:
        vm_id = rig.booted()
        backup_id = make_backup(rig, vm_id)
        before, known = rig.get(vm_id), {machine.vm_id for machine in rig.driver.machines()}
        digest = rig.driver.backups.progress(backup_id)
        rig.driver.proofs.begin(order(backup_id, vm_id))
        rig.driver.proofs.begin(order(backup_id, vm_id))  # again: it is under way
        assert rig.driver.proofs.stored() == (backup_id,)
        found = wait_for(lambda: outcome(rig, backup_id), 120, "it to boot")
        assert found.sign is ProofSign.UP, found.text
        assert found.seconds > 0
        assert f"ZENTRY-READY {vm_id}" in found.text
        assert {machine.vm_id for machine in rig.driver.machines()} == known, "it is none of the machines"
        assert {figures.vm_id for figures in rig.driver.statistics()} <= known
        assert (rig.get(vm_id).run_id, rig.get(vm_id).power) == (before.run_id, before.power)
        rig.driver.proofs.end(backup_id)
        rig.driver.proofs.end(backup_id)
        assert rig.driver.proofs.stored() == ()
        assert rig.driver.proofs.look(backup_id) is None
        assert rig.driver.backups.progress(backup_id) == digest
        rig.driver.delete(vm_id)
        rig.driver.backups.delete(backup_id)

    def test_one_of_a_machine_that_is_gone_and_one_that_is_given_up(self, rig: ComputeRig) -> None:
        vm_id = rig.created()
        backup_id = make_backup(rig, vm_id)
        rig.driver.delete(vm_id)
        rig.driver.proofs.begin(order(backup_id, vm_id))
        rig.driver.proofs.end(backup_id)
        assert rig.driver.proofs.stored() == ()
        assert rig.driver.proofs.look(backup_id) is None
        rig.driver.backups.delete(backup_id)

    def test_what_cannot_be_booted_is_refused(self, rig: ComputeRig) -> None:
        vm_id = rig.created()
        with pytest.raises(ComputeRefused, match="no longer there"):
            rig.driver.proofs.begin(order("bak_none", vm_id))
        backup_id = make_backup(rig, vm_id)
        with pytest.raises(ComputeRefused, match="is not on this host"):
            rig.driver.proofs.begin(order(backup_id, vm_id, "none"))
        assert rig.driver.proofs.stored() == ()
        assert rig.driver.proofs.look("bak_none") is None
        rig.driver.delete(vm_id)
        rig.driver.backups.delete(backup_id)
