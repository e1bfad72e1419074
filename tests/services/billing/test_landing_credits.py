"""Credits that come in at the last moment, a host that is away when they end, and a plan that is kept to."""

import random
import shutil
from datetime import timedelta

import pytest

from tests.conftest import make_config, sign_up
from tests.services.people import acting, events_of
from tests.services.vm_world import Cloud
from zentry_web.adapters.compute.simulator.driver import SimulatorCompute
from zentry_web.composition import build_container
from zentry_web.domain.credits.landing import LandingStep
from zentry_web.domain.vms.operation import OperationKind, OperationState
from zentry_web.domain.vms.state import VMState

pytestmark = pytest.mark.integration


@pytest.fixture
def project(cloud, alice):
    return cloud.project(alice)


@pytest.fixture
def ending(cloud, alice, project):
    """A large VM whose credit stop is queued, and no worker has looked at it."""
    cloud.set_wallet(alice, 205_000)
    vm = cloud.launch(alice, project, size="size_large")
    while cloud.vm(vm).state == VMState.RUNNING:
        cloud.round(cloud.stride(vm, 3))
    assert cloud.operations(vm)[-1].state == OperationState.QUEUED
    return vm


# -- credits that come in ---------------------------------------------------------------------


def test_a_top_up_calls_off_a_stop_that_is_queued(cloud, core, alice, ending):
    run_id = cloud.row(ending).run_id
    cloud.billing.add_credits(alice.id, 1_000_000, "top-up")
    cloud.worker.work()
    row = cloud.row(ending)
    assert (row.state, row.run_id, row.credit_stopped_at) == (VMState.RUNNING, run_id, None)
    assert cloud.operations(ending)[-1].state == OperationState.CANCELLED
    assert len(events_of(core, "vm.stop_called_off")) == 1
    assert cloud.hold(ending).paid_until >= cloud.clock.now() + timedelta(minutes=59)
    cloud.live(1800, step=60)
    assert len(cloud.run_seconds(ending)) == 1
    cloud.assert_sound()


def test_too_little_does_not_call_it_off(cloud, alice, ending):
    cloud.billing.add_credits(alice.id, 10_000, "a little")
    cloud.worker.work()
    assert cloud.vm(ending).state == VMState.STOPPED
    assert cloud.written_off() == 0
    cloud.assert_sound()


def test_a_top_up_after_the_guest_was_asked_starts_it_again(cloud, alice, ending):
    cloud.control.delay("power_off", 20)

    def top_up():
        if cloud.wallet(alice) < 500_000:
            cloud.billing.add_credits(alice.id, 1_000_000, "top-up")

    cloud.meanwhile = top_up
    cloud.worker.work()
    assert cloud.vm(ending).state == VMState.STOPPED, "the guest had been asked"
    cloud.land()
    assert cloud.vm(ending).state == VMState.RUNNING
    first, second = cloud.run_seconds(ending)
    assert first[1] <= second[0]
    assert cloud.intervals(ending)[-1].minimum_seconds == 0
    cloud.assert_sound()


def test_what_the_owner_had_asked_for_is_not_called_off(cloud, alice, project):
    cloud.set_wallet(alice, 205_000)
    vm = cloud.launch(alice, project, size="size_large")
    cloud.round(3000)
    cloud.clock.set(cloud.hold(vm).paid_until - timedelta(seconds=14))
    cloud.vms.stop_vm(vm.id, actor=acting(alice))
    cloud.bill()
    assert cloud.operations(vm)[-1].details["asked"]
    cloud.billing.add_credits(alice.id, 1_000_000, "top-up")
    cloud.worker.work()
    cloud.land()
    assert cloud.vm(vm).state == VMState.STOPPED


# -- the host is away when credits end --------------------------------------------------------


@pytest.mark.error
def test_credits_end_while_the_host_is_away(cloud, alice, project):
    """Nothing is charged beyond the last confirmed second; back again, the run is paid from hold and wallet, and what
    neither has is written off. The machine goes off at once, and nobody owes anything."""
    cloud.set_wallet(alice, 205_000)
    vm = cloud.launch(alice, project, size="size_large")
    confirmed = cloud.vms.get_compute_status().answered_at
    end = cloud.hold(vm).paid_until
    cloud.control.fault("*", "unavailable", times=None)
    cloud.live(2 * 3600, step=60)
    assert cloud.vm(vm).state == VMState.STOPPING
    assert all(charge.to_at <= confirmed for charge in cloud.charges(vm))
    assert cloud.written_off() == 0
    told = [notice.kind for notice in cloud.billing.notices.list_notices(alice.id)]
    assert told.count("credit_stop") == 1
    cloud.control.clear()
    cloud.live(70, step=10)
    assert cloud.vm(vm).state == VMState.STOPPED
    (span,) = cloud.run_seconds(vm)
    assert span[1] > end, "it ran on, and nobody could stop it"
    used = sum(charge.amount for charge in cloud.charges(vm))
    assert (cloud.wallet(alice), cloud.written_off()) == (0, used - 205_000)
    cloud.assert_sound()


