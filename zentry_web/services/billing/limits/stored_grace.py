"""What is stored and kept for nothing: its owner is told how long that lasts, then it is over.

Deleting is for the services that the things belong to: they ask here for what is over.
"""

from datetime import datetime, timedelta

from sqlalchemy import select

from zentry_web.domain.credits.landing import DAY, DISK_NOTICES, disk_notice
from zentry_web.domain.credits.storage import StoredKind
from zentry_web.domain.credits.usage import EPOCH, SECOND, whole_second
from zentry_web.domain.language import dated
from zentry_web.domain.notice_texts import say
from zentry_web.domain.target import Place, Target
from zentry_web.domain.zones import zone_of
from zentry_web.models import DbStored, DbUser, DbVM
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.shared.notices import Notices
from zentry_web.services.shared.rounds import each_alone

_PLAN = Target(Place.PLAN)
_LAST = 1  # of DISK_NOTICES: nothing is deleted within a day of it


class StoredGrace(BaseService):
    """A part of BillingService, as Landing is for disks."""

    name = "stored_grace"

    def __init__(self, core: Core, notices: Notices) -> None:
        super().__init__(core)
        self._notices = notices

    def tell(self) -> None:
        """Tell owners 7, 3 and 1 days before what nobody pays for is deleted, each once. Safe to repeat."""
        now = self.now()
        soon = select(DbStored.id, DbStored.kept_until).where(DbStored.kept_until <= now + max(DISK_NOTICES) * DAY)
        with self.reading() as session:
            due = [(stored_id, until, disk_notice(until, now)) for stored_id, until in session.execute(soon) if until]
        news = [(stored_id, until, days) for stored_id, until, days in due if days is not None]
        each_alone("tell stored", news, lambda each: self._tell(*each), lambda each: each[0])

    def list_over(self, kind: StoredKind) -> list[tuple[str, str]]:
        """Machine and id of what was kept to the end, and whose owner was told that a day or more ago."""
        now, found = self.now(), []
        query = select(DbStored).where(DbStored.kept_until <= now, DbStored.kind == kind, DbStored.ended_at.is_(None))
        with self.reading() as session:
            for row in session.scalars(query.order_by(DbStored.id)):
                told = self._notices.was_told(row.owner_id, "disk", _key(row.id, row.kept_until, _LAST))
                if told is not None and now >= told.at + DAY:
                    found.append((row.vm_id, row.id))
        return found

    def _tell(self, stored_id: str, until: datetime, days: int) -> None:
        key = _key(stored_id, until, days)
        with self.reading() as session:
            query = select(DbStored.owner_id, DbStored.name, DbVM.name, DbUser.time_zone)
            query = query.join(DbVM, DbVM.id == DbStored.vm_id).join(DbUser, DbUser.id == DbStored.owner_id)
            owner_id, name, vm_name, zone = session.execute(query.where(DbStored.id == stored_id)).one()
            if self._notices.was_told(owner_id, "disk", key):
                return
        at = max(until, self.now() + timedelta(days=1)) if days == _LAST else until
        words = say("stored", what=name, vm=vm_name, at=dated(at.astimezone(zone_of(zone)), "%a %d %b %H:%M"))
        with self.transaction():
            self._notices.tell(owner_id, "disk", key, *words, target=_PLAN)


def _key(stored_id: str, until: datetime | None, days: int) -> str:
    return f"{stored_id}:{(whole_second(until) - EPOCH) // SECOND if until else ''}:{days}"
