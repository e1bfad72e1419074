"""A test mail that an admin has sent to their own address: what became of it tells whether mail works."""

from sqlalchemy import select

from zentry_web.domain.event import Subject
from zentry_web.domain.language import _, speaking
from zentry_web.domain.notice import TrialMail
from zentry_web.domain.target import Place, Target
from zentry_web.domain.user import Actor
from zentry_web.models import DbEvent, DbOutbox
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.errors import ConflictError
from zentry_web.services.shared.access import require_admin
from zentry_web.services.shared.account_rows import require_user_row
from zentry_web.services.shared.notices import Notices
from zentry_web.services.shared.rate_limits import RateLimiter, limit_of

TESTED = "mail.test"


class MailCheck(BaseService):
    """A part of UserService. For admins only; raises PermissionDeniedError."""

    name = "mail_check"

    def __init__(self, core: Core, notices: Notices) -> None:
        super().__init__(core)
        self._mail = core.mail
        self._notices = notices
        self._limits = RateLimiter(core)

    def send_test(self, *, actor: Actor) -> str:
        """Put a mail to the admin's own address among those that wait for the worker; audited. Returns that address.

        Raises ConflictError (no mail server, or an address that no mail reaches), RateLimitedError (5 an hour).
        """
        require_admin(actor)
        if not self._mail.enabled:
            raise ConflictError(_("No mail server is set, so no mail can be sent."))
        self._limits.check(limit_of("mail_test", actor.id))
        with self.transaction() as session:
            row = require_user_row(session, actor.id)
            with speaking(row.language or ""):
                letter = self._mail.letters.write("test", name=row.name, link=Target(Place.SYSTEM))
            mail_id = self._notices.mail_to(row.id, row.email, *letter)
            if mail_id is None:
                raise ConflictError(_("No mail can be sent to %(address)s.", address=row.email))
            self.audit(TESTED, Subject("mail", mail_id, row.id), actor=actor)
            return row.email

    def get_latest(self, *, actor: Actor) -> TrialMail | None:
        """The admin's newest test mail, as long as it is kept. One statement."""
        require_admin(actor)
        query = (
            select(DbOutbox)
            .join(DbEvent, DbEvent.resource_id == DbOutbox.id)
            .where(DbEvent.action == TESTED, DbEvent.actor_id == actor.id)
            .order_by(DbEvent.seq.desc())
            .limit(1)
        )
        with self.reading() as session:
            row = session.scalar(query)
            if row is None:
                return None
            return TrialMail(row.to_address, row.created_at, row.sent_at, row.refused_at, row.error)
