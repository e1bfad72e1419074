"""The simulator's own promises: shared by processes, survives a kill, obeys from outside, believable and quick."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.compute_contract import wait_for
from zentry_web.adapters.clock import ManualClock
from zentry_web.adapters.compute.base import (
    ComputeRefused,
    ComputeTimeout,
    ComputeUnavailable,
    MachineEvent,
    MachineMissing,
    MachineSpec,
    PowerState,
)
from zentry_web.adapters.compute.simulator.control import SimulatorControl
from zentry_web.adapters.compute.simulator.driver import SimulatorCompute

START = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
SPEC = MachineSpec("vm_1", "alpha", 2, 512, 5, "tiny")


def spec(number: int) -> MachineSpec:
    return MachineSpec(f"vm_{number:04}", f"guest{number}", 1 + number % 4, 512, 5, "tiny")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "simulator.sqlite"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


@pytest.fixture
def driver(path: Path, clock: ManualClock) -> Iterator[SimulatorCompute]:
    driver = SimulatorCompute(path, clock)
    yield driver
    driver.close()


@pytest.fixture
def control(path: Path, clock: ManualClock) -> Iterator[SimulatorControl]:
    control = SimulatorControl(path, clock)
    yield control
    control.close()


def power(driver: SimulatorCompute) -> PowerState:
    machine = driver.machine("vm_1")
    assert machine is not None
    return machine.power


def test_a_life(driver: SimulatorCompute, clock: ManualClock) -> None:
    driver.create(SPEC)
    driver.start("vm_1")
    assert power(driver) is PowerState.RUNNING
    assert not driver.machine("vm_1").answered
    clock.advance(2)
    assert driver.machine("vm_1").answered
    driver.shutdown("vm_1")
    assert power(driver) is PowerState.RUNNING
    clock.advance(0.5)
    assert power(driver) is PowerState.OFF


@pytest.mark.parametrize(
    ("kind", "error", "done"),
    [
        ("refuse", ComputeRefused, False),
        ("unavailable", ComputeUnavailable, False),
        ("timeout", ComputeTimeout, False),
        ("timeout-after", ComputeTimeout, True),
    ],
)
def test_faults_on_order(
    driver: SimulatorCompute, control: SimulatorControl, kind: str, error: type[Exception], done: bool
) -> None:
    control.fault("create", kind, "vm_1", message="" if kind == "timeout-after" else "as ordered")
    with pytest.raises(error):
        driver.create(SPEC)
    assert (driver.machine("vm_1") is not None) is done
    driver.create(SPEC)
    assert driver.machine("vm_1") is not None, "the fault was for one call"


def test_a_host_that_is_away_until_it_is_back(driver: SimulatorCompute, control: SimulatorControl) -> None:
    control.fault("*", "unavailable", times=None)
    for _ in range(3):
        with pytest.raises(ComputeUnavailable):
            driver.machines()
    assert not driver.health().ok
    assert control.clear() == 1
    assert driver.health().ok


def test_delays_on_order(driver: SimulatorCompute, control: SimulatorControl, clock: ManualClock) -> None:
    control.delay("build", 10, "vm_1")
    driver.create(SPEC)
    assert power(driver) is PowerState.BUILDING
    with pytest.raises(ComputeUnavailable):
        driver.start("vm_1")
    clock.advance(10)
    control.delay("power_on", 5)
    control.delay("boot", 60)
    driver.start("vm_1")
    driver.start("vm_1")
    assert power(driver) is PowerState.OFF, "accepted, not yet done"
    clock.advance(5)
    assert power(driver) is PowerState.RUNNING
    clock.advance(59)
    assert not driver.machine("vm_1").answered
    clock.advance(1)
    assert driver.machine("vm_1").answered
    control.fault("shutdown", "ignore")
    driver.shutdown("vm_1")
    clock.advance(300)
    assert power(driver) is PowerState.RUNNING
    began = time.monotonic()
    control.delay("machines", 0.2)
    driver.machines()
    assert time.monotonic() - began >= 0.2


@pytest.mark.parametrize("words", [("explode", "refuse"), ("start", "explode"), ("start", "delay")])
def test_unknown_faults_are_told(control: SimulatorControl, words: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match="unknown"):
        control.fault(*words)
    with pytest.raises(ValueError, match="unknown"):
        control.delay("explode", 1)


def test_changes_from_outside(driver: SimulatorCompute, control: SimulatorControl, clock: ManualClock) -> None:
    driver.create(SPEC)
    driver.start("vm_1")
    control.stop("alpha")
    assert power(driver) is PowerState.OFF
    driver.start("vm_1")
    control.lose("vm_1")
    assert power(driver) is PowerState.UNKNOWN
    assert driver.statistics() == []
    control.lose("vm_1", lost=False)
    assert control.is_on("vm_1")
    control.fail("vm_1", "kernel panic")
    machine = driver.machine("vm_1")
    assert (machine.power, machine.fault) == (PowerState.FAILED, "kernel panic")
    driver.start("vm_1")
    assert power(driver) is PowerState.RUNNING
    control.destroy("alpha")
    assert driver.machines() == control.machines() == []
    with pytest.raises(MachineMissing):
        control.destroy("alpha")


def test_a_name_that_two_machines_have_is_not_guessed(driver: SimulatorCompute, control: SimulatorControl) -> None:
    driver.create(SPEC)
    driver.create(MachineSpec("vm_2", "alpha", 1, 128, 1, "tiny"))
    with pytest.raises(MachineMissing, match="2 machines"):
        control.stop("alpha")


def test_a_stop_that_takes_time_is_told_when_it_happens(
    driver: SimulatorCompute, clock: ManualClock, path: Path
) -> None:
    heard: list[MachineEvent] = []
    driver.subscribe(heard.append)
    other = SimulatorCompute(path, clock)
    other.create(SPEC)
    other.start("vm_1")
    other.shutdown("vm_1")
    wait_for(lambda: [e.kind for e in heard] == ["started"], 5, "word from another process")
    clock.advance(1)
    wait_for(lambda: [e.kind for e in heard] == ["started", "stopped"], 5, "word of the stop")
    other.close()


def test_it_survives_sigkill_and_is_shared_by_processes(tmp_path: Path) -> None:
    path = tmp_path / "simulator.sqlite"
    script = (
        "import sys\n"
        "from zentry_web.adapters.compute.simulator.driver import SimulatorCompute\n"
        "from zentry_web.adapters.compute.base import MachineSpec\n"
        "driver = SimulatorCompute(sys.argv[1])\n"
        "for n in range(100000):\n"
        "    driver.create(MachineSpec(f'vm_{n}', 'guest', 1, 128, 1, 'tiny'))\n"
        "    driver.start(f'vm_{n}')\n"
    )
    root = Path(__file__).resolve().parents[2]
    process = subprocess.Popen([sys.executable, "-c", script, str(path)], cwd=root)
    here = SimulatorCompute(path)
    try:
        wait_for(lambda: len(here.machines()) >= 20, 30, "machines made by the other process", pause=0.01)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    seen = here.machines()
    assert here.machines() == seen
    assert all(machine.power is PowerState.RUNNING for machine in seen[:-1])
    here.delete(seen[0].vm_id)
    assert len(here.machines()) == len(seen) - 1
    here.close()


def test_a_broken_file_is_an_unavailable_host(tmp_path: Path) -> None:
    (tmp_path / "folder.sqlite").mkdir()
    driver = SimulatorCompute(tmp_path / "folder.sqlite")
    with pytest.raises(ComputeUnavailable):
        driver.machines()
    assert not driver.health().ok


def test_a_thousand_machines_are_quick(driver: SimulatorCompute, clock: ManualClock) -> None:
    began = time.monotonic()
    driver.adopt(map(spec, range(1000)), started_at=START - timedelta(days=30))
    assert time.monotonic() - began < 1
    machines = driver.machines()
    assert len(machines) == 1000
    assert all(machine.answered for machine in machines)
    first = {row.vm_id: row for row in driver.statistics()}
    began = time.monotonic()
    clock.advance(10)
    later = driver.statistics()
    assert time.monotonic() - began < 0.5
    assert len(later) == 1000
    for row in later:
        before = first[row.vm_id]
        assert row.cpu_time_ns >= before.cpu_time_ns
        assert row.cpu_time_ns - before.cpu_time_ns <= 10 * 1.2e9 * row.vcpus
        assert row.net_tx_bytes > before.net_tx_bytes


def test_series_are_monotone_repeatable_and_have_character(path: Path, driver: SimulatorCompute) -> None:
    again = SimulatorCompute(path, seed=1)
    loads = []
    for number in range(10):
        previous = None
        rates = []
        for minutes in range(0, 24 * 60, 10):
            at = START + timedelta(minutes=minutes)
            now = driver.counters_at(spec(number), START, at)
            assert now == again.counters_at(spec(number), START, at)
            if previous is not None:
                assert now.cpu_time_ns >= previous.cpu_time_ns
                assert now.disk_write_bytes >= previous.disk_write_bytes
                rates.append((now.cpu_time_ns - previous.cpu_time_ns) / 600e9 / spec(number).vcpus)
            previous = now
        assert 0 < min(rates) <= max(rates) <= 1.1
        assert max(rates) > 1.2 * min(rates), "a day is not a straight line"
        loads.append(round(sum(rates) / len(rates), 4))
    assert len(set(loads)) == 10, "no two machines are alike"


def test_another_seed_is_another_world(tmp_path: Path) -> None:
    one, two = (SimulatorCompute(tmp_path / "x.sqlite", seed=seed) for seed in (1, 2))
    at = START + timedelta(hours=3)
    assert one.counters_at(SPEC, START, at) != two.counters_at(SPEC, START, at)


def test_the_console_keeps_its_end(driver: SimulatorCompute, clock: ManualClock) -> None:
    driver.create(SPEC)
    driver.start("vm_1")
    sizes = []
    for _ in range(400):
        clock.advance(3)
        driver.reboot("vm_1")
        sizes.append(driver.console_log("vm_1").size)
    assert sizes == sorted(set(sizes)), "every boot adds to the size, also after the oldest part was dropped"
    log = driver.console_log("vm_1")
    assert len(log.text) == 65536
    assert log.size > 131_072
    clock.advance(3)
    assert driver.console_log("vm_1").text.endswith("alpha login: ")
