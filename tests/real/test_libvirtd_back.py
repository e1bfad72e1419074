"""What waits for libvirtd goes on as soon as it is back. Daemon, worker and guest are real."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from tests.compute_contract import wait_for
from tests.conftest import make_config
from tests.libvirt_daemon import private_libvirtd
from tests.libvirt_fixture import lend_images, let_the_hypervisor_pass
from tests.real.worker_process import rig_on
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
def rig(tmp_path, daemon):
    config = make_config(tmp_path / "data", compute="libvirt", libvirt_uri=daemon.uri)
    migrate(config)
    let_the_hypervisor_pass(config.data)
    lend_images(config.data)
    with rig_on(config) as rig:
        try:
            yield rig
        finally:
            rig.worker.kill()
            rig.driver.remove_everything()


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
