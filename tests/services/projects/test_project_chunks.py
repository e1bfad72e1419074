"""A project with many machines is deleted and restored in chunks: killed at any border, it goes on as if nothing had
been, and in between nobody pays for more or less than up to the click."""

from dataclasses import replace

import pytest

from tests.services.people import acting, events_of, join
from tests.services.vm_world import RUNNING, STOPPED, Killed
from zentry_web.domain.money import divide_half_even
from zentry_web.domain.vms.operation import OperationKind
from zentry_web.domain.vms.state import VMState
from zentry_web.services.errors import ConflictError, NotFoundError
from zentry_web.services.vms import bin_sets

pytestmark = pytest.mark.integration
BORDERS = [(step, times) for step in ("bin.chunk", "bin.chunk_committed") for times in (1, 2, 3)]
BORDERS = [("bin.marked", 1), *BORDERS]


@pytest.fixture(autouse=True)
def one_by_one(monkeypatch):
    monkeypatch.setattr(bin_sets, "CHUNK", 1)


@pytest.fixture
def cloud(cloud):
    cloud.keep_deleted(7)
    return cloud


@pytest.fixture
def project(cloud, alice):
    return cloud.project(alice, "Website")


@pytest.fixture
def fleet(cloud, alice, project):
    """Two that run, one that is off."""
    vms = [cloud.launch(alice, project, name) for name in ("web", "api", "db")]
    cloud.vms.stop_vm(vms[2].id, actor=acting(alice))
    cloud.worker.work()
    cloud.round(600)
    return vms


def killed_at(cloud, step, times, work):
    """Do ``work``, which is killed when it comes to ``step`` that many times; whether it came so far."""
    bins, seen = cloud.projects.bin, []
    whole = bins._core

    def checkpoint(reached):
        seen.append(reached)
        if seen.count(step) == times:
            raise Killed

    bins._core = replace(whole, checkpoint=checkpoint)
    try:
        with pytest.raises(Killed):
            work()
    finally:
        bins._core = whole


def an_hour_without_its_turn(cloud):
    """Rounds of everything but what goes on with projects: it was killed."""
    cloud.live(4000, step=1000)
    cloud.assert_sound()


def states(cloud, vms):
    return [cloud.row(vm).state for vm in vms]


def delete(cloud, alice, project):
    cloud.projects.delete_project(project.id, actor=acting(alice))
    cloud.projects.bin.go_on()


@pytest.fixture
def deleted(cloud, alice, project, fleet):
    delete(cloud, alice, project)
    cloud.live(30)
    assert states(cloud, fleet) == [VMState.BINNED] * 3


@pytest.mark.parametrize(("step", "times"), BORDERS)
def test_a_deletion_killed_at_a_border_goes_on(cloud, core, alice, project, fleet, clock, step, times):
    clicked, bins = clock.now().replace(microsecond=0), cloud.projects.bin
    paid = {vm.id: cloud.billing.open_rate(vm.id) for vm in fleet}
    killed_at(cloud, step, times, lambda: delete(cloud, alice, project))
    assert cloud.vms.list_vms(alice.id, actor=acting(alice)).vms == []
    for ask in (cloud.vms.start_vm, cloud.vms.stop_vm):
        with pytest.raises(NotFoundError):
            ask(fleet[2].id, actor=acting(alice))
    an_hour_without_its_turn(cloud)
    shown, _ = bins.get_binned(project.id, actor=acting(alice))
    done = times - (step == "bin.chunk") if step != "bin.marked" else 0
    assert (shown.vms, shown.vms_off) == (3, done)
    if done < 3:
        with pytest.raises(ConflictError):
            bins.restore(project.id, "Website", actor=acting(alice))
    assert bins.go_on() == 3 - done
    assert bins.go_on() == 0
    cloud.live(30)
    assert states(cloud, fleet) == [VMState.BINNED] * 3
    for vm in fleet:
        assert cloud.intervals(vm)[-1].end_at == clicked
        last = [line for line in cloud.charges(vm) if line.interval_id == cloud.intervals(vm)[-1].id]
        assert last[-1].to_at == clicked
        assert sum(line.amount for line in last) == priced(cloud.intervals(vm)[-1], paid[vm.id])
        assert [one.kind for one in cloud.operations(vm)].count(OperationKind.BIN) == 1
    assert len(events_of(core, "vm.bin")) == 6  # accepted and done
    assert {event.actor_id for event in events_of(core, "vm.bin") if event.outcome == "accepted"} == {alice.id}
    assert (cloud.held(alice), cloud.written_off()) == (0, 0)
    cloud.assert_sound()


def priced(interval, rate):
    seconds = max(interval.minimum_seconds, int((interval.end_at - interval.start_at).total_seconds()))
    return divide_half_even(rate * seconds, 3600)


