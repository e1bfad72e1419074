"""Calls that may block are given up in time."""

import threading

import pytest

from zentry_web.adapters.compute.bounded import BoundedCalls, GaveUp, TooManyStuck

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
