"""Live pages: one thread per process follows the event log and tells open browsers which parts of a page changed.

A browser's stream carries topics only (``vm:vm_01…``, ``vms``: any machine, ``fleet``: machines come, go or move,
``balance``, ``projects``, ``activity``, ``compute``); the page then fetches the parts that show them
(static/js/live.js), so nothing private travels here and access is checked where it always is. Steps of an operation are
no events: while one is under way ``steps:vm_01…`` is told every second. The topic ``all`` says that more happened than
is told. A page names the number of the newest event it was made from, and its stream begins after that one. Twice a
second one look at the sessions ends streams whose session is over.
"""

import json
import signal
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import FrameType
from typing import Any

import structlog
from flask import Flask, current_app
from prometheus_client import Gauge

from zentry_web.domain.event import Event, Outcome
from zentry_web.services.service_container import ServiceContainer
from zentry_web.web.services import services
from zentry_web.web.stream_board import StreamBoard, shared

log = structlog.get_logger(__name__)

EXTENSION = "zentry_live"
POLL_SECONDS = 0.5
HEARTBEAT_SECONDS = 15.0  # an event, not a comment: a page that hears nothing for 45 s knows that it is not live
STREAM_SECONDS = 600.0  # then the browser connects again
LOOK_SECONDS = 1.0  # how soon a stream notices that its browser has gone
MOST_WAITING = 500  # topics
UNDER_WAY_SECONDS = 600.0
PAGE = 500
LOOK_BACK = 50  # numbers: on PostgreSQL a lower one may be committed after a higher one
EVERYTHING = "all"
COMING_AND_GOING = frozenset(
    f"vm.{each}" for each in ("create", "move", "move_out", "bin", "restore", "delete", "gone_seen", "run_in_bin")
)
Audience = Mapping[str, frozenset[str]]  # project id: its members
Rights = Mapping[str, tuple[str, bool]]  # an open session's secret: whose it is, and whether they act as an admin

_streams = Gauge("zentry_live_streams", "Open event streams", multiprocess_mode="livesum")


def topics_of(event: Event) -> set[str]:
    """Which parts of a page an event may change."""
    area = event.action.partition(".")[0]
    topics = {"activity"}
    if event.vm_id:
        topics |= {f"vm:{event.vm_id}", "vms", "balance"}
        is_there = event.action == "vm.create" and event.outcome == Outcome.SUCCEEDED  # listed since it was accepted
        if event.action in COMING_AND_GOING and not is_there:
            topics.add("fleet")
    if event.project_id or area == "project":
        topics |= {"projects"} | ({f"project:{event.project_id}"} if event.project_id else set())
    if area in ("credits", "billing"):
        topics.add("balance")
    if area == "compute":
        topics |= {"compute", "vms", "fleet"}
    return topics


@dataclass(frozen=True, slots=True)
class Reads:
    """What the hub asks the database."""

    latest: Callable[[], int]  # the newest event's number
    events: Callable[[int, int], list[Event]]  # after a number, at most so many
    audience: Callable[[Collection[str]], Audience]
    rights: Callable[[Collection[str]], Rights]


class Follower:
    """Reads new events, each once, also those whose number is lower than one read before."""

    def __init__(self, read: Callable[[int, int], list[Event]], start: int) -> None:
        self._read = read
        self._last = start
        self._start = start
        self._known: set[int] = set()

    def poll(self) -> list[Event]:
        """The events not returned before."""
        fresh: list[Event] = []
        after = max(self._start, self._last - LOOK_BACK)
        while page := self._read(after, PAGE):
            fresh += [event for event in page if event.seq not in self._known]
            after = page[-1].seq
            if len(page) < PAGE:
                break
        self._last = max(self._last, after)
        self._known.update(event.seq for event in fresh)
        self._known = {seq for seq in self._known if seq > self._last - LOOK_BACK}
        return fresh


