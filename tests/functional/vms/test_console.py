"""The console's page, its tickets, and the handshake of its WebSocket."""

import json
import queue
import socket
import threading

import pytest

from tests.services.people import events_of, join
from zentry_web.adapters.console_door import UnixConsoleDoor, take
from zentry_web.domain.projects.project import ProjectRole

pytestmark = pytest.mark.integration

KEY, ANSWER = "dGhlIHNhbXBsZSBub25jZQ==", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # RFC 6455, 1.3


class Connection(socket.socket):
    """As the front door makes them."""

    is_handed_over = False


@pytest.fixture
def behind_the_door(config):
    """What was handed over, by a process that takes one connection."""
    listening, taken = UnixConsoleDoor(config.data).listen(), queue.SimpleQueue()

    def serve():
        visitor, _ = listening.accept()
        with visitor:
            taken.put(take(visitor))

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield taken
    listening.close()


def ticket(browser, vm, kind="text"):
    answer = browser.post(f"/vms/{vm.id}/console/tickets", {"kind": kind})
    assert answer.status_code == 201, answer.text
    return answer.json["protocols"]


def knock(browser, vm, protocols, **changes):
    """Send a handshake. What the server sent on the connection itself, or its answer."""
    ours, theirs = socket.socketpair()
    connection = Connection(fileno=ours.detach())
    headers = {
        "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": KEY,
        "Sec-WebSocket-Protocol": ", ".join(protocols), "Origin": "http://localhost:8080",
    } | changes  # fmt: skip
    with connection, theirs:
        try:
            return browser.client.get(
                f"/vms/{vm.id}/console/socket", headers=headers, environ_overrides={"gunicorn.socket": connection}
            )
        except StopIteration:  # what gunicorn is told when a connection is none of its business any more
            assert connection.is_handed_over
            return theirs.recv(4096)


@pytest.mark.asvs("4.4.3", "4.4.4")
def test_a_ticket_opens_the_websocket_and_the_connection_is_handed_over(as_alice, machine, behind_the_door, core):
    said = knock(as_alice, machine, ticket(as_alice, machine)).decode()
    assert said.startswith("HTTP/1.1 101 ")
    assert f"Sec-WebSocket-Accept: {ANSWER}\r\n" in said
    assert "Sec-WebSocket-Protocol: zentry.console\r\n" in said
    message, connection = behind_the_door.get(timeout=10)
    connection.close()
    assert (message["vm"], message["kind"]) == (machine.id, "text")
    (event,) = events_of(core, "vm.console")
    assert event.details["console"] == message["id"]
    assert "ticket" not in json.dumps(event.details)


def test_where_no_process_holds_consoles_the_browser_is_told(as_alice, machine, core):
    said = knock(as_alice, machine, ticket(as_alice, machine))
    head, _, frame = said.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 ")
    assert frame == b"\x88\x06\x0f\xa0door"
    (ended,) = events_of(core, "vm.console_end")
    assert ended.details["why"] == "door"


def test_a_ticket_is_not_good_twice(as_alice, machine):
    protocols = ticket(as_alice, machine)
    knock(as_alice, machine, protocols)
    assert knock(as_alice, machine, protocols).status_code == 403


@pytest.mark.asvs("4.4.2")
@pytest.mark.parametrize("origin", ["https://evil.example", "http://localhost:8081", "null", ""])
def test_pages_of_other_addresses_open_none(as_alice, machine, origin):
    assert knock(as_alice, machine, ticket(as_alice, machine), Origin=origin).status_code == 403


@pytest.mark.parametrize(
    "changes",
    [
        {"Sec-WebSocket-Key": "short"},
        {"Sec-WebSocket-Version": "8"},
        {"Sec-WebSocket-Protocol": "chat"},
    ],
)
def test_what_is_no_handshake_is_refused(as_alice, machine, changes):
    assert knock(as_alice, machine, ticket(as_alice, machine), **changes).status_code == 400


def test_a_plain_request_is_told_what_it_lacks(as_alice, machine):
    answer = as_alice.get(f"/vms/{machine.id}/console/socket", headers={"Accept": "application/json"})
    assert answer.status_code in (400, 403)


def test_strangers_find_nothing_and_viewers_are_refused(as_charlie, container, project, machine, charlie):
    for path in ("console", "console/window", "console/socket"):
        assert as_charlie.get(f"/vms/{machine.id}/{path}").status_code == 404
    assert as_charlie.post(f"/vms/{machine.id}/console/tickets", {"kind": "text"}).status_code == 404
    join(container, project, charlie, ProjectRole.VIEWER)
    assert as_charlie.get(f"/vms/{machine.id}/console/window").status_code == 403
    assert as_charlie.post(f"/vms/{machine.id}/console/tickets", {"kind": "text"}).status_code == 403


def test_the_page_offers_text_and_screen_and_works_alone(as_alice, machine):
    page = as_alice.page(f"/vms/{machine.id}/console")
    assert page.one("//section[@id='vm-terminal']").get("data-console") == "text"
    assert "Test my console path" in page.text()
    screen = as_alice.page(f"/vms/{machine.id}/console?show=screen")
    assert screen.one("//section[@id='vm-terminal']").get("data-console") == "screen"
    alone = as_alice.page(f"/vms/{machine.id}/console/window?show=screen")
    assert alone.one("//section[@id='vm-terminal']").get("data-console") == "screen"
    live = as_alice.page(f"/vms/{machine.id}/console", htmx=True)
    assert "Test my console path" not in live.text()


def test_a_machine_that_is_off_is_said_to_be(as_alice, cloud, machine):
    cloud.vms.stop_vm(machine.id)
    cloud.live(6)
    answer = as_alice.post(
        f"/vms/{machine.id}/console/tickets", {"kind": "text"}, headers={"Accept": "application/json"}
    )
    assert (answer.status_code, answer.json["detail"]) == (409, "The machine is off, so it has no console.")


def test_the_activity_says_for_how_long(as_alice, machine, clock, container):
    knock(as_alice, machine, ticket(as_alice, machine, "screen"))
    text = as_alice.page(f"/vms/{machine.id}/activity").text()
    assert "Opened the console of web-1" in text
    assert "Closed the console of web-1 after 0 s" in text
