"""Who gets a thread next: operations go round by payer, and what waits for a guest waits without a thread.

Stops for lack of credit have threads of their own, so that nothing else can hold them up. Within each of the two lanes
nobody takes more threads than are left for others, whatever their operations hang in.
"""

import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from prometheus_client import Counter as Metric

from zentry_web.domain.vms.claim import Claim
from zentry_web.services.shared.storage import tell_failure
from zentry_web.services.vm_service import VMService
from zentry_web.worker.machine_events import MachineEvents
from zentry_web.worker.operations import OperationRunner

LOOK_SECONDS = 2  # how often it looks by itself: a ring, an event or the end of a step wakes it at once
SHORTEST_ROUND_SECONDS = 0.05  # however much happens
STOP_SECONDS = 0.2  # how often it looks whether it is to end
RENEW_SECONDS = 10
PAUSE_SECONDS = 1  # when the database does not answer
OPERATION_THREADS = 16
CREDIT_THREADS = 16

_operations = Metric("zentry_operations_total", "Operations taken up", ["kind"])


@dataclass(eq=False)
class Work:
    """An operation under way: the rest of its steps, and when they go on (monotonic seconds)."""

    claim: Claim
    steps: Iterator[float]
    due: float = 0.0
    in_thread: bool = False
    stirred: bool = False  # something happened to its machine while a thread was at it


@dataclass
class Lane:
    """Threads for one sort of operation, and what they are at."""

    urgent: bool
    pool: ThreadPoolExecutor
    free: int
    works: list[Work] = field(default_factory=list)
    busy: Counter[str] = field(default_factory=Counter)  # threads by payer

    def may_take(self, owner_id: str) -> bool:
        """Whether as many threads are left as this payer has."""
        return self.busy[owner_id] < self.free

    def next_due(self, owner_id: str, now: float) -> Work | None:
        """Of a payer's operations that waited, the one that has been due longest."""
        due = [w for w in self.works if not w.in_thread and w.due <= now and w.claim.owner_id == owner_id]
        return min(due, key=lambda work: work.due, default=None)


