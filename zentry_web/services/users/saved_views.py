"""Lists as people save them: what an address asks for, by a name. One of them may be what the list opens with."""

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from zentry_web.adapters.database import run
from zentry_web.domain.language import _
from zentry_web.domain.people.saved_view import LONGEST_NAME, LONGEST_QUERY, MOST_VIEWS, ListKind, SavedView
from zentry_web.domain.text import clean_name
from zentry_web.domain.user import SYSTEM, Actor
from zentry_web.models import DbSavedView
from zentry_web.services.base_service import BaseService
from zentry_web.services.errors import ConflictError, NotFoundError
from zentry_web.services.shared.access import require_self
from zentry_web.services.shared.account_rows import require_user_row
from zentry_web.services.shared.fields import Fields, invalid


class SavedViews(BaseService):
    """List, save, change, delete; a part of UserService."""

    name = "saved_views"

    def list_views(self, user_id: str, kind: ListKind, *, actor: Actor = SYSTEM) -> list[SavedView]:
        """A person's views of a list, by name. One statement. Raises NotFoundError for somebody else's."""
        require_self(actor, user_id)
        with self.reading() as session:
            return _read(session, user_id, kind)

    def get_view(self, user_id: str, view_id: str, *, actor: Actor = SYSTEM) -> SavedView:
        """One of them. Raises NotFoundError."""
        require_self(actor, user_id)
        with self.reading() as session:
            return _as_view(_require(session, user_id, view_id))

    def save(
        self, user_id: str, kind: ListKind, name: object, query: str, *, is_default: bool = False, actor: Actor = SYSTEM
    ) -> SavedView:
        """Keep what a list shows. Raises ValidationError (``name``), ConflictError (20 of each list), NotFoundError."""
        require_self(actor, user_id)
        name = _take_name(name)
        if len(query) > LONGEST_QUERY:
            raise invalid({"name": _("This search is too long to be saved.")})
        with self.transaction() as session:
            require_user_row(session, user_id, lock=True)
            kept = _read(session, user_id, kind)
            _require_free(kept, name)
            if len(kept) >= MOST_VIEWS:
                raise ConflictError(
                    _("There are %(most)s views of this list already. Delete one that is not needed.", most=MOST_VIEWS)
                )
            row = DbSavedView(
                id=self.new_id("view"), user_id=user_id, kind=kind, name=name, query=query, is_default=False
            )
            session.add(row)
            session.flush()
            _let_open(session, row, is_default)
            return _as_view(row)

    def change(self, user_id: str, view_id: str, name: object, *, is_default: bool, actor: Actor = SYSTEM) -> SavedView:
        """Call it something else, let the list open with it or no longer. Raises as ``save``."""
        require_self(actor, user_id)
        name = _take_name(name)
        with self.transaction() as session:
            require_user_row(session, user_id, lock=True)
            row = _require(session, user_id, view_id)
            _require_free([each for each in _read(session, user_id, ListKind(row.kind)) if each.id != view_id], name)
            row.name = name
            _let_open(session, row, is_default)
            return _as_view(row)

    def delete(self, user_id: str, view_id: str, *, actor: Actor = SYSTEM) -> SavedView:
        """Keep it no longer; returns what it was. Raises NotFoundError."""
        require_self(actor, user_id)
        with self.transaction() as session:
            row = _require(session, user_id, view_id)
            gone = _as_view(row)
            session.delete(row)
            return gone


def _read(session: Session, user_id: str, kind: ListKind) -> list[SavedView]:
    query = select(DbSavedView).where(DbSavedView.user_id == user_id, DbSavedView.kind == kind)
    return sorted(map(_as_view, session.scalars(query)), key=lambda view: (view.name.casefold(), view.id))


def _require(session: Session, user_id: str, view_id: str) -> DbSavedView:
    row = session.scalar(select(DbSavedView).where(DbSavedView.user_id == user_id, DbSavedView.id == view_id))
    if row is None:
        raise NotFoundError(_("There is no such view."))
    return row


def _let_open(session: Session, row: DbSavedView, is_default: bool) -> None:
    if is_default:
        others = DbSavedView.user_id == row.user_id, DbSavedView.kind == row.kind, DbSavedView.id != row.id
        run(session, update(DbSavedView).where(*others).values(is_default=False))
    row.is_default = is_default


def _take_name(name: object) -> str:
    fields = Fields({"name": name})
    found: str = fields.take("name", lambda value: clean_name(value, longest=LONGEST_NAME), "")
    fields.check()
    return found


def _require_free(kept: list[SavedView], name: str) -> None:
    if any(each.name.casefold() == name.casefold() for each in kept):
        raise invalid({"name": _("You have a view of that name.")})


def _as_view(row: DbSavedView) -> SavedView:
    return SavedView(row.id, ListKind(row.kind), row.name, row.query, row.is_default)
