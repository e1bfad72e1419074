"""What all services share: transactions, the event log, ids, the clock, credit look-ups, health."""

import hashlib
import json
import secrets
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import structlog
from prometheus_client import Histogram
from sqlalchemy import insert, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.orm.exc import StaleDataError

from zentry_web.adapters.bell import Bell, NullBell
from zentry_web.adapters.clock import Clock
from zentry_web.adapters.database import Database
from zentry_web.adapters.letters import MailSettings
from zentry_web.domain.credits.billing import AccountKind
from zentry_web.domain.event import Outcome, Subject
from zentry_web.domain.ids import new_id
from zentry_web.domain.language import _, lazy
from zentry_web.domain.monitoring import ServiceHealth
from zentry_web.domain.user import SYSTEM, Actor
from zentry_web.models import DbAccount, DbEvent, DbEventPersonal
from zentry_web.services.errors import (
    ConflictError,
    InsufficientCreditsError,
    NotFoundError,
    PermissionDeniedError,
    ServiceError,
)

log = structlog.get_logger(__name__)

LONG_TRANSACTION_SECONDS = 0.1
GIVE_WAY_SECONDS = 0.005  # writers look every 2 ms whether it is their turn
GIVE_WAY_EVERY_SECONDS = 0.03
_write_seconds = Histogram(
    "zentry_write_transaction_seconds",
    "Time a write transaction on the business database was open",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5),
)


LOOKING = lazy("You are only looking at another person's account: nothing can be changed.")
_only_looking: ContextVar[bool] = ContextVar("only_looking", default=False)


def only_look(looking: bool) -> None:
    """From here on (in this thread or task) no transaction begins; False: they do again."""
    _only_looking.set(looking)


def is_only_looking() -> bool:
    """Whether nothing may be written here: an admin looks at another person's pages."""
    return _only_looking.get()


@dataclass(frozen=True, slots=True)
class Core:
    """What every service is given."""

    database: Database
    clock: Clock
    checkpoint: Callable[[str], None] = lambda name: None  # kill tests pause a process here
    bell: Bell = field(default_factory=NullBell)  # wakes the worker
    rate_factor: int = 1  # how many times what is costly may be done more often than rate_rules.py says
    mail: MailSettings = field(default_factory=MailSettings)  # whether mails are sent, and what writes them


def personal_hash(salt: str, fields: dict[str, str]) -> str:
    """sha256 over the salt and the fields as canonical JSON: what an event keeps of personal data."""
    return hashlib.sha256((salt + json.dumps(fields, sort_keys=True)).encode()).hexdigest()


