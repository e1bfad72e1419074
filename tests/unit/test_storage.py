"""Which errors of databases and files are told as a full or broken disk, and which stay faults of ours."""

import errno
import sqlite3

import psycopg
import pytest
from sqlalchemy.exc import OperationalError, ProgrammingError

from zentry_web.services.shared.storage import AWAY, BROKEN, BUSY, FULL, is_disk, outage

pytestmark = [pytest.mark.unit, pytest.mark.error]


def sqlite_error(code):
    error = sqlite3.OperationalError("from the database")
    error.sqlite_errorcode = code
    return OperationalError("INSERT", {}, error)


def postgresql_error(state):
    return OperationalError("INSERT", {}, psycopg.errors.lookup(state)("from the database"))


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (sqlite_error(sqlite3.SQLITE_FULL), FULL),
        (sqlite_error(sqlite3.SQLITE_IOERR_WRITE), BROKEN),
        (sqlite_error(sqlite3.SQLITE_IOERR_SHMSIZE), BROKEN),
        (sqlite_error(sqlite3.SQLITE_CANTOPEN), BROKEN),
        (sqlite_error(sqlite3.SQLITE_READONLY), BROKEN),
        (sqlite_error(sqlite3.SQLITE_BUSY), BUSY),
        (postgresql_error("53100"), FULL),
        (postgresql_error("53300"), BUSY),
        (postgresql_error("57P01"), AWAY),
        (OperationalError("SELECT 1", {}, psycopg.OperationalError("connection refused")), AWAY),
        (OSError(errno.ENOSPC, "No space left on device"), FULL),
        (OSError(errno.EROFS, "Read-only file system"), BROKEN),
    ],
)
def test_a_full_or_broken_disk_is_told_as_one(error, text):
    trouble = outage(error)
    assert trouble.message == text
    assert trouble.details["retry_after"] > 0
    assert is_disk(trouble) == (text in (FULL, BROKEN))
    assert trouble.__cause__ is error


@pytest.mark.parametrize(
    "error",
    [
        sqlite_error(sqlite3.SQLITE_ERROR),  # such as a table that is missing
        ProgrammingError("SELECT", {}, psycopg.errors.lookup("42P01")("no such table")),
        postgresql_error("40001"),
        FileNotFoundError(errno.ENOENT, "No such file"),
        RuntimeError("anything"),
    ],
)
def test_other_errors_stay_what_they_are(error):
    assert outage(error) is None
