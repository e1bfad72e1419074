"""Machines that go off by themselves: started again where that was chosen, told of once, and never paid for."""

import pytest
from sqlalchemy import select

from tests.services.people import acting, events_of
from zentry_web.domain.vms.operation import OperationState
from zentry_web.domain.vms.outage import Cause, OutageState, Restart, cool_down, is_started_again, not_charged
from zentry_web.domain.vms.state import VMState
from zentry_web.models import DbCharge, DbOutage
from zentry_web.services.errors import NotFoundError, ValidationError
from zentry_web.worker.due import CALM_SECONDS, RestartKeeper

pytestmark = pytest.mark.integration


@pytest.fixture
def vm(cloud, vm):
    """It has answered and runs for ten minutes."""
    cloud.round(600)
    return vm


@pytest.fixture
def keeper(cloud):
    return RestartKeeper(cloud.vms, cloud.clock)


def outages(cloud, vm):
    return cloud._all(select(DbOutage).where(DbOutage.vm_id == vm.id).order_by(DbOutage.id))


def told(cloud, user):
    return cloud.told(user, "outage")


def again(cloud, keeper):
    """Whatever is due is started, and what came of it noted and told."""
    keeper.run()
    cloud.worker.work()
    keeper.run()


def test_what_crashes_runs_again_without_a_minimum(cloud, core, alice, vm, keeper, clock):
    went = clock.now()
    cloud.control.crash(vm.id)
    cloud.round(2)
    off = cloud.vm(vm)
    assert off.state == VMState.STOPPED
    assert "crashed" in off.state_reason
    assert "starts it again" in off.state_reason
    again(cloud, keeper)
    back = cloud.vm(vm)
    assert (back.state, back.state_reason) == (VMState.RUNNING, "")
    [outage] = outages(cloud, vm)
    assert (outage.cause, outage.state, outage.went_at) == (Cause.CRASH, OutageState.BACK, went)
    assert outage.back_at == cloud.operations(vm)[-1].finished_at
    assert [(row.requested_by, row.reason) for row in cloud.operations(vm)][-1] == ("system", "restart")
    assert [event.details["cause"] for event in events_of(core, "vm.off_seen")] == ["crash"]
    cloud.control.stop(vm.id)  # after less than a minute
    cloud.round(2)
    assert len([charge for charge in cloud._all(select(DbCharge)) if charge.kind == "minimum"]) == 0
    cloud.assert_sound()


@pytest.mark.parametrize(
    ("restart", "deed", "is_back"),
    [
        (Restart.FAILURES, "crash", True),
        (Restart.FAILURES, "stop", False),
        (Restart.FAILURES, "cut", False),
        (Restart.ALWAYS, "stop", True),
        (Restart.ALWAYS, "cut", True),
        (Restart.NEVER, "crash", False),
    ],
)
def test_as_it_was_chosen(cloud, alice, vm, keeper, restart, deed, is_back):
    cloud.vms.outages.choose(vm.id, restart, actor=acting(alice))
    getattr(cloud.control, deed)(vm.id)
    cloud.round(2)
    again(cloud, keeper)
    assert cloud.vm(vm).state == (VMState.RUNNING if is_back else VMState.STOPPED)
    assert [row.state for row in outages(cloud, vm)] == [OutageState.BACK if is_back else OutageState.STAYS]
    assert len(told(cloud, alice)) == (0 if deed == "stop" and not is_back else 1)
    cloud.assert_sound()


