"""The machines of all for admins: looked through, and told what to do with a reason."""

from dataclasses import replace

import pytest

from tests.services.people import Statements, acting, events_of, launch, personal_of
from zentry_web.domain.vms.fleet import MAX_ORDERED, VMFilter, VMSort
from zentry_web.domain.vms.operation import OperationKind
from zentry_web.domain.vms.state import VMState
from zentry_web.services.errors import PermissionDeniedError, ProofRequiredError, ValidationError
from zentry_web.web.output.targets import path_of

pytestmark = pytest.mark.integration

STOP, START, DELETE = OperationKind.STOP, OperationKind.START, OperationKind.DELETE


@pytest.fixture
def fleet(cloud):
    return cloud.vms.fleet


@pytest.fixture
def machines(container, cloud, alice, bob):
    """Two of Alice and one of Bob, running, by name."""
    site, lab = cloud.project(alice, "Website"), cloud.project(bob, "Lab_1")
    made = [(alice, site, "web-1"), (alice, site, "web-2"), (bob, lab, "calc")]
    return {name: launch(container, user, project, name) for user, project, name in made}


def names(page):
    return [vm.name for vm in page.vms]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({}, {"web-1", "web-2", "calc"}), ({"search": "WEB"}, {"web-1", "web-2"}), ({"owner": "bob@"}, {"calc"}),
        ({"project": "website"}, {"web-1", "web-2"}), ({"project": "b_1"}, {"calc"}), ({"project": "%"}, set()),
        ({"size_id": "size_nano"}, {"web-1", "web-2", "calc"}), ({"size_id": "size_large"}, set()),
        ({"state": VMState.RUNNING}, {"web-1", "web-2", "calc"}), ({"state": VMState.ERROR}, set()),
        ({"owner": "alice", "search": "2"}, {"web-2"}), ({"search": "\x00"}, {"web-1", "web-2", "calc"}),
    ],
)  # fmt: skip
def test_filters(cloud, machines, wanted, found):
    assert set(names(cloud.vms.list_vms(wanted=VMFilter(**wanted)))) == found


@pytest.mark.parametrize(
    ("sort", "order"),
    [
        (VMSort.NEWEST, ["calc", "web-2", "web-1"]), (VMSort.OLDEST, ["web-1", "web-2", "calc"]),
        (VMSort.NAME, ["calc", "web-1", "web-2"]), (VMSort.OWNER, ["web-1", "web-2", "calc"]),
        (VMSort.DEAREST, ["calc", "web-2", "web-1"]),
    ],
)  # fmt: skip
def test_orders_page_by_page(cloud, machines, sort, order):
    found, before = [], None
    for _ in range(3):
        page = cloud.vms.list_vms(wanted=VMFilter(sort=sort), before=before, limit=1)
        found += names(page)
        before = page.next_before
    assert (found, before) == (order, None)
    assert page.total == 3


def test_a_page_takes_four_statements(container, cloud, machines):
    with Statements(container.database) as statements:
        cloud.vms.list_vms(wanted=VMFilter(sort=VMSort.OWNER), before=machines["web-1"].id)
    assert (
        len([text for text in statements.texts if text.startswith("SELECT")]) <= 4
    )  # total, rows, where the page begins, labels


def test_a_file_has_all_and_is_written_down(fleet, machines, admin, core, monkeypatch):
    monkeypatch.setattr("zentry_web.services.vms.fleet.CHUNK", 1)
    assert len(list(fleet.export(VMFilter(), actor=acting(admin)))) == 3
    assert len(events_of(core, "vm.list_export")) == 1


def test_an_order_says_why_to_each_owner_once(cloud, fleet, machines, admin, alice, bob, core):
    ids = [vm.id for vm in machines.values()]
    results = fleet.order(STOP, ids, "The host is moved tonight", actor=acting(admin), key="k")
    assert [(each.thing.name, each.text) for each in results] == [("web-1", ""), ("web-2", ""), ("calc", "")]
    assert {vm.state for vm in cloud.vms.list_vms().vms} == {VMState.STOPPING}
    (told,) = [each for each in cloud.billing.notices.list_notices(alice.id) if "admin" in each.title]
    assert told.title == "An admin had Zentry stop 2 of your machines"
    assert "The host is moved tonight" in told.body
    assert "web-1 (Website)" in told.body
    assert "calc" not in told.body
    (told,) = [each for each in cloud.billing.notices.list_notices(bob.id) if "admin" in each.title]
    assert (told.title, path_of(told.target)) == ("An admin had Zentry stop calc", f"/vms/{machines['calc'].id}")
    orders = events_of(core, "vm.admin_order")
    assert {event.actor_id for event in orders} == {admin.id}
    assert {personal_of(core, event.id)["reason"] for event in orders} == {"The host is moved tonight"}
    assert "moved" not in str([event.details for event in orders])


