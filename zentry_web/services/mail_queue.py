"""How every table of waiting mails is worked off: one at a time, leased to a worker, asked again later and later."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TypeVar

from sqlalchemy import ColumnElement, select, update

from zentry_web.domain.notice import Mail
from zentry_web.models import DbEmailConfirmation, DbMailRequest, DbOutbox, DbProjectInvitation
from zentry_web.services.base_service import BaseService

LEASE = timedelta(seconds=60)  # how long a claimed mail is left to the worker that took it
FIRST_RETRY = timedelta(seconds=30)
LONGEST_RETRY = timedelta(hours=1)
Row = TypeVar("Row", DbEmailConfirmation, DbOutbox, DbMailRequest, DbProjectInvitation)


class MailQueue(BaseService):
    """Base of the services that mails wait in. Their tables have ``id``, ``run_at`` and ``attempts``."""

    @contextmanager
    def _claimed(self, table: type[Row], waiting: ColumnElement[bool]) -> Iterator[Row | None]:
        """The row that is due first among those ``waiting``, leased for a minute; None when there is none.

        Whatever is done to it inside belongs to the transaction that claims it.
        """
        now = self.now()
        due = select(table.id).where(waiting, table.run_at <= now).order_by(table.run_at, table.id).limit(1)
        with self.reading() as session:  # most looks find nothing and cost no write lock
            nothing = session.scalar(due) is None
        if nothing:
            yield None
            return
        with self.transaction() as session:
            found = session.scalar(due.with_for_update(skip_locked=True))
            row = session.get(table, found, populate_existing=True) if found else None
            if row is not None:
                row.attempts += 1
                row.run_at = now + LEASE
            yield row

    def _retry_at(self, mail: Mail) -> datetime:
        """When a mail that was not taken is tried again: after 30 s, doubling to an hour."""
        wait: timedelta = min(FIRST_RETRY * 2 ** min(mail.attempt - 1, 10), LONGEST_RETRY)
        return self.now() + wait

    def _note_attempt(self, table: type[Row], mail: Mail, **values: object) -> None:
        """Write what became of an attempt, unless a later one has begun."""
        with self.transaction() as session:
            session.execute(update(table).where(table.id == mail.id, table.attempts == mail.attempt).values(**values))
