"""One notice to each owner of what went off unasked: from when to when, why, and what was not charged."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from zentry_web.domain.language import dated, later
from zentry_web.domain.money import format_credits
from zentry_web.domain.notice_texts import say, say_line, say_lines
from zentry_web.domain.stored_texts import said
from zentry_web.domain.target import Place, Target
from zentry_web.domain.vms.outage import OPEN_OUTAGES, REASONS, Cause, OutageState, not_charged
from zentry_web.domain.zones import zone_of
from zentry_web.models import DbOutage, DbProject, DbVM
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.billing_service import BillingService
from zentry_web.services.shared.account_rows import read_zone
from zentry_web.services.shared.rounds import each_alone

_PATIENCE = timedelta(minutes=15)  # for those of an owner that are still being started
_AT_MOST_EVERY = timedelta(hours=1)  # of what keeps crashing
_MOST_LINES = 30


class OutageNotices(BaseService):
    """A part of VMService. Used by the worker."""

    name = "outage_notices"

    def __init__(self, core: Core, billing: BillingService) -> None:
        super().__init__(core)
        self._notices = billing.notices

    def tell(self) -> None:
        """Tell whom it is time to tell. Safe to repeat."""
        with self.looking() as session:
            owners = session.scalars(_OWNERS).all()
        each_alone("tell of outages of", owners, self._tell)

    def _tell(self, owner_id: str) -> None:
        now = self.now()
        with self.transaction() as session:
            query = _UNTOLD.where(DbVM.owner_id == owner_id).order_by(DbOutage.went_at, DbOutage.id)
            rows = session.execute(query.with_for_update(of=DbOutage)).all()
            if not rows or not self._is_time(session, owner_id, rows, now):
                return
            ended = [row for row in rows if row.state not in OPEN_OUTAGES]
            told = update(DbOutage).where(DbOutage.id.in_([row.id for row in ended]))
            session.execute(told.values(told_at=now))
            worth = [row for row in ended if row.state != OutageState.OVERTAKEN]  # else somebody was at it
            if worth:
                self._write(session, owner_id, worth)

    @staticmethod
    def _is_time(session: Session, owner_id: str, rows: Sequence[Any], now: datetime) -> bool:
        if any(row.state in OPEN_OUTAGES and row.seen_at > now - _PATIENCE for row in rows):
            return False
        if all(row.state in OPEN_OUTAGES for row in rows):
            return False
        if any(row.cause == Cause.HOST for row in rows):
            return True
        query = select(func.max(DbOutage.told_at)).join(DbVM, DbVM.id == DbOutage.vm_id)
        last = session.scalar(query.where(DbVM.owner_id == owner_id, DbOutage.told_at > now - _AT_MOST_EVERY))
        return last is None

    def _write(self, session: Session, owner_id: str, rows: Sequence[Any]) -> None:
        zone = zone_of(read_zone(session, owner_id))

        def moment(at: datetime) -> str:
            return dated(at.astimezone(zone), "%a %d %b %H:%M:%S")

        lines = [_line(row, moment) for row in rows[:_MOST_LINES]]
        if len(rows) > _MOST_LINES:
            lines.append(say_line("outage_more", count=len(rows) - _MOST_LINES))
        saved = not_charged(
            [(row.running_micro_per_hour - row.stopped_micro_per_hour, row.went_at, row.back_at)
             for row in rows if row.back_at is not None]
        )  # fmt: skip
        machines = {row.vm_id for row in rows}
        back = sum(row.state == OutageState.BACK for row in rows)
        text, credits = say_lines(lines), format_credits(saved)
        if len(machines) > 1:
            words = say("outages", count=len(machines), lines=text, credits=credits)
        elif back == len(rows):
            words = say("outage_back", vm=rows[0].name, lines=text, credits=credits)
        else:
            words = say("outage_off", vm=rows[0].name, lines=text)
        target = Target(Place.VM, rows[0].vm_id) if len(machines) == 1 else Target(Place.VMS)
        self._notices.tell(owner_id, "outage", rows[-1].id, *words, target=target)


def _line(row: Any, moment: Any) -> str:
    vm, project, went = row.name, row.project, moment(row.went_at)
    why = later(lambda: said(REASONS[Cause(row.cause)]))
    if row.state == OutageState.BACK:
        return say_line("outage_over", vm=vm, project=project, went=went, why=why, back=moment(row.back_at))
    if row.state == OutageState.FAILED:
        return say_line("outage_failed", vm=vm, project=project, went=went, why=why)
    if row.state == OutageState.UNPAID:
        return say_line("outage_unpaid", vm=vm, project=project, went=went, why=why)
    return say_line("outage_stays", vm=vm, project=project, went=went, why=why)


_UNTOLD = (
    select(
        DbOutage.id, DbOutage.vm_id, DbOutage.cause, DbOutage.went_at, DbOutage.seen_at, DbOutage.state,
        DbOutage.back_at, DbVM.name, DbVM.running_micro_per_hour, DbVM.stopped_micro_per_hour,
        DbProject.name.label("project"),
    )
    .join(DbVM, DbVM.id == DbOutage.vm_id)
    .join(DbProject, DbProject.id == DbVM.project_id)
    .where(DbOutage.told_at.is_(None))
)  # fmt: skip
_OWNERS = select(DbVM.owner_id).join(DbOutage, DbOutage.vm_id == DbVM.id).where(DbOutage.told_at.is_(None)).distinct()
