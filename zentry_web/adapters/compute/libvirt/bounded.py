"""Calls that cannot hang for ever: each runs in a thread of its own and is given up after a time."""

import threading
from collections import Counter
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class GaveUp(Exception):
    """The time was over; the call may still be going on."""


class TooManyStuck(Exception):
    """So many earlier calls about the same never came back that no more are begun."""


class _Outcome(Generic[T]):
    def __init__(self) -> None:
        self.done = threading.Event()
        self.value: T | None = None
        self.error: BaseException | None = None


class BoundedCalls:
    """Runs functions of a C library that may block. At most ``stuck_limit`` given-up threads are tolerated, and beside
    them one for each thing that calls are about: what hangs for one machine is refused for no other."""

    def __init__(self, name: str, stuck_limit: int = 8) -> None:
        self._name = name
        self._stuck_limit = stuck_limit
        self._stuck: Counter[str] = Counter()  # by what they are about
        self._lock = threading.Lock()

    def run(self, function: Callable[[], T], seconds: float, about: str = "") -> T:
        """The function's result or exception. Raises GaveUp after ``seconds``, TooManyStuck without trying.

        ``about`` names the one thing that may make it hang; '' for calls that have none.
        """
        with self._lock:
            if self._stuck[about] >= (1 if about else self._stuck_limit):
                raise TooManyStuck
        outcome: _Outcome[T] = _Outcome()
        given_up = threading.Event()

        def work() -> None:
            try:
                outcome.value = function()
            except BaseException as error:  # handed to the caller below
                outcome.error = error
            with self._lock:
                outcome.done.set()
                if given_up.is_set():
                    self._stuck[about] -= 1
                    self._stuck += Counter()  # drops those that are 0

        threading.Thread(target=work, name=self._name, daemon=True).start()
        if not outcome.done.wait(seconds):
            with self._lock:
                if not outcome.done.is_set():
                    given_up.set()
                    self._stuck[about] += 1
                    raise GaveUp
        if outcome.error is not None:
            raise outcome.error
        return outcome.value  # type: ignore[return-value]  # None only where T allows it