class Subscriber:
    """One open stream: whose it is, by which session, and the topics that wait to be sent."""

    def __init__(self, user_id: str, is_admin: bool, session: str = "", seen: int = 0) -> None:
        self.user_id = user_id
        self.is_admin = is_admin
        self.session = session
        self.seen = seen  # the newest event that this stream was told of, or its page made from
        self.row: int | None = None  # on the board
        self.is_over = False
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
            self.is_over = self.is_over or len(self._waiting) > MOST_WAITING
            self._changed.notify()

    def end(self) -> None:
        """End this stream now."""
        with self._changed:
            self.is_over = True
            self._changed.notify()

    def take(self, timeout: float) -> list[str]:
        """All that waits; waits for the first up to ``timeout`` seconds, or until the stream ends."""
        with self._changed:
            self._changed.wait_for(lambda: bool(self._waiting) or self.is_over, timeout)
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


def _beat(subscriber: Subscriber) -> str:
    return f"id: {subscriber.seen}\nevent: beat\ndata: {{}}\n\n"


class Hub:
    """Feeds all streams of this process from one thread, which runs only while somebody listens."""

    def __init__(self, reads: Reads, board: Callable[[], StreamBoard] = shared) -> None:
        self._reads = reads
        self._board = board
        self._lock = threading.Lock()
        self._subscribers: set[Subscriber] = set()
        self._newest = 0  # event that was told
        self._untold: list[Event] = []
        self._under_way = UnderWay()
        self._steps_due = 0.0
        self._thread: threading.Thread | None = None
        self.closing = threading.Event()

    def subscribe(
        self, user_id: str, is_admin: bool, *, session: str = "", network: str = "", after: int | None = None
    ) -> Subscriber:
        """Add a stream that begins behind the event ``after`` (default: now).

        Raises RateLimitedError when that person, network or server has too many open.
        """
        latest = self._reads.latest()
        subscriber = Subscriber(user_id, is_admin, session, latest if after is None else min(after, latest))
        subscriber.row = self._board().take(user_id, network)
        _streams.inc()
        with self._lock:
            self._subscribers.add(subscriber)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="live-hub", daemon=True)
                self._thread.start()
        try:
            self._catch_up(subscriber, latest)
        except Exception:
            self.unsubscribe(subscriber)
            raise
        return subscriber

    def _catch_up(self, subscriber: Subscriber, latest: int) -> None:
        """What happened while the page was on its way to the browser."""
        if subscriber.seen >= latest:
            return
        events = self._reads.events(subscriber.seen, PAGE)
        audience = self._audience_of(events)
        for event in events:
            if subscriber.may_see(event, audience):
                subscriber.offer(topics_of(event))
        if len(events) == PAGE:
            subscriber.offer({EVERYTHING})
        subscriber.seen = max(latest, subscriber.seen, *(event.seq for event in events))

    def _audience_of(self, events: Iterable[Event]) -> Audience:
        """Who belongs to the projects of these events now: asked for each time, so that a removal works at once."""
        project_ids = {event.project_id for event in events if event.project_id is not None}
        return self._reads.audience(project_ids) if project_ids else {}

    def unsubscribe(self, subscriber: Subscriber) -> None:
        """Forget a stream; once more is no error."""
        with self._lock:
            if subscriber not in self._subscribers:
                return
            self._subscribers.remove(subscriber)
        _streams.dec()
        if subscriber.row is not None:
            self._board().give_back(subscriber.row)

    def close(self) -> None:
        """End every stream soon: this process is stopping."""
        self.closing.set()

    def stream(self, subscriber: Subscriber, has_left: Callable[[], bool] = lambda: False) -> Iterator[str]:
        """Server-sent events for one browser until it leaves, may not listen any more, or this process stops."""
        ends = time.monotonic() + STREAM_SECONDS
        beat = time.monotonic() + HEARTBEAT_SECONDS
        try:
            yield f"retry: 3000\n{_beat(subscriber)}"
            while not self.closing.is_set() and time.monotonic() < ends and not has_left():
                topics = subscriber.take(LOOK_SECONDS)
                if subscriber.is_over:
                    return
                if topics:
                    yield f"id: {subscriber.seen}\nevent: change\ndata: {json.dumps({'topics': topics})}\n\n"
                elif time.monotonic() >= beat:
                    yield _beat(subscriber)
                else:
                    continue
                beat = time.monotonic() + HEARTBEAT_SECONDS
        finally:
            self.unsubscribe(subscriber)

    def _run(self) -> None:
        follower: Follower | None = None
        while not self.closing.is_set():
            with self._lock:
                if not self._subscribers:
                    self._thread = None
                    return
            try:
                if follower is None:  # a little behind: it has to know which operations are under way
                    follower = Follower(self._reads.events, max(0, self._reads.latest() - LOOK_BACK))
                    self._newest = 0
                self._untold += follower.poll()
                self._turn_out()
                self._deliver(self._untold)
                self._untold = []
                self._tell_steps()
            except Exception:  # the database is away: streams stay open and go on when it is back
                log.warning("live_hub_failed", exc_info=True)
                self.closing.wait(5)
            self.closing.wait(POLL_SECONDS)

    def _turn_out(self) -> None:
        """End the streams whose session is over, or whose person's rights are not what they were. One statement."""
        listening = self._list()
        rights = self._reads.rights({subscriber.session for subscriber in listening})
        for subscriber in listening:
            if rights.get(subscriber.session) != (subscriber.user_id, subscriber.is_admin):
                subscriber.end()

    def _list(self) -> list[Subscriber]:
        with self._lock:
            return list(self._subscribers)

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
                    subscriber.offer({f"steps:{event.vm_id}"})

    def _deliver(self, events: list[Event]) -> None:
        if not events:
            return
        audience = self._audience_of(events)
        self._under_way.note(events, time.monotonic())
        before, self._newest = self._newest, max(self._newest, *(event.seq for event in events))
        for subscriber in self._list():
            # What its page was made from is not told again, but for what was committed late.
            fresh = [event for event in events if event.seq > subscriber.seen or event.seq < before]
            topics = [topics_of(event) for event in fresh if subscriber.may_see(event, audience)]
            subscriber.seen = max(subscriber.seen, self._newest)
            if topics:
                subscriber.offer(set().union(*topics))


