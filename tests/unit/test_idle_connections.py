"""A pooled connection of PostgreSQL's is asked whether it lives when it lay idle, and not each time it is used."""

import sqlite3

import pytest
from sqlalchemy import QueuePool, create_engine, text

from zentry_web.adapters import database

pytestmark = pytest.mark.unit


class Asked:
    """An engine with a pool of one, which counts how often its connection is asked whether it lives."""

    def __init__(self, monkeypatch, *, idle, lives=True):
        self.engine = create_engine("sqlite://", poolclass=QueuePool, pool_size=1)
        self.times, self.lives = 0, lives
        monkeypatch.setattr(database, "IDLE_SECONDS", idle)
        monkeypatch.setattr(self.engine.dialect, "do_ping", self.ping)
        database.ask_the_idle(self.engine)

    def ping(self, _connection):
        self.times += 1
        if not self.lives:
            raise sqlite3.OperationalError("gone")
        return True

    def use(self):
        """The driver's connection that a transaction gets."""
        with self.engine.begin() as connection:
            assert connection.scalar(text("SELECT 1")) == 1
            return connection.connection.driver_connection


def test_one_that_was_in_use_just_now_is_not_asked(monkeypatch):
    asked = Asked(monkeypatch, idle=60)
    assert asked.use() is asked.use()
    assert asked.times == 0


def test_one_that_lay_idle_is_asked(monkeypatch):
    asked = Asked(monkeypatch, idle=0)
    assert asked.use() is asked.use()
    assert asked.times == 1  # a new one is not


def test_one_that_died_meanwhile_is_made_anew(monkeypatch):
    asked = Asked(monkeypatch, idle=0, lives=False)
    assert asked.use() is not asked.use()
