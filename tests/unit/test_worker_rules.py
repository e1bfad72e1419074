"""The worker's pure parts: bringing a machine down in steps, and remembering events."""

from datetime import UTC, datetime, timedelta

import pytest

from zentry_web.adapters.compute.base import Machine, MachineEvent, PowerState
from zentry_web.worker.checkpoints import pausing_checkpoint
from zentry_web.worker.machine_events import MachineEvents
from zentry_web.worker.power_off import PowerOff, is_off

pytestmark = pytest.mark.unit

NOW = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
MINUTE = timedelta(seconds=60)


def after(seconds):
    return NOW + timedelta(seconds=seconds)


def steps(off, moments):
    return [off.next_step(after(moment)) for moment in moments]


def test_a_stop_asks_every_five_seconds_and_gives_up_after_its_time():
    off = PowerOff(None, MINUTE)
    assert steps(off, [0, 1, 4.9, 5, 9, 10.5, 59.9, 60]) == ["ask", "", "", "ask", "", "ask", "ask", "fail"]


def test_its_time_counts_from_the_first_asking():
    off = PowerOff(None, MINUTE)
    assert steps(off, [1000, 1059, 1060]) == ["ask", "ask", "fail"]


def test_a_force_off_cuts_the_power_at_once_and_again():
    off = PowerOff(NOW, MINUTE)
    assert steps(off, [0, 1, 5, 100, 101, 105]) == ["force", "", "force", "force", "", "force"]


def test_a_stop_with_an_end_asks_first_and_cuts_then_without_giving_up():
    off = PowerOff(after(55), MINUTE)
    assert steps(off, [0, 5, 54, 54.9, 55, 56, 60, 200]) == ["ask", "ask", "ask", "", "force", "", "force", "force"]


@pytest.mark.parametrize(
    ("power", "run_id", "off"),
    [
        (PowerState.OFF, None, True),
        (PowerState.RUNNING, "r", False),
        (PowerState.FAILED, None, True),
        (PowerState.FAILED, "r", False),
        (PowerState.UNKNOWN, None, False),
        (PowerState.BUILDING, None, False),
    ],
)
def test_what_counts_as_off(power, run_id, off):
    assert is_off(Machine("vm", power, run_id)) == off


def test_events_are_remembered_per_machine_and_kind():
    events = MachineEvents()
    assert not events.something.is_set()
    events.hear(MachineEvent("a", "stopped", after(5)))
    events.hear(MachineEvent("b", "deleted", after(6)))
    events.hear(MachineEvent(None, "reconnected", after(7)))
    assert events.something.is_set()
    assert events.when("a", "stopped", since=NOW, until=after(5)) == after(5)
    assert events.when("a", "stopped", since=after(6), until=after(9)) is None
    assert events.when("a", "stopped", since=NOW, until=after(4)) is None
    assert events.when("a", "started", since=NOW, until=after(9)) is None
    assert events.went("b", since=NOW, until=after(9)) is None, "it may have been off for long"
    events.hear(MachineEvent("b", "stopped", after(4)))
    assert events.went("b", since=NOW, until=after(9)) == after(4), "it was off before it was deleted"
    events.forget("a")
    assert events.went("a", since=NOW, until=after(9)) is None


def test_a_checkpoint_without_a_name_does_nothing(tmp_path):
    pausing_checkpoint(tmp_path, "")("create.disk")
    pausing_checkpoint(tmp_path, "create.boot")("create.disk")
    assert list(tmp_path.iterdir()) == []
