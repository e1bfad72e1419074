"""What was before each change, for as long as it can be put back: written with the change, in its transaction."""

from datetime import datetime
from typing import Any

from sqlalchemy import update
from sqlalchemy.orm import Session

from zentry_web.domain.language import kept
from zentry_web.domain.user import SYSTEM, Actor
from zentry_web.domain.vms.undo import UNDOABLE
from zentry_web.models import DbUndo
from zentry_web.services.base_service import BaseService

CAME_TO_NOTHING = kept("It did not succeed: there is nothing to undo.")


class UndoBook(BaseService):
    """Whoever changes a machine in a way that can be undone notes it here."""

    name = "undo_book"

    def keep(
        self,
        action: str,
        vm_id: str,
        event_id: str,
        put_back: dict[str, Any],
        *,
        actor: Actor,
        together: str | None = "",
    ) -> None:
        """Note that ``action`` (of UNDOABLE), told by that event, can be undone by putting ``put_back`` back, from now
        on; in the caller's transaction.

        ``together``: an id that the changes of several machines share, so that they are undone by one click; '': this
        one stands alone; None: nothing is noted, for what is an undo itself.
        """
        if together is None or actor is SYSTEM:
            return
        now = self.now()
        with self.transaction() as session:
            session.add(
                DbUndo(
                    id=self.new_id("undo"),
                    event_id=event_id,
                    together=together or None,
                    action=action,
                    vm_id=vm_id,
                    put_back=put_back,
                    made_by=actor.id,
                    made_at=now,
                    until=now + UNDOABLE[action].lasts,
                    problem="",
                )
            )


def close(session: Session, vm_id: str, action: str, now: datetime) -> None:
    """That change of a machine came to nothing: from ``now`` on it cannot be undone, and says why."""
    still_open = DbUndo.vm_id == vm_id, DbUndo.action == action, DbUndo.used_at.is_(None), DbUndo.until > now
    session.execute(update(DbUndo).where(*still_open).values(until=now, problem=CAME_TO_NOTHING))
