"""Quotas on both databases: exactly up to the limit, also at once; nothing stops for one."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.services.people import Statements, acting, events_of, join
from zentry_web.composition import build_container
from zentry_web.domain.projects.quota import Amounts, Gauge, Resource, Scope
from zentry_web.domain.vms.state import VMState
from zentry_web.services.errors import (
    NotFoundError,
    PermissionDeniedError,
    QuotaExceededError,
    ValidationError,
)

pytestmark = pytest.mark.integration

THREADS, FIT = 12, 4
VMS = Resource.VMS


@pytest.fixture
def quotas(cloud):
    return cloud.vms.quotas


def gauge(quota, resource=VMS):
    return next(each for each in quota.gauges if each.resource == resource)


@pytest.mark.asvs("2.3.4", "15.4.2")
def test_launches_at_once_end_exactly_at_the_quota(cloud, alice, project, quotas):
    other = cloud.project(alice, "other")
    quotas.set_limits(alice.id, {"vms": str(FIT)})
    barrier = threading.Barrier(THREADS)

    def launch(number):
        barrier.wait()
        try:
            return cloud.ask(alice, (project, other)[number % 2], f"web-{number}").state
        except QuotaExceededError as refused:
            return refused.error_code

    with ThreadPoolExecutor(THREADS) as pool:
        results = list(pool.map(launch, range(THREADS)))
    assert results.count("QUOTA_EXCEEDED") == THREADS - FIT
    assert cloud.vms.count_by_state(alice.id) == {VMState.CREATING: FIT}
    cloud.assert_sound()


@pytest.mark.asvs("2.3.2")
def test_a_refusal_says_which_quota_and_leaves_nothing(cloud, alice, project, quotas):
    cloud.ask(alice, project, "one", "size_micro")
    quotas.set_limits(project.id, {"vcpus": "5", "memory_mib": "700 MiB"})
    wallet = cloud.wallet(alice)
    with pytest.raises(QuotaExceededError) as refused:
        cloud.ask(alice, project, "two", "size_micro")
    assert refused.value.details == {
        "quota": "memory_mib", "scope": "project", "limit": 700, "used": 512, "wanted": 512, "project_id": project.id,
        "field": "size_id",
    }  # fmt: skip
    assert (cloud.wallet(alice), cloud.vms.count_by_state(alice.id)) == (wallet, {VMState.CREATING: 1})
    assert cloud.ask(alice, project, "two", "size_nano").state == VMState.CREATING


def test_stopped_machines_keep_their_share_and_deleted_ones_give_it_back(cloud, alice, project, quotas):
    vm = cloud.launch(alice, project, "one")
    quotas.set_limits(project.id, {"vms": "1"})
    cloud.vms.stop_vm(vm.id, actor=acting(alice))
    cloud.worker.work()
    with pytest.raises(QuotaExceededError):
        cloud.ask(alice, project, "two")
    cloud.vms.start_vm(vm.id, actor=acting(alice))
    cloud.worker.work()
    cloud.vms.delete_vm(vm.id, vm.name, actor=acting(alice))
    with pytest.raises(QuotaExceededError):
        cloud.ask(alice, project, "two")  # its disk is still there
    cloud.worker.work()
    assert cloud.ask(alice, project, "two").state == VMState.CREATING


def test_a_size_under_way_counts_before_it_is_there(cloud, alice, project, quotas):
    one, two = cloud.launch(alice, project, "one"), cloud.launch(alice, project, "two")
    disk = next(size.disk_gib for size in cloud.vms.list_sizes() if size.id == "size_micro")
    quotas.set_limits(alice.id, {"disk_gib": str(2 * disk - 1)})
    cloud.vms.resize_vm(one.id, "size_micro", actor=acting(alice))
    used = gauge(quotas.get_own(alice.id), Resource.DISK).used
    assert used == disk + 1
    with pytest.raises(QuotaExceededError) as refused:
        cloud.vms.resize_vm(two.id, "size_micro", actor=acting(alice))
    assert (refused.value.details["scope"], refused.value.details["field"]) == ("user", "size_id")
    cloud.worker.work()
    assert gauge(quotas.get_own(alice.id), Resource.DISK).used == used


def test_lowered_below_use_nothing_stops_and_nothing_begins(cloud, alice, project, quotas):
    vms = [cloud.launch(alice, project, name) for name in ("one", "two")]
    quotas.set_limits(alice.id, {"vms": "1", "vcpus": "0", "memory_mib": "0", "disk_gib": "0"})
    cloud.round(600)
    assert {cloud.vm(vm).state for vm in vms} == {VMState.RUNNING}
    found = gauge(quotas.get_own(alice.id))
    assert (found, found.left) == (Gauge(VMS, 1, 2), 0)
    with pytest.raises(QuotaExceededError):
        cloud.ask(alice, project, "three")
    cloud.vms.stop_vm(vms[0].id, actor=acting(alice))
    cloud.worker.work()
    assert cloud.vms.start_vm(vms[0].id, actor=acting(alice))


def test_the_same_request_again_is_not_refused_for_what_it_made(cloud, alice, project, quotas):
    quotas.set_limits(alice.id, {"vms": "1"})
    first = cloud.ask(alice, project, "one", idempotency_key="k")
    assert cloud.ask(alice, project, "one", idempotency_key="k").id == first.id


def test_members_use_up_the_owner_s_quota_and_see_it_only_when_they_may_launch(
    cloud, alice, bob, charlie, project, quotas
):
    join(cloud.container, project, bob, "member")
    join(cloud.container, project, charlie, "viewer")
    quotas.set_limits(alice.id, {"vms": "1"})
    cloud.ask(alice, cloud.project(alice, "other"), "elsewhere")
    with pytest.raises(QuotaExceededError):
        cloud.ask(bob, project, "one")
    assert [each.scope for each in quotas.get_quotas(project.id, actor=acting(bob))] == [Scope.USER]
    assert quotas.get_quotas(project.id, actor=acting(charlie)) == ()
    room = quotas.get_room(project.id, Amounts(1, 1, 128, 1), actor=acting(bob))
    assert dict(room.left)[VMS] == 0
    assert room.problem.startswith("All projects of its owner together may have 1 machine: 1 in use")
    with pytest.raises(PermissionDeniedError):
        quotas.get_room(project.id, Amounts(), actor=acting(charlie))
    assert gauge(quotas.get_own(bob.id, actor=acting(bob))).used == 0


def test_admins_set_limits_and_each_change_is_written_down(cloud, core, alice, admin, project, quotas):
    quotas.set_limits(project.id, {"vms": "3", "memory_mib": "none"}, actor=acting(admin))
    quotas.set_limits(project.id, {"vms": "3", "memory_mib": "none"}, actor=acting(admin))  # nothing changes
    quotas.set_limits(project.id, {}, actor=acting(admin))
    quotas.set_limits(alice.id, {"vcpus": "7"}, actor=acting(admin))
    first, second = events_of(core, "project.quota")
    assert (first.details["after"], first.owner_id) == ({"vms": 3, "memory_mib": None}, alice.id)
    assert (second.details["before"], second.details["after"]) == ({"vms": 3, "memory_mib": None}, {})
    (event,) = events_of(core, "user.quota")
    assert (event.actor_id, event.resource_id, event.details["after"]) == (admin.id, alice.id, {"vcpus": 7})
    assert quotas.get_holder(alice.id, actor=acting(admin)).overrides == {Resource.VCPUS: 7}


@pytest.mark.error
def test_nobody_else_sets_limits_and_nonsense_is_refused(cloud, alice, charlie, admin, project, quotas):
    for attempt in (
        lambda: quotas.set_limits(alice.id, {"vms": "1000"}, actor=acting(alice)),
        lambda: quotas.get_holder(project.id, actor=acting(alice)),
    ):
        with pytest.raises(PermissionDeniedError):
            attempt()
    with pytest.raises(ValidationError) as refused:
        quotas.set_limits(alice.id, {"vms": "x", "memory_mib": "64"}, actor=acting(admin))
    assert set(refused.value.details) == {"vms", "memory_mib"}
    for nobody in ("usr_none", "prj_none", "", "x\x00"):
        with pytest.raises(NotFoundError):
            quotas.set_limits(nobody.replace("\x00", ""), {}, actor=acting(admin))
    with pytest.raises(NotFoundError):
        quotas.get_own(alice.id, actor=acting(charlie))
    with pytest.raises(NotFoundError):
        quotas.get_quotas(project.id, actor=acting(charlie))


def test_quotas_take_a_constant_number_of_statements(cloud, alice, project, quotas):
    def statements():
        with Statements(cloud.container.database) as counted:
            quotas.get_quotas(project.id, actor=acting(alice))
        return len([text for text in counted.texts if "SELECT" in text])

    before = statements()
    for number in range(6):
        cloud.ask(alice, project, f"web-{number}")
    assert statements() == before <= 6


def test_in_the_recycle_bin_only_the_disk_counts_and_restoring_asks_for_the_rest(cloud, alice, project, quotas):
    cloud.keep_deleted(7)
    vm = cloud.launch(alice, project, "one")
    quotas.set_limits(project.id, {"vms": "1", "disk_gib": "2"})
    cloud.vms.delete_vm(vm.id, vm.name, actor=acting(alice))
    cloud.worker.work()
    (found,) = quotas.get_quotas(project.id)[:1]
    assert [gauge(found, each).used for each in (VMS, Resource.DISK)] == [0, 1]
    second = cloud.launch(alice, project, "two")  # the machine is free again, and one more GiB
    with pytest.raises(QuotaExceededError) as refused:
        cloud.vms.bin.restore(vm.id, vm.name, actor=acting(alice))
    assert refused.value.details["quota"] == VMS
    quotas.set_limits(project.id, {"disk_gib": "2"})
    cloud.vms.bin.restore(vm.id, vm.name, actor=acting(alice))  # its disk counted all the time
    cloud.vms.delete_vm(second.id, second.name, actor=acting(alice))
    cloud.worker.work()
    with pytest.raises(QuotaExceededError, match="recycle bin"):
        cloud.ask(alice, project, "three")


def test_a_default_that_an_admin_changes_holds_at_once_for_whoever_has_no_other(cloud, core, alice, bob, admin, quotas):
    settings, mine, other = cloud.billing.settings, cloud.project(alice), cloud.project(bob)
    quotas.set_limits(bob.id, {"vms": "2"})
    with pytest.raises(PermissionDeniedError):
        settings.change("quota_user_vms", "1", 0, actor=acting(alice))
    assert settings.change("quota_user_vms", "1", 0, actor=acting(admin)).value == 1
    cloud.ask(alice, mine, "one")
    with pytest.raises(QuotaExceededError, match="1 machine"):
        cloud.ask(alice, mine, "two")
    for name in ("one", "two"):
        cloud.ask(bob, other, name)
    assert gauge(quotas.get_own(alice.id, actor=acting(alice))).limit == 1
    assert quotas.get_holder(alice.id, actor=acting(admin)).defaults.vms == 1
    settings.change("quota_project_vms", "0", 0, actor=acting(admin))
    settings.change("quota_user_vms", "none", 1, actor=acting(admin))
    with pytest.raises(QuotaExceededError, match="This project"):
        cloud.ask(alice, mine, "two")
    settings.reset("quota_project_vms", 1, actor=acting(admin))
    cloud.ask(alice, mine, "two")
    found = [(event.details["from"], event.details["to"]) for event in events_of(core, "setting.change")]
    assert found == [(100, 1), ("none", 0), (1, "none"), (0, "none")]


def test_the_environment_s_default_holds_whatever_was_chosen(cloud, config, clock):
    cloud.billing.settings.change("quota_user_vms", "1", 0)
    pinned = config.model_copy(update={"quota_user_vms": 7})
    pinned.__pydantic_fields_set__.add("quota_user_vms")
    other = build_container(pinned, clock=clock)
    try:
        assert other.get_vm_service().quotas.get_defaults().user.vms == 7
    finally:
        other.close()
