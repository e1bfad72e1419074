"""What waits for libvirtd goes on as soon as it is back. Daemon, worker and guest are real."""

import os
import shutil
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from tests.compute_contract import wait_for
from tests.conftest import make_config
from tests.libvirt_daemon import private_libvirtd
from tests.libvirt_fixture import lend_images, let_the_hypervisor_pass
from tests.real.worker_process import guest_rig_on
from zentry_web.adapters.compute.libvirt.copies.backup_jobs import read_job
from zentry_web.domain.vms.backup import BackupState
from zentry_web.domain.vms.operation import OperationState
from zentry_web.domain.vms.state import VMState
from zentry_web.migrate import migrate
from zentry_web.models import DbOperation

pytestmark = [pytest.mark.real, pytest.mark.error, pytest.mark.timeout(600)]

LONG = timedelta(seconds=25)  # the back-off is one of 32 s by then


@pytest.fixture
def daemon(tmp_path_factory):
    with private_libvirtd(tmp_path_factory.mktemp("libvirtd")) as daemon:
        yield daemon


@pytest.fixture
def hold(tmp_path):
    """While this file is there no disk is copied: qemu-img waits."""
    hold, tool = tmp_path / "hold", tmp_path / "bin" / "qemu-img"
    tool.parent.mkdir()
    wait = f'[ "$1" != convert ] || while [ -e {hold} ]; do touch {hold}.waits; sleep 0.1; done'
    tool.write_text(f'#!/bin/sh\n{wait}\nexec {shutil.which("qemu-img")} "$@"\n')
    tool.chmod(0o755)
    return hold


@pytest.fixture
def rig(tmp_path, daemon, hold):
    place = {"backups": tmp_path / "backups", "backups_same_disk": True}
    config = make_config(tmp_path / "data", compute="libvirt", libvirt_uri=daemon.uri, **place)
    migrate(config)
    let_the_hypervisor_pass(config.data)
    lend_images(config.data)
    path = f"{hold.with_name('bin')}:{os.environ['PATH']}"
    settings = {"ZENTRY_BACKUPS": str(place["backups"]), "ZENTRY_BACKUPS_SAME_DISK": "1", "PATH": path}
    with guest_rig_on(config, **settings) as rig:
        yield rig


def test_a_backup_in_whose_middle_it_is_killed_is_made_once_and_its_guest_goes_on(rig, daemon, hold):
    vm = rig.launch("web")
    rig.worker.start()
    rig.worker.wait_for(lambda: rig.vms.get_vm(vm.id).answered_at, 180, "the guest's answer")
    rig.worker.wait_for(rig.is_settled, 60, "everything to settle")
    before = rig.driver.machine(vm.id)
    hold.touch()
    rig.vms.backups.take(vm.id, {"name": "nightly", "note": ""}, actor=rig.me)
    # Its job is under way, and libvirtd has written down that it is.
    rig.worker.wait_for(hold.with_name("hold.waits").exists, 60, "qemu-img to begin")
    daemon.kill()
    hold.unlink()
    daemon.start()
    rig.worker.wait_for(
        lambda: [each.state for each in rig.vms.backups.list(vm.id, actor=rig.me)] == [BackupState.READY],
        240,
        "a whole backup",
    )
    rig.settle()
    assert rig.driver.machine(vm.id) == before
    assert [path.name for path in (rig.config.data / "machines").glob(".*")] == []
    (backup,) = rig.vms.backups.list(vm.id, actor=rig.me)
    assert rig.driver.backups.stored() == (backup.id,)
    assert [path.name for path in rig.config.backups.rglob("*") if path.is_dir()][1:] == [backup.id]
    assert rig.driver._connection.call(lambda c: read_job(rig.driver._need(c, vm.id))) == "", "it is ended"


def test_a_launch_that_waits_for_libvirtd_goes_on_when_it_is_back(rig, daemon):
    """However long its back-off has grown: the moment it is due again is brought forward."""
    vm = rig.launch("web")
    daemon.kill()
    rig.worker.start()

    def launch():
        return rig.rows(select(DbOperation).where(DbOperation.vm_id == vm.id))[0]

    def waits_long():
        found = launch()
        return found.state == OperationState.QUEUED and found.run_at > datetime.now(UTC) + LONG

    rig.worker.wait_for(waits_long, 240, "the back-off to grow")
    put_off_to, tries = launch().run_at, launch().attempts
    daemon.start()
    rig.worker.wait_for(lambda: launch().attempts > tries, 120, "the next try")
    assert launch().run_at < put_off_to, "it did not wait for its time"
    wait_for(lambda: rig.state(vm) == VMState.RUNNING, 240, "the machine to run")
    assert launch().state == OperationState.SUCCEEDED
    rig.worker.end()
    rig.assert_sound()
