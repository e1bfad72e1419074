"""Databases to measure on: SQLite files and a PostgreSQL of the bench's own, each loaded once and copied per run."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import create_engine, make_url, text

from bench.fleet import Fleet, load
from bench.servers import make_config
from zentry_web.config import Config
from zentry_web.migrate import migrate

ROOT = Path(__file__).resolve().parent.parent
KINDS = ("sqlite", "postgresql")


@dataclass
class Store:
    """A loaded database that is kept as it is; ``copy`` gives settings on a fresh copy of it."""

    kind: str
    folder: Path
    server: str = ""  # maintenance URL of the PostgreSQL

    def prepare(self, fleet: Fleet) -> None:
        """Migrate and load; what was loaded before is gone."""
        shutil.rmtree(self.folder / "loaded", ignore_errors=True)
        config = self._config("loaded")
        if self.server:
            _execute(self.server, 'DROP DATABASE IF EXISTS "loaded" WITH (FORCE)', 'CREATE DATABASE "loaded"')
        migrate(config)
        load(config.business_url, fleet)

    def copy(self, name: str) -> Config:
        """A fresh copy of what was loaded."""
        if self.server:
            _execute(self.server, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
            _execute(self.server, f'CREATE DATABASE "{name}" TEMPLATE "loaded"')
        shutil.rmtree(self.folder / name, ignore_errors=True)
        shutil.copytree(self.folder / "loaded", self.folder / name)
        return self._config(name)

    def _config(self, name: str) -> Config:
        url = make_url(self.server).set(database=name).render_as_string(hide_password=False) if self.server else None
        return make_config(self.folder / name, **({"database_url": url} if url else {}))


@contextmanager
def stores(folder: Path, kinds: tuple[str, ...] = KINDS) -> Iterator[list[Store]]:
    """One store per kind of database; the PostgreSQL is started for it and stopped again."""
    found = []
    home = folder / "postgres"
    for kind in kinds:
        target = folder / f"money-{kind}"
        target.mkdir(parents=True, exist_ok=True)
        found.append(Store(kind, target, _start(home) if kind == "postgresql" else ""))
    try:
        yield found
    finally:
        if (home / "home").exists():
            subprocess.run([ROOT / "scripts" / "postgres-down", home], check=True, capture_output=True)


def _start(home: Path) -> str:
    command = [ROOT / "scripts" / "postgres-up", home]
    url = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip().splitlines()[-1]
    durable = [f"ALTER SYSTEM SET {name} = on" for name in ("fsync", "synchronous_commit", "full_page_writes")]
    _execute(url, *durable, "SELECT pg_reload_conf()")  # tests do without it; what people run does not
    return url


def _execute(url: str, *statements: str) -> None:
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()
