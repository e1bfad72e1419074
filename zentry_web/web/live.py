"""Live pages: one thread per process follows the event log and tells open browsers which parts of a page changed.

A browser's stream carries topics only (``vm:vm_01…``, ``vms``, ``balance``, ``projects``, ``activity``, ``compute``,
``every10``); the page then fetches the parts that show them (static/js/live.js), so nothing private travels here and
access is checked where it always is. Steps of an operation are no events: while one is under way its VM's topic is
repeated every second. ``every10`` comes every ten seconds, for what the worker collects without events.
"""

import json
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from types import FrameType

import structlog
from flask import Flask, current_app
from prometheus_client import Gauge

from zentry_web.domain.event import Event, Outcome
from zentry_web.services.errors import RateLimitedError
from zentry_web.web.services import services

log = structlog.get_logger(__name__)

EXTENSION = "zentry_live"
POLL_SECONDS = 0.5
LOOK_BACK_SECONDS = 10.0  # a page may take this long from its making to opening its stream
HEARTBEAT_SECONDS = 20.0
STREAM_SECONDS = 600.0  # then the browser connects again, and is asked again who it is
STREAMS_PER_USER = 12
MOST_WAITING = 500  # topics
SLOW_TICK_SECONDS = 10.0
UNDER_WAY_SECONDS = 600.0
PAGE = 500
Audience = Mapping[str, frozenset[str]]  # project id: its members
START_BACK = 50  # the first stream of a process is told of the newest events again rather than miss one

_streams = Gauge("zentry_live_streams", "Open event streams", multiprocess_mode="livesum")


def topics_of(event: Event) -> set[str]:
    """Which parts of a page an event may change."""
    area = event.action.partition(".")[0]
    topics = {"activity"}
    if event.vm_id:
        topics |= {f"vm:{event.vm_id}", "vms", "balance"}
    if event.project_id or area == "project":
        topics |= {"projects"} | ({f"project:{event.project_id}"} if event.project_id else set())
    if area in ("credits", "billing"):
        topics.add("balance")
    if area == "compute":
        topics |= {"compute", "vms"}
    return topics


class Follower:
    """Reads new events, each once. UserService.events_after leaves none out, whatever the order of commits."""

    def __init__(self, read: Callable[[int, int], list[Event]], start: int) -> None:
        self._read = read
        self._last = start

    def poll(self) -> list[Event]:
        """The events not returned before."""
        fresh: list[Event] = []
        while page := self._read(self._last, PAGE):
            fresh += page
            self._last = page[-1].seq
            if len(page) < PAGE:
                break
        return fresh


class Subscriber:
    """One open stream: whose it is, and the topics that wait to be sent."""

    def __init__(self, user_id: str, is_admin: bool) -> None:
        self.user_id = user_id
        self.is_admin = is_admin
        self.overrun = False
        self._waiting: set[str] = set()
        self._changed = threading.Condition()

    def may_see(self, event: Event, audience: Audience) -> bool:
        """Whether this person is told of an event; ``audience`` holds the members of its project at this moment."""
        if self.is_admin or event.action.startswith("compute."):
            return True
        if event.project_id is None:
            return event.owner_id == self.user_id
        is_about_me = event.resource_type == "member" and event.resource_id == self.user_id  # also: to have left
        return is_about_me or self.user_id in audience.get(event.project_id, frozenset())

    def offer(self, topics: Iterable[str]) -> None:
        """Add topics. A browser too slow to take them loses its stream; it comes back and refreshes everything."""
        with self._changed:
            self._waiting.update(topics)
            self.overrun = self.overrun or len(self._waiting) > MOST_WAITING
            self._changed.notify()

    def take(self, timeout: float) -> list[str]:
        """All that waits; waits for the first up to ``timeout`` seconds."""
        with self._changed:
            self._changed.wait_for(lambda: bool(self._waiting), timeout)
            found, self._waiting = sorted(self._waiting), set()
        return found


class UnderWay:
    """Operations that were accepted and have not ended: their VMs' pages show steps."""

    def __init__(self) -> None:
        self._open: dict[str, tuple[Event, float]] = {}

    def note(self, events: Iterable[Event], now: float) -> None:
        """Learn from new events which operations began and which ended."""
        for event in events:
            if event.operation_id is None or event.vm_id is None:
                continue
            if event.outcome == Outcome.ACCEPTED:
                self._open[event.operation_id] = (event, now)
            else:
                self._open.pop(event.operation_id, None)

    def list_open(self, now: float) -> list[Event]:
        """The accepting events of what is under way; given up after ten minutes."""
        for operation_id, (_, since) in list(self._open.items()):
            if now - since > UNDER_WAY_SECONDS:
                del self._open[operation_id]
        return [event for event, _ in self._open.values()]