class Dispatcher:
    """Claims operations and hands them to threads until ``stop`` is set. Use once."""

    def __init__(
        self,
        runner: OperationRunner,
        vms: VMService,
        events: MachineEvents,
        stop: threading.Event,
        *,
        worker: str,
        threads: int = OPERATION_THREADS,
    ) -> None:
        self._runner = runner
        self._operations = vms.operations
        self._events = events
        self._stop = stop
        self._worker = worker
        self._lanes = [
            Lane(True, ThreadPoolExecutor(CREDIT_THREADS, thread_name_prefix="credit-stop"), CREDIT_THREADS),
            Lane(False, ThreadPoolExecutor(threads, thread_name_prefix="operation"), threads),
        ]
        self._ended: queue.SimpleQueue[tuple[Lane, Work, Future[float | None]]] = queue.SimpleQueue()
        self._woken = threading.Event()
        events.wake(self._woken)
        self._renewed = self._began = time.monotonic()
        self._turn = 0
        self._last_turn: dict[str, int] = {}

    def run(self) -> None:
        """Until ``stop``; then wait for the calls under way and leave the rest to the next worker."""
        while not self._stop.is_set():
            if not self._quietly(self._round):
                self._stop.wait(PAUSE_SECONDS)
            self._wait()
        while any(work.in_thread for lane in self._lanes for work in lane.works):
            self._collect()
            self._quietly(self._renew)
            self._wait()
        for lane in self._lanes:
            lane.pool.shutdown()
        self._quietly(lambda: self._operations.let_go(*self._claims()))

    def wake(self) -> None:
        """There may be something to do: look now. From any thread."""
        self._woken.set()

    def _wait(self) -> None:
        """Until something wakes it, or is due that there is a thread for."""
        dues = [work.due for lane in self._lanes for work in lane.works if self._could_begin(lane, work)]
        until = max(min([*dues, self._began + LOOK_SECONDS]), self._began + SHORTEST_ROUND_SECONDS)
        while (rest := until - time.monotonic()) > 0 and not self._stop.is_set():
            if self._woken.wait(min(rest, STOP_SECONDS)):
                until = min(until, self._began + SHORTEST_ROUND_SECONDS)
                self._stop.wait(max(0.0, until - time.monotonic()))
        self._woken.clear()

    def _could_begin(self, lane: Lane, work: Work) -> bool:
        return not work.in_thread and lane.may_take(work.claim.owner_id)

    def _round(self) -> None:
        self._began = time.monotonic()
        self._collect()
        self._renew()
        self._drop_overtaken()
        self._wake_stirred()
        self._hand_out()

    def _claims(self) -> list[Claim]:
        return [work.claim for lane in self._lanes for work in lane.works]

    def _collect(self) -> None:
        """Take back the threads that are done with a step."""
        while not self._ended.empty():
            lane, work, future = self._ended.get()
            lane.free += 1
            lane.busy[work.claim.owner_id] -= 1
            work.in_thread = False
            seconds = future.result()
            if seconds is None:
                lane.works.remove(work)
            else:
                work.due = time.monotonic() + (0 if work.stirred else seconds)
                work.stirred = False
            lane.busy += Counter()  # forget who has none

    def _renew(self) -> None:
        if time.monotonic() >= self._renewed + RENEW_SECONDS:
            self._operations.keep(self._claims())
            self._renewed = time.monotonic()

    def _drop_overtaken(self) -> None:
        """What waits and was overtaken makes way at once: it need not get a thread for that."""
        for lane in self._lanes:
            waiting = [work.claim for work in lane.works if not work.in_thread]
            lost = self._operations.list_lost(waiting) if waiting else []
            if lost:
                self._operations.let_go(*lost)
                lane.works = [work for work in lane.works if work.in_thread or work.claim not in lost]

    def _wake_stirred(self) -> None:
        stirred = self._events.take_stirred()
        for lane in self._lanes:
            for work in lane.works:
                if work.claim.vm_id in stirred:
                    work.due, work.stirred = 0.0, work.in_thread

    def _hand_out(self) -> None:
        """Give the free threads away, in turns: first to payers who have fewest, then to who had none longest."""
        claimable = self._operations.list_due() if any(lane.free for lane in self._lanes) else []
        for lane in self._lanes:
            now = time.monotonic()
            waiting = {owner_id for owner_id, urgent in claimable if urgent == lane.urgent}
            waiting |= {work.claim.owner_id for work in lane.works if not work.in_thread and work.due <= now}
            while waiting := {owner_id for owner_id in waiting if lane.may_take(owner_id)}:
                owner_id = min(waiting, key=lambda owner_id: (lane.busy[owner_id], self._last_turn.get(owner_id, 0)))
                work = lane.next_due(owner_id, now) or self._claim(lane, owner_id)
                if work is None:
                    waiting.remove(owner_id)
                else:
                    self._begin(lane, work)

    def _claim(self, lane: Lane, owner_id: str) -> Work | None:
        claim = self._operations.claim(self._worker, owner_id=owner_id, urgent=lane.urgent)
        if claim is None:
            return None
        _operations.labels(claim.kind).inc()
        work = Work(claim, self._runner.steps(claim))
        lane.works.append(work)
        return work

    def _begin(self, lane: Lane, work: Work) -> None:
        owner_id = work.claim.owner_id
        lane.free -= 1
        lane.busy[owner_id] += 1
        work.in_thread = True
        self._turn += 1
        self._last_turn[owner_id] = self._turn
        lane.pool.submit(next, work.steps, None).add_done_callback(lambda future: self._done(lane, work, future))

    def _done(self, lane: Lane, work: Work, future: "Future[float | None]") -> None:
        self._ended.put((lane, work, future))
        self._woken.set()

    def _quietly(self, action: Callable[[], object]) -> bool:
        try:
            action()
        except Exception as problem:
            tell_failure("claim_failed", problem)
            return False
        return True
