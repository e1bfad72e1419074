"""Actors, and looks into the tables, for the tests of accounts and projects."""

from datetime import UTC, datetime

from sqlalchemy import event, select, text

from zentry_web.adapters.compute.base import Machine, PowerState
from zentry_web.domain.user import Actor, Role
from zentry_web.models import DbEvent, DbEventPersonal, DbProjectMember

HOME = "203.0.113.5"
ELSEWHERE = "198.51.100.7"
ALWAYS = datetime.max.replace(tzinfo=UTC)


def visitor(address=HOME):
    """Somebody who has not signed in."""
    return Actor("anonymous", Role.USER, address=address, user_agent="Firefox", request_id="req1")


def acting(user, address=HOME, proved_at=ALWAYS):
    """``user``, signed in; what needs a recent proof is allowed unless ``proved_at`` says otherwise."""
    return Actor(user.id, user.role, address=address, user_agent="Firefox", proved_at=proved_at)


def session_user(auth, token):
    """Whose session it is; None once it was ended, has expired, or the account is disabled."""
    found = auth.get_session(token)
    return found.user if found else None


def events_of(core, action):
    """All events of one action, oldest first."""
    with core.database.reading() as session:
        return list(session.scalars(select(DbEvent).where(DbEvent.action == action).order_by(DbEvent.seq)))


def personal_of(core, event_id):
    """The personal fields kept for an event, or None."""
    with core.database.reading() as session:
        row = session.get(DbEventPersonal, event_id)
        return dict(row.fields) if row else None


def is_kept(core, words):
    """Whether these words stand in what is written down of an operation, its events or what it can be undone to."""
    with core.database.reading() as session:
        tables = ("operation", "event", "event_personal", "undo")
        return any(words in str(session.execute(text(f"SELECT * FROM {table}")).all()) for table in tables)


class Statements:
    """Counts the statements on engines while it is entered."""

    def __init__(self, *databases):
        self._engines = [database.engine for database in databases]
        self.texts = []

    def __enter__(self):
        for engine in self._engines:
            event.listen(engine, "before_cursor_execute", self._note)
        return self

    def __exit__(self, *_):
        for engine in self._engines:
            event.remove(engine, "before_cursor_execute", self._note)

    def _note(self, _connection, _cursor, statement, *_):
        self.texts.append(statement)

    @property
    def count(self):
        return len(self.texts)


def launch(container, user, project, name, *, run=True):
    """A VM of ``user``, running unless told otherwise."""
    vms = container.get_vm_service()
    vm = vms.create_vm(
        {"project_id": project.id, "name": name, "size_id": "size_nano", "image_id": "img_tiny"},
        user,
        actor=acting(user),
    )
    if run:
        claim = vms.operations.claim("worker")
        assert claim is not None
        assert vms.records.operation_running(claim, Machine(vm.id, PowerState.RUNNING, run_id=f"run-{vm.id}"))
    return vm


def delete(container, user, vm):
    """Delete a VM, to the end."""
    vms = container.get_vm_service()
    vms.delete_vm(vm.id, vm.name, actor=acting(user))
    claim = vms.operations.claim("worker")
    assert vms.records.operation_deleted(claim)


def join(container, project, user, role):
    """Make ``user`` a member of ``project`` without being invited."""
    core = container.parts.core
    with core.database.writing() as session, session.begin():
        row = DbProjectMember(
            project_id=project.id, user_id=user.id, role=role, since=core.clock.now(), added_by=project.owner_id
        )
        session.add(row)