class Hub:
    """Feeds all streams of this process from one thread, which runs only while somebody listens."""

    def __init__(self, follow: Callable[[], Follower], audience: Callable[[Collection[str]], Audience]) -> None:
        self._follow = follow
        self._audience = audience
        self._lock = threading.Lock()
        self._subscribers: set[Subscriber] = set()
        self._recent: deque[tuple[float, Event]] = deque(maxlen=PAGE)
        self._untold: list[Event] = []
        self._under_way = UnderWay()
        self._steps_due = 0.0
        self._thread: threading.Thread | None = None
        self.closing = threading.Event()

    def subscribe(self, user_id: str, is_admin: bool) -> Subscriber:
        """Add a stream. Raises RateLimitedError when that person has too many open."""
        subscriber = Subscriber(user_id, is_admin)
        with self._lock:
            if sum(1 for other in self._subscribers if other.user_id == user_id) >= STREAMS_PER_USER:
                raise RateLimitedError("Too many pages are open at once.", details={"retry_after": 60})
            self._subscribers.add(subscriber)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="live-hub", daemon=True)
                self._thread.start()
        _streams.inc()
        try:
            self._catch_up(subscriber)
        except Exception:
            self.unsubscribe(subscriber)
            raise
        return subscriber

    def _catch_up(self, subscriber: Subscriber) -> None:
        """What happened while the page was on its way to the browser."""
        since = time.monotonic() - LOOK_BACK_SECONDS
        with self._lock:
            events = [event for at, event in self._recent if at >= since]
        audience = self._audience_of(events)
        for event in events:
            if subscriber.may_see(event, audience):
                subscriber.offer(topics_of(event))

    def _audience_of(self, events: Iterable[Event]) -> Audience:
        """Who belongs to the projects of these events now: asked for each time, so that a removal works at once."""
        project_ids = {event.project_id for event in events if event.project_id is not None}
        return self._audience(project_ids) if project_ids else {}

    def unsubscribe(self, subscriber: Subscriber) -> None:
        with self._lock:
            if subscriber in self._subscribers:
                self._subscribers.remove(subscriber)
                _streams.dec()

    def close(self) -> None:
        """End every stream soon: this process is stopping."""
        self.closing.set()

    def stream(self, subscriber: Subscriber) -> Iterator[str]:
        """Server-sent events for one browser until it leaves, its time is up or this process stops."""
        ends = time.monotonic() + STREAM_SECONDS
        beat = time.monotonic() + HEARTBEAT_SECONDS
        try:
            yield "retry: 3000\n: welcome\n\n"
            while not (self.closing.is_set() or subscriber.overrun) and time.monotonic() < ends:
                topics = subscriber.take(1)
                if topics:
                    yield f"event: change\ndata: {json.dumps({'topics': topics})}\n\n"
                elif time.monotonic() >= beat:
                    yield ": still here\n\n"
                else:
                    continue
                beat = time.monotonic() + HEARTBEAT_SECONDS
        finally:
            self.unsubscribe(subscriber)

    def _run(self) -> None:
        follower: Follower | None = None
        slow = time.monotonic() + SLOW_TICK_SECONDS
        while not self.closing.is_set():
            with self._lock:
                if not self._subscribers:
                    self._thread = None
                    return
            try:
                follower = follower or self._follow()
                self._untold += follower.poll()
                self._deliver(self._untold)
                self._untold = []
                self._tell_steps()
                if time.monotonic() >= slow:
                    slow = time.monotonic() + SLOW_TICK_SECONDS
                    self._offer_all({"every10"})
            except Exception:  # the database is away: streams stay open and go on when it is back
                log.warning("live_hub_failed", exc_info=True)
                self.closing.wait(5)
            self.closing.wait(POLL_SECONDS)

    def _list(self) -> list[Subscriber]:
        with self._lock:
            return list(self._subscribers)

    def _offer_all(self, topics: set[str]) -> None:
        for subscriber in self._list():
            subscriber.offer(topics)

    def _tell_steps(self) -> None:
        now = time.monotonic()
        if now < self._steps_due:
            return
        self._steps_due = now + 1
        events = self._under_way.list_open(now)
        audience = self._audience_of(events)
        for event in events:
            for subscriber in self._list():
                if subscriber.may_see(event, audience):
                    subscriber.offer({f"vm:{event.vm_id}"})

    def _deliver(self, events: list[Event]) -> None:
        if not events:
            return
        now = time.monotonic()
        audience = self._audience_of(events)
        self._under_way.note(events, now)
        with self._lock:
            self._recent.extend((now, event) for event in events)
        for subscriber in self._list():
            wanted: set[str] = set()
            for event in events:
                if subscriber.may_see(event, audience):
                    wanted |= topics_of(event)
            if wanted:
                subscriber.offer(wanted)


def hub() -> Hub:
    """This application's hub."""
    found: Hub = current_app.extensions[EXTENSION]
    return found


def init_live(app: Flask) -> None:
    """Give the app its hub. The thread starts with the first stream (so after gunicorn has forked)."""

    def follow() -> Follower:
        with app.app_context():
            users = services().get_user_service()
        return Follower(users.events_after, max(0, users.latest_seq() - START_BACK))

    def audience(project_ids: Collection[str]) -> Audience:
        with app.app_context():
            users = services().get_user_service()
        return users.audience(project_ids)

    app.extensions[EXTENSION] = Hub(follow, audience)


def close_on_sigterm(app: Flask) -> None:
    """End streams when this process is told to stop. Call in a worker process after its server set up its signals."""
    before = signal.getsignal(signal.SIGTERM)

    def handler(number: int, frame: FrameType | None) -> None:
        app.extensions[EXTENSION].close()
        if callable(before):
            before(number, frame)

    signal.signal(signal.SIGTERM, handler)