@pytest.mark.parametrize(("step", "times"), BORDERS)
def test_a_restore_killed_at_a_border_goes_on(cloud, core, alice, bob, project, fleet, deleted, clock, step, times):
    bins = cloud.projects.bin

    def work():
        bins.restore(project.id, "Website", actor=acting(alice))
        bins.go_on()

    spent = cloud.wallet(alice)
    killed_at(cloud, step, times, work)
    assert {vm.id for vm in cloud.vms.list_vms(alice.id, actor=acting(alice)).vms} == {vm.id for vm in fleet}
    done = times - (step == "bin.chunk") if step != "bin.marked" else 0
    waiting = [vm for vm in fleet if cloud.row(vm).state == VMState.BINNED]
    assert len(waiting) == 3 - done
    clock.advance(8 * 86400)  # longer than the bin would have kept them
    for vm in waiting[:1]:
        cloud.driver.start(vm.id)  # by hand, on the host
    an_hour_without_its_turn(cloud)
    assert (cloud.vms.bin.purge_due(), bins.purge_due()) == (0, 0)
    for vm in waiting:
        assert cloud.vm(vm).state_reason == bin_sets.COMING_BACK
        with pytest.raises(ConflictError):
            cloud.vms.start_vm(vm.id, actor=acting(alice))
        with pytest.raises(ConflictError):
            cloud.vms.delete_vm(vm.id, vm.name, actor=acting(alice))
    if not done:
        assert cloud.wallet(alice) == spent
    back = clock.now().replace(microsecond=0)
    assert bins.go_on() == 3 - done
    assert bins.go_on() == 0
    assert states(cloud, fleet) == [VMState.STOPPED] * 3
    for vm in waiting:
        interval = cloud.intervals(vm)[-1]
        assert (interval.state, interval.start_at, interval.end_at) == (STOPPED, back, None)
    found = events_of(core, "vm.restore")
    assert sorted(event.vm_id for event in found) == sorted(vm.id for vm in fleet)
    assert {event.actor_id for event in found} == {alice.id}
    cloud.live(3600, step=600)
    assert [cloud.row(vm).deleted_by for vm in fleet] == [None] * 3
    cloud.assert_sound()


def test_deleted_again_while_its_machines_come_back(cloud, alice, project, fleet, deleted):
    bins = cloud.projects.bin
    bins.restore(project.id, "Website", actor=acting(alice))
    assert states(cloud, fleet).count(VMState.BINNED) == 2
    delete(cloud, alice, project)
    cloud.live(30)
    assert states(cloud, fleet) == [VMState.BINNED] * 3
    assert [cloud.intervals(vm)[-1].end_at is not None for vm in fleet] == [True] * 3
    bins.restore(project.id, "Website", actor=acting(alice))
    bins.go_on()
    assert states(cloud, fleet) == [VMState.STOPPED] * 3
    cloud.assert_sound()


def test_handed_over_while_its_machines_come_back(cloud, container, alice, bob, project, fleet, deleted):
    cloud.projects.bin.restore(project.id, "Website", actor=acting(alice))
    join(container, project, bob, "member")
    cloud.set_wallet(bob, 10**9)
    cloud.projects.ownership.offer(project.id, bob.id, actor=acting(alice))
    cloud.round()
    cloud.projects.ownership.accept(project.id, actor=acting(bob))
    before = cloud.wallet(alice)
    cloud.projects.bin.go_on()
    assert states(cloud, fleet) == [VMState.STOPPED] * 3
    assert {cloud.intervals(vm)[-1].owner_id for vm in fleet} == {bob.id}
    cloud.live(7200, step=600)
    assert cloud.wallet(alice) == before
    cloud.assert_sound()


def test_what_was_under_way_is_overtaken_at_once(cloud, alice, project, fleet):
    """A start that its worker is in the middle of opens nothing that would have to be paid."""
    cloud.vms.start_vm(fleet[2].id, actor=acting(alice))
    bins = cloud.projects.bin
    claim = cloud.worker.runner.claim()
    killed_at(cloud, "bin.marked", 1, lambda: delete(cloud, alice, project))
    cloud.worker.runner.run(claim)
    an_hour_without_its_turn(cloud)
    assert [row.state for row in cloud.intervals(fleet[2])] == [RUNNING, STOPPED]
    bins.go_on()
    cloud.live(60)
    assert states(cloud, fleet) == [VMState.BINNED] * 3
    cloud.assert_sound()


def test_an_account_that_ends_takes_what_was_killed_along(cloud, container, alice, project, fleet, clock):
    clicked = clock.now().replace(microsecond=0)
    killed_at(cloud, "bin.marked", 1, lambda: delete(cloud, alice, project))
    clock.advance(600)
    cloud.vms.bin.clear(alice.id)
    cloud.live(30)
    assert cloud.projects.bin.go_on() == 0
    assert states(cloud, fleet) == [VMState.DELETED] * 3
    assert {cloud.intervals(vm)[-1].end_at for vm in fleet} == {clicked}
    cloud.assert_sound()
