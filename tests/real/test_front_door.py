"""The real server, attacked from this machine: who is slow holds nothing up, and streams leave threads for pages."""

import asyncio
import contextlib
import resource
import socket
import statistics
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from flask.sessions import SecureCookieSessionInterface

from tests.browser.product import Product, wait_until
from zentry_web import create_app, front_door
from zentry_web.domain.user import SYSTEM
from zentry_web.web.stream_board import STREAMS_PER_PERSON

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

PEOPLE, STREAMS, SLOW = 60, 1000, 1000
THREADS, WORKERS = 40, 2


@pytest.fixture(scope="module", autouse=True)
def many_files():
    """Two ends of two thousand connections are more than a shell allows at first."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = 8192 if before[1] == resource.RLIM_INFINITY else min(8192, before[1])
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(most, before[0]), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.fixture(scope="module")
def product(tmp_path_factory):
    running = Product(tmp_path_factory.mktemp("door"), web_workers=WORKERS, web_threads=THREADS).start()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def cookies(product):
    """The session cookie of each of many people."""
    app = create_app(product.config, product.container)
    signer = SecureCookieSessionInterface().get_signing_serializer(app)
    auth = product.container.get_auth_service()
    found = []
    for number in range(PEOPLE):
        user = product.make_user(f"Person {number}", f"person-{number}@example.com")
        signed_in = auth._sessions.open(user, SYSTEM)
        value = signer.dumps({"_user_id": signed_in.session_token, "_fresh": True, "_permanent": True})
        found.append(f"{app.config['SESSION_COOKIE_NAME']}={value}")
    return found


def ask(product, path, cookie="", head=""):
    """(status, seconds) of one request on a connection of its own."""
    started = time.monotonic()
    with socket.create_connection(("127.0.0.1", product.port), timeout=60) as connection:
        connection.sendall(_get(product, path, cookie, head))
        answer = connection.recv(100)
    return int(answer.split()[1]), time.monotonic() - started


def _get(product, path, cookie="", head=""):
    return (f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{product.port}\r\nCookie: {cookie}\r\n{head}"
            "Connection: close\r\n\r\n").encode()  # fmt: skip


async def _drip(product, first, gap, stop):
    """Send ``first``, then a byte every ``gap`` seconds, as long as the server takes them."""
    with contextlib.suppress(OSError):
        _, writer = await asyncio.open_connection("127.0.0.1", product.port)
        writer.write(first)
        while not stop.is_set():
            await asyncio.sleep(gap)
            writer.write(b"a")
            await writer.drain()
        writer.close()


async def _listen(product, cookie, stop, statuses):
    with contextlib.suppress(OSError, asyncio.IncompleteReadError):
        reader, writer = await asyncio.open_connection("127.0.0.1", product.port)
        writer.write(_get(product, "/events", cookie, "Accept: text/event-stream\r\n"))
        statuses.append(int((await reader.readline()).split()[1]))
        if statuses[-1] == 200:
            await stop.wait()
        writer.close()


async def _attack(product, cookies, measure):
    """Open everything at once, wait until each stream has its answer, measure, and leave."""
    stop, statuses = asyncio.Event(), []
    heads = [b"G", b"GET / HTTP/1.1\r\nHost: x\r\n", b"POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: 9999\r\n\r\n"]
    tasks = [asyncio.create_task(_drip(product, heads[number % 3], 1, stop)) for number in range(SLOW)]
    await asyncio.sleep(0)
    tasks += [
        asyncio.create_task(_listen(product, cookies[number % len(cookies)], stop, statuses))
        for number in range(STREAMS)
    ]
    try:
        async with asyncio.timeout(120):
            while len(statuses) < STREAMS:
                await asyncio.sleep(0.1)
        found = await asyncio.to_thread(measure)
    finally:
        stop.set()
        await asyncio.gather(*tasks, return_exceptions=True)
    return statuses, found


@pytest.mark.asvs("15.2.2")
def test_pages_answer_beside_a_thousand_slow_senders_and_a_thousand_streams(product, cookies):
    def measure():
        return [ask(product, "/", cookies[number]) for number in range(21)]

    statuses, pages = asyncio.run(_attack(product, cookies, measure))
    assert {status for status, _ in pages} <= {200, 303}
    assert statistics.median(seconds for _, seconds in pages) < 1
    assert set(statuses) == {200, 429}
    held = statuses.count(200)
    assert STREAMS_PER_PERSON <= held <= THREADS * WORKERS // 2

    # Every stream that was left is free again, in whichever process it was.
    def is_free():
        return ask(product, "/events", cookies[-1], "Accept: text/event-stream\r\n")[0] == 200

    wait_until(is_free, 30, "the streams that were left are free again")


def seconds_until_closed(product, first, gap=0.5):
    """How long the server bears with somebody who sends ``first`` and then a byte now and then, and its last words."""
    started, heard = time.monotonic(), b""
    with socket.create_connection(("127.0.0.1", product.port), timeout=gap) as connection:
        connection.sendall(first)
        while True:
            try:
                data = connection.recv(1000)
            except TimeoutError:
                connection.sendall(b"a")
                continue
            except ConnectionResetError:
                data = b""
            if not data:
                return time.monotonic() - started, heard
            heard += data


def test_head_and_body_have_a_deadline(product):
    """However steadily the bytes come."""
    body = b"POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: 9999\r\n\r\n"
    chunks = b"POST /login HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4FFFF\r\n"
    with ThreadPoolExecutor() as pool:
        head, *bodies = pool.map(lambda first: seconds_until_closed(product, first), [b"GET /", body, chunks])
    assert b" 408 " in head[1]
    assert front_door.HEAD_SECONDS - 1 < head[0] < front_door.HEAD_SECONDS + 15
    for seconds, words in bodies:
        assert b" 408 " in words
        assert front_door.BODY_SECONDS - 1 < seconds < front_door.BODY_SECONDS + 15


def test_who_does_not_read_holds_no_more_than_a_quarter_of_the_threads(product, cookies):
    """A large file asked for by more people than there are threads, none of whom takes it."""
    path = "/static/vendor/plotly-4.1.1/plotly-basic.min.js"
    with contextlib.ExitStack() as stack:
        for _ in range(THREADS * WORKERS + 20):
            reader = stack.enter_context(socket.socket())
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            reader.connect(("127.0.0.1", product.port))
            reader.sendall(_get(product, path))
        pages = [ask(product, "/", cookies[number]) for number in range(11)]
    assert statistics.median(seconds for _, seconds in pages) < 1


def test_requests_sent_together_or_in_pieces_are_answered_in_order(product):
    one = f"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:{product.port}\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", product.port), timeout=30) as connection:
        connection.sendall(one + one + one[:20])
        time.sleep(0.2)  # the rest comes in another packet; whenever it does, the answer is the same
        connection.sendall(one[20:])
        heard = b""
        while heard.count(b'"alive"') < 3:
            data = connection.recv(10_000)
            assert data, heard
            heard += data
    assert heard.count(b"HTTP/1.1 200 OK") == 3


def test_a_form_that_is_too_large_is_told_so(product):
    head = f"POST /login HTTP/1.1\r\nHost: 127.0.0.1:{product.port}\r\nContent-Length: 99999999\r\n\r\n"
    with socket.create_connection(("127.0.0.1", product.port), timeout=30) as connection:
        connection.sendall(head.encode() + b"a" * 1000)
        assert b" 413 " in connection.recv(10_000)


def test_who_asks_first_is_told_to_go_on(product):
    head = (f"POST /login HTTP/1.1\r\nHost: 127.0.0.1:{product.port}\r\nExpect: 100-continue\r\n"
            "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 3\r\n\r\n")  # fmt: skip
    with socket.create_connection(("127.0.0.1", product.port), timeout=30) as connection:
        connection.sendall(head.encode())
        assert connection.recv(1000).startswith(b"HTTP/1.1 100 Continue")
        connection.sendall(b"a=b")
        assert b" 400 " in connection.recv(1000) + connection.recv(1000)


@pytest.mark.asvs("4.1.3")
def test_no_header_says_where_the_application_lies(product):
    head = "SCRIPT_NAME: /evil\r\nPATH_INFO: /evil\r\n"
    with socket.create_connection(("127.0.0.1", product.port), timeout=30) as connection:
        connection.sendall(_get(product, "/vms", "", head))
        answer = b""
        while data := connection.recv(10_000):
            answer += data
    assert b"evil" not in answer
    assert b"Location: /login" in answer