def test_what_keeps_crashing_waits_longer_and_longer(cloud, alice, vm, keeper, clock):
    waits = []
    for _ in range(4):
        cloud.control.crash(vm.id)
        cloud.round(2)
        [waiting] = [row for row in outages(cloud, vm) if row.state == OutageState.WAITING]
        waits.append((waiting.due_at - waiting.seen_at).total_seconds())
        if waits[-1]:
            keeper.run()
            assert cloud.vm(vm).state == VMState.STOPPED, "it cools down"
            clock.advance(waits[-1])
        again(cloud, keeper)
        assert cloud.vm(vm).state == VMState.RUNNING
        cloud.round(3)
    assert waits == [0, 10, 20, 40]
    assert len(told(cloud, alice)) == 1, "not once for each crash"
    clock.advance(3600)
    keeper.run()
    assert len(told(cloud, alice)) == 2
    assert told(cloud, alice)[0].body.count("crashed") == 3
    cloud.control.crash(vm.id)
    cloud.round(2)
    again(cloud, keeper)
    assert cloud.vm(vm).state == VMState.RUNNING, "after an hour it counts as new"


def test_a_reboot_of_the_host_is_one_notice_to_each_owner(cloud, alice, bob, project, vm, keeper, clock):
    """What was running runs again, the most important first; what was off stays off."""
    others = [cloud.launch(alice, project, name) for name in ("db", "cache", "quiet")]
    his = cloud.launch(bob, cloud.project(bob, "other"), "mail")
    cloud.vms.force_off_vm(others[2].id, actor=acting(alice))
    cloud.worker.work()
    cloud.billing.landing.set_order(alice.id, [others[1].id, others[0].id, vm.id], actor=acting(alice))
    cloud.round(600)
    went = clock.now()
    cloud.control.reboot_host()
    cloud.restart_worker()
    cloud.round(300)
    assert [cloud.vm(each).state for each in (vm, *others[:2], his)] == [VMState.STOPPED] * 4
    again(cloud, keeper)
    assert [cloud.vm(each).state for each in (vm, *others, his)] == [VMState.RUNNING] * 3 + [
        VMState.STOPPED,
        VMState.RUNNING,
    ]
    starts = [cloud.operations(each)[-1] for each in (others[1], others[0], vm)]
    assert [start.run_at for start in starts] == sorted(start.run_at for start in starts)
    [mine], [theirs] = told(cloud, alice), told(cloud, bob)
    assert mine.title == "3 of your machines went off"
    assert theirs.title == "mail went off, and runs again"
    assert mine.body.count("with the host") == 3
    # At most what one was confirmed to: 300 s and what the start took, of three machines.
    [row] = outages(cloud, his)
    rates = cloud.row(his)
    saved = not_charged([(rates.running_micro_per_hour - rates.stopped_micro_per_hour, row.went_at, row.back_at)])
    assert saved > 0
    assert f"{saved / 1_000_000:.6f}".rstrip("0") in theirs.body
    assert row.went_at <= went
    cloud.assert_sound()


def test_what_the_host_shut_down_in_good_order_went_with_it(cloud, alice, vm, project, keeper, clock):
    """Powered off from inside, as far as the hypervisor knew; and one that its owner had powered off long before."""
    long_off = cloud.launch(alice, project, "old")
    cloud.control.stop(long_off.id)
    cloud.round(2)
    cloud.round(1200)
    cloud.control.stop(vm.id)
    cloud.round(2)
    again(cloud, keeper)
    assert cloud.vm(vm).state == VMState.STOPPED
    cloud.control.reboot_host()
    cloud.restart_worker()
    cloud.round(60)
    again(cloud, keeper)
    assert [cloud.vm(each).state for each in (vm, long_off)] == [VMState.RUNNING, VMState.STOPPED]
    assert [row.cause for row in outages(cloud, vm)] == [Cause.HOST]
    assert len(told(cloud, alice)) == 1


def test_credits_that_do_not_suffice(cloud, alice, vm, keeper):
    cloud.control.crash(vm.id)
    cloud.round(2)
    cloud.set_wallet(alice, 100)
    again(cloud, keeper)
    assert cloud.vm(vm).state == VMState.STOPPED
    assert "starts it again" not in cloud.vm(vm).state_reason
    assert [row.state for row in outages(cloud, vm)] == [OutageState.UNPAID]
    assert "not enough credits" in told(cloud, alice)[0].body
    cloud.assert_sound()


