"""The hub's parts: topics, following the log, what is under way, slow browsers."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from zentry_web.domain.event import Event, Outcome
from zentry_web.web import live
from zentry_web.web.stream_board import StreamBoard

pytestmark = pytest.mark.unit


def make_hub(log, audience=lambda ids: {}, rights=None):
    """A hub on a list of events; every session is usr_1's unless ``rights`` says otherwise."""

    def read(seq, limit):
        return [each for each in log if each.seq > seq][:limit]

    board = StreamBoard(1, 400)
    everybody = rights or (lambda sessions: dict.fromkeys(sessions, ("usr_1", False)))
    reads = live.Reads(lambda: max((each.seq for each in log), default=0), read, audience, everybody)
    return live.Hub(reads, board=lambda: board)


def event(seq, action="vm.start", outcome=Outcome.SUCCEEDED, **more):
    values = {"owner_id": "usr_1", "vm_id": "vm_1", "project_id": "prj_1"} | more
    return Event(seq, f"evt_{seq}", datetime.now(UTC), "usr_1", action, outcome, "vm", "vm_1", **values)


@pytest.mark.parametrize(
    ("made", "topics"),
    [
        (event(1), {"vm:vm_1", "vms", "balance", "projects", "project:prj_1", "activity"}),
        (event(1, "credits.add", vm_id=None, project_id=None), {"balance", "activity"}),
        (event(1, "project.rename", vm_id=None), {"projects", "project:prj_1", "activity"}),
        (event(1, "auth.login", vm_id=None, project_id=None), {"activity"}),
        (event(1, "compute.down", vm_id=None, project_id=None), {"compute", "vms", "fleet", "activity"}),
    ],
)
def test_what_an_event_may_change(made, topics):
    assert live.topics_of(made) == topics


@pytest.mark.parametrize(
    ("made", "comes_or_goes"),
    [
        (event(1, "vm.create", Outcome.ACCEPTED), True),
        (event(1, "vm.create", Outcome.SUCCEEDED), False),
        (event(1, "vm.create", Outcome.FAILED), True),
        (event(1, "vm.stop"), False),
        (event(1, "vm.labels"), False),
        (event(1, "vm.off_seen"), False),
        (event(1, "vm.move"), True),
        (event(1, "vm.bin"), True),
        (event(1, "vm.restore"), True),
        (event(1, "vm.delete"), True),
    ],
)
def test_a_list_of_machines_changes_as_a_whole_when_machines_come_and_go(made, comes_or_goes):
    topics = live.topics_of(made)
    assert "vm:vm_1" in topics
    assert ("fleet" in topics) is comes_or_goes


def test_the_steps_of_what_is_under_way_are_told_to_pages_that_show_them(monkeypatch):
    """Not to rows of lists: those change with events."""
    monkeypatch.setattr(live, "POLL_SECONDS", 0.01)
    log = [event(1, "vm.start", Outcome.ACCEPTED, operation_id="op_1")]
    hub = make_hub(log, audience=lambda ids: {"prj_1": frozenset({"usr_1"})})
    subscriber = hub.subscribe("usr_1", is_admin=False)
    assert subscriber.take(10) == ["steps:vm_1"]
    hub.close()


def test_each_event_is_followed_once():
    log = [event(seq) for seq in range(1, 1204)]

    def read(seq, limit):
        return [each for each in log if each.seq > seq][:limit]

    follower = live.Follower(read, 3)
    assert [each.seq for each in follower.poll()] == list(range(4, 1204))
    assert follower.poll() == []
    log.append(event(1204))
    assert [each.seq for each in follower.poll()] == [1204]


def test_what_is_under_way_is_known_until_it_ends():
    under_way = live.UnderWay()
    under_way.note([event(1, outcome=Outcome.ACCEPTED, operation_id="op_1")], now=0)
    assert [each.seq for each in under_way.list_open(1)] == [1]
    under_way.note([event(2, operation_id="op_1")], now=2)
    assert under_way.list_open(3) == []


def test_what_never_ends_is_given_up():
    under_way = live.UnderWay()
    under_way.note([event(1, outcome=Outcome.ACCEPTED, operation_id="op_1")], now=0)
    assert under_way.list_open(live.UNDER_WAY_SECONDS + 1) == []


def test_a_browser_gets_each_waiting_topic_once():
    subscriber = live.Subscriber("usr_1", is_admin=False)
    subscriber.offer({"vms", "balance"})
    subscriber.offer({"vms"})
    assert subscriber.take(0) == ["balance", "vms"]
    assert subscriber.take(0) == []


