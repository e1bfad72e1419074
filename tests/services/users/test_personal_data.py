"""The register of personal data holds for every table there is: each is filled, exported and erased as it says."""

import io
import json
import re
import zipfile
import zlib
from datetime import UTC, datetime

import pytest
from sqlalchemy import JSON, BigInteger, Boolean, DateTime, Float, Integer, String, Text, insert, select, update

from tests.conftest import PASSWORD
from tests.services.people import acting, visitor
from zentry_web.db import Base, MetricsBase
from zentry_web.models import DbConsole, DbEventPersonal, DbMailRequest, DbProjectInvitation, DbUser
from zentry_web.services.errors import AuthenticationRequiredError
from zentry_web.services.users.personal_data import (
    ACTORS,
    IMPERSONAL,
    PERSONAL,
    PERSONAL_METRICS,
    SECRETS,
    SOMEBODY_ELSE,
    Erasure,
)

pytestmark = pytest.mark.integration

NAMES_A_PERSON = re.compile(r"(user|owner|actor|admin|author|subject|holder)_id|[a-z]+_by|[a-z_]*(email|address)")
# Columns of that shape that name an event, not a person.
NO_PERSON = {("usage_interval", "opened_by"), ("usage_interval", "closed_by")}
ADDRESS = re.compile(r"(email|address)$")
LOOKS_SECRET = re.compile(r"hash|secret|salt|token|public_key|credential|password|bound_to|challenge")
NOW = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
BUSINESS = Base.metadata.sorted_tables


def tables():
    return [*BUSINESS, *MetricsBase.metadata.sorted_tables]


def persons_in(table):
    """The columns of a table that name a person."""
    named = {column.name for column in table.columns if NAMES_A_PERSON.fullmatch(column.name)}
    keys = {
        key.parent.name for column in table.columns for key in column.foreign_keys if key.column.table.name == "user"
    }
    return {name for name in named | keys if (table.name, name) not in NO_PERSON}


def in_register():
    listed = [each.table for each in PERSONAL] + [*PERSONAL_METRICS, *ACTORS, *IMPERSONAL]
    return [table.__table__ for table in listed]


# -- the register and the tables ----------------------------------------------------------------


@pytest.mark.unit
def test_every_table_is_in_the_register_once():
    assert sorted(table.name for table in in_register()) == sorted(table.name for table in tables())


@pytest.mark.unit
def test_every_column_that_names_a_person_is_known():
    known = {each.table.__table__.name: set(each.others) for each in PERSONAL}
    known |= {table.__table__.name: set(columns) for table, columns in ACTORS.items()}
    for each in PERSONAL:
        columns = each.table.__table__.columns
        known[each.table.__table__.name] |= {column.name for column in chosen_by(each)}
        known[each.table.__table__.name] |= {
            name for column in columns if ADDRESS.search(name := column.name)
        }  # in their rows
    known |= {table.__table__.name: {"owner_id"} for table in PERSONAL_METRICS}
    for table in tables():
        missing = persons_in(table) - known.get(table.name, set())
        assert not missing, f"{table.name}: {sorted(missing)} name people: say in personal_data.py whose they are"


def chosen_by(each):
    """The columns of its own table by which a person's rows are found."""
    found = []
    stack = [each.whose("usr_somebody")]
    while stack:
        part = stack.pop()
        if getattr(part, "table", None) is each.table.__table__:
            found.append(part)
        stack.extend(part.get_children())
    return found


@pytest.mark.unit
def test_what_is_not_exported_or_kept_says_why():
    for each in PERSONAL:
        if not each.file or each.erasure != Erasure.ROWS:
            assert each.why, each.table
        assert bool(each.emptied) == (each.erasure == Erasure.FIELDS), each.table
    files = [each.file for each in PERSONAL if each.file] + [name for name, _ in PERSONAL_METRICS.values()]
    assert len(files) == len(set(files))


@pytest.mark.unit
def test_every_column_that_looks_like_a_secret_stays_here():
    assert not {
        f"{each.table.__table__.name}.{column.name}"
        for each in PERSONAL
        if each.file
        for column in each.table.__table__.columns
        if isinstance(column.type, String | Text) and LOOKS_SECRET.search(column.name) and column.name not in SECRETS
    }


def test_a_table_that_nobody_thought_of_is_found():
    """The walk sees a new table, and a new column, by what they refer to."""
    from sqlalchemy import Column, ForeignKey, MetaData, Table

    metadata = MetaData()
    Table("user", metadata, Column("id", String(40), primary_key=True))
    new = Table("diary", metadata, Column("writer", ForeignKey("user.id")), Column("contact_email", String(254)))
    assert persons_in(new) == {"writer", "contact_email"}
    assert new not in in_register()


# -- every table filled -------------------------------------------------------------------------


