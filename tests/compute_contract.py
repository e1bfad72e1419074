"""What every compute driver must do. Run on the simulator and on real libvirt, so that the twin cannot lie.

A subclass gives a class-scoped fixture ``rig`` (a ``ComputeRig``) and inherits the tests.
"""

import itertools
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

import pytest

from zentry_web.adapters.compute.base import (
    ComputeDriver,
    ComputeRefused,
    Machine,
    MachineEvent,
    MachineMissing,
    MachineSpec,
    PowerState,
)

T = TypeVar("T")


def wait_for(question: Callable[[], T], seconds: float, what: str, pause: float = 0.1) -> T:
    """Ask until the answer is true; fails after ``seconds``."""
    deadline = time.monotonic() + seconds
    while True:
        answer = question()
        if answer:
            return answer
        if time.monotonic() > deadline:
            pytest.fail(f"waited {seconds:g} s in vain for: {what}")
        time.sleep(pause)


@dataclass
class ComputeRig:
    """A driver, and hands that reach around it."""

    driver: ComputeDriver
    another: Callable[[], ComputeDriver]  # a driver of another process on the same truth
    pull_plug: Callable[[str], None]  # virsh destroy
    undefine: Callable[[str], None]  # virsh undefine
    answer_seconds: float  # a guest has answered by then
    ssh_keys: tuple[str, ...] = ()
    events: list[MachineEvent] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._numbers = itertools.count(1)
        self.driver.subscribe(self.events.append)

    def spec(self, **changes: object) -> MachineSpec:
        """A machine that was not there before."""
        values: dict[str, object] = {
            "vm_id": f"vm_{secrets.token_hex(10).upper()}",
            "name": f"guest{next(self._numbers)}",
            "vcpus": 1,
            "memory_mib": 128,
            "disk_gib": 1,
            "image": "tiny",
            "ssh_keys": self.ssh_keys,
            "user_data": "#!/bin/sh\necho hello from user data\n",
        }
        return MachineSpec(**(values | changes))  # type: ignore[arg-type]

    def get(self, vm_id: str) -> Machine:
        machine = self.driver.machine(vm_id)
        assert machine is not None
        return machine

    def created(self) -> str:
        spec = self.spec()
        self.driver.create(spec)
        return spec.vm_id

    def booted(self, **changes: object) -> str:
        """A machine that has answered."""
        spec = self.spec(**changes)
        self.driver.create(spec)
        self.driver.start(spec.vm_id)
        self.wait_answered(spec.vm_id)
        return spec.vm_id

    def wait_answered(self, vm_id: str) -> Machine:
        return wait_for(lambda: m if (m := self.get(vm_id)).answered else None, self.answer_seconds, "an answer")

    def wait_power(self, vm_id: str, power: PowerState, seconds: float = 30) -> None:
        wait_for(lambda: self.get(vm_id).power is power, seconds, f"{power} of {vm_id}")

    def wait_event(self, vm_id: str, kind: str) -> None:
        wait_for(lambda: any(e.vm_id == vm_id and e.kind == kind for e in list(self.events)), 10, f"event {kind}")


