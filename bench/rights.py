"""What being let in costs: log-in page, a project's page with 500 machines, a password's hash, a permission check."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

from argon2.low_level import Type, hash_secret
from flask.testing import FlaskClient
from sqlalchemy import text, update
from werkzeug.test import TestResponse

from bench import plain
from bench.figures import Figure, median, p95
from bench.fleet import Fleet
from bench.queries import log_in
from bench.sizes import Sizes
from bench.stores import Store
from zentry_web.app import make_app
from zentry_web.composition import build_container
from zentry_web.config import Config
from zentry_web.domain.monitoring import Sample
from zentry_web.domain.projects.project import ProjectAction
from zentry_web.domain.user import Actor, Role, SignedIn
from zentry_web.models import DbUser
from zentry_web.services.auth.passwords import Passwords
from zentry_web.services.service_container import ServiceContainer
from zentry_web.services.shared.access import require_member

NAMES = ("login_page_p95_ms", "project_page_p95_ms", "password_hash_ms", "permission_check_us")
GOAL_MS = 100
CHECK_GOAL_US = {"sqlite": 400, "postgresql": 1500}
HOURS = 48
PASSWORD = "correct horse battery staple"


def measure(store: Store, sizes: Sizes) -> Iterator[Figure]:
    """One request after the other, in the process; the baseline of the pages is a plain Flask page asked likewise."""
    start = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=HOURS)
    fleet = Fleet(1 + sizes.crowd, vms=1, hours=HOURS, first_vms=sizes.holding, start=start)
    store.prepare(fleet)
    config = store.copy("rights")
    container = build_container(config)
    furnish(container, fleet)
    yield from _pages(store, config, container, fleet, sizes.in_process)
    yield _password(store, config, sizes.hashes)
    yield _permission(store, container, fleet, sizes.checks)
    container.close()


def furnish(container: ServiceContainer, fleet: Fleet) -> None:
    """A password for the owner of the many machines, and a fresh sample of each: the page has all its parts then."""
    with container.database.writing() as session:
        row = update(DbUser).where(DbUser.id == fleet.owner(0))
        session.execute(row.values(password_hash=Passwords(memory_kib=64, time_cost=1).hash(PASSWORD)))
        session.commit()
    now, owner = datetime.now(UTC), fleet.owner(0)
    samples = [
        (owner, Sample(f"vm_000000_{number:03d}", now, number % 100, 2**28, 2**29, 0, 0, 0, 0))
        for number in range(fleet.count(0))
    ]
    container.monitoring.record_samples(samples)
    engine = container.metrics_database.engine
    if engine.dialect.name == "postgresql":  # as its autovacuum does within a minute
        with engine.begin() as connection:
            connection.execute(text("ANALYZE"))


def _pages(store: Store, config: Config, container: ServiceContainer, fleet: Fleet, requests: int) -> Iterator[Figure]:
    app = make_app(config, container)
    visitor, owner = app.test_client(), app.test_client()
    log_in(owner, f"{fleet.owner(0)}@example.com", PASSWORD)
    page, machines = f"/projects/prj_{fleet.owner(0)}", fleet.count(0)
    assert owner.get(page).text.count('id="row-vm_') == min(50, machines)
    baseline = p95(times(lambda: plain.app.test_client().get("/"), requests))
    facts = {"database": store.kind, "accounts": fleet.owners, "requests": requests}
    yield Figure(NAMES[0], p95(times(getter(visitor, "/login"), requests)), "ms", GOAL_MS, baseline, facts)
    took = p95(times(getter(owner, page), requests))
    yield Figure(NAMES[1], took, "ms", GOAL_MS, baseline, facts | {"vms": machines})


def _password(store: Store, config: Config, hashes: int) -> Figure:
    """One hash with the parameters that passwords get; the baseline is argon2 itself with the same."""
    passwords = Passwords(memory_kib=config.argon2_memory_kib, time_cost=config.argon2_time_cost)
    stored = passwords.hash(PASSWORD)
    secret, salt = PASSWORD.encode(), b"sixteen bytes .."

    def bare() -> object:
        return hash_secret(secret, salt, config.argon2_time_cost, config.argon2_memory_kib, 1, 32, Type.ID)

    facts = {
        "database": store.kind,
        "memory_kib": config.argon2_memory_kib,
        "time_cost": config.argon2_time_cost,
        "verify_ms": round(median(_took(lambda: passwords.verify(stored, PASSWORD), hashes)), 1),
    }
    took = median(_took(lambda: passwords.hash(PASSWORD), hashes))
    return Figure(NAMES[2], took, "ms", None, median(_took(bare, hashes)), facts)


def _permission(store: Store, container: ServiceContainer, fleet: Fleet, checks: int) -> Figure:
    """Whose session it is, and whether they may see the project: what a request pays before it does anything. The
    baseline is as many statements that look nothing up."""
    auth, actor = container.auth, Actor(fleet.owner(0), Role.USER)
    signed_in = auth.login({"email": f"{fleet.owner(0)}@example.com", "password": PASSWORD}, actor=actor)
    assert isinstance(signed_in, SignedIn)
    token, project_id = signed_in.session_token, f"prj_{fleet.owner(0)}"

    def whose() -> None:
        assert auth.get_session(token) is not None

    def may_see() -> None:
        with container.database.reading() as session:
            require_member(session, actor, project_id, ProjectAction.VIEW)

    def nothing() -> None:
        for _ in range(2):
            with container.database.reading() as session:
                session.execute(text("SELECT 1"))

    session_us, member_us, baseline = (median(_took(work, checks)) * 1000 for work in (whose, may_see, nothing))
    facts = {"database": store.kind, "session_us": round(session_us), "member_us": round(member_us), "checks": checks}
    return Figure(NAMES[3], session_us + member_us, "us", CHECK_GOAL_US[store.kind], baseline, facts)


def getter(client: FlaskClient, path: str) -> Callable[[], TestResponse]:
    return lambda: client.get(path)


def times(ask: Callable[[], TestResponse], requests: int) -> list[float]:
    """Milliseconds of each request, after two that warm up."""

    def asked() -> None:
        answer = ask()
        assert answer.status_code == 200, answer.status_code

    return _took(asked, requests)


def _took(work: Callable[[], object], times: int) -> list[float]:
    """Milliseconds of each call, after two that warm up."""
    found = []
    for number in range(times + 2):
        started = time.perf_counter()
        work()
        took = (time.perf_counter() - started) * 1000
        found += [took] if number > 1 else []
    return found
