"""Fixtures every layer shares: databases (SQLite and PostgreSQL, a fresh copy per test), clock, services, people."""

import gc
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from tests.cheap_engines import share_compiled_statements, wait_for_no_disk
from tests.postgres import CleanDatabase, database_url, execute
from tests.services.vm_world import Cloud
from zentry_web.adapters.clock import ManualClock
from zentry_web.adapters.compute.simulator.driver import SimulatorCompute
from zentry_web.composition import build_container, make_compute
from zentry_web.config import Config
from zentry_web.domain.user import Role, User
from zentry_web.migrate import migrate
from zentry_web.services.base_service import Core
from zentry_web.services.service_container import ServiceContainer

ROOT = Path(__file__).resolve().parent.parent
START = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
PASSWORD = "correct horse battery"
# Of tests/real: these start processes and databases of their own, and neither guests nor services of the machine.
BESIDE_OTHERS = {
    f"test_{name}"
    for name in (
        "bench_smoke", "billing_concurrency", "billing_crowd", "budget_concurrency", "clock_leap", "front_door", "kill",
        "kill_landing", "kill_payments", "kill_prices", "listening", "postfix", "proxies", "service_calls",
        "shared_counts", "top_up_concurrency", "voucher_concurrency",
    )
}  # fmt: skip

# Of a run's groups (``go_together``) those that take minutes begin first: none of them is to be what is left last.
LONGEST = (
    "host", "test_pages", "test_bench_smoke", "test_kill", "test_proxies", "test_clock_leap", "test_kill_landing",
    "test_live", "test_hostile_input", "test_verify_states", "test_vm_machine_model",
)  # fmt: skip

settings.register_profile("zentry", deadline=None, print_blob=True)  # a busy machine is no failing test
settings.load_profile("zentry")
share_compiled_statements()
wait_for_no_disk()


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
    # Neither changes an answer: both only cost, of tables that live for one test.
    execute(url, *(f"ALTER SYSTEM SET {name} = off" for name in ("autovacuum", "jit")), "SELECT pg_reload_conf()")
    execute(url, f'DROP DATABASE IF EXISTS "{template}"', f'CREATE DATABASE "{template}"')
    migrate(make_config(tmp_path_factory.mktemp("pg"), database_url=database_url(url, template)))
    return url  # pytest_sessionfinish stops it: other workers of this run may still need it


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """As root, a folder for the run's files that the user of guests can pass through.

    pytest's own, /tmp/pytest-of-root, is closed again whenever any run starts.
    """
    if os.geteuid() == 0 and config.option.basetemp is None and not hasattr(config, "workerinput"):
        folder = Path(tempfile.mkdtemp(prefix="zentry-tests-"))
        folder.chmod(0o711)
        config.option.basetemp = folder / "run"
        config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Of a run in several processes the longest first; all else stays in order."""

    def place(item: pytest.Item) -> int:
        group = go_together(item.nodeid)
        return LONGEST.index(group) if group in LONGEST else len(LONGEST)

    if hasattr(config, "workerinput"):
        items.sort(key=place)


def pytest_collection_finish() -> None:
    """What is imported by now stays to the end: the collector need not go through all of it again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """For --dist loadfile: what goes one after the other is told by ``go_together``."""
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return go_together(nodeid)

    return Scheduling(config, log) if config.getvalue("dist") == "loadfile" else None


def go_together(nodeid: str) -> str:
    """The group of a test; the tests of a group run one at a time, in order.

    A file's stay together, as they share what is started for them. So do all that drive the machine's libvirt, or whose
    neighbours could be in their way. And the end of credits takes long enough for all pages to be looked at meanwhile.
    """
    path = Path(nodeid.partition("::")[0])
    if path.stem in ("test_main_job", "test_console_real") or (
        path.parent.name == "real" and path.stem not in BESIDE_OTHERS
    ):
        return "host"
    return "test_pages" if path.stem == "test_credit_end" else path.stem


def pytest_sessionfinish(session: pytest.Session) -> None:
    """The run is over for all its workers: stop its PostgreSQL, if one was started."""
    if hasattr(session.config, "workerinput"):
        return
    base: Path = session.config._tmp_path_factory.getbasetemp()  # type: ignore[attr-defined]
    folder = base / "postgres"
    if (folder / "home").exists():
        subprocess.run([ROOT / "scripts" / "postgres-down", folder], check=True, capture_output=True)


@pytest.fixture
def sqlite_config(tmp_path: Path, migrated_sqlite: Path) -> Config:
    """Settings on fresh migrated SQLite files."""
    folder = tmp_path / "data"
    shutil.copytree(migrated_sqlite, folder)
    return make_config(folder)


@pytest.fixture(scope="session")
def one_postgres(postgres_url: str, worker_id: str) -> Iterator[CleanDatabase]:
    """This process's database."""
    database = CleanDatabase(postgres_url, f"test_{worker_id}", f"template_{worker_id}")
    yield database
    database.close()


@pytest.fixture
def postgres_config(tmp_path: Path, one_postgres: CleanDatabase) -> Config:
    """Settings on a PostgreSQL database as freshly migrated."""
    one_postgres.clean()
    return make_config(tmp_path / "data", database_url=one_postgres.url)


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