def body_hash(*parts: object) -> str:
    """sha256 that tells whether two requests with one idempotency key asked for the same."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


class BaseService:
    """Base of the six services. ``core`` brings the database and the clock; others come through ``__init__``."""

    name = "base"

    def __init__(self, core: Core) -> None:
        self._core = core
        self._database = core.database
        self.clock = core.clock
        self._gave_way = 0.0

    # -- transactions ---------------------------------------------------------------------------

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """A session to write with. Joins the open transaction, or owns a new one.

        The owner commits; a uniqueness clash or a lost optimistic race becomes ConflictError, a balance
        below zero InsufficientCreditsError; anything raised rolls everything back. Never catch a
        ServiceError inside a transaction. Call no hypervisor and no network inside one.
        """
        if is_only_looking():
            raise PermissionDeniedError(LOOKING)
        joined = self._database.open_session.get()
        if joined is not None:
            if joined.info.get("read_only"):
                raise RuntimeError("a write was attempted inside reading()")
            yield joined
            return
        session = self._database.writing()
        hooks: list[Callable[[], None]] = []
        session.info["after_commit"] = hooks
        token = self._database.open_session.set(session)
        started = None
        try:
            # Begins now: the time counted is the time the write lock is held.
            session.info["connection"] = session.connection()
            started = time.perf_counter()
            yield session
            session.commit()
        except IntegrityError as error:
            session.rollback()
            raise _translated(error) from error
        except StaleDataError as error:
            session.rollback()
            raise ConflictError(_("This was changed at the same moment. Please try again.")) from error
        except BaseException:
            session.rollback()
            raise
        finally:
            session.close()
            self._database.open_session.reset(token)
            if started is not None:
                _observe(time.perf_counter() - started)
        for hook in hooks:
            hook()

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session for reading one consistent snapshot. Joins the open transaction if there is one."""
        with self._read_with(self._database.reading) as session:
            yield session

    @contextmanager
    def looking(self) -> Iterator[Session]:
        """As ``reading``, for a single statement: that sees one moment by itself, and needs no transaction around it,
        which on PostgreSQL would be two more ways to the server and back."""
        with self._read_with(self._database.looking) as session:
            yield session

    @contextmanager
    def _read_with(self, sessions: sessionmaker[Session]) -> Iterator[Session]:
        joined = self._database.open_session.get()
        if joined is not None:
            yield joined
            return
        with sessions() as session:
            session.info["read_only"] = True
            token = self._database.open_session.set(session)
            try:
                yield session
            finally:
                self._database.open_session.reset(token)

    def give_way(self) -> None:
        """Between two of many short write transactions: let those who wait for SQLite's one write lock have it,
        after each that took long, or a few that did not."""
        if self._database.is_sqlite and time.perf_counter() - self._gave_way > GIVE_WAY_EVERY_SECONDS:
            time.sleep(GIVE_WAY_SECONDS)
            self._gave_way = time.perf_counter()

    def after_commit(self, hook: Callable[[], None]) -> None:
        """Run ``hook`` once the open transaction is committed, the same one once. A hook only wakes someone."""
        session = self._database.open_session.get()
        if session is None:
            raise RuntimeError("after_commit() needs an open transaction")
        hooks = session.info["after_commit"]
        if hook not in hooks:
            hooks.append(hook)

    # -- ids, time, events ----------------------------------------------------------------------

    def new_id(self, prefix: str) -> str:
        """A new sortable id, such as ``vm_01jd…``."""
        return new_id(prefix, self.clock.now())

    def now(self) -> datetime:
        return self.clock.now()

    def audit(
        self,
        action: str,
        subject: Subject,
        details: dict[str, Any] | None = None,
        *,
        actor: Actor = SYSTEM,
        outcome: Outcome = Outcome.SUCCEEDED,
        personal: dict[str, str] | None = None,
    ) -> str:
        """Append to the event log that ``actor`` did this, in the caller's transaction; returns the event's id.

        ``details`` must hold nothing personal: e-mail, name and the like go into ``personal``, to which the actor's
        address and user agent are added. Those lie in a side table; the event keeps a salted hash of them.
        """
        fields = {key: value for key, value in (personal or {}).items() if value}
        fields |= _whence(actor)
        salt = secrets.token_hex(16)
        row = self._event(action, subject, details, actor, outcome)
        with self.transaction() as session:
            session.add(DbEvent(**row, personal_hash=personal_hash(salt, fields) if fields else None))
            session.flush()
            if fields:
                about = subject.id if subject.kind == "user" else actor.id
                session.add(DbEventPersonal(event_id=row["id"], subject_id=about, salt=salt, fields=fields))
                session.flush()
        return str(row["id"])

    def log_audit_event(
        self,
        user_id: str,
        action: str,
        resource_type: str,
        resource_id: str,
        details: dict[str, Any] | None = None,
        *,
        actor: Actor = SYSTEM,
    ) -> str:
        """The service contract's way to ``audit``: ``user_id`` did it. Returns the event's id."""
        return self.audit(action, Subject(resource_type, resource_id), details, actor=replace(actor, id=user_id))

    def audit_all(
        self,
        drafts: Sequence[tuple[str, Subject]],
        details: dict[str, Any] | None = None,
        *,
        actor: Actor,
        outcome: Outcome = Outcome.SUCCEEDED,
    ) -> list[str]:
        """``audit`` for many actions with the same details, by two statements; the events' ids in their order."""
        fields = _whence(actor)
        rows, personal = [], []
        for action, subject in drafts:
            salt = secrets.token_hex(16)
            row = self._event(action, subject, details, actor, outcome)
            rows.append(row | {"personal_hash": personal_hash(salt, fields) if fields else None})
            personal.append({"event_id": row["id"], "subject_id": actor.id, "salt": salt, "fields": fields})
        with self.transaction() as session:
            if rows:
                session.execute(insert(DbEvent), rows)
            if rows and fields:
                session.execute(insert(DbEventPersonal), personal)
        return [row["id"] for row in rows]

    def _event(
        self, action: str, subject: Subject, details: dict[str, Any] | None, actor: Actor, outcome: Outcome
    ) -> dict[str, Any]:
        if actor.viewer_id is not None:
            raise PermissionDeniedError(LOOKING)
        doer = None if actor.id == SYSTEM.id else actor.id
        return {
            "id": self.new_id("evt"),
            "at": self.now(),
            "actor_id": actor.id,
            "action": action,
            "outcome": outcome,
            "resource_type": subject.kind,
            "resource_id": subject.id,
            "owner_id": subject.owner_id if subject.owner_id is not None else doer,
            "project_id": subject.project_id,
            "vm_id": subject.vm_id,
            "operation_id": subject.operation_id,
            "request_id": actor.request_id,
            "details": details or {},
        }

    # -- credits --------------------------------------------------------------------------------

    def get_user_credits(self, user_id: str) -> int:
        """Micro-credits in the user's wallet (held credits not counted). Raises NotFoundError."""
        with self.reading() as session:
            balance = session.scalar(
                select(DbAccount.balance).where(DbAccount.owner_id == user_id, DbAccount.kind == AccountKind.WALLET)
            )
        if balance is None:
            raise NotFoundError(_("There is no such account."))
        return balance

    def require_credits(self, user_id: str, amount: int) -> None:
        """Raise InsufficientCreditsError unless the wallet has ``amount`` micro-credits."""
        available = self.get_user_credits(user_id)
        if available < amount:
            raise InsufficientCreditsError(
                _("There are not enough credits."), details={"needed": amount, "available": available}
            )

    # -- health ---------------------------------------------------------------------------------

    def health_check(self) -> ServiceHealth:
        """Whether this service can work: its database answers. Never raises."""
        try:
            with self.reading() as session:
                session.execute(text("SELECT 1"))
        except Exception as error:  # any failure here is the answer, not an accident
            return ServiceHealth(self.name, False, f"{type(error).__name__}: the database does not answer")
        return ServiceHealth(self.name, True, "ok")


def _whence(actor: Actor) -> dict[str, str]:
    """What an event keeps of the browser that it came from."""
    found = {"address": actor.address or "", "user_agent": (actor.user_agent or "")[:300]}
    return {key: value for key, value in found.items() if value}


def _observe(seconds: float) -> None:
    _write_seconds.observe(seconds)
    if seconds > LONG_TRANSACTION_SECONDS:
        log.warning("long_write_transaction", milliseconds=round(seconds * 1000), caller=_callers())


def _callers(most: int = 4) -> str:
    """Who opened the transaction that ends now, and who called that: ``BillingRuns.settle < Worker._bill``."""
    names: list[str] = []
    frame = sys._getframe(1)
    while frame.f_back is not None and len(names) < most:
        frame = frame.f_back
        module = str(frame.f_globals.get("__name__"))
        if module not in (__name__, "contextlib") and not module.startswith("sqlalchemy"):
            names.append(frame.f_code.co_qualname)
    return " < ".join(names)


def _translated(error: IntegrityError) -> ServiceError:
    message = str(error.orig)
    if "not_below_zero" in message:
        return InsufficientCreditsError(_("There are not enough credits."))
    return ConflictError(_("That is already taken or was just changed. Please try again."))
