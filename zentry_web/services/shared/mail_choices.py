"""Which notices also come by mail: each person's choice, within what everybody is always told."""

from collections.abc import Collection

from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session

from zentry_web.domain.event import Subject
from zentry_web.domain.language import _
from zentry_web.domain.notice import TOPICS, MailChoice, TopicRule
from zentry_web.domain.user import SYSTEM, Actor, Role
from zentry_web.models import DbMailChoice, DbUser
from zentry_web.services.base_service import BaseService
from zentry_web.services.errors import NotFoundError
from zentry_web.services.shared.access import require_self
from zentry_web.services.shared.fields import invalid


def is_mailed(rule: TopicRule, chosen: bool | None) -> bool:
    """Whether a notice of that topic is mailed to somebody who chose so; None: nothing was chosen."""
    return rule.always or (rule.by_default if chosen is None else chosen)


class MailChoices(BaseService):
    """A part of Notices, which asks before it mails."""

    name = "mail_choices"

    def list_choices(self, user_id: str, *, actor: Actor = SYSTEM) -> list[MailChoice]:
        """Every topic that concerns the account, and whether its mails come. Raises NotFoundError."""
        require_self(actor, user_id)
        with self.reading() as session:
            return _read(session, user_id)

    def choose(self, user_id: str, wanted: Collection[str], *, actor: Actor = SYSTEM) -> list[MailChoice]:
        """Have the mails of the topics ``wanted`` and of no others, but for those that always come.

        Mails that wait already are sent. Raises ValidationError (``mail``: no such topic), NotFoundError.
        """
        require_self(actor, user_id)
        with self.transaction() as session:
            before = _read(session, user_id, lock=True)
            if not set(wanted) <= {choice.rule.topic for choice in before}:
                raise invalid({"mail": _("Choose from the list.")})
            free = [choice.rule for choice in before if not choice.rule.always]
            rows = [{"user_id": user_id, "topic": rule.topic, "mail": rule.topic in wanted} for rule in free]
            changed = {
                choice.rule.topic: choice.rule.topic in wanted
                for choice in before
                if not choice.rule.always and choice.mail != (choice.rule.topic in wanted)
            }
            if changed:
                session.execute(
                    delete(DbMailChoice).where(
                        DbMailChoice.user_id == user_id, DbMailChoice.topic.in_([rule.topic for rule in free])
                    )
                )
                session.execute(insert(DbMailChoice), rows)
                self.audit("profile.mail", Subject.user(user_id), {"changed": changed}, actor=actor)
            return _read(session, user_id)


def _read(session: Session, user_id: str, *, lock: bool = False) -> list[MailChoice]:
    query = select(DbUser.role).where(DbUser.id == user_id)
    role = session.scalar(query.with_for_update() if lock else query)
    if role is None:
        raise NotFoundError(_("There is no such account."))
    rows = session.execute(select(DbMailChoice.topic, DbMailChoice.mail).where(DbMailChoice.user_id == user_id))
    chosen = {row.topic: row.mail for row in rows}
    shown = (rule for rule in TOPICS if role == Role.ADMIN or not rule.for_admins)
    return [MailChoice(rule, is_mailed(rule, chosen.get(rule.topic))) for rule in shown]
