"""Zentry behind the real nginx, Caddy and Apache, on an odd port, as docs/operating.md says: forms, streams, pauses."""

import http.client
import json
import re
import ssl
import threading
import time

import pytest
from websockets.sync.client import connect

from tests.browser.product import PASSWORD, Product, free_port, wait_until
from tests.proxies import PROXIES, make_certificate, running
from zentry_web import gunicorn_settings
from zentry_web.domain.vms.state import VMState

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

FORM = "application/x-www-form-urlencoded"
CALLERS, ROUNDS = 30, 10


@pytest.fixture(scope="module", params=PROXIES)
def site(request, tmp_path_factory):
    """(port, certificate, Zentry) of a site behind one of them."""
    folder, port = tmp_path_factory.mktemp(request.param), free_port()
    certificate = make_certificate(folder)
    product = Product(folder / "zentry", base_url=f"https://localhost:{port}", trusted_proxies=1).start()
    product.make_user("Alice", "alice@example.com")
    try:
        with running(PROXIES[request.param](folder, port, product.port), folder, port):
            yield port, certificate, product
    finally:
        product.stop()


class Visitor:
    """A browser's connection: keeps cookies, and says what browsers say."""

    def __init__(self, port, certificate):
        self.origin = f"https://localhost:{port}"
        context = ssl.create_default_context(cafile=certificate)
        self.connection = http.client.HTTPSConnection("localhost", port, timeout=60, context=context)
        self.cookies = {}

    def ask(self, method, path, body=None, **headers):
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        self.connection.request(method, path, body, {"Cookie": cookie} | headers)
        answer = self.connection.getresponse()
        for line in answer.headers.get_all("Set-Cookie", []):
            name, value = line.split(";")[0].split("=", 1)
            self.cookies[name] = value
        return answer

    def log_in(self, **headers):
        page = self.ask("GET", "/login").read().decode()
        token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page)[1]
        body = f"email=alice%40example.com&password={PASSWORD.replace(' ', '+')}&csrf_token={token}"
        answer = self.ask("POST", "/login", body, **{"Content-Type": FORM} | headers)
        return answer.status, answer.read().decode()


@pytest.fixture
def come(site):
    """Visitors, whose connections are closed in the end."""
    there = []

    def made():
        there.append(Visitor(*site[:2]))
        return there[-1]

    yield made
    for visitor in there:
        visitor.connection.close()


SAID = {"origin": {"Origin": None}, "fetch": {"Sec-Fetch-Site": "same-origin"}, "nothing": {}}


@pytest.mark.parametrize("headers", SAID.values(), ids=SAID)
def test_forms_work(site, come, headers):
    product, visitor = site[2], come()
    status, text = visitor.log_in(**{name: value or visitor.origin for name, value in headers.items()})
    assert status == 303, text
    page = visitor.ask("GET", "/overview")
    assert page.status == 200
    assert b"Log out" in page.read()
    events = product.container.get_user_service().search_audit(action="auth.login")
    assert events[0].personal["address"] in ("127.0.0.1", "::1")


def test_a_form_of_another_port_is_refused_with_the_reason(site, come):
    port = site[0]
    status, text = come().log_in(Origin="https://localhost")
    assert status == 400
    assert "This form was sent from https://localhost," in text
    assert f"https://localhost:{port}" in text


def test_the_stream_comes_through_at_once(site, come):
    product, visitor = site[2], come()
    assert visitor.log_in(Origin=visitor.origin)[0] == 303
    stream = visitor.ask("GET", "/events", Accept="text/event-stream")
    assert stream.status == 200
    began = time.monotonic()
    while b"event: beat" not in stream.readline():
        assert time.monotonic() - began < 10
    product.container.get_project_service().create_project({"name": "told"}, product.find_user("alice@example.com"))
    while b"projects" not in stream.readline():
        assert time.monotonic() - began < 20
    stream.close()


def test_a_console_comes_through_and_outlives_a_minute_of_silence(site, come, request):
    """nginx ends what is silent for a minute; a console is pinged before."""
    port, certificate, product = site
    user = product.find_user("alice@example.com")
    project = product.container.get_project_service().create_project({"name": "consoles"}, user)
    chosen = {"project_id": project.id, "name": "typed-on", "size_id": "size_nano", "image_id": "img_tiny"}
    vm = product.container.get_vm_service().create_vm(chosen, user)
    wait_until(lambda: product.container.get_vm_service().get_vm(vm.id).state == VMState.RUNNING, 30, "it runs")
    visitor = come()
    assert visitor.log_in(Origin=visitor.origin)[0] == 303
    page = visitor.ask("GET", f"/vms/{vm.id}/console/window").read().decode()
    token = re.search(r'name="csrf-token" content="([^"]+)"', page)[1]
    headers = {"Content-Type": FORM, "X-CSRFToken": token, "Origin": visitor.origin}
    answer = visitor.ask("POST", f"/vms/{vm.id}/console/tickets", "kind=text", **headers)
    assert answer.status == 201
    protocols = json.loads(answer.read())["protocols"]
    cookie = "; ".join(f"{name}={value}" for name, value in visitor.cookies.items())
    with connect(
        f"wss://localhost:{port}/vms/{vm.id}/console/socket", origin=visitor.origin, subprotocols=protocols,
        additional_headers={"Cookie": cookie}, ssl=ssl.create_default_context(cafile=certificate), compression=None,
    ) as console:  # fmt: skip
        said = hear(console, b"simulated) # ")
        time.sleep(65 if request.node.callspec.params["site"] == "nginx" else 0)
        console.send(b"still there\r")
        assert b"still there: there is no such program" in said + hear(console, b"such program")


def hear(console, words):
    """What it shows until these words."""
    said = b""
    while words not in said:
        message = console.recv(10)
        said += message if isinstance(message, bytes) else b""
    return said


def test_no_request_meets_a_connection_that_was_just_closed(site):
    """300 of them, spaced around the five seconds after which the web server closed unused connections."""
    port, certificate, _ = site
    statuses, lock = [], threading.Lock()

    def call(number):
        for turn in range(ROUNDS):
            visitor = Visitor(port, certificate)
            answer = visitor.ask("POST", "/api/v1/auth/token", "no", **{"Content-Type": "application/json"})
            status = answer.status
            answer.close()
            visitor.connection.close()
            with lock:
                statuses.append(status)
            time.sleep(5 + (number - CALLERS / 2) * 0.004 + turn * 0.001)

    callers = [threading.Thread(target=call, args=(number,)) for number in range(CALLERS)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert statuses == [400] * (CALLERS * ROUNDS)


def test_connections_are_kept_longer_than_by_proxies():
    assert gunicorn_settings.keepalive > 120  # Caddy's; nginx 60 s, load balancers 60 s
