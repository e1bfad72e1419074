"""``verify`` is quiet in every state a machine can be in, with every operation on it, at every step of that."""

from datetime import timedelta

import pytest
from sqlalchemy import text

from tests.conftest import sign_up
from tests.services.people import acting
from tests.services.vm_world import Killed
from zentry_web.domain.vms.state import VMState
from zentry_web.services.errors import ServiceError
from zentry_web.worker.telling import LandingTeller

pytestmark = pytest.mark.integration

LITTLE = 3_000  # pays a disk for some hours and starts nothing


class Watch:
    """A person with one machine after the other, and a look at ``verify`` whenever something has happened."""

    def __init__(self, cloud):
        self.cloud, self.breaches, self.looks, self._people = cloud, [], 0, 0
        self.what = ""
        cloud.keep_deleted(7)
        self.new_person()

    def new_person(self):
        self._people += 1
        self.user = sign_up(self.cloud.container, f"person{self._people}")
        self.project = self.cloud.project(self.user)
        self.other = self.cloud.project(self.user, "other")

    def look(self, step):
        """All loops have just been round; what does ``verify`` say?"""
        cloud = self.cloud
        cloud.bill()
        LandingTeller(cloud.billing, cloud.vms).run()
        for loop in ("bill", "land"):
            cloud.monitoring.processes.record_heartbeat("one", loop, 1)
        self.looks += 1
        self.breaches += [
            f"{self.what}, {step}: {check.id} {check.detail}" for check in cloud.billing.verify() if not check.ok
        ]

    def live(self, seconds, step=200):
        """Time passes, and what is due is done."""
        self.cloud.live(seconds, step=step)
        self.look(f"{seconds} s later")

    # -- states -----------------------------------------------------------------------------------

    def running(self):
        return self.cloud.launch(self.user, self.project, size="size_micro")

    def stopped(self):
        vm = self.running()
        self.cloud.vms.stop_vm(vm.id, actor=acting(self.user))
        self.cloud.worker.work()
        return vm

    def never_made(self):
        self.cloud.control.fault("create", "refuse")
        vm = self.cloud.ask(self.user, self.project, size="size_micro")
        self.cloud.worker.work()
        assert self.cloud.vm(vm).state == VMState.ERROR
        return vm

    def vanished(self):
        vm = self.running()
        self.cloud.control.destroy(vm.id)
        self.cloud.round()
        assert self.cloud.vm(vm).state == VMState.ERROR
        return vm

    def unclear(self):
        vm = self.running()
        self.cloud.control.lose(vm.id)
        self.cloud.round()
        return vm

    def paused(self):
        return self._standing("paused")

    def sleeping(self):
        return self._standing("sleeping")

    def _standing(self, why):
        vm = self.running()
        self.cloud.control.pause(vm.id, why)
        self.cloud.round()
        assert self.cloud.vm(vm).state == VMState(why)
        return vm

    def waiting_for_credits(self, left=0):
        vm = self.running()
        self.cloud.set_wallet(self.user, 0)
        self.cloud.clock.set(self.cloud.hold(vm).paid_until - timedelta(seconds=70))
        while self.cloud.vm(vm).state != VMState.STOPPED:
            self.cloud.round(5)
            self.cloud.worker.work()
        assert self.cloud.row(vm).credit_stopped_at is not None
        self.cloud.set_wallet(self.user, left)
        self.live(400)
        return vm

    def waiting_with_a_little(self):
        return self.waiting_for_credits(LITTLE)

    def kept_for_nothing(self):
        vm = self.stopped()
        self.cloud.set_wallet(self.user, 1)
        self.cloud.clock.advance(3600)
        self.live(5, step=5)
        assert self.cloud.row(vm).disk_until is not None
        return vm

    def binned(self):
        vm = self.running()
        self.cloud.vms.delete_vm(vm.id, vm.name, actor=acting(self.user))
        self.cloud.worker.work()
        return vm

    # -- operations -------------------------------------------------------------------------------

    def start(self, vm):
        self.cloud.vms.start_vm(vm.id, actor=acting(self.user))

    def stop(self, vm):
        self.cloud.vms.stop_vm(vm.id, actor=acting(self.user))

    def force_off(self, vm):
        self.cloud.vms.force_off_vm(vm.id, actor=acting(self.user))

    def reboot(self, vm):
        self.cloud.vms.reboot_vm(vm.id, actor=acting(self.user))

    def reset(self, vm):
        self.cloud.vms.reset_vm(vm.id, actor=acting(self.user))

    def suspend(self, vm):
        self.cloud.vms.suspend_vm(vm.id, actor=acting(self.user))

    def resume(self, vm):
        self.cloud.vms.resume_vm(vm.id, actor=acting(self.user))

    def grow(self, vm):
        self.cloud.vms.resize_vm(vm.id, "size_small", actor=acting(self.user))

    def cheapen(self, vm):
        with self.cloud.container.database.writing() as session, session.begin():
            # A nano with a disk as large: what a smaller size that keeps the disk costs.
            session.execute(text("UPDATE size SET disk_gib = 5 WHERE id = 'size_nano'"))
        self.cloud.vms.resize_vm(vm.id, "size_nano", actor=acting(self.user))

    def delete(self, vm):
        self.cloud.vms.delete_vm(vm.id, vm.name, actor=acting(self.user))

    def restore(self, vm):
        self.cloud.vms.bin.restore(vm.id, vm.name, actor=acting(self.user))

    def purge(self, vm):
        self.cloud.vms.bin.purge(vm.id, vm.name, actor=acting(self.user))

    def move(self, vm):
        self.cloud.vms.moving.move(vm.id, self.other.id, actor=acting(self.user))

    def pay(self, _vm):
        self.cloud.billing.add_credits(self.user.id, 2_000_000, "for a test")


