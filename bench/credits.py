"""The credits page and the runway what-if for 500 machines, with a million ledger entries in the database.

Of the what-if the slower counts: the form with all machines, or an answer in place.
"""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

from flask.testing import FlaskClient
from sqlalchemy import func, select, update
from werkzeug.test import TestResponse

from bench import plain
from bench.figures import Figure, p95
from bench.fleet import Fleet
from bench.queries import log_in
from bench.stores import Store
from zentry_web.app import make_app
from zentry_web.composition import build_container
from zentry_web.models import DbEntry, DbUser
from zentry_web.services.passwords import Passwords

NAMES = ("credits_page_p95_ms", "whatif_500_ms")
GOAL_MS = 100
VMS = 500
HOURS = 720  # a month of hours
PER_HOUR = 4  # entries that a wallet's hour leaves: usage and renewal, two each
REQUESTS = 60
PASSWORD = "correct horse battery staple"


def measure(store: Store, entries: int) -> Iterator[Figure]:
    """One request after the other, in the process; the baseline is a plain Flask page measured the same way."""
    start = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=HOURS)
    fleet = Fleet(owners=-(-entries // (HOURS * PER_HOUR)), vms=1, hours=HOURS, first_vms=VMS, start=start)
    store.prepare(fleet)
    config = store.copy("pages")
    container = build_container(config)
    with container.database.writing() as session:
        row = update(DbUser).where(DbUser.id == fleet.owner(0))
        session.execute(row.values(password_hash=Passwords(memory_kib=64, time_cost=1).hash(PASSWORD)))
        found = session.scalar(select(func.count()).select_from(DbEntry))
        session.commit()
    client = make_app(config, container).test_client()
    log_in(client, f"{fleet.owner(0)}@example.com", PASSWORD)
    stop = [f"vm_000000_{number:03d}" for number in range(VMS // 2)]
    token = client.get("/credits").text.partition('name="csrf_token" value="')[2].partition('"')[0]
    sizes = {f"size.vm_000000_{number:03d}": "size_large" if number % 2 else "" for number in range(VMS)}
    form = {"csrf_token": token, "stop": stop, "launch": "size_large", "count": "3"} | sizes
    htmx = {"HX-Request": "true"}
    baseline = p95(_times(lambda: plain.app.test_client().get("/")))
    facts = {"database": store.kind, "vms": VMS, "entries": found, "requests": REQUESTS}
    page = p95(_times(lambda: client.get("/credits")))
    parts = {f"{name}_ms": round(p95(_times(_getter(client, name))), 1) for name in ("history", "spend")}
    yield Figure(NAMES[0], page, "ms", GOAL_MS, baseline, facts | parts)
    shown = p95(_times(_getter(client, "what-if")))
    answer = p95(_times(lambda: client.post("/credits/what-if", data=form, headers=htmx)))
    both = {"form_ms": round(shown, 1), "answer_ms": round(answer, 1)}
    yield Figure(NAMES[1], max(both.values()), "ms", GOAL_MS, baseline, facts | both)
    container.close()


def _getter(client: FlaskClient, name: str) -> Callable[[], TestResponse]:
    return lambda: client.get(f"/credits/{name}")


def _times(ask: Callable[[], TestResponse]) -> list[float]:
    """Milliseconds of each request, after two that warm up."""
    times = []
    for number in range(REQUESTS + 2):
        started = time.perf_counter()
        answer = ask()
        took = (time.perf_counter() - started) * 1000
        assert answer.status_code == 200, answer.status_code
        times += [took] if number > 1 else []
    return times