def test_pressed_twice_happens_once(cloud, fleet, machines, admin, alice, core):
    ids = [machines["web-1"].id]
    fleet.order(STOP, ids, "x1", actor=acting(admin), key="k")
    (again,) = fleet.order(STOP, ids, "x1", actor=acting(admin), key="k")
    assert "cannot be stopped" in again.text
    assert len(events_of(core, "vm.admin_order")) == 1
    assert len([each for each in cloud.billing.notices.list_notices(alice.id) if "admin" in each.title]) == 1


def test_one_that_is_refused_does_not_hold_up_the_others(cloud, fleet, machines, admin, alice, core):
    cloud.vms.stop_vm(machines["web-1"].id, actor=acting(alice))
    ids = [vm.id for vm in machines.values()]
    results = fleet.order(STOP, [*ids, "vm_none", ids[0]], "maintenance", actor=acting(admin))
    assert {each.thing.name: bool(each.text) for each in results} == {"web-1": True, "web-2": False, "calc": False}
    (told,) = [each for each in cloud.billing.notices.list_notices(alice.id) if "admin" in each.title]
    assert told.title == "An admin had Zentry stop web-2"
    assert len(events_of(core, "vm.admin_order")) == 2


def test_protection_holds_against_admins_too(cloud, fleet, machines, admin, alice):
    vm = machines["web-1"]
    cloud.vms.bin.set_protection(vm.id, True, actor=acting(alice))
    (refused,) = fleet.order(DELETE, [vm.id], "cleaning up", actor=acting(admin))
    assert "protected" in refused.text
    assert fleet.list_chosen([vm.id])
    cloud.vms.bin.set_protection(vm.id, False, actor=acting(alice))
    (done,) = fleet.order(DELETE, [vm.id], "cleaning up", actor=acting(admin))
    assert done.text == ""


@pytest.mark.error
def test_what_an_order_needs(cloud, fleet, machines, admin, alice, core):
    ids, boss = [machines["web-1"].id], acting(admin)
    with pytest.raises(PermissionDeniedError):
        fleet.order(STOP, ids, "why", actor=acting(alice))
    with pytest.raises(PermissionDeniedError):
        cloud.vms.list_vms(wanted=VMFilter(), actor=acting(alice))
    with pytest.raises(PermissionDeniedError):
        fleet.list_chosen(ids, actor=acting(alice))
    with pytest.raises(PermissionDeniedError):
        fleet.export(VMFilter(), actor=acting(alice))
    with pytest.raises(ProofRequiredError):
        fleet.order(DELETE, ids, "why", actor=replace(boss, proved_at=None))
    for why in ("", "  ", "x" * 301, "a\nb", "a\x00b"):
        with pytest.raises(ValidationError) as refused:
            fleet.order(STOP, ids, why, actor=boss)
        assert set(refused.value.details) == {"why"}
    for wrong in ([], ["vm_none"], [f"vm_{number}" for number in range(MAX_ORDERED + 1)]):
        with pytest.raises(ValidationError) as refused:
            fleet.order(STOP, wrong, "why", actor=boss)
        assert set(refused.value.details) == {"vms"}
    with pytest.raises(ValidationError):
        fleet.order(OperationKind.CREATE, ids, "why", actor=boss)
    assert events_of(core, "vm.admin_order") == []


def test_the_owner_sees_that_it_was_an_admin_and_admins_see_who(container, cloud, fleet, machines, admin, alice):
    vm, people = machines["web-1"], container.get_user_service()
    fleet.order(STOP, [vm.id], "a secret of mine", actor=acting(admin))
    for seen in (
        people.list_activity(alice.id, actor=acting(alice)),
        cloud.vms.list_vm_activity(vm.id, actor=acting(alice)),
    ):
        ordered = [event for event in seen if event.actor_id == admin.id]
        assert {event.action for event in ordered} == {"vm.stop", "vm.admin_order"}
        assert {event.actor_name for event in ordered} == {"an admin"}
        assert all(event.personal == {} for event in ordered)
    trail = people.search_audit(resource_id=vm.id, actor_id=admin.id, actor=acting(admin))
    assert {event.actor_name for event in trail} == {"Admin"}
    assert "a secret of mine" in {event.personal.get("reason") for event in trail}


def test_a_start_that_the_owner_cannot_pay_is_refused(cloud, fleet, machines, admin, alice):
    vm = machines["web-1"]
    fleet.order(STOP, [vm.id], "why", actor=acting(admin))
    claim = cloud.vms.operations.claim("w")
    assert cloud.vms.records.operation_off(claim, cloud.clock.now())
    left = cloud.billing.get_balance(alice.id).wallet_micro
    cloud.billing.deduct_credits(alice.id, left, "gone")
    (refused,) = fleet.order(START, [vm.id], "why", actor=acting(admin))
    assert "credits" in refused.text
    assert fleet.list_chosen([vm.id])[0].state == VMState.STOPPED
