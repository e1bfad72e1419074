"""Telling people: a list in the app and, where a mail server is set, a mail. Each notice happens once."""

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.orm import Session

from zentry_web.domain.notice import RULE_OF, Mail, Notice, topic_of
from zentry_web.domain.user import SYSTEM, Actor
from zentry_web.models import DbMailChoice, DbNotice, DbOutbox, DbUser
from zentry_web.services.access import require_self
from zentry_web.services.base_service import Core
from zentry_web.services.errors import NotFoundError
from zentry_web.services.ledger import upsert
from zentry_web.services.mail_choices import MailChoices, is_mailed
from zentry_web.services.mail_queue import MailQueue

GIVE_UP = timedelta(days=3)
KEEP_MAIL = timedelta(days=30)
CHOICES_URL = "/account/notifications"
_TITLE = 200


@dataclass(frozen=True, slots=True)
class MailSettings:
    """Whether mail is sent at all, and the address that links in it begin with."""

    enabled: bool = False
    base_url: str = ""


class Notices(MailQueue):
    """Writes notices in the caller's transaction; the worker hands the mails over afterwards."""

    name = "notices"

    def __init__(self, core: Core, mail: MailSettings | None = None) -> None:
        super().__init__(core)
        self._mail = mail or MailSettings()
        self.choices = MailChoices(core)

    def tell(
        self, user_id: str, kind: str, key: str, title: str, body: str, *, url: str = "", mail: bool = True
    ) -> bool:
        """Tell a person something, once per (person, ``kind``, ``key``), in the caller's transaction.

        ``title`` and ``body`` are plain text in the reader's words; ``url`` a path. Returns whether it was new:
        then it stands in the list, and a mail waits to be sent if ``mail``, a mail server is set, and the person did
        not choose otherwise (``choices``).
        """
        now = self.now()
        row = {
            "id": self.new_id("ntc"),
            "user_id": user_id,
            "kind": kind,
            "key": key,
            "at": now,
            "title": title[:_TITLE],
            "body": body,
            "url": url,
            "read_at": None,
        }
        with self.transaction() as session:
            session.flush()
            made = session.execute(
                upsert(session, DbNotice.__table__)  # type: ignore[arg-type]
                .values(row)
                .on_conflict_do_nothing(index_elements=["user_id", "kind", "key"])
                .returning(DbNotice.id)
            ).one_or_none()
            if made is None:
                return False
            if mail and self._mail.enabled:
                self._mail_notice(session, user_id, kind, title, body, url)
            return True

    @property
    def sends_mail(self) -> bool:
        """Whether a mail server is set."""
        return self._mail.enabled

    def _mail_notice(self, session: Session, user_id: str, kind: str, title: str, body: str, url: str) -> None:
        rule = RULE_OF[topic_of(kind)]
        mine = (DbMailChoice.user_id == DbUser.id) & (DbMailChoice.topic == rule.topic)
        query = select(DbUser.email, DbMailChoice.mail).outerjoin(DbMailChoice, mine)
        found = session.execute(query.where(DbUser.id == user_id, DbUser.disabled_at.is_(None))).one_or_none()
        if found is None or not is_mailed(rule, found.mail):
            return
        foot = "" if rule.always else f"\n\nWhich mails you get: {self._mail.base_url}{CHOICES_URL}"
        self._enqueue(user_id, found.email, title, body, url, foot)

    def mail_to(self, user_id: str, address: str, title: str, body: str) -> None:
        """Mail something about a person's account to an address that is not theirs any more, if there is a mail
        server; in the caller's transaction."""
        if self._mail.enabled and not address.endswith("@localhost"):
            self._enqueue(user_id, address, title, body, "", "")

    def was_told(self, user_id: str, kind: str, key: str) -> Notice | None:
        """The notice, if that person has been told it."""
        query = select(DbNotice).where(DbNotice.user_id == user_id, DbNotice.kind == kind, DbNotice.key == key)
        with self.reading() as session:
            row = session.scalar(query)
            return _notice(row) if row else None

    def list_notices(
        self, user_id: str, *, actor: Actor = SYSTEM, before: str | None = None, limit: int = 30
    ) -> list[Notice]:
        """A person's notices, newest first; ``before`` is the id of the last one seen."""
        require_self(actor, user_id)
        query = select(DbNotice).where(DbNotice.user_id == user_id).order_by(DbNotice.id.desc()).limit(limit)
        if before:
            query = query.where(DbNotice.id < before)
        with self.reading() as session:
            return [_notice(row) for row in session.scalars(query)]

    def count_unread(self, user_id: str) -> int:
        """How many notices the person has not seen."""
        query = select(func.count()).where(DbNotice.user_id == user_id, DbNotice.read_at.is_(None))
        with self.reading() as session:
            return session.scalar(query) or 0

    def mark_read(self, user_id: str, notice_id: str | None = None, *, actor: Actor = SYSTEM) -> None:
        """Mark one notice (None: all) as seen. Raises NotFoundError when it is not that person's."""
        require_self(actor, user_id)
        mine = DbNotice.user_id == user_id
        with self.transaction() as session:
            if notice_id is not None:
                mine &= DbNotice.id == notice_id
                if session.scalar(select(DbNotice.id).where(mine)) is None:
                    raise NotFoundError("There is no such notice.")
            session.execute(update(DbNotice).where(mine, DbNotice.read_at.is_(None)).values(read_at=self.now()))

    # -- mail: the worker's side ----------------------------------------------------------------

    def claim_mail(self) -> Mail | None:
        """Take the next mail that is due, for a minute; None when there is none."""
        with self._claimed(DbOutbox, DbOutbox.sent_at.is_(None)) as row:
            return Mail(row.id, row.to_address, row.subject, row.body, row.attempts) if row else None

    def record_sent(self, mail: Mail) -> None:
        """The mail server took it."""
        self._note_attempt(DbOutbox, mail, sent_at=self.now(), error="")

    def record_failed(self, mail: Mail, error: str) -> None:
        """It did not: again later (30 s, doubling to an hour), for three days; the list in the app counts meanwhile."""
        self._note_attempt(DbOutbox, mail, run_at=self._retry_at(mail), error=error[:500])

    def prune(self) -> None:
        """Forget mails sent a month ago, and those that nobody took for three days."""
        now = self.now()
        with self.transaction() as session:
            session.execute(delete(DbOutbox).where(DbOutbox.sent_at < now - KEEP_MAIL))
            session.execute(delete(DbOutbox).where(DbOutbox.sent_at.is_(None), DbOutbox.created_at < now - GIVE_UP))

    def _enqueue(self, user_id: str, address: str, title: str, body: str, url: str, foot: str) -> None:
        now = self.now()
        text = (body if not url else f"{body}\n\n{self._mail.base_url}{url}") + foot
        with self.transaction() as session:
            session.execute(
                insert(DbOutbox),
                [
                    {
                        "id": self.new_id("mail"),
                        "user_id": user_id,
                        "to_address": address,
                        "subject": " ".join(title.split())[:_TITLE],
                        "body": text,
                        "created_at": now,
                        "sent_at": None,
                        "attempts": 0,
                        "run_at": now,
                        "error": "",
                    }
                ],
            )


def _notice(row: DbNotice) -> Notice:
    return Notice(row.id, row.kind, row.at, row.title, row.body, row.url, row.read_at)
