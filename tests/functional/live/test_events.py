"""/events: the stream of topics."""

import threading
import time

import pytest

from tests.conftest import PASSWORD
from tests.functional.conftest import Browser
from tests.services.people import acting
from zentry_web.domain.user import Role
from zentry_web.web import live
from zentry_web.web.stream_board import STREAMS_PER_PERSON

pytestmark = pytest.mark.integration


@pytest.fixture
def stream(web, monkeypatch):
    """Open a person's stream and read it in a thread; gives a function that waits for a topic."""
    monkeypatch.setattr(live, "POLL_SECONDS", 0.02)
    opened = []

    def open_for(browser):
        answer = browser.client.get("/events", buffered=False)
        assert answer.status_code == 200
        lines = []

        def read():
            for chunk in answer.iter_encoded():
                lines.append(chunk.decode())

        thread = threading.Thread(target=read, daemon=True)
        thread.start()
        opened.append((answer, thread))

        def wait_for(topic, seconds=10):
            deadline = time.monotonic() + seconds
            while time.monotonic() < deadline:
                if any(f'"{topic}"' in line for line in lines):
                    return True
                time.sleep(0.02)
            return False

        wait_for.lines = lines
        return wait_for

    yield open_for
    web.extensions[live.EXTENSION].close()
    for answer, thread in opened:
        thread.join(5)
        answer.close()


@pytest.mark.asvs("14.3.2")
def test_it_is_an_event_stream_that_nobody_stores(as_alice, stream):
    answer = as_alice.client.get("/events", buffered=False)
    assert answer.mimetype == "text/event-stream"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Accel-Buffering"] == "no"
    answer.close()


def test_who_has_no_session_gets_no_log_in_page_for_a_stream(visitor):
    assert visitor.client.get("/events", headers={"Accept": "text/event-stream"}).status_code == 401


def test_what_happens_to_one_s_machine_is_told(as_alice, cloud, machine, stream):
    wait_for = stream(as_alice)
    cloud.vms.stop_vm(machine.id, actor=acting(cloud.container.get_user_service().get_user(machine.owner_id)))
    for topic in (f"vm:{machine.id}", "vms", "balance"):
        assert wait_for(topic), wait_for.lines


def test_a_stranger_hears_nothing_of_it(as_charlie, as_admin, cloud, machine, stream):
    stranger, admin = stream(as_charlie), stream(as_admin)
    cloud.vms.stop_vm(machine.id)
    assert admin(f"vm:{machine.id}")
    assert not any(machine.id in line for line in stranger.lines)


def test_a_stream_holds_no_database_connection(as_alice, container, stream):
    pool = container.database.engine.pool
    before = pool.checkedout()
    opened = [stream(as_alice) for _ in range(5)]
    deadline = time.monotonic() + 5
    while pool.checkedout() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert pool.checkedout() <= before
    assert len(opened) == 5


@pytest.mark.asvs("15.2.2")
def test_one_person_cannot_open_streams_without_end(as_alice, stream):
    for _ in range(STREAMS_PER_PERSON):
        stream(as_alice)
    answer = as_alice.client.get("/events")
    assert answer.status_code == 429
    assert answer.headers["Retry-After"] == "60"


def test_a_stream_that_is_left_is_forgotten(web, as_alice):
    hub = web.extensions[live.EXTENSION]
    for _ in range(STREAMS_PER_PERSON + 5):
        answer = as_alice.client.get("/events", buffered=False)
        assert answer.status_code == 200
        answer.close()
    assert not hub._subscribers


def test_streams_end_when_the_process_stops(web, as_alice, stream):
    answer = as_alice.client.get("/events", buffered=False)
    web.extensions[live.EXTENSION].close()
    started = time.monotonic()
    assert list(answer.iter_encoded())
    assert time.monotonic() - started < 3


@pytest.mark.asvs("8.4.1")
def test_nothing_that_happens_to_somebody_else_reaches_a_stranger(
    as_charlie, as_alice, as_admin, alice, cloud, machine, stream
):
    """Machines, projects, money, notices: not even their ids."""
    stranger, admin = stream(as_charlie), stream(as_admin)
    assert as_alice.post(f"/projects/{machine.project_id}/rename", {"name": "Secret plans"}).status_code == 303
    assert as_alice.post("/credits/top-up", {"amount": "10"}).status_code == 303
    assert as_alice.post("/credits/plan", {"low": "3"}).status_code == 303
    cloud.vms.stop_vm(machine.id, actor=acting(alice))
    cloud.worker.work()
    assert admin(f"vm:{machine.id}")
    heard = "".join(stranger.lines)
    assert [
        trace for trace in (machine.id, machine.project_id, alice.id, "Secret plans", "vm:") if trace in heard
    ] == []


def _demote(container, boss, bob, _browser):
    container.get_user_service().access.change_role(bob.id, Role.USER, actor=boss)


def _disable(container, boss, bob, _browser):
    container.get_user_service().access.set_disabled(bob.id, True, actor=boss)


def _log_out(_container, _boss, _bob, browser):
    assert browser.post("/logout").status_code == 303


def _change_password(container, _boss, bob, _browser):
    container.get_auth_service().change_password(bob.id, PASSWORD, "quite another long one", actor=acting(bob))


def _lose_session_row(container, _boss, bob, _browser):
    container.get_auth_service().end_sessions(bob.id)


LOSSES = (_demote, _disable, _log_out, _change_password, _lose_session_row)


@pytest.mark.asvs("8.3.2")
@pytest.mark.parametrize("loses", LOSSES)
def test_an_open_stream_ends_when_its_person_loses_the_session_or_the_role(
    web, container, admin, bob, cloud, machine, loses
):
    """The real account, session and hub. Left alone such a stream lasts ten minutes: a minute's patience is enough."""
    boss = acting(admin)
    container.get_user_service().access.change_role(bob.id, Role.ADMIN, actor=boss)
    browser = Browser(web).log_in(bob)
    answer = browser.client.get("/events", buffered=False)
    heard, ended = [], threading.Event()

    def read():
        for chunk in answer.iter_encoded():
            heard.append(chunk.decode())
        ended.set()

    threading.Thread(target=read, daemon=True).start()
    cloud.vms.stop_vm(machine.id)  # it is an admin's stream: it tells of everybody's machines
    deadline = time.monotonic() + 60
    while not any(machine.id in chunk for chunk in heard) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert any(machine.id in chunk for chunk in heard)
    assert not ended.is_set()
    loses(container, boss, bob, browser)
    assert ended.wait(60)
    assert not web.extensions[live.EXTENSION]._subscribers
    answer.close()


def test_the_hub_looks_at_the_sessions_twice_a_second():
    assert live.POLL_SECONDS <= 0.5
