"""Notes that admins keep about an account. Its owner never sees them; they are erased with the account."""

from datetime import timedelta

from sqlalchemy import select

from zentry_web.domain.event import Subject
from zentry_web.domain.language import _
from zentry_web.domain.text import clean_text
from zentry_web.domain.user import LONGEST_NOTE, Actor, UserNote
from zentry_web.models import DbUser, DbUserNote
from zentry_web.services.base_service import BaseService
from zentry_web.services.errors import ConflictError, NotFoundError, PermissionDeniedError
from zentry_web.services.shared.access import require_admin
from zentry_web.services.shared.account_rows import require_user_row
from zentry_web.services.shared.fields import Fields

MOST_NOTES = 200  # of one account
TWICE = timedelta(minutes=1)  # the same text again within this time is a button pressed twice


class UserNotes(BaseService):
    """Plain text, appended and never changed; a part of UserService. For admins only."""

    name = "user_notes"

    def list_notes(self, user_id: str, *, actor: Actor) -> list[UserNote]:
        """The notes about an account, newest first."""
        require_admin(actor)
        query = (
            select(DbUserNote, DbUser.name)
            .join(DbUser, DbUser.id == DbUserNote.author_id)
            .where(DbUserNote.user_id == user_id)
            .order_by(DbUserNote.at.desc(), DbUserNote.id.desc())
        )
        with self.reading() as session:
            return [_as_note(row, name) for row, name in session.execute(query)]

    def add(self, user_id: str, text: object, *, actor: Actor) -> UserNote:
        """Append a note. The same text sent twice in a minute is one note.

        Raises ValidationError on ``text``, NotFoundError, ConflictError (too many).
        """
        require_admin(actor)
        fields = Fields({"text": text})
        written = fields.take("text", _parse, "")
        fields.check()
        with self.transaction() as session:
            require_user_row(session, user_id, lock=True)
            notes = self.list_notes(user_id, actor=actor)
            for note in notes:
                if (note.author_id, note.text) == (actor.id, written) and self.now() - note.at < TWICE:
                    return note
            if len(notes) >= MOST_NOTES:
                raise ConflictError(
                    _("There are %(most)s notes about this account. Delete some of yours first.", most=MOST_NOTES)
                )
            row = DbUserNote(
                id=self.new_id("note"), user_id=user_id, author_id=actor.id, at=self.now(), text=written
            )  # fmt: skip
            session.add(row)
            session.flush()
            self._log("user.note", row, actor)
            return next(note for note in self.list_notes(user_id, actor=actor) if note.id == row.id)

    def remove(self, user_id: str, note_id: str, *, actor: Actor) -> None:
        """Delete a note of one's own. Raises NotFoundError, PermissionDeniedError for another admin's."""
        require_admin(actor)
        with self.transaction() as session:
            mine = DbUserNote.id == note_id, DbUserNote.user_id == user_id
            row = session.scalar(select(DbUserNote).where(*mine))
            if row is None:
                raise NotFoundError(_("There is no such note."))
            if row.author_id != actor.id:
                raise PermissionDeniedError(_("Only who wrote a note can delete it."))
            self._log("user.note_removed", row, actor)
            session.delete(row)

    def _log(self, action: str, row: DbUserNote, actor: Actor) -> None:
        # It belongs to the admin's activity: the person must not learn of it.
        self.audit(action, Subject("user_note", row.id, actor.id), {"user": row.user_id}, actor=actor)


def _parse(value: object) -> str:
    text = clean_text(value, longest=LONGEST_NOTE)
    if not text:
        raise ValueError(_("Write something."))
    return text


def _as_note(row: DbUserNote, author_name: str) -> UserNote:
    return UserNote(row.id, row.author_id, author_name, row.at, row.text)
