"""Waking the worker: by sockets beside SQLite, by NOTIFY on PostgreSQL, and by nothing that could hold anybody up."""

import socket
import threading
from contextlib import contextmanager
from dataclasses import replace

import psycopg
import pytest
from sqlalchemy import make_url

from zentry_web.adapters import bell as bell_module
from zentry_web.adapters.bell import NullBell, PostgresBell, SocketBell
from zentry_web.adapters.database import make_engine
from zentry_web.domain.user import SYSTEM
from zentry_web.domain.vms.operation import OperationKind
from zentry_web.services.errors import ConflictError
from zentry_web.services.shared.notices import Notices
from zentry_web.services.vms.operations import OperationQueue

pytestmark = pytest.mark.integration
PATIENCE_SECONDS = 20


@contextmanager
def listening(bell):
    """What was heard, as an event; ended before the with block ends."""
    heard, stop = threading.Event(), threading.Event()
    thread = threading.Thread(target=bell.listen, args=(heard.set, stop))
    thread.start()
    try:
        yield heard
    finally:
        stop.set()
        thread.join(PATIENCE_SECONDS)
        assert not thread.is_alive()


def ring_until_heard(bell, heard):
    """A listener that is still on its way to its place hears one of the next."""
    for _ in range(PATIENCE_SECONDS * 20):
        bell.ring()
        if heard.wait(0.05):
            return
    pytest.fail("nobody heard it")


def test_a_ring_is_heard_by_everybody(core):
    with listening(core.bell) as one, listening(core.bell) as other:
        ring_until_heard(core.bell, one)
        ring_until_heard(core.bell, other)


def test_rings_long_after_each_other_are_heard_each(core):
    with listening(core.bell) as heard:
        for _ in range(3):
            ring_until_heard(core.bell, heard)
            heard.clear()


class Counted(NullBell):
    def __init__(self):
        self.rings = 0

    def ring(self):
        self.rings += 1


@pytest.fixture
def counted(core):
    """An operation queue that rings a bell of ours, and the bell."""
    bell = Counted()
    return OperationQueue(replace(core, bell=bell)), bell


def ask(queue, session, vm_id):
    queue.enqueue(session, OperationKind.START, vm_id, actor=SYSTEM, reason="user")


def ask_twice(queue, session, vm_id):
    for _ in range(2):  # which the database refuses
        ask(queue, session, vm_id)


@pytest.fixture
def two_vms(cloud, alice):
    project = cloud.project(alice)
    return [cloud.launch(alice, project, name).id for name in ("one", "two")]


def test_what_is_committed_rings_once_and_only_then(counted, two_vms):
    queue, bell = counted
    with queue.transaction() as session:
        queue.cancel_open(session, *two_vms)
        for vm_id in two_vms:
            ask(queue, session, vm_id)
        assert bell.rings == 0, "nobody could find it yet"
    assert bell.rings == 1


def test_a_mail_that_waits_rings(core, alice):
    bell = Counted()
    notices = Notices(replace(core, bell=bell, mail=replace(core.mail, enabled=True)))
    notices.mail_to(alice.id, "alice@example.com", "Hello", "Hello")
    assert bell.rings == 1
    assert notices.claim_mail() is not None
    notices.tell(alice.id, "low_balance", "k", "No mail goes with this", "Text", mail=False)
    assert bell.rings == 1


def test_what_is_rolled_back_does_not_ring(counted, two_vms):
    queue, bell = counted
    with pytest.raises(ConflictError), queue.transaction() as session:
        ask_twice(queue, session, two_vms[0])
    assert bell.rings == 0


def test_a_folder_may_lie_deep(tmp_path):
    folder = tmp_path / ("deep" * 25) / ("deeper" * 20)
    folder.mkdir(parents=True)
    with listening(SocketBell(folder)) as heard:
        ring_until_heard(SocketBell(folder), heard)
    assert list(folder.iterdir()) == [], "nothing is left behind"


def test_the_socket_of_a_worker_that_was_killed_goes(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as left:
        left.bind(str(tmp_path / "1-abc.bell"))
    SocketBell(tmp_path).ring()
    assert list(tmp_path.iterdir()) == []


def test_a_listener_that_hears_nothing_holds_nobody_up(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as deaf:
        deaf.bind(str(tmp_path / "1-abc.bell"))
        for _ in range(5000):
            SocketBell(tmp_path).ring()
        assert (tmp_path / "1-abc.bell").exists()


def test_nobody_rings_in_vain(tmp_path):
    """No folder, no database: whoever rings does not notice."""
    SocketBell(tmp_path / "gone").ring()
    PostgresBell(make_engine("postgresql+psycopg://nobody@127.0.0.1:1/none")).ring()


def test_without_a_bell_there_is_still_an_end():
    with listening(NullBell()) as heard:
        NullBell().ring()
        assert not heard.is_set()


@pytest.fixture
def postgres_bell(postgres_config):
    engine = make_engine(postgres_config.business_url)
    yield PostgresBell(engine)
    engine.dispose()


def test_the_ear_comes_back_with_the_database(postgres_bell, postgres_url, monkeypatch):
    monkeypatch.setattr(bell_module, "AGAIN_SECONDS", 0.1)
    bell = postgres_bell
    with listening(bell) as heard:
        ring_until_heard(bell, heard)
        heard.clear()
        with psycopg.connect(make_url(postgres_url).set(drivername="postgresql").render_as_string(False)) as admin:
            admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'")
        ring_until_heard(bell, heard)
