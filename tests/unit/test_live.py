"""The hub's parts: topics, following the log, what is under way, slow browsers."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from zentry_web.domain.event import Event, Outcome
from zentry_web.web import live

pytestmark = pytest.mark.unit


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
        (event(1, "compute.down", vm_id=None, project_id=None), {"compute", "vms", "activity"}),
    ],
)
def test_what_an_event_may_change(made, topics):
    assert live.topics_of(made) == topics


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
    assert subscriber.overrun


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
    log, answers = [event(1, owner_id="usr_2")], [RuntimeError("the database is away"), {"prj_1": frozenset({"usr_1"})}]

    def audience(_ids):
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    hub = live.Hub(lambda: live.Follower(lambda seq, limit: [each for each in log if each.seq > seq], 0), audience)
    monkeypatch.setattr(hub.closing, "wait", lambda seconds: None)
    subscriber = hub.subscribe("usr_1", is_admin=False)
    assert "vm:vm_1" in subscriber.take(10)
    hub.close()
