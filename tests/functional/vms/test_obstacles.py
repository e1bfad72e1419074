"""Orders that cannot be given are on the page: disabled, without a way to give them, and with the reason."""

import pytest

from tests.services.people import join
from zentry_web.domain.projects.project import ProjectRole
from zentry_web.domain.vms.obstacles import ORDERS, obstacles
from zentry_web.domain.vms.operation import ALLOWED_ACTIONS
from zentry_web.domain.vms.state import VMState

pytestmark = pytest.mark.integration


def refused(page):
    """What is disabled: its words, and why."""
    found = {}
    for control in page.find(
        "//main//button[@aria-disabled='true'] | //*[@id='vm-menu']//button[@aria-disabled='true']"
    ):
        assert control.get("type") == "button"
        assert control.getparent().tag != "form"
        why = control.find(".//*[@class='z-why']")
        reason = why if why is not None else page.one(f"//*[@id='{control.get('aria-describedby')}']")
        words = " ".join("".join(control.itertext()).split())
        reason = " ".join("".join(reason.itertext()).split())
        found[words.removesuffix(reason).strip()] = reason
    return found


def test_of_a_running_machine(as_alice, machine):
    assert refused(as_alice.page(f"/vms/{machine.id}")) == {"Start": "It runs."}
    assert refused(as_alice.page(f"/vms/{machine.id}/menu", htmx=True)) == {"Start": "It runs."}


def test_of_one_that_is_off(as_alice, cloud, machine):
    as_alice.post(f"/vms/{machine.id}/stop")
    busy = refused(as_alice.page(f"/vms/{machine.id}"))
    assert busy["Start"] == busy["Change size"] == "It is stopping: wait for that to end."
    assert "Force off" not in busy
    cloud.worker.work()
    off = dict.fromkeys(("Reboot", "Stop", "Suspend", "New root password", "Reset", "Force off"), "It is off.")
    assert refused(as_alice.page(f"/vms/{machine.id}")) == off
    assert refused(as_alice.page(f"/vms/{machine.id}/settings"))["Force off"] == "It is off."


def test_credits_that_do_not_suffice(as_alice, cloud, alice, machine):
    as_alice.post(f"/vms/{machine.id}/stop")
    cloud.worker.work()
    cloud.set_wallet(alice, 0)
    for path in ("", "/menu", "/metrics", "/activity", "/console", "/settings", "/snapshots"):
        page = as_alice.page(f"/vms/{machine.id}{path}", htmx=path == "/menu")
        assert refused(page)["Start"] == "There are not enough credits to start it.", path


def test_protection_and_snapshots(as_alice, cloud, machine):
    as_alice.post(f"/vms/{machine.id}/protection", {"protected": "1"})
    as_alice.post(f"/vms/{machine.id}/snapshots/new", {"name": "before"})
    cloud.worker.work()
    found = refused(as_alice.page(f"/vms/{machine.id}"))
    assert found["Delete"] == found["Rebuild"] == "It is protected: switch that off first."
    assert found["Change size"] == "It has snapshots: delete them first."


def test_a_viewer_sees_what_others_can_do(as_charlie, container, machine, project, charlie):
    join(container, project, charlie, ProjectRole.VIEWER)
    found = refused(as_charlie.page(f"/vms/{machine.id}"))
    assert set(found.values()) == {"Your role in this project does not include this."}
    assert {"Start", "Stop", "Reboot", "Delete", "Rebuild", "Rename"} <= set(found)


@pytest.mark.parametrize("state", [each for each in VMState if each not in (VMState.BINNED, VMState.DELETED)])
def test_whatever_the_state_each_order_is_given_or_has_a_reason(cloud, machine, state):
    vm = cloud.vms.get_vm(machine.id)
    found = obstacles(type(vm)(**{name: getattr(vm, name) for name in vm.__slots__} | {"state": state}))
    for order, (right, kind) in ORDERS.items():
        assert vm.allows(right)
        if kind is not None and kind not in ALLOWED_ACTIONS[state]:
            assert found[order], order
