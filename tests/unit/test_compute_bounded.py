"""Calls that may block are given up in time."""

import threading

import pytest

from zentry_web.adapters.compute.libvirt.bounded import BoundedCalls, GaveUp, TooManyStuck

pytestmark = pytest.mark.unit


def test_results_and_errors_come_through() -> None:
    calls = BoundedCalls("test")
    assert calls.run(lambda: 42, 5) == 42
    with pytest.raises(ZeroDivisionError):
        calls.run(lambda: 1 // 0, 5)


def test_a_stuck_call_is_given_up_and_their_number_is_limited() -> None:
    calls = BoundedCalls("test", stuck_limit=2)
    gate = threading.Event()
    done = threading.Semaphore(0)

    def stuck() -> None:
        gate.wait(20)
        done.release()

    for _ in range(2):
        with pytest.raises(GaveUp):
            calls.run(stuck, 0.02)
    with pytest.raises(TooManyStuck):
        calls.run(lambda: 1, 5)
    gate.set()
    for _ in range(2):
        assert done.acquire(timeout=5)
    for thread in threading.enumerate():
        if thread.name == "test":
            thread.join(5)
    assert calls.run(lambda: 1, 5) == 1, "once they are back there is room again"


def test_what_hangs_for_one_machine_is_refused_for_no_other() -> None:
    """One stuck call for each, however many those are; the room for calls about none is not theirs."""
    calls = BoundedCalls("test-about", stuck_limit=1)
    gate = threading.Event()
    try:
        for vm_id in ("vm_1", "vm_2", "vm_3"):
            with pytest.raises(GaveUp):
                calls.run(lambda: gate.wait(20), 0.02, vm_id)
            with pytest.raises(TooManyStuck):
                calls.run(lambda: 1, 5, vm_id)
        assert calls.run(lambda: 1, 5, "vm_4") == 1
        assert calls.run(lambda: 1, 5) == 1
    finally:
        gate.set()
    for thread in threading.enumerate():
        if thread.name == "test-about":
            thread.join(5)
    assert calls.run(lambda: 1, 5, "vm_1") == 1, "once it is back there is room again"
