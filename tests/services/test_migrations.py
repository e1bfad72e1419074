"""Models and migrations agree, migrating is safe to repeat, and the databases refuse what must not be."""

import importlib.util
import os
import sqlite3
import subprocess
import sys
import threading
from datetime import UTC, datetime

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import create_engine, delete, inspect, select, text, update
from sqlalchemy.exc import DatabaseError, IntegrityError, OperationalError

from tests.conftest import ROOT, make_config
from tests.services.people import acting, events_of
from zentry_web.adapters.database import Database, make_engine
from zentry_web.domain.target import Place, Target
from zentry_web.migrate import METADATA, METRICS_SCHEMA, alembic_config, migrate, upgrade
from zentry_web.models import DbAccount, DbOperation, DbProject, DbProjectMember
from zentry_web.models.types import UTCDateTime, UTCSecond
from zentry_web.web.output.targets import PATHS, path_of

pytestmark = pytest.mark.integration

APPEND_ONLY = ("event", "transfer", "entry", "charge", "price_version")


def engines(config):
    """(which, engine) of both stores."""
    yield "business", make_engine(config.business_url)
    yield "metrics", make_engine(config.metrics_database_url, schema=METRICS_SCHEMA)


def same_type(_context, _inspected, _column, found, wanted):
    """As migrations/env.py: our times are big integers."""
    if isinstance(wanted, (UTCDateTime, UTCSecond)):
        return not str(found).upper().startswith(("BIGINT", "INTEGER"))
    return None


def differences(engine, which):
    metadata = METADATA[which]

    def of_this_store(_object, name, kind, reflected, _other):
        return not (kind == "table" and reflected and name not in metadata.tables)

    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": same_type, "include_object": of_this_store}
        )
        return compare_metadata(context, metadata)


def test_models_and_migrations_agree(config):
    for which, engine in engines(config):
        assert differences(engine, which) == [], which
        tables = set(inspect(engine).get_table_names())
        assert tables == set(METADATA[which].tables) | {"alembic_version"}
        engine.dispose()


def test_partial_and_unique_indexes_are_as_the_models_say(config):
    """Alembic does not compare the conditions of indexes, and billing leans on them."""
    for which, engine in engines(config):
        inspector = inspect(engine)
        for table in METADATA[which].tables.values():
            found = {index["name"]: index for index in inspector.get_indexes(table.name)}
            for index in table.indexes:
                there = found[index.name]
                assert bool(there["unique"]) == bool(index.unique), index.name
                where = index.dialect_options[engine.dialect.name].get("where")
                has = there.get("dialect_options", {}).get(f"{engine.dialect.name}_where")
                assert (where is None) == (has is None), index.name
        engine.dispose()


def test_migrating_again_changes_nothing(config, container, alice):
    migrate(config)
    migrate(config)
    assert container.get_user_service().get_user(alice.id, actor=acting(alice)).email == alice.email
    for which, engine in engines(config):
        assert differences(engine, which) == []
        with engine.connect() as connection:
            assert len(connection.execute(text("SELECT version_num FROM alembic_version")).all()) == 1
        engine.dispose()


def migrate_in_processes(folder, **settings):
    """`zentry migrate` twice at once; both must end well."""
    environment = {"ZENTRY_DATA": str(folder), "ZENTRY_COMPUTE": "simulator", "PATH": os.environ["PATH"]} | settings
    command = [sys.executable, "-m", "zentry_web", "migrate"]
    running = [
        subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for _ in range(2)
    ]
    outputs = [process.communicate(timeout=90)[0] for process in running]
    assert [process.returncode for process in running] == [0, 0], outputs


def test_two_that_migrate_at_once_wait_for_each_other(tmp_path):
    migrate_in_processes(tmp_path / "data")
    for which, engine in engines(make_config(tmp_path / "data")):
        assert differences(engine, which) == []
        engine.dispose()


