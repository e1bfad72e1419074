"""What tests stand on: each finds the PostgreSQL database as migrated, whatever the one before did to it."""

import psycopg
import pytest
from sqlalchemy import make_url

from tests.postgres import CleanDatabase

pytestmark = [pytest.mark.integration, pytest.mark.real]
LOOK = "SELECT (SELECT count(*) FROM \"user\"), (SELECT max(name) FROM size), (SELECT nextval('event_seq_seq'))"


@pytest.fixture
def database(postgres_url, worker_id):
    made = CleanDatabase(postgres_url, f"clean_{worker_id}", f"template_{worker_id}")
    yield made
    made.close()


def connect(database):
    return psycopg.connect(make_url(database.url).set(drivername="postgresql").render_as_string(hide_password=False))


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE size SET name = name || 'z'",
        "DELETE FROM size",
        "DROP TRIGGER {trigger} ON entry",
        "ALTER TABLE size ADD x int",
    ],
)
def test_rows_numbers_and_schema_are_as_migrated(database, damage):
    database.clean()
    with connect(database) as connection:
        before = [connection.execute(LOOK).fetchone(), columns(connection), triggers(connection)]
        trigger = before[2][0]
        connection.rollback()
        connection.execute("SET session_replication_role = replica")
        connection.execute(damage.format(trigger=trigger))
    left_open = connect(database)
    left_open.execute("SELECT 1 FROM size FOR UPDATE")
    database.clean()
    with connect(database) as connection:
        assert [connection.execute(LOOK).fetchone(), columns(connection), triggers(connection)] == before
    with pytest.raises(psycopg.OperationalError):
        left_open.execute("SELECT 1")
    left_open.close()


def columns(connection):
    query = "SELECT column_name FROM information_schema.columns WHERE table_name = 'size' ORDER BY 1"
    return [name for (name,) in connection.execute(query)]


def triggers(connection):
    query = "SELECT tgname FROM pg_trigger WHERE tgrelid = 'entry'::regclass AND NOT tgisinternal ORDER BY 1"
    return [name for (name,) in connection.execute(query)]