@pytest.mark.error
def test_a_top_up_while_the_host_is_away_keeps_it_running(cloud, alice, project):
    cloud.set_wallet(alice, 205_000)
    vm = cloud.launch(alice, project, size="size_large")
    run_id = cloud.row(vm).run_id
    cloud.control.fault("*", "unavailable", times=None)
    cloud.live(2 * 3600, step=60)
    cloud.billing.add_credits(alice.id, 5_000_000, "top-up")
    cloud.control.clear()
    cloud.live(200, step=10)
    cloud.land()
    assert cloud.vm(vm).state == VMState.RUNNING
    assert cloud.written_off() == 0
    assert cloud.row(vm).run_id == run_id or len(cloud.run_seconds(vm)) == 2
    cloud.assert_sound()


# -- plan equals action -----------------------------------------------------------------------


@pytest.fixture
def quick(tmp_path, migrated_sqlite, clock):
    """A world with a hold window of five minutes, so that a landing to the second is not long."""
    folder = tmp_path / "quick"
    shutil.copytree(migrated_sqlite, folder)
    config = make_config(folder, hold_window_seconds=300, stop_timeout_seconds=60)
    container = build_container(config, clock=clock)
    driver = SimulatorCompute(config.data / "simulator.sqlite", clock)
    world = Cloud(container, driver, clock, config)
    yield world
    world.close()
    driver.close()
    container.close()


def fleet(world, user, project, chance):
    """Three to five VMs in some order of importance (or none), with credits for some minutes more."""
    names = ["one", "two", "three", "four", "five"][: chance.randint(3, 5)]
    vms = [world.launch(user, project, name, f"size_{chance.choice(('micro', 'small', 'medium'))}") for name in names]
    important = chance.sample(vms, chance.randint(0, len(vms)))
    if important:
        world.billing.landing.set_order(user.id, [vm.id for vm in important], actor=acting(user))
    burn = sum(vm.running_micro_per_hour for vm in vms)
    world.set_wallet(user, burn * chance.randint(0, 400) // 3600)
    return vms


def live_to_the_second(world, vms):
    """The worker looks every second, as far as anything can happen in it; the second each stop is ordered."""
    ordered = {}
    while len(ordered) < len(vms):
        holds = [world.hold(vm) for vm in vms if vm.id not in ordered]
        calm = min(hold.paid_until for hold in holds) - world.clock.now() - timedelta(seconds=150)
        world.clock.advance(max(1, int(calm.total_seconds()) - 1))
        world.worker.reconciler.run()
        world.bill()
        for vm in vms:
            if vm.id not in ordered and world.row(vm).state == VMState.STOPPING:
                ordered[vm.id] = world.clock.now()
                stop = world.operations(vm)[-1]
                assert (stop.kind, stop.reason) == (OperationKind.STOP, "credit")
    return ordered


@pytest.mark.parametrize("seed", range(4))
def test_what_the_plan_shows_is_what_is_done(quick, seed):
    """To the second, if each guest takes the whole time-out that it is given."""
    user = sign_up(quick.container, "alice")
    chance = random.Random(seed)
    vms = fleet(quick, user, quick.project(user), chance)
    quick.clock.set(quick.clock.now().replace(microsecond=0))
    plan = quick.billing.landing.get_plan(user.id, actor=acting(user))
    planned = {line.vm_id: line.at for line in plan.lines if line.step == LandingStep.STOP}
    assert set(planned) == {vm.id for vm in vms}
    done = live_to_the_second(quick, vms)
    for vm in vms:
        assert abs((done[vm.id] - planned[vm.id]).total_seconds()) <= 1, (vm.name, planned, done)
    assert sorted(done, key=lambda each: (done[each], each)) == sorted(planned, key=lambda each: (planned[each], each))
    quick.assert_sound()
