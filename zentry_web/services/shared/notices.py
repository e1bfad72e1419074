"""Telling people: a list in the app and, where a mail server is set, a mail. Each notice happens once."""

from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, delete, func, insert, select, update
from sqlalchemy.orm import Session

from zentry_web.adapters.database import upsert
from zentry_web.domain.language import ENGLISH, _, lazy, speaking
from zentry_web.domain.notice import RULE_OF, Mail, Notice, topic_of
from zentry_web.domain.notice_texts import say
from zentry_web.domain.target import Place, Target, read_target
from zentry_web.domain.text import without_addresses
from zentry_web.domain.user import SYSTEM, Actor, Role
from zentry_web.domain.zones import find_zone
from zentry_web.models import DbMailChoice, DbNotice, DbOutbox, DbUser
from zentry_web.services.base_service import Core
from zentry_web.services.errors import NotFoundError
from zentry_web.services.shared.access import require_self
from zentry_web.services.shared.mail_choices import MailChoices, is_mailed
from zentry_web.services.shared.mail_queue import MailQueue
from zentry_web.services.shared.rounds import each_alone

GIVE_UP = timedelta(days=3)
KEEP_MAIL = timedelta(days=30)
_TITLE = 200
# Notices with words that another person chose (their name, their project's): a mail's subject has none of them, and its
# text nothing of theirs that becomes a link.
_OTHERS_WORDS = {
    "member": lazy("News of a project on Zentry"),
    "invitation": lazy("News of an invitation on Zentry"),
}


