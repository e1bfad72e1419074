"""What every page says beside its subject, read at once: a page with a figure or two must not cost three statements."""

from typing import Any

from sqlalchemy import and_, bindparam, func, select

from zentry_web.domain.language import _
from zentry_web.domain.overview import Frame
from zentry_web.models import DbAnnouncement, DbComputeStatus, DbHeartbeat, DbNotice, DbUser
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.errors import NotFoundError
from zentry_web.services.monitoring_service import MonitoringService
from zentry_web.services.users.announcements import gravest, shown_to


class PageFrame(BaseService):
    """A part of UserService."""

    name = "page_frame"

    def __init__(self, core: Core, monitoring: MonitoringService) -> None:
        super().__init__(core)
        self._monitoring = monitoring

    def read(self, user_id: str) -> Frame:
        """Unread notices, announcements and the hypervisor's state as a person's pages show them. One statement.
        Raises NotFoundError."""
        processes = self._monitoring.processes
        with self.looking() as session:
            asked = {"user": user_id, "now": self.now(), "driver": processes.driver}
            rows = session.execute(_FRAME, asked).all()
            if not rows:
                raise NotFoundError(_("There is no such account."))
            first = rows[0]
            compute = processes.as_status(first if first.driver is not None else None)
            shown = gravest(row for row in rows if row.id is not None)
            return Frame(first.unread, tuple(shown), self._monitoring.judged(compute, first.newest_beat))


# Plain columns: every page reads them. No two have one name.
_COMPUTE, _ANNOUNCEMENT = DbComputeStatus.__table__.c, DbAnnouncement.__table__.c


def _read_frame() -> Any:
    user: Any = bindparam("user")
    unread = select(func.count()).where(DbNotice.user_id == user, DbNotice.read_at.is_(None)).scalar_subquery()
    beat = select(func.max(DbHeartbeat.at)).scalar_subquery()
    return (
        select(unread.label("unread"), beat.label("newest_beat"), *_COMPUTE, *_ANNOUNCEMENT)
        .select_from(DbUser)
        .outerjoin(DbComputeStatus, DbComputeStatus.driver == bindparam("driver"))
        .outerjoin(DbAnnouncement, and_(*shown_to(user, bindparam("now"))))
        .where(DbUser.id == user)
    )


_FRAME = _read_frame()  # built once: every page says it
