"""The credits page and the runway what-if for 500 machines, with a million ledger entries in the database.

Of the what-if the slower counts: the form with all machines, or an answer in place.
"""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from flask.testing import FlaskClient
from sqlalchemy import func, select, update
from werkzeug.test import TestResponse

from bench import plain
from bench.figures import Figure, p95
from bench.fleet import Fleet
from bench.queries import log_in
from bench.sizes import Sizes
from bench.stores import Store
from zentry_web.app import make_app
from zentry_web.composition import build_container
from zentry_web.models import DbEntry, DbUser
from zentry_web.services.auth.passwords import Passwords

NAMES = ("credits_page_p95_ms", "whatif_500_ms")
GOAL_MS = 60
WHATIF_GOAL_MS = 100
PER_HOUR = 4  # entries that a wallet's hour leaves: usage and renewal, two each
PASSWORD = "correct horse battery staple"


def measure(store: Store, sizes: Sizes) -> Iterator[Figure]:
    """One request after the other, in the process; the baseline is a plain Flask page measured the same way."""
    start = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=sizes.hours)
    owners = -(-sizes.entries // (sizes.hours * PER_HOUR))
    fleet = Fleet(owners, vms=1, hours=sizes.hours, first_vms=sizes.holding, start=start)
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
    form, htmx = _what_if_form(client, sizes.holding), {"HX-Request": "true"}

    def took(ask: Callable[[], TestResponse]) -> float:
        return p95(_times(ask, sizes.in_process))

    baseline = took(lambda: plain.app.test_client().get("/"))
    facts = {"database": store.kind, "vms": sizes.holding, "entries": found, "requests": sizes.in_process}
    page = took(_getter(client, ""))
    parts = {f"{name}_ms": round(took(_getter(client, f"/{name}")), 1) for name in ("history", "spend")}
    yield Figure(NAMES[0], page, "ms", GOAL_MS, baseline, facts | parts)
    shown = took(_getter(client, "/what-if"))
    answer = took(lambda: client.post("/credits/what-if", data=form, headers=htmx))
    both = {"form_ms": round(shown, 1), "answer_ms": round(answer, 1)}
    yield Figure(NAMES[1], max(both.values()), "ms", WHATIF_GOAL_MS, baseline, facts | both)
    container.close()


def _what_if_form(client: FlaskClient, vms: int) -> dict[str, Any]:
    """Half of the machines stopped, every other one resized, three launched."""
    token = client.get("/credits").text.partition('name="csrf_token" value="')[2].partition('"')[0]
    chosen = {f"size.vm_000000_{number:03d}": "size_large" if number % 2 else "" for number in range(vms)}
    stop = [f"vm_000000_{number:03d}" for number in range(vms // 2)]
    return {"csrf_token": token, "stop": stop, "launch": "size_large", "count": "3"} | chosen


def _getter(client: FlaskClient, path: str) -> Callable[[], TestResponse]:
    return lambda: client.get(f"/credits{path}")


def _times(ask: Callable[[], TestResponse], requests: int) -> list[float]:
    """Milliseconds of each request, after two that warm up."""
    times = []
    for number in range(requests + 2):
        started = time.perf_counter()
        answer = ask()
        took = (time.perf_counter() - started) * 1000
        assert answer.status_code == 200, answer.status_code
        times += [took] if number > 1 else []
    return times
