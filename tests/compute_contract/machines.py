"""Machines: their making, power, sizes and end."""

from collections.abc import Iterator
from dataclasses import replace
from unittest.mock import ANY

import pytest

from tests.compute_contract.rig import ComputeRig, wait_for
from zentry_web.adapters.compute.base import (
    ComputeRefused,
    Machine,
    MachineMissing,
    PowerState,
)
from zentry_web.adapters.compute.words import PAUSED, SAVED, SLEEPING
from zentry_web.domain.vms.outage import Cause


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
        assert "tiny" in rig.driver.images.names()

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

    @pytest.mark.parametrize(
        "action",
        [
            *("start", "suspend", "resume", "shutdown", "force_off", "reboot", "reset", "console_log"),
            *("check_resize", "resize"),
        ],
    )
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
        assert rig.get(vm_id).ended == Cause.GUEST
        rig.driver.start(vm_id)
        again = rig.get(vm_id)
        assert again.power is PowerState.RUNNING
        assert again.run_id not in (None, first)
        assert not again.answered, "the answer of the run before does not count"
        assert again.ended is None
        rig.wait_answered(vm_id)
        rig.driver.force_off(vm_id)
        assert (rig.get(vm_id).power, rig.get(vm_id).ended) == (PowerState.OFF, Cause.HAND)
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

    @pytest.mark.parametrize(
        ("how", "power", "why", "ending"),
        [
            ("pause", PowerState.PAUSED, PAUSED, "resume"),
            ("pause", PowerState.PAUSED, PAUSED, "start"),
            ("sleep", PowerState.SLEEPING, SLEEPING, "resume"),
        ],
    )
    def test_what_stands_still_says_so_and_goes_on(
        self, rig: ComputeRig, running: str, how: str, power: PowerState, why: str, ending: str
    ) -> None:
        rig.events.clear()
        before = replace(rig.get(running), agent=ANY)  # an agent may begin to listen at any moment after the boot
        getattr(rig, how)(running)
        rig.wait_power(running, power, 120)
        standing = rig.get(running)
        assert standing == replace(before, power=power, fault=why)
        assert standing.is_on
        assert standing in rig.driver.machines()
        rig.wait_event(running, "paused")
        with pytest.raises(ComputeRefused, match="running"):
            rig.driver.resize(running, vcpus=2, memory_mib=128, disk_gib=1)
        getattr(rig.driver, ending)(running)
        rig.wait_power(running, PowerState.RUNNING)
        assert rig.get(running) == before
        rig.wait_event(running, "resumed")
        rig.driver.resume(running)  # again: nothing to do

    def test_it_stands_still_when_asked_and_boots_anew_by_its_reset_button(self, rig: ComputeRig, running: str) -> None:
        rig.events.clear()
        before = replace(rig.get(running), agent=ANY)  # an agent may begin to listen at any moment after the boot
        rig.driver.suspend(running)
        rig.wait_power(running, PowerState.PAUSED)
        assert rig.get(running) == replace(before, power=PowerState.PAUSED, fault=PAUSED)
        rig.wait_event(running, "paused")
        rig.driver.suspend(running)  # again: nothing to do
        rig.driver.resume(running)
        rig.wait_power(running, PowerState.RUNNING)
        rig.driver.reset(running)
        rig.wait_event(running, "rebooted")
        after = rig.get(running)
        assert (after.power, after.run_id) == (PowerState.RUNNING, before.run_id)

    def test_what_is_off_is_neither_suspended_nor_reset(self, rig: ComputeRig, created: str) -> None:
        for order in (rig.driver.suspend, rig.driver.reset):
            with pytest.raises(ComputeRefused, match="off"):
                order(created)

    def test_what_is_off_does_not_go_on(self, rig: ComputeRig, created: str) -> None:
        with pytest.raises(ComputeRefused, match="off"):
            rig.driver.resume(created)
        rig.driver.start(created)
        rig.pause(created)
        rig.driver.force_off(created)
        assert rig.get(created) == Machine(created, PowerState.OFF)
        rig.driver.start(created)
        assert rig.get(created).power is PowerState.RUNNING

    def test_saved_memory_is_gone_on_from_and_fits_no_other_size(self, rig: ComputeRig) -> None:
        vm_id = rig.booted()
        said = lambda: f"ZENTRY-READY {vm_id} " in rig.driver.console_log(vm_id).text  # noqa: E731
        wait_for(said, rig.answer_seconds, "its ready line: it may have its address before")
        first = rig.get(vm_id)
        rig.save(vm_id)
        saved = rig.get(vm_id)
        assert (saved, saved.ended) == (Machine(vm_id, PowerState.OFF, fault=SAVED), Cause.HAND)
        assert saved in rig.driver.machines()
        with pytest.raises(ComputeRefused, match="memory is saved"):
            rig.driver.check_resize(vm_id)
        with pytest.raises(ComputeRefused, match="memory is saved"):
            rig.driver.resize(vm_id, vcpus=2, memory_mib=192, disk_gib=2)
        rig.driver.resize(vm_id, vcpus=1, memory_mib=128, disk_gib=1)  # its own size is none
        ready = rig.driver.console_log(vm_id).text.count(f"ZENTRY-READY {vm_id} ")
        rig.driver.start(vm_id)
        resumed = rig.get(vm_id)
        assert (resumed.power, resumed.answered) == (PowerState.RUNNING, True)
        assert resumed.run_id not in (None, first.run_id)
        assert resumed.addresses == first.addresses
        assert rig.another_sees(vm_id) == resumed
        assert rig.driver.console_log(vm_id).text.count(f"ZENTRY-READY {vm_id} ") == ready, "it did not boot"
        # Once off without its memory, the answer of the run before counts no more.
        rig.driver.force_off(vm_id)
        rig.driver.resize(vm_id, vcpus=2, memory_mib=192, disk_gib=1)
        rig.driver.start(vm_id)
        assert not rig.get(vm_id).answered
        rig.driver.delete(vm_id)

    def test_a_machine_with_a_snapshot_keeps_its_size(self, rig: ComputeRig, created: str) -> None:
        rig.driver.start(created)
        rig.driver.check_resize(created)
        rig.snapshot(created)
        with pytest.raises(ComputeRefused, match="snapshot"):
            rig.driver.check_resize(created)
        rig.driver.force_off(created)
        with pytest.raises(ComputeRefused, match="snapshot"):
            rig.driver.resize(created, vcpus=2, memory_mib=192, disk_gib=2)
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
        assert (rig.get(vm_id).power, rig.get(vm_id).ended) == (PowerState.OFF, Cause.HAND)
        rig.wait_event(vm_id, "stopped")
        rig.driver.delete(vm_id)

    def test_the_note_says_what_a_machine_was_made_as(self, rig: ComputeRig) -> None:
        spec = rig.spec()
        rig.driver.create(spec)
        assert rig.driver.note(spec.vm_id) == replace(spec, ssh_keys=(), user_data="")
        rig.driver.resize(spec.vm_id, vcpus=2, memory_mib=192, disk_gib=2)
        sized = replace(spec, ssh_keys=(), user_data="", vcpus=2, memory_mib=192, disk_gib=2)
        assert rig.driver.note(spec.vm_id) == sized
        rig.driver.delete(spec.vm_id)
        assert rig.driver.note(spec.vm_id) is None

    def test_a_machine_removed_behind_our_back_is_gone(self, rig: ComputeRig, created: str) -> None:
        rig.undefine(created)
        assert rig.driver.machine(created) is None
        assert created not in {machine.vm_id for machine in rig.driver.machines()}
        with pytest.raises(MachineMissing):
            rig.driver.start(created)