def hub() -> Hub:
    """This application's hub."""
    found: Hub = current_app.extensions[EXTENSION]
    return found


def init_live(app: Flask) -> None:
    """Give the app its hub. The thread starts with the first stream (so after gunicorn has forked)."""

    def within_app(read: Callable[..., Any]) -> Callable[..., Any]:
        def asked(*values: object) -> Any:
            with app.app_context():
                container = services()
            return read(container, *values)

        return asked

    def rights(container: ServiceContainer, sessions: Collection[str]) -> Rights:
        auth = container.auth
        must = auth.factors.admins_must
        return {
            secret: (found.user.id, found.user.is_admin and (found.has_factor or not must))
            for secret, found in auth.find_sessions(sessions).items()
        }

    app.extensions[EXTENSION] = Hub(
        Reads(
            within_app(lambda container: container.users.latest_seq()),
            within_app(lambda container, *values: container.users.events_after(*values)),
            within_app(lambda container, ids: container.users.audience(ids)),
            within_app(rights),
        )
    )


def close_on_sigterm(app: Flask) -> None:
    """End streams when this process is told to stop. Call in a worker process after its server set up its signals."""
    before = signal.getsignal(signal.SIGTERM)

    def handler(number: int, frame: FrameType | None) -> None:
        app.extensions[EXTENSION].close()
        if callable(before):
            before(number, frame)

    signal.signal(signal.SIGTERM, handler)
