"""The event log, line by line in the logs, with its numbers: where logs are gathered a gap or a change is seen."""

from datetime import timedelta

import structlog
from sqlalchemy import select

from zentry_web.models import DbEvent, DbEventExport
from zentry_web.services.base_service import BaseService
from zentry_web.services.shared.rounds import is_round_over

log = structlog.get_logger("zentry.trail")

AT_ONCE = 500
GAP_LASTS = timedelta(minutes=1)  # a number that is missing for longer belongs to a transaction that was undone
ROW = 1


class EventExport(BaseService):
    """Every event at least once, in the order of its number. What is personal of it stays in the database."""

    name = "event_export"

    def run(self) -> None:
        """Write what is new since the last time. A worker that is killed writes some lines again."""
        while self._write_some() == AT_ONCE and not is_round_over():
            self.give_way()

    def _write_some(self) -> int:
        with self.reading() as session:
            done = session.scalar(select(DbEventExport.seq).where(DbEventExport.id == ROW)) or 0
            query = select(DbEvent).where(DbEvent.seq > done).order_by(DbEvent.seq).limit(AT_ONCE)
            events = session.scalars(query).all()
        written, last = 0, done
        for event in events:
            if event.seq != last + 1 and event.at > self.now() - GAP_LASTS:
                break  # the one before may be about to be committed
            log.info(
                "trail",
                seq=event.seq,
                id=event.id,
                at=event.at.isoformat(),
                actor=event.actor_id,
                action=event.action,
                outcome=event.outcome,
                resource=f"{event.resource_type}:{event.resource_id}",
                owner=event.owner_id,
                details=event.details,
                personal_hash=event.personal_hash,
                request_id=event.request_id,
            )
            written, last = written + 1, event.seq
        if written:
            with self.transaction() as session:
                row = session.get(DbEventExport, ROW)
                if row is None:
                    session.add(DbEventExport(id=ROW, seq=last))
                else:
                    row.seq = last
        return written
