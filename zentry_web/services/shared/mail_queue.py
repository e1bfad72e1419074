"""How every table of waiting mails is worked off: one at a time, leased to a worker, asked again later and later."""

from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, ClassVar

from sqlalchemy import ColumnElement, Select, bindparam, func, select, update

from zentry_web.domain.back_off import back_off
from zentry_web.domain.ids import time_of
from zentry_web.domain.notice import Mail, WaitingMails
from zentry_web.models import DbEmailConfirmation, DbMailRequest, DbOutbox, DbProjectInvitation, DbUser
from zentry_web.services.base_service import BaseService
from zentry_web.services.shared.fields import email_key

LEASE = timedelta(seconds=60)  # how long a claimed mail is left to the worker that took it
FIRST_RETRY = timedelta(seconds=30)
LONGEST_RETRY = timedelta(hours=1)
LONGEST_ERROR = 500
LONGEST_REFUSAL = 300  # as it stands at the account
MailRow = DbEmailConfirmation | DbOutbox | DbMailRequest | DbProjectInvitation


class MailQueue(BaseService):
    """Base of the services that mails wait in. Their tables have ``id``, ``run_at``, ``attempts`` and ``error``."""

    _table: ClassVar[type[MailRow]]

    def claim_mail(self) -> Mail | None:
        """Take the next mail that is due, for a minute; None when there is none. Only it has its secret."""
        while True:
            with self._claimed() as row:
                if row is None:
                    return None
                mail = self._compose(row)
            if mail is not None:
                return mail

    @contextmanager
    def _claimed(self) -> Iterator[MailRow | None]:
        """The row that is due first among those that wait, leased for a minute; None when there is none.

        Whatever is done to it inside belongs to the transaction that claims it.
        """
        table, now = self._table, self.now()
        with self.looking() as session:  # most looks find nothing and cost no write lock
            nothing = session.scalar(self._due, {"now": now}) is None
        if nothing:
            yield None
            return
        with self.transaction() as session:
            found = session.scalar(self._due.with_for_update(skip_locked=True), {"now": now})
            row: Any = session.get(table, found, populate_existing=True) if found else None
            if row is not None:
                row.attempts += 1
                row.run_at = now + LEASE
            yield row

    @cached_property
    def _due(self) -> Select[str]:
        """The mail that is due first; built once, for the worker asks it again and again."""
        table = self._table
        now: Any = bindparam("now")
        due = select(table.id).where(self._is_waiting(now), table.run_at <= now)
        return due.order_by(table.run_at, table.id).limit(1)

    def _retry_at(self, mail: Mail) -> datetime:
        """When a mail that was not taken is tried again: after 30 s, doubling to an hour."""
        return self.now() + back_off(mail.attempt, FIRST_RETRY, LONGEST_RETRY)

    def _post(self) -> None:
        """In the transaction that puts a mail into the queue: it wakes the worker."""
        self.after_commit(self._core.bell.ring)

    def record_failed(self, mail: Mail, error: str) -> None:
        """The server did not take it: again later, 30 s at first, doubling to an hour."""
        self._note_attempt(mail, run_at=self._retry_at(mail), error=error[:LONGEST_ERROR])

    def record_refused(self, mail: Mail, error: str) -> None:
        """The server will never take it: it is not tried again, and stands at the account of that address."""
        with self.transaction() as session:
            self._end_refused(mail, error[:LONGEST_ERROR])
            account = update(DbUser).where(DbUser.email_key == email_key(mail.to_address))
            session.execute(account.values(mail_refused=error[:LONGEST_REFUSAL], mail_refused_at=self.now()))

    def record_sent(self, mail: Mail) -> None:
        """The server took it: what was refused before is forgotten."""
        with self.transaction() as session:
            self._end_sent(mail)
            account = update(DbUser).where(DbUser.email_key == email_key(mail.to_address))
            account = account.where(DbUser.mail_refused_at.is_not(None))
            session.execute(account.values(mail_refused="", mail_refused_at=None))

    def waiting_mails(self) -> WaitingMails:
        """How many mails of this queue are still to be sent, since when the oldest waits, and why; one statement."""
        table = self._table
        is_waiting = self._is_waiting(self.now())
        oldest = select(table.error).where(is_waiting).order_by(table.id).limit(1).scalar_subquery()
        query = select(func.count(), func.min(table.id), oldest).where(is_waiting)
        with self.reading() as session:
            count, first, error = session.execute(query).one()
        return WaitingMails(count, time_of(first) if first else None, error or "")

    # -- what each queue says of its own table --------------------------------------------------

    @abstractmethod
    def _compose(self, row: Any) -> Mail | None:
        """The mail that a row comes to, in the transaction that claims it; None (and done) when it comes to none."""

    @abstractmethod
    def _is_waiting(self, now: Any) -> ColumnElement[bool]:
        """Which rows are still to be mailed; ``now`` may be a parameter of the statement."""

    @abstractmethod
    def _end_sent(self, mail: Mail) -> None:
        """Note, in the caller's transaction, that the mail is out."""

    @abstractmethod
    def _end_refused(self, mail: Mail, error: str) -> None:
        """Note, in the caller's transaction, that it never will be."""

    def _note_attempt(self, mail: Mail, **values: object) -> None:
        """Write what became of an attempt, unless a later one has begun."""
        table = self._table
        with self.transaction() as session:
            session.execute(update(table).where(table.id == mail.id, table.attempts == mail.attempt).values(**values))
