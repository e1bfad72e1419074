"""A browser's part that a measurement needs: one keep-alive connection, cookies, forms with their token."""

import http.client
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlencode

_TOKEN = re.compile(r'name="csrf_token"[^>]*value="([^"]+)"')
TIMEOUT_SECONDS = 30
IDLE_SECONDS = 3
WARM_UP_SECONDS = 1.0


@dataclass(frozen=True)
class Answer:
    """What came back, and how long it took from the first byte sent to the last byte read."""

    status: int
    location: str
    body: str
    milliseconds: float


@dataclass
class Client:
    """Talks to 127.0.0.1:``port`` over one connection. Give a copy (``twin``) to each thread."""

    port: int
    cookies: dict[str, str] = field(default_factory=dict)
    token: str = ""

    def __post_init__(self) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT_SECONDS)
        self._used = 0.0

    def twin(self) -> "Client":
        """Another connection of the same signed-in browser."""
        return Client(self.port, dict(self.cookies), self.token)

    def get(self, path: str) -> Answer:
        return self._request("GET", path, None)

    def post(self, path: str, **fields: str) -> Answer:
        """Send a form, with the token of the page read last."""
        return self._request("POST", path, urlencode({"csrf_token": self.token, **fields}))

    def log_in(self, email: str, password: str) -> None:
        """Sign in; raises AssertionError when that fails."""
        self.get("/login")
        answer = self.post("/login", email=email, password=password)
        assert answer.status == 303, f"the log-in answered {answer.status}"

    def close(self) -> None:
        self._connection.close()

    def _request(self, method: str, path: str, body: str | None) -> Answer:
        headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
        if body is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        if time.monotonic() - self._used > IDLE_SECONDS:
            self._connection.close()  # the server gives up idle connections; the next request opens a new one
        started = time.perf_counter()
        self._connection.request(method, path, body, headers)
        response = self._connection.getresponse()
        raw = response.read()
        took = (time.perf_counter() - started) * 1000
        self._used = time.monotonic()
        for cookie in response.headers.get_all("Set-Cookie") or []:
            name, _, value = cookie.partition(";")[0].partition("=")
            self.cookies[name] = value
        text = raw.decode()
        if found := _TOKEN.search(text):
            self.token = found[1]
        return Answer(response.status, response.headers.get("Location", ""), text, took)


@dataclass(frozen=True)
class Load:
    """The times of all requests of a run, in milliseconds, and how long the run took in seconds."""

    times: list[float]
    seconds: float

    @property
    def per_second(self) -> float:
        return len(self.times) / self.seconds


def run_load(client: Client, path: str, check: Callable[[str], bool], *, requests: int, connections: int = 4) -> Load:
    """GET ``path`` so many times over keep-alive connections at once; every body must pass ``check``."""
    times: list[list[float]] = [[] for _ in range(connections)]
    wrong: list[str] = []
    begun = [threading.Event() for _ in range(connections)]
    go = threading.Event()

    def ask(browser: Client) -> float:
        answer = browser.get(path)
        if answer.status != 200 or not check(answer.body):
            wrong.append(f"{path} answered {answer.status}: {answer.body[:200]}")
        return answer.milliseconds

    def work(number: int) -> None:
        browser = client.twin()
        while not go.is_set():  # warms up the connection and the server's caches
            ask(browser)
            begun[number].set()
        while len(times[number]) < -(-requests // connections) and not wrong:
            times[number].append(ask(browser))
        browser.close()

    threads = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(connections)]
    for number, thread in enumerate(threads):
        # One after the other, as people come: connections opened in the same millisecond may all be taken by one
        # of the server's processes, and they stay with it.
        thread.start()
        assert begun[number].wait(TIMEOUT_SECONDS), f"{path} does not answer"
    time.sleep(WARM_UP_SECONDS)
    started = time.perf_counter()
    go.set()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - started
    assert not wrong, wrong[0]
    return Load([each for part in times for each in part], took)
