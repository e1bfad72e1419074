"""The seeded Zentry that the pages are measured on: one person with 1 000 machines and some days of history."""

import contextlib
import secrets
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import func, select

from bench.client import Client
from bench.servers import make_config, web
from zentry_web.composition import build_container, make_compute
from zentry_web.config import Config
from zentry_web.demo import seed
from zentry_web.domain.vms.state import IN_TRANSITION, VMState
from zentry_web.models import DbCharge, DbSample, DbUser
from zentry_web.services.service_container import ServiceContainer
from zentry_web.worker.sampling import Sampler

EMAIL = "alice@example.com"
BACKLOG = timedelta(hours=3)  # what the worker still has to charge when it starts
POLL_SECONDS = 0.2


@dataclass
class Stage:
    """A Zentry with demo data, and its web server's client that is signed in."""

    folder: Path
    config: Config
    container: ServiceContainer
    user_id: str
    client: Client

    def counts(self) -> dict[VMState, int]:
        """The machines by state, as the services count them now."""
        return self.container.vms.count_by_state(self.user_id)

    def total(self) -> int:
        """How many machines there are."""
        return sum(self.counts().values())

    def sample(self) -> None:
        """Two readings of all running machines, as the worker takes them: the overview has fresh figures then."""
        take_samples(self.config, self.container)

    def charges(self) -> int:
        """How many charges there are."""
        with self.container.database.reading() as session:
            return session.scalar(select(func.count()).select_from(DbCharge)) or 0

    def samples(self) -> int:
        """How many samples of metrics there are."""
        with self.container.metrics_database.reading() as session:
            return session.scalar(select(func.count()).select_from(DbSample)) or 0

    def wait_until_settled(self) -> None:
        """Wait for the worker to have caught up: no machine in transition, fresh figures, nothing left to charge."""
        before = -1

        def caught_up() -> bool:
            nonlocal before
            charges, before = self.charges(), before
            same, before = charges == before, charges
            busy = any(self.counts().get(state) for state in IN_TRANSITION)
            return same and not busy and bool(self.container.monitoring.get_busiest(self.user_id))

        wait_until(caught_up, 180, "the worker has caught up", every=6)


def take_samples(config: Config, container: ServiceContainer) -> None:
    """Record one fresh sample of every running machine."""
    driver = make_compute(config)
    sampler = Sampler(container.vms, container.monitoring, driver)
    sampler.run()
    time.sleep(0.1)  # rates need a stretch of time
    sampler.run()
    driver.close()


def wait_until(look: Callable[[], bool], seconds: float, what: str, *, every: float = POLL_SECONDS) -> None:
    """Poll ``look`` until it is true. Raises RuntimeError naming ``what`` when it never is."""
    deadline = time.monotonic() + seconds
    while not look():
        if time.monotonic() > deadline:
            raise RuntimeError(f"not within {seconds:g} s: {what}")
        time.sleep(every)


def seeded(folder: Path, *, vms: int, now: datetime | None = None) -> tuple[Config, str]:
    """A data folder filled by seed-demo; its settings and everybody's password."""
    config, password = make_config(folder), secrets.token_urlsafe(12)
    started = time.monotonic()
    seed(config, users=1, vms=vms, days=3, seed=1, now=now, password=password)
    print(f"bench: {vms} machines seeded in {time.monotonic() - started:.0f} s", file=sys.stderr)
    return config, password


@contextlib.contextmanager
def stage(folder: Path, *, vms: int) -> Iterator[Stage]:
    """Seed, start the web server, sign in. The worker is started by who needs it."""
    config, password = seeded(folder / "data", vms=vms, now=datetime.now(UTC) - BACKLOG)
    container = build_container(config)
    with container.database.reading() as session:
        user_id = session.scalars(select(DbUser.id).where(DbUser.email == EMAIL)).one()
    with web(config, folder):
        client = Client(config.port)
        client.log_in(EMAIL, password)
        try:
            yield Stage(folder, config, container, user_id, client)
        finally:
            client.close()
            container.close()
