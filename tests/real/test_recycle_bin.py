"""A real guest in the recycle bin is off, with its disk; restored it starts from that; purged nothing is left."""

import time

import pytest

from tests.conftest import make_config
from tests.libvirt_fixture import lend_images, libvirt_uri, virsh
from tests.real.worker_process import Rig, guest_rig_on
from zentry_web.adapters.compute.base import PowerState
from zentry_web.adapters.compute.libvirt.xml import domain_uuid
from zentry_web.domain.vms.state import VMState
from zentry_web.migrate import migrate

pytestmark = [pytest.mark.real, pytest.mark.timeout(500)]


@pytest.fixture
def rig(tmp_path):
    settings = {"libvirt_uri": libvirt_uri(tmp_path / "libvirtd-notes"), "bin_days": 7}
    config = make_config(tmp_path / "data", compute="libvirt", **settings)
    migrate(config)
    lend_images(config.data)
    with guest_rig_on(config, ZENTRY_RECONCILE_SECONDS="3", ZENTRY_BIN_DAYS="7") as made:
        yield made


def started_by_others(rig, vm):
    """Somebody starts it on the host. Where that takes long Zentry cuts it off before virsh has ended: then again."""
    for last in (False, False, True):
        try:
            virsh(rig.config.libvirt_uri, "start", domain_uuid(rig.config.get_namespace(), vm.id))
            return
        except AssertionError as refused:
            if last or not any(words in str(refused) for words in ("process exited", "terminating on signal 15")):
                raise


def test_binned_started_by_others_restored_started_and_purged(rig: Rig):
    vm = rig.launch("web")
    rig.worker.start()

    def wait(what, seconds, words):
        rig.worker.wait_for(what, seconds, words)

    wait(lambda: rig.state(vm) == VMState.RUNNING, 120, "the VM to run")
    wait(lambda: rig.vms.get_vm(vm.id).answered_at, 200, "the guest to answer")
    rig.vms.delete_vm(vm.id, "web", actor=rig.me)
    wait(lambda: rig.state(vm) == VMState.BINNED, 60, "the VM to be in the bin")
    machine = rig.driver.machine(vm.id)
    assert machine is not None
    assert machine.power == PowerState.OFF
    assert rig.disks() == {vm.id}
    time.sleep(7)  # two rounds of the reconciler, which must not take it for a leftover
    assert rig.disks() == {vm.id}

    started_by_others(rig, vm)
    wait(lambda: rig.driver.machine(vm.id).power == PowerState.OFF, 60, "what others started to be cut off")
    wait(lambda: rig.state(vm) == VMState.BINNED, 60, "the VM to be in the bin again")

    rig.vms.bin.restore(vm.id, "web", actor=rig.me)
    rig.vms.start_vm(vm.id, actor=rig.me)
    wait(lambda: rig.state(vm) == VMState.RUNNING, 120, "the VM to run again")
    wait(lambda: rig.vms.get_vm(vm.id).answered_at, 200, "the guest to answer from its old disk")

    rig.vms.delete_vm(vm.id, "web", actor=rig.me)
    wait(lambda: rig.state(vm) == VMState.BINNED, 60, "the VM to be in the bin")
    rig.vms.bin.purge(vm.id, "web", actor=rig.me)
    wait(lambda: rig.state(vm) == VMState.DELETED, 60, "the VM to be gone")
    assert rig.disks() == set()
    rig.settle()