STATES = (
    "running", "paused", "sleeping", "stopped", "never_made", "vanished", "unclear", "waiting_for_credits",
    "waiting_with_a_little", "kept_for_nothing", "binned",
)  # fmt: skip
OPERATIONS = (
    "start", "stop", "force_off", "reboot", "reset", "suspend", "resume", "grow", "cheapen", "delete", "restore",
    "purge", "move", "pay",
)  # fmt: skip


@pytest.mark.timeout(600)
@pytest.mark.parametrize("state", STATES)
def test_verify_is_quiet_in_every_state_and_at_every_step(cloud, state):
    watch = Watch(cloud)
    cloud.worker.checkpoint = watch.look
    done, vm = [], None
    for name in OPERATIONS:
        vm = vm or getattr(watch, state)()
        watch.what = f"{state}, {name}"
        try:
            getattr(watch, name)(vm)
        except ServiceError:
            continue
        done.append(name)
        watch.look("asked for")
        if state == "unclear":
            cloud.round(400)
            watch.look("400 s later")
            cloud.control.lose(vm.id, lost=False)
        cloud.worker.work()
        watch.live(400)
        vm = watch.new_person()
    assert watch.breaches == []
    assert len(done) >= 2, done


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", ["start", "stop", "force_off", "reboot", "suspend", "resume", "grow", "delete"])
def test_verify_is_quiet_while_the_host_is_away(cloud, name):
    watch = Watch(cloud)
    for state in ("running", "paused", "sleeping", "stopped", "waiting_with_a_little"):
        watch.what = f"{state}, {name}"
        vm = getattr(watch, state)()
        cloud.control.fault("*", "unavailable", times=None)
        try:
            getattr(watch, name)(vm)
        except ServiceError:
            watch.look("refused")
        watch.live(400)
        cloud.control.clear()
        watch.live(30, step=10)
        watch.new_person()
    assert watch.breaches == []


@pytest.mark.error
def test_a_machine_past_what_is_paid_is_told_also_while_its_stop_is_under_way(cloud, alice):
    """Its stop for lack of credit was taken up and is stuck: nothing else would tell."""
    vm = cloud.launch(alice, cloud.project(alice))
    cloud.set_wallet(alice, 0)
    ends_at = cloud.hold(vm).paid_until
    cloud.clock.set(ends_at - timedelta(seconds=30))
    cloud.round(1)

    def killed(step):
        raise Killed

    cloud.worker.checkpoint = killed
    with pytest.raises(Killed):
        cloud.worker.work()
    assert cloud.vm(vm).state == VMState.STOPPING
    for minutes in (4, 6):
        cloud.clock.set(ends_at + timedelta(minutes=minutes))
        cloud.round(1)
        for loop in ("bill", "land"):
            cloud.monitoring.processes.record_heartbeat("one", loop, 1)
        told = [check.detail for check in cloud.billing.verify() if not check.ok]
        assert told == ([] if minutes < 5 else ["web runs beyond what is paid in advance"])
