"""kill -9 at each step of a backup, of its proof and of its return, on a real guest: each is done once."""

import pytest

from tests.libvirt_fixture import virsh
from tests.real.test_kill import kill_at_each
from tests.real.test_kill_guests import answered
from tests.real.worker_process import Rig, guest_rig_on, libvirt_config
from zentry_web.adapters.compute.libvirt.driver import LibvirtCompute
from zentry_web.domain.vms.backup import BackupState
from zentry_web.domain.vms.proof import ProofOutcome
from zentry_web.domain.vms.state import VMState

pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]


@pytest.fixture
def real(tmp_path):
    """On a real guest, with a place for backups; both are gone afterwards."""
    with guest_rig_on(libvirt_config(tmp_path, has_backups=True)) as rig:
        assert isinstance(rig.driver, LibvirtCompute)
        yield rig


def test_every_step_on_a_real_guest(real: Rig):
    vm = real.launch("web")
    real.worker.start()
    real.worker.wait_for(answered(real, vm), 180, "the guest's answer")
    real.settle()
    run_id = real.driver.machine(vm.id).run_id
    real.vms.backups.take(vm.id, {"name": "before", "note": ""}, actor=real.me)
    kill_at_each(real, "backup", ("claimed", "begun", "whole"))
    real.settle()
    (backup,) = real.vms.backups.list(vm.id, actor=real.me)
    assert backup.state == BackupState.READY
    assert real.driver.backups.stored() == (backup.id,)
    real.vms.proofs.request(vm.id, backup.id, actor=real.me)
    kill_at_each(real, "proof", ("begun", "seen", "recorded"))
    real.worker.start()
    real.worker.wait_for(lambda: real.driver.proofs.stored() == (), 60, "what is left of the proof to be removed")
    real.worker.end()
    proof = real.vms.backups.get(vm.id, backup.id, actor=real.me).proof
    assert proof.outcome == ProofOutcome.BOOTED, proof
    assert f"zproof-{real.driver._namespace}" not in virsh(real.driver.uri, "list", "--all", "--name")
    assert real.driver.machine(vm.id).run_id == run_id, "it went on"
    operation = real.vms.recovering.request(vm.id, backup.id, "web", actor=real.me)
    kill_at_each(real, "recover", ("claimed", "recorded", "begun", "changed"))
    real.settle()
    assert real.state(vm) == VMState.RUNNING
    assert real.driver.machine(vm.id).run_id != run_id
    assert real.vms.rebuilding.find_aside(vm.id, actor=real.me).operation_id == operation.id
    real.vms.rebuilding.request_back(vm.id, actor=real.me)
    real.settle()
    assert real.state(vm) == VMState.RUNNING
    real.vms.backups.delete(vm.id, backup.id, actor=real.me)
    real.worker.start()
    real.worker.wait_for(lambda: real.driver.backups.stored() == (), 60, "the backup to be removed")
    real.vms.delete_vm(vm.id, vm.name, actor=real.me)
    real.settle()
    assert real.state(vm) == VMState.DELETED
    assert real.driver.machines() == []