class Notices(MailQueue):
    """Writes notices in the caller's transaction; the worker hands the mails over afterwards."""

    name = "notices"
    _table = DbOutbox

    def __init__(self, core: Core) -> None:
        super().__init__(core)
        self._mail = core.mail
        self.choices = MailChoices(core)

    def tell(
        self, user_id: str, kind: str, key: str, title: str, body: str,
        *, target: Target | None = None, mail: bool = True,
    ) -> bool:  # fmt: skip
        """Tell a person something, once per (person, ``kind``, ``key``), in the caller's transaction.

        ``title`` and ``body`` are plain text, put into the reader's language; ``target`` is what they lead to. Returns
        whether it was new: then it stands in the list, and a mail waits to be sent if ``mail``, a mail server is set,
        and the person did not choose otherwise (``choices``).
        """
        row = {
            "id": self.new_id("ntc"),
            "user_id": user_id,
            "kind": kind,
            "key": key,
            "at": self.now(),
            "target": str(target or ""),
            "read_at": None,
        }
        with self.transaction() as session, speaking(self._language_of(session, user_id)):
            title, body = str(title), str(body)
            row |= {"title": title[:_TITLE], "body": body}
            session.flush()
            made = session.execute(
                upsert(session, DbNotice)
                .values(row)
                .on_conflict_do_nothing(index_elements=["user_id", "kind", "key"])
                .returning(DbNotice.id)
            ).one_or_none()
            if made is None:
                return False
            if mail and self._mail.enabled:
                self._mail_notice(session, user_id, kind, title, body, target)
            return True

    @property
    def sends_mail(self) -> bool:
        """Whether a mail server is set."""
        return self._mail.enabled

    @staticmethod
    def _language_of(session: Session, user_id: str) -> str:
        return session.scalar(select(DbUser.language).where(DbUser.id == user_id)) or ENGLISH

    def _mail_notice(
        self, session: Session, user_id: str, kind: str, title: str, body: str, target: Target | None
    ) -> None:
        rule = RULE_OF[topic_of(kind)]
        mine = (DbMailChoice.user_id == DbUser.id) & (DbMailChoice.topic == rule.topic)
        query = select(DbUser.email, DbMailChoice.mail).outerjoin(DbMailChoice, mine)
        found = session.execute(query.where(DbUser.id == user_id, DbUser.disabled_at.is_(None))).one_or_none()
        if found is None or not is_mailed(rule, found.mail):
            return
        if subject := _OTHERS_WORDS.get(kind):
            body, title = without_addresses(f"{title}.\n\n{body}"), str(subject)
        if target:
            body += f"\n\n{self._mail.letters.address_of(target)}"
        if not rule.always:
            choices = self._mail.letters.address_of(Target(Place.NOTIFICATIONS))
            body += "\n\n" + _("Which mails you get: %(address)s", address=choices)
        self._enqueue(user_id, found.email, title, body)

    def mail_to(self, user_id: str, address: str, title: str, body: str) -> str | None:
        """Mail something to a person at that address, which need not be theirs any more, whatever they chose; in the
        caller's transaction. Returns the mail's id; None: there is no mail server, or no mail goes there."""
        if not self._mail.enabled or address.endswith("@localhost"):
            return None
        return self._enqueue(user_id, address, title, body)

    def was_told(self, user_id: str, kind: str, key: str) -> Notice | None:
        """The notice, if that person has been told it."""
        query = select(DbNotice).where(DbNotice.user_id == user_id, DbNotice.kind == kind, DbNotice.key == key)
        with self.reading() as session:
            row = session.scalar(query)
            return _as_notice(row) if row else None

    def list_notices(
        self, user_id: str, *, actor: Actor = SYSTEM, before: str | None = None, limit: int = 30
    ) -> list[Notice]:
        """A person's notices, newest first; ``before`` is the id of the last one seen."""
        require_self(actor, user_id)
        query = select(DbNotice).where(DbNotice.user_id == user_id).order_by(DbNotice.id.desc()).limit(limit)
        if before:
            query = query.where(DbNotice.id < before)
        with self.reading() as session:
            return [_as_notice(row) for row in session.scalars(query)]

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
                    raise NotFoundError(_("There is no such notice."))
            session.execute(update(DbNotice).where(mine, DbNotice.read_at.is_(None)).values(read_at=self.now()))

    # -- mail: the worker's side ----------------------------------------------------------------

    def _compose(self, row: DbOutbox) -> Mail:
        return Mail(row.id, row.to_address, row.subject, row.body, row.attempts)

    def _is_waiting(self, now: Any) -> ColumnElement[bool]:
        return DbOutbox.sent_at.is_(None) & DbOutbox.refused_at.is_(None)

    def _end_sent(self, mail: Mail) -> None:
        self._note_attempt(mail, sent_at=self.now(), error="")

    def _end_refused(self, mail: Mail, error: str) -> None:
        self._note_attempt(mail, refused_at=self.now(), error=error)

    def tell_admins(self, kind: str, detail: str) -> None:
        """Tell every admin of something about this server that lasts, once a day: how things stand with it."""
        with self.reading() as session:
            admins = DbUser.role == Role.ADMIN, DbUser.disabled_at.is_(None)
            found = list(session.scalars(select(DbUser.id).where(*admins).order_by(DbUser.id)))
        with self.transaction():
            for user_id in found:
                words, day = say(kind, detail=detail), f"{self.now():%Y-%m-%d}"
                self.tell(user_id, kind, day, *words, target=Target(Place.SYSTEM))

    def tell_unknown_zones(self) -> None:
        """Tell those whose time zone this system does not know that UTC is taken for it, once per zone."""
        with self.reading() as session:
            zones = [zone for zone in session.scalars(select(DbUser.time_zone).distinct()) if find_zone(zone) is None]
            query = select(DbUser.id, DbUser.time_zone).where(DbUser.time_zone.in_(zones)).order_by(DbUser.id)
            people = [(user_id, zone) for user_id, zone in session.execute(query)] if zones else []
        each_alone("tell zone", people, self._tell_unknown_zone, lambda person: person[0])

    def _tell_unknown_zone(self, person: tuple[str, str]) -> None:
        user_id, zone = person
        with self.transaction():
            self.tell(user_id, "zone", zone, *say("zone_unknown", zone=zone), target=Target(Place.ACCOUNT))

    def prune(self) -> None:
        """Forget mails sent a month ago, and those that nobody took for three days."""
        now = self.now()
        with self.transaction() as session:
            session.execute(delete(DbOutbox).where(DbOutbox.sent_at < now - KEEP_MAIL))
            session.execute(delete(DbOutbox).where(DbOutbox.sent_at.is_(None), DbOutbox.created_at < now - GIVE_UP))

    def _enqueue(self, user_id: str, address: str, title: str, body: str) -> str:
        now, mail_id = self.now(), self.new_id("mail")
        with self.transaction() as session:
            self._post()
            session.execute(
                insert(DbOutbox),
                [
                    {
                        "id": mail_id,
                        "user_id": user_id,
                        "to_address": address,
                        "subject": " ".join(title.split())[:_TITLE],
                        "body": body,
                        "created_at": now,
                        "sent_at": None,
                        "attempts": 0,
                        "run_at": now,
                        "error": "",
                    }
                ],
            )
        return mail_id


def _as_notice(row: DbNotice) -> Notice:
    return Notice(row.id, row.kind, row.at, row.title, row.body, read_target(row.target), row.read_at)
