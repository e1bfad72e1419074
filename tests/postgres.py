"""One PostgreSQL database for all tests of a process, before each as freshly migrated.

Making a database from a template costs the server a quarter of a second each time, more than most tests take.
Emptying the tables and writing the first rows again costs a hundredth. What a test changes of the schema is noticed:
then, and now and then anyway (rows that are gone still take room), the database is made anew.
"""

import psycopg
from psycopg import sql
from sqlalchemy import create_engine, make_url, text

TESTS_EACH = 100
OTHERS = """SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()"""
TABLES = """SELECT schemaname, tablename FROM pg_tables
    WHERE schemaname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1, 2"""
SEQUENCES = """SELECT schemaname, sequencename, coalesce(last_value, start_value), last_value IS NOT NULL
    FROM pg_sequences"""
CATALOGS = (
    "pg_namespace",
    "pg_class",
    "pg_attribute",
    "pg_attrdef",
    "pg_constraint",
    "pg_index",
    "pg_trigger",
    "pg_proc",
)
# Every change of a catalog's row writes a new one with a higher number.
SCHEMA = " UNION ALL ".join(f"SELECT count(*), max(xmin::text::bigint) FROM {name}" for name in CATALOGS) + (
    " UNION ALL SELECT count(*), 0 FROM pg_db_role_setting"
)


def execute(url: str, *statements: str) -> None:
    """Each in a transaction of its own, as CREATE DATABASE wants it."""
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()


def database_url(url: str, name: str) -> str:
    """``url`` with another database."""
    return make_url(url).set(database=name).render_as_string(hide_password=False)


class CleanDatabase:
    """The database ``name``, made from ``template``; ``server`` is the maintenance URL."""

    def __init__(self, server: str, name: str, template: str) -> None:
        self.url = database_url(server, name)
        self._server, self._name, self._template = server, name, template
        self._connection: psycopg.Connection | None = None
        self._tests = 0

    def clean(self) -> None:
        """To be called before each test; whoever is still connected from the test before is thrown out."""
        self._tests += 1
        if self._connection is None or self._tests % TESTS_EACH == 0 or not self._restored(self._connection):
            self._make()

    def close(self) -> None:
        """Drop it."""
        if self._connection is not None:
            self._connection.close()
        execute(self._server, f'DROP DATABASE IF EXISTS "{self._name}" WITH (FORCE)')

    def _make(self) -> None:
        self.close()
        execute(self._server, f'CREATE DATABASE "{self._name}" TEMPLATE "{self._template}"')
        plain = make_url(self.url).set(drivername="postgresql").render_as_string(hide_password=False)
        self._connection = connection = psycopg.connect(plain)
        tables = [sql.Identifier(*row) for row in connection.execute(TABLES)]
        self._rows = []  # how they are written, and themselves
        for table in tables:
            with connection.cursor().copy(sql.SQL("COPY {} TO STDOUT").format(table)) as copy:
                if rows := b"".join(copy):
                    self._rows.append((sql.SQL("COPY {} FROM STDIN").format(table), rows))
        self._empty = sql.SQL("; ").join(sql.SQL("DELETE FROM {}").format(table) for table in tables)
        self._sequences = list(connection.execute(SEQUENCES))
        self._schema = list(connection.execute(SCHEMA))
        connection.commit()

    def _restored(self, connection: psycopg.Connection) -> bool:
        """Empty it and write the first rows. False, and nothing done, when it is gone or its schema is another."""
        try:
            connection.execute(OTHERS)
            if list(connection.execute(SCHEMA)) != self._schema:
                return False
            connection.execute("SET LOCAL session_replication_role = replica")  # no triggers, rows in any order
            connection.execute(self._empty)
            for statement, rows in self._rows:
                with connection.cursor().copy(statement) as copy:
                    copy.write(rows)
            for schema, sequence, value, is_called in self._sequences:
                name = sql.Identifier(schema, sequence).as_string(connection)
                connection.execute("SELECT setval(%s, %s, %s)", (name, value, is_called))
            connection.commit()
        except psycopg.OperationalError:
            return False
        return True