class Filled:
    """One row in every table about a person, whose every text says which table, column and person it is of."""

    def __init__(self, container, user, stranger):
        self.user, self.stranger, self.keys = user, stranger, {}
        with container.database.writing() as session, session.begin():
            for table in BUSINESS:
                if table.name != "user":
                    self._insert(session, table)
        with container.metrics_database.writing() as session, session.begin():
            for table in MetricsBase.metadata.sorted_tables:
                self._insert(session, table)

    def mark(self, table, column):
        text = f"the-{column.name}-of-{self.user.name}-in-{table.name}"  # none is a part of another
        length = getattr(column.type, "length", None)
        return text if length is None or length >= len(text) else f"{zlib.crc32(text.encode())}"[-length:]

    def _insert(self, session, table):
        row = {column.name: self._value(table, column) for column in table.columns if not self._is_numbered(column)}
        row |= self._whose(table)
        if table.name == "project_member":
            row["role"] = "owner"
        session.execute(insert(table).values(row))
        self.keys[table.name] = row

    @staticmethod
    def _is_numbered(column):
        return column.primary_key and isinstance(column.type, Integer) and column.autoincrement is True

    def _whose(self, table):
        others = {"event_personal": {"subject_id": self.user.id}, "event": {"actor_id": self.user.id}}
        found = {name: self.user.id for name in persons_in(table) if not ADDRESS.search(name)}
        if table.name == "approval":
            found |= {"asked_by": self.stranger.id, "decided_by": None}
        if table.name in ("user_view", "user_note"):
            found |= {"admin_id": self.stranger.id} if table.name == "user_view" else {"author_id": self.stranger.id}
        if table.name == "quota":
            found |= {"resource": "vms"}
        return found | others.get(table.name, {})

    def _value(self, table, column):
        for key in column.foreign_keys:
            if key.column.table.name == "user":
                return self.user.id
            target = self.keys[key.column.table.name]
            return target[key.column.name]
        for constraint in table.foreign_key_constraints:
            if column.name in constraint.column_keys:
                place = constraint.column_keys.index(column.name)
                return self.keys[constraint.referred_table.name][constraint.elements[place].column.name]
        if column.name == "vm_id" and "vm" in self.keys:
            return self.keys["vm"]["id"]
        if column.name.endswith("email") and table.name != "outbox":
            return self.user.email
        return self._plain(table, column)

    def _plain(self, table, column):
        if isinstance(column.type, JSON):
            return {"text": self.mark(table, column)}
        if isinstance(column.type, Boolean):
            return False
        if isinstance(column.type, String | Text):
            return self.mark(table, column)
        if column.nullable and column.name in ("closed_at", "deleted_at", "purge_at"):
            return None
        if isinstance(column.type, DateTime) or "UTC" in type(column.type).__name__:
            return NOW
        if table.name == "hold" or column.name == "used":
            return 0
        if isinstance(column.type, Integer | BigInteger | Float):
            return 1 + sum(map(ord, self.user.name)) % 900
        raise AssertionError(f"{table.name}.{column.name}: {column.type!r}")


@pytest.fixture
def filled(container, alice, bob, admin):
    """Every table with a row about alice and one about bob."""
    return Filled(container, alice, admin), Filled(container, bob, admin)


def take(container, user):
    file = io.BytesIO()
    container.get_user_service().export.write(user.id, file, actor=acting(user))
    with zipfile.ZipFile(file) as archive:
        return {name.removesuffix(".json"): archive.read(name).decode() for name in archive.namelist()}


def test_the_export_has_every_row_and_no_secret_and_nobody_else(container, filled, alice, bob, admin):
    files = take(container, alice)
    mine, _ = filled
    everything = "".join(files.values())
    for each in PERSONAL:
        table = each.table.__table__
        for column in table.columns:
            value = mine.keys.get(table.name, {}).get(column.name)
            if table.name == "user" or not isinstance(value, str) or value in (alice.id, alice.email):
                continue
            if each.file and column.name not in SECRETS and column.name not in each.others:
                assert value in files[each.file], f"{table.name}.{column.name} is missing"
            elif column.name in SECRETS and "-of-" in value:
                assert value not in everything, f"{table.name}.{column.name} is a secret"
    for table, (name, _) in PERSONAL_METRICS.items():
        assert json.loads(files[name])[0]["vm_id"] == mine.keys[table.__tablename__]["vm_id"]
    assert f"of-{bob.name}-in" not in everything
    assert bob.id not in everything
    assert admin.id not in everything
    assert SOMEBODY_ELSE in files["approvals"]
    assert f"text-of-{alice.name}-in-user_note" not in everything