def test_a_browser_that_does_not_keep_up_loses_its_stream():
    subscriber = live.Subscriber("usr_1", is_admin=False)
    subscriber.offer(f"vm:{number}" for number in range(live.MOST_WAITING + 1))
    assert subscriber.is_over


def test_people_see_what_they_belong_to_and_what_concerns_everybody():
    alice, admin = live.Subscriber("usr_1", is_admin=False), live.Subscriber("usr_9", is_admin=True)
    members = {"prj_1": frozenset({"usr_1", "usr_2"}), "prj_2": frozenset({"usr_2"})}
    assert alice.may_see(event(1, owner_id="usr_2"), members)
    assert not alice.may_see(event(1, project_id="prj_2", owner_id="usr_2"), members)
    assert not alice.may_see(event(1, project_id="prj_2"), members)  # she paid for it once
    assert not alice.may_see(event(1), {})
    assert admin.may_see(event(1, owner_id="usr_2"), {})
    assert alice.may_see(event(1, "credits.add", project_id=None, vm_id=None), {})
    assert not alice.may_see(event(1, "credits.add", project_id=None, vm_id=None, owner_id="usr_2"), {})
    assert alice.may_see(event(2, "compute.down", owner_id=None), {})


@pytest.mark.asvs("8.3.2")
def test_who_was_removed_is_told_that_and_nothing_after():
    bob = live.Subscriber("usr_2", is_admin=False)
    log = {"owner_id": "usr_1", "project_id": "prj_1", "vm_id": None, "operation_id": None}
    about_bob = Event(3, "e", datetime.now(UTC), "usr_1", "member.remove", Outcome.SUCCEEDED, "member", "usr_2", **log)
    about_carl = replace(about_bob, resource_id="usr_3")
    assert bob.may_see(about_bob, {"prj_1": frozenset({"usr_1"})})
    assert not bob.may_see(about_carl, {"prj_1": frozenset({"usr_1"})})


def test_events_that_could_not_be_told_are_told_later(monkeypatch):
    monkeypatch.setattr(live, "POLL_SECONDS", 0)
    log: list[Event] = []
    answers = [RuntimeError("the database is away"), {"prj_1": frozenset({"usr_1"})}]

    def audience(_ids):
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    hub = make_hub(log, audience=audience)
    monkeypatch.setattr(hub.closing, "wait", lambda seconds: None)
    subscriber = hub.subscribe("usr_1", is_admin=False)
    log.append(event(1, owner_id="usr_2"))
    assert "vm:vm_1" in subscriber.take(10)
    hub.close()


def test_an_event_with_a_lower_number_that_comes_late_is_told():
    log = [event(1), event(3)]
    follower = live.Follower(lambda seq, limit: [each for each in log if each.seq > seq][:limit], 0)
    assert [each.seq for each in follower.poll()] == [1, 3]
    log.insert(1, event(2))
    assert [each.seq for each in follower.poll()] == [2]
    assert follower.poll() == []


def test_a_page_is_told_what_came_after_it_was_made_and_nothing_twice(monkeypatch):
    monkeypatch.setattr(live, "POLL_SECONDS", 0.01)
    log = [event(1, vm_id="vm_old"), event(2, vm_id="vm_new")]
    hub = make_hub(log, audience=lambda ids: {"prj_1": frozenset({"usr_1"})})
    subscriber = hub.subscribe("usr_1", is_admin=False, after=1)
    told = subscriber.take(10)
    assert "vm:vm_new" in told
    assert "vm:vm_old" not in told
    assert subscriber.take(0.2) == []
    log.append(event(3, vm_id="vm_third"))
    assert "vm:vm_third" in subscriber.take(10)
    thread = hub._thread
    hub.unsubscribe(subscriber)
    thread.join(10)  # nobody listens; with the next page it starts anew
    another = hub.subscribe("usr_1", is_admin=False, after=3)
    assert another.take(0.2) == []
    hub.close()


def test_a_page_that_is_far_behind_asks_for_everything():
    hub = make_hub([event(seq) for seq in range(1, live.PAGE + 10)])
    assert live.EVERYTHING in hub.subscribe("usr_1", is_admin=False, after=1).take(0)
    hub.close()


@pytest.mark.asvs("8.3.2")
@pytest.mark.parametrize("now", [{}, {"s1": ("usr_1", False)}, {"s1": ("usr_2", True)}])
def test_a_stream_ends_with_its_session_or_its_person_s_rights(now):
    rights = {"s1": ("usr_1", True)}
    hub = make_hub([], rights=lambda sessions: rights)
    subscriber = hub.subscribe("usr_1", is_admin=True, session="s1")
    assert not subscriber.is_over
    rights = now
    subscriber.take(10)
    assert subscriber.is_over
    assert list(hub.stream(subscriber))[1:] == []
    hub.close()