class ComputeContract:
    """The tests. Those that only look share one running machine."""

    @pytest.fixture(scope="class")
    @classmethod
    def running(cls, rig: ComputeRig) -> Iterator[str]:
        vm_id = rig.booted()
        yield vm_id
        rig.driver.delete(vm_id)

    @pytest.fixture
    def created(self, rig: ComputeRig) -> Iterator[str]:
        vm_id = rig.created()
        yield vm_id
        rig.driver.delete(vm_id)

    def test_the_driver_is_healthy_and_has_the_image(self, rig: ComputeRig) -> None:
        health = rig.driver.health()
        assert health.ok, health.detail
        assert health.facts["driver"] == rig.driver.name
        assert "tiny" in rig.driver.images()

    def test_capacity_is_plausible(self, rig: ComputeRig) -> None:
        capacity = rig.driver.capacity()
        assert capacity.vcpus >= 1
        assert 0 < capacity.memory_free_mib <= capacity.memory_mib
        assert 0 < capacity.disk_free_gib <= capacity.disk_gib

    def test_a_created_machine_is_off(self, rig: ComputeRig, created: str) -> None:
        machine = rig.get(created)
        assert machine == Machine(created, PowerState.OFF)
        assert machine in rig.driver.machines()
        assert created not in {row.vm_id for row in rig.driver.statistics()}

    def test_creating_again_changes_nothing(self, rig: ComputeRig) -> None:
        spec = rig.spec()
        rig.driver.create(spec)
        rig.driver.create(spec)
        assert [machine.vm_id for machine in rig.driver.machines()].count(spec.vm_id) == 1
        rig.driver.delete(spec.vm_id)

    def test_another_process_sees_the_same_machines(self, rig: ComputeRig, created: str) -> None:
        other = rig.another()
        try:
            assert other.machine(created) == Machine(created, PowerState.OFF)
        finally:
            other.close()

    def test_an_unknown_image_is_refused_and_leaves_nothing(self, rig: ComputeRig) -> None:
        spec = rig.spec(image="no-such-image")
        with pytest.raises(ComputeRefused, match="no-such-image"):
            rig.driver.create(spec)
        assert rig.driver.machine(spec.vm_id) is None

    def test_a_disk_without_room_is_refused_and_leaves_nothing(self, rig: ComputeRig) -> None:
        spec = rig.spec(disk_gib=10_000_000)
        with pytest.raises(ComputeRefused, match="room"):
            rig.driver.create(spec)
        assert rig.driver.machine(spec.vm_id) is None

    def test_memory_that_is_not_there_is_refused(self, rig: ComputeRig) -> None:
        spec = rig.spec(memory_mib=1_000_000_000)
        rig.driver.create(spec)
        with pytest.raises(ComputeRefused, match="memory"):
            rig.driver.start(spec.vm_id)
        assert rig.get(spec.vm_id).power is PowerState.OFF
        rig.driver.delete(spec.vm_id)

    @pytest.mark.parametrize("action", ["start", "shutdown", "force_off", "reboot", "console_log", "resize"])
    def test_a_missing_machine(self, rig: ComputeRig, action: str) -> None:
        more = {"vcpus": 1, "memory_mib": 128, "disk_gib": 1} if action == "resize" else {}
        with pytest.raises(MachineMissing):
            getattr(rig.driver, action)("vm_NOSUCHMACHINE", **more)
        assert rig.driver.machine("vm_NOSUCHMACHINE") is None

    def test_deleting_what_is_not_there_succeeds(self, rig: ComputeRig) -> None:
        rig.driver.delete("vm_NOSUCHMACHINE")

    def test_stopping_what_is_off_succeeds(self, rig: ComputeRig, created: str) -> None:
        rig.driver.shutdown(created)
        rig.driver.force_off(created)
        assert rig.get(created).power is PowerState.OFF

    def test_restarting_what_is_off_is_refused(self, rig: ComputeRig, created: str) -> None:
        with pytest.raises(ComputeRefused, match="off"):
            rig.driver.reboot(created)

    def test_the_console_of_a_machine_that_never_ran_is_empty(self, rig: ComputeRig, created: str) -> None:
        log = rig.driver.console_log(created)
        assert (log.text, log.size) == ("", 0)

    def test_a_running_machine_has_an_address_and_a_run(self, rig: ComputeRig, running: str) -> None:
        machine = rig.get(running)
        assert machine.power is PowerState.RUNNING
        assert machine.run_id
        assert machine.addresses or machine.reach
        assert machine in rig.driver.machines()
        rig.wait_event(running, "started")

    def test_starting_what_runs_changes_nothing(self, rig: ComputeRig, running: str) -> None:
        before = rig.get(running).run_id
        rig.driver.start(running)
        assert rig.get(running).run_id == before

    def test_counters_grow_within_a_run(self, rig: ComputeRig, running: str) -> None:
        def row() -> object:
            return next((row for row in rig.driver.statistics() if row.vm_id == running), None)

        first = wait_for(row, 5, "statistics")
        assert first.run_id == rig.get(running).run_id
        assert first.vcpus == 1
        assert first.memory_total_bytes == 128 * 1024 * 1024
        assert first.cpu_time_ns > 0
        later = wait_for(lambda: r if (r := row()).cpu_time_ns > first.cpu_time_ns else None, 10, "more CPU time")
        for counter in ("disk_read_bytes", "disk_write_bytes", "net_rx_bytes", "net_tx_bytes"):
            assert getattr(later, counter) >= getattr(first, counter) >= 0
        used = wait_for(lambda: row().memory_used_bytes, 15, "the balloon driver's word on memory")
        assert 0 < used < first.memory_total_bytes

    def test_the_console_tells_of_the_boot(self, rig: ComputeRig, running: str) -> None:
        log = wait_for(
            lambda: found if "login:" in (found := rig.driver.console_log(running)).text else None, 10, "a login prompt"
        )
        assert f"ZENTRY-READY {running} " in log.text
        assert "ssh: listening" in log.text
        assert "\x1b" not in log.text
        assert log.size >= len(log.text)
        tail = rig.driver.console_log(running, max_bytes=40)
        assert len(tail.text) <= 40
        assert log.text.endswith(tail.text)

    def test_a_restart_is_the_same_run(self, rig: ComputeRig, running: str) -> None:
        before = rig.get(running).run_id
        ready = f"ZENTRY-READY {running} "
        count = rig.driver.console_log(running).text.count(ready)
        rig.driver.reboot(running)
        wait_for(lambda: rig.driver.console_log(running).text.count(ready) > count, rig.answer_seconds, "a second boot")
        rig.wait_event(running, "rebooted")
        assert rig.get(running).run_id == before

    def test_stop_and_start_is_another_run(self, rig: ComputeRig) -> None:
        vm_id = rig.booted()
        first = rig.get(vm_id).run_id
        rig.driver.shutdown(vm_id)
        rig.wait_power(vm_id, PowerState.OFF)
        rig.wait_event(vm_id, "stopped")
        assert rig.get(vm_id) == Machine(vm_id, PowerState.OFF)
        rig.driver.start(vm_id)
        again = rig.get(vm_id)
        assert again.power is PowerState.RUNNING
        assert again.run_id not in (None, first)
        assert not again.answered, "the answer of the run before does not count"
        rig.wait_answered(vm_id)
        rig.driver.force_off(vm_id)
        assert rig.get(vm_id).power is PowerState.OFF
        rig.driver.delete(vm_id)
        assert rig.driver.machine(vm_id) is None

    def test_a_machine_that_is_off_gets_another_size(self, rig: ComputeRig, created: str) -> None:
        size = {"vcpus": 2, "memory_mib": 192, "disk_gib": 2}
        rig.driver.resize(created, **size)
        rig.driver.resize(created, **size)  # again: nothing to do
        rig.driver.start(created)
        rig.driver.resize(created, **size)  # nor while it runs
        rig.wait_answered(created)
        row = wait_for(lambda: next((r for r in rig.driver.statistics() if r.vm_id == created), None), 5, "statistics")
        assert (row.vcpus, row.memory_total_bytes) == (2, 192 * 1024 * 1024)
        rig.driver.force_off(created)
        # Smaller again, but for the disk: what is on it stays.
        rig.driver.resize(created, vcpus=1, memory_mib=128, disk_gib=1)
        rig.driver.start(created)
        rig.wait_answered(created)
        row = wait_for(lambda: next((r for r in rig.driver.statistics() if r.vm_id == created), None), 5, "statistics")
        assert (row.vcpus, row.memory_total_bytes) == (1, 128 * 1024 * 1024)

    def test_what_runs_keeps_its_size(self, rig: ComputeRig, running: str) -> None:
        with pytest.raises(ComputeRefused, match="running"):
            rig.driver.resize(running, vcpus=2, memory_mib=128, disk_gib=1)
        rig.driver.resize(running, vcpus=1, memory_mib=128, disk_gib=1)
        assert rig.get(running).power is PowerState.RUNNING

    def test_a_disk_that_finds_no_room_does_not_grow(self, rig: ComputeRig, created: str) -> None:
        with pytest.raises(ComputeRefused, match="room"):
            rig.driver.resize(created, vcpus=2, memory_mib=192, disk_gib=10_000_000)
        rig.driver.resize(created, vcpus=1, memory_mib=128, disk_gib=1)
        rig.driver.start(created)
        row = wait_for(lambda: next((r for r in rig.driver.statistics() if r.vm_id == created), None), 5, "statistics")
        assert (row.vcpus, row.memory_total_bytes) == (1, 128 * 1024 * 1024)

    def test_a_running_machine_can_be_deleted_twice(self, rig: ComputeRig) -> None:
        vm_id = rig.created()
        rig.driver.start(vm_id)
        rig.driver.delete(vm_id)
        rig.driver.delete(vm_id)
        assert vm_id not in {machine.vm_id for machine in rig.driver.machines()}
        rig.wait_event(vm_id, "deleted")

    def test_a_plug_pulled_behind_our_back_shows(self, rig: ComputeRig) -> None:
        vm_id = rig.created()
        rig.driver.start(vm_id)
        rig.pull_plug(vm_id)
        assert rig.get(vm_id).power is PowerState.OFF
        rig.wait_event(vm_id, "stopped")
        rig.driver.delete(vm_id)

    def test_a_machine_removed_behind_our_back_is_gone(self, rig: ComputeRig, created: str) -> None:
        rig.undefine(created)
        assert rig.driver.machine(created) is None
        assert created not in {machine.vm_id for machine in rig.driver.machines()}
        with pytest.raises(MachineMissing):
            rig.driver.start(created)