def test_a_start_that_fails_is_told(cloud, alice, vm, keeper):
    cloud.control.crash(vm.id)
    cloud.round(2)
    cloud.control.fault("start", "refuse", times=None)
    again(cloud, keeper)
    assert [row.state for row in outages(cloud, vm)] == [OutageState.FAILED]
    assert "could not be started again" in told(cloud, alice)[0].body
    cloud.assert_sound()


@pytest.mark.parametrize("how", ["started", "deleted", "called off", "archived"])
def test_who_decides_otherwise_meanwhile_has_the_last_word(cloud, alice, project, vm, keeper, clock, how):
    for _ in range(2):  # so that there is a wait
        cloud.control.crash(vm.id)
        cloud.round(2)
        if len(outages(cloud, vm)) == 1:
            again(cloud, keeper)
    if how == "started":
        cloud.vms.start_vm(vm.id, actor=acting(alice))
    elif how == "deleted":
        cloud.vms.delete_vm(vm.id, vm.name, actor=acting(alice))
    elif how == "called off":
        cloud.vms.outages.choose(vm.id, Restart.NEVER, actor=acting(alice))
        assert "starts it again" not in cloud.vm(vm).state_reason
    else:
        cloud.projects.settings.archive(project.id, actor=acting(alice))
    clock.advance(30)
    again(cloud, keeper)
    assert outages(cloud, vm)[-1].state == OutageState.OVERTAKEN
    by_zentry = [row for row in cloud.operations(vm) if row.reason == "restart"]
    assert [row.state for row in by_zentry] == [OperationState.SUCCEEDED]
    cloud.assert_sound()


def test_a_worker_that_is_killed_starts_none_twice(cloud, alice, vm, keeper, core):
    cloud.control.crash(vm.id)
    cloud.round(2)
    keeper.run()
    keeper.run()
    cloud.restart_worker()
    RestartKeeper(cloud.vms, cloud.clock).run()
    cloud.worker.work()
    keeper.run()
    assert len([row for row in cloud.operations(vm) if row.reason == "restart"]) == 1
    assert len(told(cloud, alice)) == 1
    keeper.run()
    assert len(told(cloud, alice)) == 1


def test_the_loop_rests_until_something_is_due(cloud, vm, keeper):
    assert keeper.run() == CALM_SECONDS
    for _ in range(2):
        cloud.control.crash(vm.id)
        cloud.round(2)
        if len(outages(cloud, vm)) == 1:
            assert keeper.run() is None, "it looks soon what came of the start"
            cloud.worker.work()
            keeper.run()
    assert keeper.run() == pytest.approx(10, abs=0.1)


def test_choosing(cloud, core, alice, bob, vm):
    choose = cloud.vms.outages.choose
    assert cloud.vms.outages.find(vm.id, actor=acting(alice)) == (Restart.FAILURES, [])
    with pytest.raises(ValidationError):
        choose(vm.id, "sometimes", actor=acting(alice))
    with pytest.raises(NotFoundError):
        choose(vm.id, Restart.NEVER, actor=acting(bob))
    choose(vm.id, Restart.NEVER, actor=acting(alice))
    choose(vm.id, Restart.NEVER, actor=acting(alice))
    assert [event.details for event in events_of(core, "vm.restart")] == [{"before": "failures", "after": "never"}]


def test_rules():
    assert [is_started_again(Restart.FAILURES, cause) for cause in Cause] == [False, False, True, True]
    assert all(is_started_again(Restart.ALWAYS, cause) for cause in Cause)
    assert not any(is_started_again(Restart.NEVER, cause) for cause in Cause)
    assert [cool_down(times).total_seconds() for times in (0, 1, 2, 3, 7, 50)] == [0, 10, 20, 40, 600, 600]
