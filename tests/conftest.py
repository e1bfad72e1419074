"""Fixtures every layer shares: databases (SQLite and PostgreSQL, a fresh copy per test), clock, services, people."""

import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import settings
from sqlalchemy import create_engine, make_url, text

from tests.compiled_once import share_compiled_statements
from tests.services.vm_world import Cloud
from zentry_web.adapters.clock import ManualClock
from zentry_web.adapters.compute.simulator import SimulatorCompute
from zentry_web.composition import build_container, make_compute
from zentry_web.config import Config
from zentry_web.domain.user import Role, User
from zentry_web.migrate import migrate
from zentry_web.services.base_service import Core
from zentry_web.services.service_container import ServiceContainer

ROOT = Path(__file__).resolve().parent.parent
START = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
PASSWORD = "correct horse battery"

settings.register_profile("zentry", deadline=None, print_blob=True)  # a busy machine is no failing test
settings.load_profile("zentry")
share_compiled_statements()


def make_config(folder: Path, **settings: object) -> Config:
    """Settings of a test: simulator, cheap password hashes, everything under ``folder``."""
    values: dict[str, object] = {
        "environment": "test",
        "compute": "simulator",
        "data": folder,
        "signup_seconds": 0,
        "bin_days": 0,  # tests about the recycle bin say otherwise
        "argon2_memory_kib": 64,
        "argon2_time_cost": 1,
        "secret_key": "test-secret-key",
    }
    return Config(**(values | settings))  # type: ignore[arg-type]


def _shared(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A folder that all xdist workers of this run share."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if worker_id != "master" else base


@pytest.fixture(scope="session")
def worker_id(request: pytest.FixtureRequest) -> str:
    """'master', or the xdist worker's name."""
    return getattr(request.config, "workerinput", {}).get("workerid", "master")


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with both databases migrated, to be copied."""
    folder = tmp_path_factory.mktemp("template")
    migrate(make_config(folder))
    return folder


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> str:
    """A real PostgreSQL of this run's own with a migrated template database per worker; its maintenance URL."""
    folder = _shared(tmp_path_factory, worker_id) / "postgres"
    printed = subprocess.run(
        [ROOT / "scripts" / "postgres-up", folder], check=True, capture_output=True, text=True
    ).stdout
    url = printed.strip().splitlines()[-1]
    template = f"template_{worker_id}"
    _execute(url, f'DROP DATABASE IF EXISTS "{template}"', f'CREATE DATABASE "{template}"')
    migrate(make_config(tmp_path_factory.mktemp("pg"), database_url=_database(url, template)))
    return url  # pytest_sessionfinish stops it: other workers of this run may still need it


def pytest_sessionfinish(session: pytest.Session) -> None:
    """The run is over for all its workers: stop its PostgreSQL, if one was started."""
    if hasattr(session.config, "workerinput"):
        return
    base: Path = session.config._tmp_path_factory.getbasetemp()  # type: ignore[attr-defined]
    folder = base / "postgres"
    if (folder / "home").exists():
        subprocess.run([ROOT / "scripts" / "postgres-down", folder], check=True, capture_output=True)


def _database(url: str, name: str) -> str:
    return make_url(url).set(database=name).render_as_string(hide_password=False)


def _execute(url: str, *statements: str) -> None:
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()


@pytest.fixture
def sqlite_config(tmp_path: Path, migrated_sqlite: Path) -> Config:
    """Settings on fresh migrated SQLite files."""
    folder = tmp_path / "data"
    shutil.copytree(migrated_sqlite, folder)
    return make_config(folder)


@pytest.fixture
def postgres_config(tmp_path: Path, postgres_url: str, worker_id: str) -> Iterator[Config]:
    """Settings on a fresh migrated PostgreSQL database."""
    name = f"test_{worker_id}"
    _execute(
        postgres_url,
        f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)',
        f'CREATE DATABASE "{name}" TEMPLATE "template_{worker_id}"',
    )
    yield make_config(tmp_path / "data", database_url=_database(postgres_url, name))
    _execute(postgres_url, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.real)])
def config(request: pytest.FixtureRequest) -> Config:
    """Settings on both databases: a test that uses this (or what is built on it) runs twice."""
    found: Config = request.getfixturevalue("sqlite_config" if request.param == "sqlite" else "postgres_config")
    return found


@pytest.fixture
def clock() -> ManualClock:
    """A clock that stands at 2026-11-23 10:00 UTC until it is moved."""
    return ManualClock(START)


@pytest.fixture
def container(config: Config, clock: ManualClock) -> Iterator[ServiceContainer]:
    """All services, on the manual clock."""
    built = build_container(config, clock=clock)
    yield built
    built.close()


@pytest.fixture
def core(container: ServiceContainer) -> Core:
    """Database and clock as services get them."""
    return container.parts.core


@pytest.fixture
def compute(config: Config, clock: ManualClock) -> Iterator[SimulatorCompute]:
    """The simulated hypervisor, on the manual clock."""
    driver = make_compute(config, clock=clock)
    assert isinstance(driver, SimulatorCompute)
    yield driver
    driver.close()


def sign_up(container: ServiceContainer, name: str) -> User:
    """An account named ``name`` with the starting credits."""
    return container.get_auth_service().signup(
        {"email": f"{name}@example.com", "name": name.title(), "password": PASSWORD}
    )


@pytest.fixture
def alice(container: ServiceContainer) -> User:
    """The owner."""
    return sign_up(container, "alice")


@pytest.fixture
def bob(container: ServiceContainer) -> User:
    """Another account (a member, once projects have members)."""
    return sign_up(container, "bob")


@pytest.fixture
def charlie(container: ServiceContainer) -> User:
    """The stranger."""
    return sign_up(container, "charlie")


@pytest.fixture
def admin(container: ServiceContainer) -> User:
    """An admin with a password."""
    auth = container.get_auth_service()
    token = auth.create_admin("admin@example.com", "Admin")
    user = auth.redeem_link(token, PASSWORD).user
    assert user.role == Role.ADMIN
    return user


@pytest.fixture
def cloud(
    container: ServiceContainer, compute: SimulatorCompute, clock: ManualClock, config: Config
) -> Iterator[Cloud]:
    """Services, simulator and worker, driven step by step."""
    built = Cloud(container, compute, clock, config)
    yield built
    built.close()
