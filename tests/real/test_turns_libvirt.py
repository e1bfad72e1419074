"""Real guests that ignore the power button hold up nobody else, neither their stops nor those for lack of credit."""

from datetime import timedelta

import pytest

from tests.compute_contract import wait_for
from tests.real.worker_process import libvirt_config
from tests.services.test_worker_turns import Site
from zentry_web.domain.credits.billing import CreditStop
from zentry_web.domain.vms.operation import OperationKind, OperationState
from zentry_web.domain.vms.state import VMState

pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]

BOOT_SECONDS = 240
DEAF = "#!/bin/sh\nkillall acpid\n"


@pytest.fixture
def site(tmp_path):
    config = libvirt_config(tmp_path)
    built = Site(config)
    yield built
    built.driver.remove_everything()
    built.close()


def test_guests_that_ignore_the_button_hold_no_thread(site):
    """Three stops wait for their guests; the one thread does another person's beside them. Then the three are stopped
    for lack of credit, though their own stops would wait for ten minutes."""
    deaf = [site.launch("alice", f"deaf-{number}", user_data=DEAF) for number in range(3)]
    web = site.launch("bob", "web")

    def is_deaf(vm):
        return "user data: ended" in site.driver.console_log(vm.id).text

    with site.worker(threads=1):
        wait_for(lambda: all(site.vms.get_vm(vm.id).answered_at for vm in (*deaf, web)), BOOT_SECONDS, "four answers")
        wait_for(lambda: all(is_deaf(vm) for vm in deaf), BOOT_SECONDS, "three guests to be deaf")
        for vm in deaf:
            site.act("alice", "stop", vm)
        wait_for(lambda: site.asked(*deaf) == 3, BOOT_SECONDS, "all three to be asked")
        site.act("bob", "stop", web)
        wait_for(lambda: site.state(web) == VMState.STOPPED, BOOT_SECONDS, "the other's stop")
        assert len(site.open_operations(*deaf)) == 3, "none of the three has ended meanwhile"
        site.act("bob", "start", web)
        wait_for(lambda: site.state(web) == VMState.RUNNING, BOOT_SECONDS, "the other's start")
        assert len(site.open_operations(*deaf)) == 3
        ends_at = site.container.clock.now() + timedelta(seconds=14)
        for vm in deaf:
            site.vms.landing.stop_for_credit(CreditStop(vm.id, ends_at))
        wait_for(lambda: all(site.state(vm) == VMState.STOPPED for vm in deaf), BOOT_SECONDS, "the stops for credit")
    stops = [row for row in site.operations(*deaf, kind=OperationKind.STOP) if row.reason == "credit"]
    assert [row.state for row in stops] == [OperationState.SUCCEEDED] * 3
    late = timedelta(seconds=30)  # a loaded host takes its time to end a process
    assert all(site.vms.get_vm(vm.id).stopped_at <= ends_at + late for vm in deaf)
    assert all(check.ok for check in site.container.get_billing_service().verify())
