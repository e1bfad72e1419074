"""What ran before a crash, or before the host went, runs again by itself. Daemon, worker and guests are real."""

import os
import signal

import pytest
from sqlalchemy import select

from tests.compute_contract import wait_for
from tests.conftest import make_config
from tests.libvirt_daemon import private_libvirtd
from tests.libvirt_fixture import lend_images, let_the_hypervisor_pass
from tests.real.worker_process import Rig, guest_rig_on
from zentry_web.adapters.compute.host import find_guest_process
from zentry_web.adapters.compute.libvirt.xml import domain_uuid
from zentry_web.domain.vms.outage import Cause, OutageState, Restart
from zentry_web.domain.vms.state import VMState
from zentry_web.migrate import migrate
from zentry_web.models import DbOutage, DbUsageInterval

pytestmark = [pytest.mark.real, pytest.mark.error, pytest.mark.timeout(900)]


@pytest.fixture
def daemon(tmp_path_factory):
    with private_libvirtd(tmp_path_factory.mktemp("libvirtd")) as daemon:
        yield daemon


@pytest.fixture
def rig(tmp_path, daemon):
    config = make_config(tmp_path / "data", compute="libvirt", libvirt_uri=daemon.uri)
    migrate(config)
    let_the_hypervisor_pass(config.data)
    lend_images(config.data)
    with guest_rig_on(config) as rig:
        yield rig


def kill_guest(rig: Rig, vm):
    process = find_guest_process(domain_uuid(rig.config.get_namespace(), vm.id))
    assert process is not None
    os.kill(process.pid, signal.SIGKILL)
    wait_for(lambda: find_guest_process(domain_uuid(rig.config.get_namespace(), vm.id)) is None, 10, "it to be gone")


def spans(rig: Rig, vm):
    query = select(DbUsageInterval).where(DbUsageInterval.vm_id == vm.id, DbUsageInterval.state == "running")
    return rig.rows(query.order_by(DbUsageInterval.start_at))


def outages(rig: Rig, vm):
    return rig.rows(select(DbOutage).where(DbOutage.vm_id == vm.id).order_by(DbOutage.id))


def is_back(rig: Rig, vm, times):
    found = outages(rig, vm)
    return len(found) == times and found[-1].state == OutageState.BACK and rig.state(vm) == VMState.RUNNING


def test_after_a_crash_and_after_the_host_was_away(rig: Rig, daemon):
    """All that the host's reboot takes: the worker, every guest, libvirtd with what it knew of them."""
    web, quiet = rig.launch("web"), rig.launch("quiet")
    rig.vms.outages.choose(quiet.id, Restart.NEVER, actor=rig.me)
    rig.worker.start()
    for vm in (web, quiet):
        rig.worker.wait_for(lambda vm=vm: rig.vms.get_vm(vm.id).answered_at, 240, "an answer")

    kill_guest(rig, web)
    rig.worker.wait_for(lambda: is_back(rig, web, 1), 60, "it to run again after the crash")
    assert [row.cause for row in outages(rig, web)] == [Cause.CRASH]
    rig.worker.wait_for(lambda: len(rig.billing.notices.list_notices(rig.alice.id)) > 0, 60, "a notice")
    rig.worker.wait_for(lambda: rig.vms.get_vm(web.id).answered_at, 240, "an answer after the crash")

    rig.worker.kill()
    daemon.kill()
    for vm in (web, quiet):
        kill_guest(rig, vm)
    daemon.start()
    rig.worker.start()
    rig.worker.wait_for(lambda: is_back(rig, web, 2), 120, "it to run again after the host")
    rig.worker.wait_for(lambda: rig.state(quiet) == VMState.STOPPED, 60, "what never starts to be off")
    assert outages(rig, quiet)[0].state == OutageState.STAYS
    before, crashed, last = spans(rig, web)
    assert (crashed.minimum_seconds, last.minimum_seconds) == (0, 0), "no minimum of what Zentry starts"
    assert before.end_at <= crashed.start_at
    assert crashed.end_at <= last.start_at
    rig.settle()
    assert rig.state(quiet) == VMState.STOPPED
