"""Bring both databases to the newest schema: ``zentry migrate``."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config as AlembicConfig
from sqlalchemy import Connection, Engine, text

from zentry_web.adapters.database import make_engine
from zentry_web.config import Config
from zentry_web.db import Base, MetricsBase

MIGRATIONS = Path(__file__).resolve().parent.parent / "migrations"
METRICS_SCHEMA = "metrics"
_LOCK_NUMBER = 7_305_214_001  # any constant: two processes migrating at once wait for each other

METADATA = {"business": Base.metadata, "metrics": MetricsBase.metadata}


def alembic_config(which: str, connection: Connection) -> AlembicConfig:
    """Alembic's settings for 'business' or 'metrics' on an open connection."""
    config = AlembicConfig()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("version_locations", str(MIGRATIONS / which))
    config.set_main_option("path_separator", "newline")
    config.attributes["connection"] = connection
    config.attributes["metadata"] = METADATA[which]
    return config


@contextmanager
def _locked(engine: Engine, which: str) -> Iterator[Connection]:
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": _LOCK_NUMBER})
            if which == "metrics":
                connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {METRICS_SCHEMA}"))
        yield connection


def upgrade(engine: Engine, which: str) -> None:
    """Run what is missing of one database's migrations, all in one transaction."""
    with _locked(engine, which) as connection:
        command.upgrade(alembic_config(which, connection), "head")


def migrate(config: Config) -> None:
    """Create the data folder and bring both databases to the newest schema. Safe to repeat and to run twice at once."""
    config.prepare_data()
    for which, url, schema in (
        ("business", config.business_url, None),
        ("metrics", config.metrics_database_url, METRICS_SCHEMA),
    ):
        engine = make_engine(url, schema=schema)
        try:
            upgrade(engine, which)
        finally:
            engine.dispose()
