"""What somebody does to a real guest with virsh is noticed within ten seconds and billed to the second."""

import time
from datetime import UTC, datetime

import pytest
from sqlalchemy import select

from tests.libvirt_fixture import virsh
from tests.real.worker_process import Rig, guest_rig_on, libvirt_config
from zentry_web.adapters.compute.libvirt.xml import domain_uuid
from zentry_web.adapters.compute.words import PAUSED, SAVED
from zentry_web.domain.vms.state import VMState
from zentry_web.models import DbUsageInterval

pytestmark = [pytest.mark.real, pytest.mark.timeout(400)]


@pytest.fixture
def rig(tmp_path):
    config = libvirt_config(tmp_path)
    with guest_rig_on(config, ZENTRY_RECONCILE_SECONDS="3") as made:
        yield made


def running_spans(rig: Rig, vm):
    query = select(DbUsageInterval).where(DbUsageInterval.vm_id == vm.id, DbUsageInterval.state == "running")
    return rig.rows(query.order_by(DbUsageInterval.start_at))


def test_destroyed_started_and_undefined_by_others(rig: Rig):
    vm = rig.launch("web")
    rig.worker.start()

    def wait_state(state, seconds):
        rig.worker.wait_for(lambda: rig.state(vm) == state, seconds, f"the VM to be {state}")

    wait_state(VMState.RUNNING, 120)
    rig.worker.wait_for(lambda: rig.vms.get_compute_status().answered_at, 60, "the first listing")
    uuid = domain_uuid(rig.config.get_namespace(), vm.id)
    uri = rig.config.libvirt_uri

    virsh(uri, "destroy", uuid)
    went, seen = datetime.now(UTC), time.monotonic()
    wait_state(VMState.STOPPED, 10)
    assert time.monotonic() - seen < 10
    spans = running_spans(rig, vm)
    assert len(spans) == 1, [(span.start_at, span.end_at, span.closed_by) for span in spans]
    (span,) = spans
    assert abs((span.end_at - went).total_seconds()) <= 2

    virsh(uri, "start", uuid)
    wait_state(VMState.RUNNING, 10)
    assert running_spans(rig, vm)[-1].minimum_seconds == 0

    virsh(uri, "destroy", uuid)
    virsh(uri, "undefine", uuid)
    went = datetime.now(UTC)
    wait_state(VMState.ERROR, 10)
    span = running_spans(rig, vm)[-1]
    assert abs((span.end_at - went).total_seconds()) <= 2
    assert rig.disks() == {vm.id}

    rig.vms.start_vm(vm.id, actor=rig.me)
    wait_state(VMState.RUNNING, 60)
    rig.vms.delete_vm(vm.id, "web", actor=rig.me)
    rig.settle()
    assert rig.disks() == set()


def test_paused_and_saved_by_others(rig: Rig):
    vm = rig.launch("web")
    rig.worker.start()

    def wait_for(state, seconds, reason=""):
        def found():
            seen = rig.vms.get_vm(vm.id, actor=rig.me)
            return (seen.state, seen.state_reason) == (state, reason)

        rig.worker.wait_for(found, seconds, f"the VM to be {state}: {reason}")

    def wait_answered(seconds):
        rig.worker.wait_for(lambda: rig.vms.get_vm(vm.id, actor=rig.me).answered_at, seconds, "an answer")

    wait_answered(180)
    uuid, uri = domain_uuid(rig.config.get_namespace(), vm.id), rig.config.libvirt_uri
    virsh(uri, "suspend", uuid)
    wait_for(VMState.PAUSED, 30, PAUSED)
    rig.vms.resume_vm(vm.id, actor=rig.me)
    wait_for(VMState.RUNNING, 60)
    spans = running_spans(rig, vm)
    assert len(spans) == 1, [(span.start_at, span.end_at, span.closed_by) for span in spans]
    (span,) = spans
    assert span.end_at is None, "paid for all the time"

    virsh(uri, "managedsave", uuid)
    wait_for(VMState.STOPPED, 60, SAVED)
    rig.vms.resize_vm(vm.id, "size_micro", actor=rig.me)
    rig.worker.wait_for(rig.is_settled, 60, "the resize to be refused")
    refused = rig.vms.get_vm(vm.id, actor=rig.me)
    assert (refused.state, refused.size_id) == (VMState.STOPPED, vm.size_id)
    assert "memory is saved" in refused.state_reason
    rig.vms.start_vm(vm.id, actor=rig.me)
    wait_for(VMState.RUNNING, 60)
    wait_answered(60)
    assert rig.vms.get_vm(vm.id, actor=rig.me).address
    rig.assert_sound()