@pytest.mark.real
def test_two_that_migrate_an_empty_postgresql_at_once(tmp_path, postgres_url, worker_id):
    admin = create_engine(postgres_url, isolation_level="AUTOCOMMIT")
    name = f"empty_{worker_id}"
    with admin.connect() as connection:
        connection.execute(text(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'))
        connection.execute(text(f'CREATE DATABASE "{name}"'))
    url = admin.url.set(database=name).render_as_string(hide_password=False)
    migrate_in_processes(tmp_path / "data", ZENTRY_DATABASE_URL=url)
    for which, engine in engines(make_config(tmp_path / "data", database_url=url)):
        assert differences(engine, which) == []
        engine.dispose()
    with admin.connect() as connection:
        connection.execute(text(f'DROP DATABASE "{name}" WITH (FORCE)'))
    admin.dispose()


# -- append-only --------------------------------------------------------------------------------


@pytest.fixture
def used(cloud, alice):
    """A database with rows in every append-only table."""
    vm = cloud.launch(alice, cloud.project(alice))
    cloud.clock.advance(100)
    cloud.vms.force_off_vm(vm.id, actor=acting(alice))
    cloud.worker.work()
    return cloud


def rows(engine, table):
    with engine.connect() as connection:
        return connection.execute(text(f'SELECT * FROM "{table}" ORDER BY 1, 2')).all()


@pytest.mark.error
@pytest.mark.parametrize("table", APPEND_ONLY)
def test_raw_sql_cannot_change_or_delete(used, table):
    engine = used.container.database.engine
    before = rows(engine, table)
    assert before
    column = inspect(engine).get_columns(table)[1]["name"]
    statements = [
        f'UPDATE "{table}" SET "{column}" = "{column}"',
        f'DELETE FROM "{table}"',
    ]
    if engine.dialect.name == "sqlite":
        statements.append(f'INSERT OR REPLACE INTO "{table}" SELECT * FROM "{table}"')
    else:
        statements.append(f'TRUNCATE "{table}" CASCADE')
    for statement in statements:
        with pytest.raises(DatabaseError, match="append-only"), engine.begin() as connection:
            connection.execute(text(statement))
    assert rows(engine, table) == before


@pytest.mark.error
@pytest.mark.parametrize("table", [*APPEND_ONLY, "statement", "image_price_version", "voucher", "voucher_redemption"])
def test_the_sqlite_shell_cannot_either(sqlite_config, table, request):
    request.getfixturevalue("migrated_sqlite")
    connection = sqlite3.connect(sqlite_config.data / "zentry.sqlite", isolation_level=None)
    if table == "price_version":
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            connection.execute("DELETE FROM price_version")
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            connection.execute("REPLACE INTO price_version SELECT * FROM price_version")
    triggers = connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = ?", (table,))
    names = {name for (name,) in triggers}
    connection.close()
    assert {f"{table}_no_update", f"{table}_no_delete", f"{table}_no_replace_0"} <= names


@pytest.mark.error
def test_a_wallet_cannot_be_below_zero_by_raw_sql(used, alice):
    engine = used.container.database.engine
    for kind in ("wallet", "held"):
        with pytest.raises(IntegrityError), engine.begin() as connection:
            connection.execute(
                update(DbAccount).where(DbAccount.owner_id == alice.id, DbAccount.kind == kind).values(balance=-1)
            )
    with engine.begin() as connection:  # what is given away is below zero
        connection.execute(update(DbAccount).where(DbAccount.id == "acc_grants").values(balance=DbAccount.balance))


@pytest.mark.error
def test_foreign_keys_are_enforced(container):
    with pytest.raises(IntegrityError), container.database.engine.begin() as connection:
        connection.execute(
            DbProject.__table__.insert().values(
                id="prj_x", owner_id="nobody", name="x", name_key="x", created_at=datetime.now(UTC)
            )
        )


@pytest.mark.error
def test_a_vm_has_one_open_operation(used, alice):
    vm = used.launch(alice, used.project(alice, "other"), "two")
    used.vms.stop_vm(vm.id, actor=acting(alice))
    (row,) = [one for one in used.operations(vm) if one.state == "queued"]
    values = {column.name: getattr(row, column.name) for column in DbOperation.__table__.columns}
    with used.container.database.writing() as session:
        session.add(DbOperation(**(values | {"id": "op_second"})))
        with pytest.raises(IntegrityError):
            session.commit()


# -- writers ------------------------------------------------------------------------------------


def test_two_writers_lose_no_update(config, container, alice):
    """Read, think, write in two connections at once: both additions count."""
    gate = threading.Barrier(2)
    failures = []

    def add(database):
        try:
            for _ in range(20):
                with database.writing() as session:
                    query = select(DbAccount).where(DbAccount.id == "acc_payments").with_for_update()
                    account = session.scalars(query).one()
                    account.balance += 1
                    session.commit()
        except Exception as error:
            failures.append(error)

    def run():
        database = Database(make_engine(config.business_url))
        gate.wait(30)
        add(database)
        database.dispose()

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    with container.database.reading() as session:
        assert session.get(DbAccount, "acc_payments").balance == 40


def test_sqlite_writers_begin_immediate_and_readers_do_not_wait(sqlite_config):
    database = Database(make_engine(sqlite_config.business_url))
    other = Database(make_engine(sqlite_config.business_url))
    with database.writing() as writer:
        writer.connection()
        with other.reading() as reader:
            assert reader.scalar(select(DbAccount.balance).where(DbAccount.id == "acc_payments")) == 0
        with other.engine.connect().execution_options(sqlite_begin="DEFERRED") as impatient:
            impatient.exec_driver_sql("PRAGMA busy_timeout = 1")
            with pytest.raises(OperationalError, match="locked"):
                impatient.execute(update(DbAccount).where(DbAccount.id == "acc_payments").values(balance=1))
            impatient.rollback()
    with database.engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
    database.dispose()
    other.dispose()


@pytest.mark.error
def test_an_event_s_number_is_never_given_twice(used, core, alice):
    seqs = [event.seq for event in events_of(core, "vm.create")]
    used.ask(alice, used.project(alice, "other"), "second")
    assert all(event.seq > seqs[-1] for event in events_of(core, "vm.create")[len(seqs) :])


def test_sqlite_files_are_for_their_owner_only(tmp_path):
    engine = make_engine(f"sqlite:///{tmp_path / 'zentry.sqlite'}")
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE thing (id INTEGER)"))
        modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    engine.dispose()
    assert modes == dict.fromkeys(("zentry.sqlite", "zentry.sqlite-wal", "zentry.sqlite-shm"), 0o600)


def step_of(name):
    """A business migration, to be called by itself."""
    found = importlib.util.spec_from_file_location(name, ROOT / "migrations" / "business" / f"{name}.py")
    step = importlib.util.module_from_spec(found)
    found.loader.exec_module(step)
    return step


def test_projects_made_before_there_were_teams_get_their_owner_as_a_member(config, container, alice):
    project = container.get_project_service().create_project({"name": "Old"}, alice)
    with container.database.writing() as session, session.begin():
        session.execute(delete(DbProjectMember))
    teams = step_of("0013_teams")
    with container.database.engine.begin() as connection, Operations.context(MigrationContext.configure(connection)):
        teams.downgrade()
        teams.upgrade()
    with container.database.reading() as session:
        (member,) = session.scalars(select(DbProjectMember))
    assert (member.project_id, member.user_id, member.role) == (project.id, alice.id, "owner")
    assert member.since == project.created_at


def test_notices_that_held_an_address_lead_to_the_same_page(config, container, alice):
    """Down and up again: what each notice led to before, it leads to afterwards."""
    kinds = [place for place in Place if not place.endswith("_link")]
    sent = [Target(place, "id_1") if "{id}" in PATHS[place] else Target(place) for place in kinds]
    notices = container.get_billing_service().notices
    for target in [*sent, None]:
        notices.tell(alice.id, "test", str(target), "Title", "Body", target=target)
    step = step_of("0039_targets")
    engine = container.database.engine
    with engine.begin() as connection, Operations.context(MigrationContext.configure(connection)):
        step.downgrade()
        before = dict([tuple(row) for row in connection.execute(text("SELECT key, url FROM notice"))])
        connection.execute(text("UPDATE notice SET url = '/no/page' WHERE key = 'None'"))
        step.upgrade()
    # No notice led there then.
    never = {"notifications", "login", "forgotten", "oidc_return", "operation:id_1", "backups:id_1", "timers:id_1"}
    assert before == {str(each): "" if str(each) in never else path_of(each) for each in sent} | {"None": ""}
    found = {notice.target for notice in notices.list_notices(alice.id, actor=acting(alice), limit=100)}
    assert found == {each for each in sent if str(each) not in never} | {None}


def test_what_refers_to_an_image_still_does_when_images_get_versions(tmp_path):
    """SQLite makes the table anew below its rows' references (0048)."""
    config = make_config(tmp_path)
    config.prepare_data()
    engine = make_engine(config.business_url)
    with engine.begin() as connection:
        command.upgrade(alembic_config("business", connection), "0047")
        connection.execute(
            text(
                "INSERT INTO image_price_version (id, image_id, number, micro_per_hour, starts_at, created_by,"
                " created_at) VALUES ('ip_1', 'img_tiny', 1, 5, 0, 'system', 0)"
            )
        )
    upgrade(engine, "business")
    with engine.begin() as connection:
        found = connection.execute(text("SELECT number, driver_name, state FROM image_version")).all()
        assert found == [(1, "tiny", "ready")]
        assert connection.execute(text("SELECT user_data, min_disk_gib FROM image")).all() == [("script", 1)]
        with pytest.raises(IntegrityError):
            connection.execute(text("DELETE FROM image"))
    engine.dispose()
