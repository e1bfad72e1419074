"""The command palette's look into the database: what fits a few letters, as far as somebody may see it."""

from calendar import month_name
from collections.abc import Sequence

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from zentry_web.domain.projects.project import Project
from zentry_web.domain.search import Found, StatementFound, fit
from zentry_web.domain.user import Actor, User
from zentry_web.domain.vms.vm import VM
from zentry_web.models import DbEvent, DbStatement, DbUser
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.project_service import ProjectService
from zentry_web.services.shared.account_rows import as_user
from zentry_web.services.shared.finding import CANDIDATES, in_order, nearness
from zentry_web.services.vm_service import VMService

MOST_VMS, MOST_PROJECTS, MOST_PEOPLE, MOST_STATEMENTS = 6, 5, 5, 3
MONTHS = 60  # of statements, looked through
EVENTS = 60  # of one's own, to see what one works with


class Search(BaseService):
    """A part of UserService."""

    name = "search"

    def __init__(self, core: Core, project: ProjectService, vm: VMService) -> None:
        super().__init__(core)
        self._project = project
        self._vm = vm

    def find(self, words: Sequence[str], *, actor: Actor, acted_on: Sequence[str] | None = None) -> Found:
        """What fits ``words`` (domain/search.py words_of), and what fits ``acted_on`` for actions; with none of either,
        what the actor did something with lately. At most eight statements, whatever there is."""
        with self.reading() as session:
            recent = self._recent(session, actor) if not words or acted_on == () else Found()
            if not words:
                return recent
            vms, projects = self._things(words, actor)
            if acted_on:
                for_vms, for_projects = self._things(acted_on, actor)
            else:
                for_vms, for_projects = list(recent.vms), list(recent.projects)
            return Found(
                vms=tuple(vms),
                projects=tuple(projects),
                vms_for_action=tuple(for_vms),
                projects_for_action=tuple(for_projects),
                people=tuple(_people(session, words)) if actor.is_admin else (),
                statements=tuple(_statements(session, words, actor.id)),
            )

    def _things(self, words: Sequence[str], actor: Actor) -> tuple[list[VM], list[Project]]:
        vms = self._vm.finder.find(words, MOST_VMS, actor=actor)
        return vms, self._project.finder.find(words, MOST_PROJECTS, actor=actor)

    def _recent(self, session: Session, actor: Actor) -> Found:
        """The machines and projects of the actor's newest events. Three statements."""
        mine = select(DbEvent.vm_id, DbEvent.project_id).where(DbEvent.actor_id == actor.id)
        rows = session.execute(mine.order_by(DbEvent.seq.desc()).limit(EVENTS)).all()
        vm_ids = list(dict.fromkeys(row.vm_id for row in rows if row.vm_id))[:MOST_VMS]
        project_ids = list(dict.fromkeys(row.project_id for row in rows if row.project_id))[:MOST_PROJECTS]
        return Found(
            vms=tuple(self._vm.finder.list_these(vm_ids, actor=actor)),
            projects=tuple(self._project.finder.list_these(project_ids, actor=actor)),
        )


def _people(session: Session, words: Sequence[str]) -> list[User]:
    """The accounts whose names and addresses fit best. One statement."""
    name = func.lower(DbUser.name)
    fits = (or_(DbUser.email_key.contains(word, autoescape=True), in_order(name, word)) for word in words)
    query = select(DbUser).where(*fits).order_by(*nearness(name, words), DbUser.id).limit(CANDIDATES)
    found = [as_user(row) for row in session.scalars(query)]
    found.sort(key=lambda user: fit(words, f"{user.name} {user.email}") or 10**6)
    return found[:MOST_PEOPLE]


def _statements(session: Session, words: Sequence[str], user_id: str) -> list[StatementFound]:
    """Of somebody's closed months those that fit, the newest first. One statement."""
    query = select(DbStatement.id, DbStatement.month, DbStatement.number)
    query = query.where(DbStatement.owner_id == user_id).order_by(DbStatement.month.desc()).limit(MONTHS)
    found = []
    for row in session.execute(query):
        year, month = row.month.split("-")
        name = f"Statement {month_name[int(month)]} {year}"
        if fit(words, name, f"bill invoice {row.month} {row.number}") is not None:
            found.append(StatementFound(row.id, name))
    return found[:MOST_STATEMENTS]