def test_an_erasure_leaves_of_every_table_what_the_register_says(container, filled, alice, bob, admin):
    with container.database.writing() as session, session.begin():
        vm = Base.metadata.tables["vm"]
        session.execute(vm.update().values(state="deleted"))
    container.get_user_service().erase_personal_data(alice.id)
    mine, theirs = filled
    left = rows_left(container)
    for each in PERSONAL:
        table = each.table.__table__
        for column in table.columns:
            value = mine.keys.get(table.name, {}).get(column.name)
            if not isinstance(value, str | dict) or "-of-" not in str(value):
                continue
            text = value["text"] if isinstance(value, dict) else value
            goes = each.erasure == Erasure.ROWS or column.name in each.emptied
            assert (text in left[table.name]) != goes, f"{table.name}.{column.name}"
    for table in (*PERSONAL_METRICS, *(each.table for each in PERSONAL)):
        name = table.__tablename__
        for value in theirs.keys.get(name, {}).values():
            if isinstance(value, str) and "-of-" in value:
                assert value in left[name], f"{name}: it was somebody else's"
    assert mine.keys["console"]["text"] not in left["console"]
    assert alice.email not in "".join(left.values())
    assert '"Alice"' not in left["user"]


def rows_left(container):
    found = {}
    for database, metadata in ((container.database, Base.metadata), (container.metrics_database, MetricsBase.metadata)):
        with database.reading() as session:
            for table in metadata.sorted_tables:
                rows = session.execute(select(table)).mappings().all()
                found[table.name] = json.dumps([dict(row) for row in rows], default=str)
    return found


# -- addresses under which others know the person -----------------------------------------------


def test_no_address_the_account_ever_had_is_left_with_others(container, core, clock, alice, bob, cloud):
    auth, projects = container.get_auth_service(), container.get_project_service()
    theirs = cloud.project(bob, "Website")
    auth.email_change.set_email(alice.id, "alice.new@example.com")
    for typed in ("Alice@example.com", "alice.new@example.com"):
        projects.invitations.invite(theirs.id, {"email": typed, "role": "viewer"}, actor=acting(bob))
        with pytest.raises(AuthenticationRequiredError):
            auth.login({"email": typed, "password": PASSWORD + "!"}, actor=visitor())
        auth.verification.request_reset(typed, actor=visitor())
    container.get_user_service().erase_personal_data(alice.id)
    with core.database.reading() as session:
        assert session.scalars(select(DbMailRequest)).all() == []
        assert session.scalars(select(DbProjectInvitation)).all() == []
        kept = json.dumps([row.fields for row in session.scalars(select(DbEventPersonal))]).lower()
    assert "alice" not in kept
    assert "bob@example.com" in kept


def test_console_logs_go_with_the_account(container, cloud, alice, bob):
    monitoring, vms = container.get_monitoring_service(), container.get_vm_service()
    machines = {user.name: cloud.launch(user, cloud.project(user, "Website"), "web") for user in (alice, bob)}
    for name, vm in machines.items():
        monitoring.record_console(vm.id, f"secret of {name}", 20)
    assert "secret of Alice" in take(container, alice)["consoles"]
    vms.delete_vm(machines["Alice"].id, "web", actor=acting(alice))
    cloud.worker.work()
    container.get_user_service().erase_personal_data(alice.id)
    with container.metrics_database.reading() as session:
        assert session.scalars(select(DbConsole.text)).all() == ["secret of Bob"]


def test_what_others_did_with_my_things_does_not_name_them(container, cloud, alice, bob, admin):
    projects = container.get_project_service()
    mine = cloud.project(alice, "Website")
    made = projects.invitations.invite(mine.id, {"email": bob.email, "role": "member"}, actor=acting(alice))
    projects.invitations.accept(made.secret, actor=acting(bob))
    projects.members.change_role(mine.id, bob.id, "viewer", actor=acting(alice))
    container.get_billing_service().add_credits(alice.id, 1_000_000, "thanks", actor=acting(admin))
    files = take(container, alice)
    assert "member.join" in files["events"]
    assert SOMEBODY_ELSE in files["events"]
    for other in (bob, admin):
        assert other.id not in "".join(files.values())


def test_of_the_account_itself_an_id_a_role_and_dates_are_left(container, core, clock, alice):
    """A new column has to be emptied, or to be named here."""
    kept = {"id", "role", "created_at", "disabled_at", "deletion_at", "mail_refused_at", "email_proven_at"}
    (entry,) = [each for each in PERSONAL if each.table is DbUser]
    assert kept | set(entry.emptied) == {column.name for column in DbUser.__table__.columns}
    with core.database.writing() as session, session.begin():
        session.execute(
            update(DbUser).values(
                region="DE",
                language="de",
                theme="dark",
                time_zone="Europe/Berlin",
                mail_refused="550 alice",
                shortcuts=False,
            )
        )
    container.get_user_service().erase_personal_data(alice.id)
    with core.database.reading() as session:
        row = session.get_one(DbUser, alice.id)
        left = {name: getattr(row, name) for name in entry.emptied}
    address = f"{alice.id}@erased.invalid"
    assert left == {
        "email": address, "email_key": address, "name": "Erased account", "password_hash": None,
        "time_zone": "UTC", "region": "", "language": "", "theme": None, "mail_refused": "", "shortcuts": True,
    }  # fmt: skip
