"""What the libvirt driver does when libvirtd dies, hangs, restarts, and when QEMU is killed. Guests are real."""

import contextlib
import os
import signal
import time
from collections.abc import Iterator

import pytest

from tests.compute_contract import ComputeRig, wait_for
from tests.libvirt_daemon import PrivateLibvirtd, private_libvirtd, seconds_of
from tests.libvirt_fixture import LibvirtRig, libvirt_rig
from zentry_web.adapters.compute import host
from zentry_web.adapters.compute.base import ComputeError, ComputeTimeout, ComputeUnavailable, PowerState
from zentry_web.adapters.compute.libvirt.driver import LibvirtCompute
from zentry_web.domain.vms.outage import Cause

pytestmark = [pytest.mark.real, pytest.mark.error, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateLibvirtd]:
    with private_libvirtd(tmp_path_factory.mktemp("libvirtd")) as daemon:
        yield daemon


@pytest.fixture(scope="module")
def libvirt(daemon: PrivateLibvirtd, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LibvirtRig]:
    with libvirt_rig(tmp_path_factory.mktemp("libvirt"), daemon.uri) as rig:
        yield rig


@pytest.fixture(scope="module")
def running(rig: ComputeRig) -> str:
    return rig.booted()


def test_the_driver_outlives_a_killed_daemon(rig: ComputeRig, daemon: PrivateLibvirtd, running: str) -> None:
    before = rig.get(running)
    daemon.kill()
    with pytest.raises(ComputeUnavailable):
        rig.driver.machines()
    with pytest.raises(ComputeUnavailable):
        rig.driver.force_off(running)
    health = rig.driver.health()
    assert not health.ok
    assert "libvirt" in health.detail

    daemon.start()
    assert rig.get(running) == before, "the guest ran on: the same run, and it has answered"
    assert [row.vm_id for row in rig.driver.statistics()] == [running]
    wait_for(lambda: any(event.kind == "reconnected" for event in list(rig.events)), 15, "word of the reconnection")
    # Events arrive on the new connection.
    vm_id = rig.created()
    rig.driver.start(vm_id)
    rig.wait_event(vm_id, "started")
    rig.driver.delete(vm_id)


def test_a_daemon_that_hangs_does_not_hang_us(rig: ComputeRig, daemon: PrivateLibvirtd, running: str) -> None:
    daemon.signal(signal.SIGSTOP)
    try:
        began = time.monotonic()
        assert not rig.driver.health().ok
        assert seconds_of(began) < 5
        began = time.monotonic()
        with pytest.raises(ComputeError):
            rig.driver.machine(running)
        assert seconds_of(began) < 15
    finally:
        daemon.signal(signal.SIGCONT)
    wait_for(lambda: rig.driver.health().ok, 30, "health after the daemon went on")
    assert rig.get(running).power is PowerState.RUNNING


def test_runs_differ_over_a_restart_of_the_daemon(rig: ComputeRig, daemon: PrivateLibvirtd, running: str) -> None:
    first = rig.get(running).run_id
    rig.driver.force_off(running)
    # A restarted daemon numbers its domains from 1 again.
    daemon.stop()
    daemon.start()
    rig.driver.start(running)
    second = rig.get(running)
    assert second.run_id not in (None, first)
    assert not second.answered
    rig.wait_answered(running)


def test_a_killed_guest_process_shows(rig: ComputeRig, libvirt: LibvirtRig, running: str) -> None:
    process = host.find_guest_process(libvirt.uuid(running))
    assert process is not None
    rig.events.clear()
    os.kill(process.pid, signal.SIGKILL)
    rig.wait_power(running, PowerState.OFF, 10)
    assert "unexpectedly" in rig.get(running).fault
    assert rig.get(running).ended == Cause.CRASH
    rig.wait_event(running, "stopped")
    rig.driver.start(running)
    assert rig.get(running).fault == ""
    rig.driver.force_off(running)


def test_a_guest_process_that_hangs_is_refused_more_calls_and_can_be_ended(
    rig: ComputeRig, libvirt: LibvirtRig, running: str
) -> None:
    """libvirt waits for its monitor without end; the calls for it take no room from those for others."""
    rig.driver.start(running)
    process = host.find_guest_process(libvirt.uuid(running))
    assert process is not None
    os.kill(process.pid, signal.SIGSTOP)
    try:
        with pytest.raises(ComputeTimeout):
            rig.driver.shutdown(running)
        with pytest.raises(ComputeUnavailable):
            rig.driver.shutdown(running)
        assert rig.get(running).power is PowerState.RUNNING, "what is asked of the host goes through"
        rig.driver.force_off(running)
        rig.wait_power(running, PowerState.OFF, 60)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGCONT)


def test_nothing_answers_at_all(libvirt: LibvirtRig) -> None:
    uri = "qemu+unix:///system?socket=/nonexistent/libvirt-sock"
    driver = LibvirtCompute(uri, libvirt.data_dir, libvirt.namespace, libvirt.data_dir / "images")
    try:
        with pytest.raises(ComputeUnavailable, match="libvirt does not answer"):
            driver.machines()
        assert not driver.health().ok
        assert driver.images.names() == ()
    finally:
        driver.close()
