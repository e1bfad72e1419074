"""UserService: accounts as people and admins see them, the overview, activity and the audit trail."""

from collections.abc import Collection, Iterator

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import Session, aliased

from zentry_web.domain.directory import PeopleFilter
from zentry_web.domain.event import Event
from zentry_web.domain.overview import AdminOverview, BusyVM, Dashboard
from zentry_web.domain.user import SYSTEM, Actor, User, UserRow
from zentry_web.domain.vm import VM, VMState
from zentry_web.models import (
    DbEvent,
    DbProject,
    DbProjectMember,
    DbUsageInterval,
    DbUser,
    DbVM,
)
from zentry_web.services.access import member_projects, read_audience, require_admin, require_self
from zentry_web.services.account_closure import AccountClosure
from zentry_web.services.account_erasure import AccountErasure
from zentry_web.services.account_rows import require_user_row, to_user
from zentry_web.services.announcements import Announcements
from zentry_web.services.auth_service import AuthService
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.billing_service import BillingService
from zentry_web.services.data_export import DataExport
from zentry_web.services.errors import NotFoundError
from zentry_web.services.event_log import for_viewer, latest_seq, read_events, read_events_after
from zentry_web.services.fields import email_key, storable
from zentry_web.services.monitoring_service import MonitoringService
from zentry_web.services.project_rows import as_project
from zentry_web.services.project_service import ProjectService
from zentry_web.services.rate_limit import RateLimiter
from zentry_web.services.ssh_keys import SshKeys
from zentry_web.services.usage_reports import month_spend, spend_by_project
from zentry_web.services.user_access import UserAccess
from zentry_web.services.user_bulk import UserBulk
from zentry_web.services.user_directory import UserDirectory
from zentry_web.services.user_notes import UserNotes
from zentry_web.services.user_views import UserViews
from zentry_web.services.vm_queries import as_vm, vm_query
from zentry_web.services.vm_service import VMService

DEAREST_PROJECTS = 5
BUSIEST_VMS = 5
ATTENTION_VMS = 5
RECENT_EVENTS = 8
CHUNK = 500  # events of a file that are read at once
MOST_COMPARED = 500  # of others' running VMs, when the busiest are looked for
UNTOLD = ("vm.answered", "user.view_page", "user.view_end")  # in the overview: of a look its beginning is enough
SIGN_INS = (
    *("auth.login", "auth.logout", "auth.password_change", "auth.password_reset", "auth.link_redeemed"),
    *("auth.factor", "auth.factor_add", "auth.factor_remove", "auth.factor_reset", "auth.codes_new", "auth.code_used"),
    *("auth.proof", "auth.session_reuse", "auth.oidc_link", "auth.oidc_unlink", "auth.email_change"),
)


class UserService(BaseService):
    """Reads over all features, and what admins do to accounts."""

    name = "user"

    def __init__(
        self,
        core: Core,
        auth: AuthService,
        billing: BillingService,
        project: ProjectService,
        vm: VMService,
        monitoring: MonitoringService,
    ) -> None:
        super().__init__(core)
        self._auth = auth
        self._billing = billing
        self._project = project
        self._vm = vm
        self._monitoring = monitoring
        self.closure = AccountClosure(core, auth, billing, project, vm)
        self.export = DataExport(core, monitoring)
        self._erasure = AccountErasure(core, billing, project, monitoring)
        self.directory = UserDirectory(core)
        self.announcements = Announcements(core)
        self.notes = UserNotes(core)
        self.ssh_keys = SshKeys(core, billing.notices)
        self.access = UserAccess(core, auth, billing)
        self.views = UserViews(core)
        self.bulk = UserBulk(core, self.access, self.directory, auth, billing)

    # -- accounts -------------------------------------------------------------------------------

    def get_user(self, user_id: str, *, actor: Actor = SYSTEM) -> User:
        """An account: one's own, or any for admins. Raises NotFoundError."""
        require_self(actor, user_id)
        with self.reading() as session:
            return to_user(require_user_row(session, user_id))

    def find_by_email(self, email: str, *, actor: Actor = SYSTEM) -> User | None:
        """The account with this address, however it is spelled; for admins. Raises PermissionDeniedError."""
        require_admin(actor)
        with self.reading() as session:
            row = session.scalar(select(DbUser).where(DbUser.email_key == email_key(email)))
            return to_user(row) if row else None

    def list_users(
        self, *, actor: Actor = SYSTEM, search: str = "", before: str | None = None, limit: int = 50
    ) -> list[UserRow]:
        """Accounts, newest first, with their credits (micro) and VMs; for admins.

        ``search`` is part of an e-mail address or name, or an id; ``before`` the id of the last row seen. More filters
        and orders: ``directory.list_people``. Raises PermissionDeniedError.
        """
        return self.directory.list_people(PeopleFilter(search=search), actor=actor, before=before, limit=limit)

    def set_disabled(self, user_id: str, disabled: bool, *, actor: Actor = SYSTEM) -> User:
        """Shut an account out (its sessions end at once) or let it in again; for admins, not on themselves.

        Its VMs go on running and are billed. Raises PermissionDeniedError, NotFoundError, ConflictError.
        """
        return self.access.set_disabled(user_id, disabled, actor=actor)

    def erase_personal_data(self, user_id: str, *, actor: Actor = SYSTEM) -> None:
        """Erase name, e-mail address, password, sessions and all personal fields of the account's events, for good.

        Ledger and events stay, with ids only. Raises ConflictError while VMs are left, NotFoundError.
        """
        self._erasure.erase(user_id, actor=actor)

    def close_account(self, user_id: str) -> None:
        """Go on deleting an account whose time has come: to be called until ``closure.list_due`` names it no more."""
        self.set_disabled(user_id, True)  # nothing new begins while it is cleared
        if self.closure.clear(user_id):
            self.erase_personal_data(user_id)

    # -- overviews ------------------------------------------------------------------------------

    def get_dashboard(self, user_id: str, *, actor: Actor = SYSTEM) -> Dashboard:
        """A person's overview: what is theirs, and the projects of others they belong to. At most nine statements,
        twelve with others', however many VMs and projects. Raises NotFoundError."""
        require_self(actor, user_id)
        with self.reading() as session:
            zone, rows = _projects(session, user_id)
            projects = [row for row, _ in rows]
            shared = {row.id: (row.owner_id, theirs) for row, theirs in rows if row.owner_id != user_id}
            spend = month_spend(session, user_id, self.now(), zone) | spend_by_project(session, shared, self.now())
            dearest = sorted(projects, key=lambda row: (-spend.get(row.id, 0), row.name_key))[:DEAREST_PROJECTS]
            recent = _recent_events(session, user_id, list(shared))
            others = _running_vms(session, list(shared)) if shared else ()
            samples = self._monitoring.get_busiest(user_id, BUSIEST_VMS, others=others)
            attention, busy = _striking_vms(session, user_id, [sample.vm_id for sample in samples])
            lines = self._monitoring.get_sparklines(list(busy)) if busy else {}
            return Dashboard(
                balance=self._billing.get_balance(user_id, actor=actor),
                state_counts=self._vm.count_by_state(user_id, actor=actor),
                projects_count=len(projects),
                project_spend=tuple((as_project(row), spend.get(row.id, 0)) for row in dearest),
                recent=tuple(for_viewer(recent, actor)),
                attention=attention,
                busiest=tuple(
                    BusyVM(busy[sample.vm_id], sample.cpu_percent, lines.get(sample.vm_id, ()))
                    for sample in samples
                    if sample.vm_id in busy
                ),
            )

    def get_admin_overview(self, *, actor: Actor = SYSTEM) -> AdminOverview:
        """The whole installation at a glance; for admins. Raises PermissionDeniedError."""
        require_admin(actor)
        with self.reading() as session:
            burn = select(func.sum(DbUsageInterval.rate_micro_per_hour)).where(
                ~DbUsageInterval.settled, DbUsageInterval.end_at.is_(None)
            )
            return AdminOverview(
                users=session.scalar(select(func.count()).select_from(DbUser)) or 0,
                vms_by_state=self._vm.count_by_state(None, actor=actor),
                burn_micro_per_hour=int(session.scalar(burn) or 0),
                system_balances=self._billing.get_system_balances(),
                compute=self._monitoring.get_compute_status(),
                heartbeats=tuple(self._monitoring.list_heartbeats()),
            )

    # -- events ---------------------------------------------------------------------------------

    def list_activity(
        self, user_id: str, *, actor: Actor = SYSTEM, before: int | None = None, limit: int = 50
    ) -> list[Event]:
        """What happened to a person's things, newest first; ``before`` is the ``seq`` of the last row seen.

        Addresses and browsers are those of the actor asking and of refused log-ins. Raises NotFoundError.
        """
        require_self(actor, user_id)
        with self.reading() as session:
            events = read_events(session, DbEvent.owner_id == user_id, before=before, limit=limit, endings=False)
        return for_viewer(events, actor)

    def search_audit(
        self,
        *,
        actor: Actor = SYSTEM,
        action: str = "",
        actor_id: str = "",
        resource_id: str = "",
        outcome: str = "",
        before: int | None = None,
        limit: int = 50,
    ) -> list[Event]:
        """The audit trail, newest first, with personal fields and whether they still match their hash; for admins.

        ``action`` may be a group such as ``auth.``; ``actor_id`` also an e-mail address. ``before`` is the ``seq``
        of the last row seen. Raises PermissionDeniedError.
        """
        require_admin(actor)
        action, actor_id, resource_id, outcome = map(storable, (action, actor_id, resource_id, outcome))
        conditions: list[ColumnElement[bool]] = []
        if action.endswith("."):  # all that begin with it; '/' is the character after '.'
            conditions += [DbEvent.action >= action, DbEvent.action < f"{action[:-1]}/"]
        elif action:
            conditions.append(DbEvent.action == action)
        if resource_id:
            conditions.append(DbEvent.resource_id == resource_id)
        if outcome:
            conditions.append(DbEvent.outcome == outcome)
        with self.reading() as session:
            if "@" in actor_id:
                actor_id = session.scalar(select(DbUser.id).where(DbUser.email_key == email_key(actor_id))) or "nobody"
            if actor_id:
                conditions.append(DbEvent.actor_id == actor_id)
            return read_events(session, *conditions, before=before, limit=limit)

    def export_audit(self, *, actor: Actor = SYSTEM, **filters: str) -> Iterator[Event]:
        """The trail as ``search_audit`` finds it, all of it, for a file; for admins. That it was taken is audited.

        Read in chunks, none of which holds a transaction open for the others. Raises PermissionDeniedError,
        RateLimitedError.
        """
        require_admin(actor)
        RateLimiter(self._core).check_actor("file", actor)
        details = {name: bool(value) for name, value in filters.items() if name != "actor_id"}
        self.log_audit_event(actor.id, "audit.export", "event", "all", details, actor=actor)
        return self._audit_chunks(actor, filters)

    def _audit_chunks(self, actor: Actor, filters: dict[str, str]) -> Iterator[Event]:
        before: int | None = None
        while True:
            events = self.search_audit(actor=actor, before=before, limit=CHUNK, **filters)
            yield from events
            if len(events) < CHUNK:
                return
            before = events[-1].seq

    def list_sign_ins(
        self, user_id: str, *, actor: Actor = SYSTEM, before: int | None = None, limit: int = 30
    ) -> list[Event]:
        """Log-ins, refused ones too, and changes of the password, newest first. Raises NotFoundError.

        ``before`` is the ``seq`` of the last row seen.
        """
        require_self(actor, user_id)
        mine = DbEvent.owner_id == user_id, DbEvent.action.in_(SIGN_INS)
        with self.reading() as session:
            found = read_events(session, *mine, before=before, limit=limit)
            return for_viewer(found, actor)

    def latest_seq(self) -> int:
        """The newest event's number; 0 when there is none."""
        with self.reading() as session:
            return latest_seq(session)

    def events_after(self, seq: int, limit: int = 500) -> list[Event]:
        """Events after ``seq``, oldest first, without names and personal fields.

        On PostgreSQL numbers are given before the commit: a lower one may still appear after a higher one.
        """
        with self.reading() as session:
            return read_events_after(session, seq, limit)

    def audience(self, project_ids: Collection[str]) -> dict[str, frozenset[str]]:
        """The members of each of these projects now: who may hear of events there. One statement."""
        with self.reading() as session:
            return read_audience(session, project_ids)


def _projects(session: Session, user_id: str) -> tuple[str, list[tuple[DbProject, str]]]:
    """The account's time zone and the projects it belongs to, each with its owner's. Raises NotFoundError."""
    owner = aliased(DbUser)
    rows = session.execute(
        select(DbUser.time_zone, DbProject, owner.time_zone)
        .outerjoin(DbProjectMember, DbProjectMember.user_id == DbUser.id)
        .outerjoin(DbProject, (DbProject.id == DbProjectMember.project_id) & DbProject.deleted_at.is_(None))
        .outerjoin(owner, owner.id == DbProject.owner_id)
        .where(DbUser.id == user_id)
    ).all()
    if not rows:
        raise NotFoundError("There is no such account.")
    return rows[0][0], [(row, zone) for _, row, zone in rows if row is not None]


def _recent_events(session: Session, user_id: str, shared: list[str]) -> list[Event]:
    """The newest events of what is one's own, and of these projects of others."""
    own = DbEvent.owner_id == user_id
    more = DbEvent.action.not_in(UNTOLD)
    found = read_events(session, own, more, limit=RECENT_EVENTS, endings=False)
    if shared:
        theirs = DbEvent.project_id.in_(shared), DbEvent.owner_id != user_id
        found += read_events(session, *theirs, more, limit=RECENT_EVENTS, endings=False)
    return sorted(found, key=lambda event: -event.seq)[:RECENT_EVENTS]


def _running_vms(session: Session, project_ids: list[str]) -> list[str]:
    query = select(DbVM.id).where(DbVM.project_id.in_(project_ids), DbVM.state == VMState.RUNNING)
    return list(session.scalars(query.order_by(DbVM.id.desc()).limit(MOST_COMPARED)))


def _striking_vms(session: Session, user_id: str, busy_ids: list[str]) -> tuple[tuple[VM, ...], dict[str, VM]]:
    """The newest VMs that say why they are off or in error, and the running ones of ``busy_ids``. One statement."""
    mine = DbVM.project_id.in_(member_projects(user_id)), DbVM.deleted_at.is_(None)
    saying = select(DbVM.id).where(*mine, DbVM.state_reason != "").order_by(DbVM.id.desc()).limit(ATTENTION_VMS)
    query = vm_query().where(*mine, or_(DbVM.id.in_(saying), DbVM.id.in_(busy_ids))).order_by(DbVM.id.desc())
    vms = [as_vm(row) for row in session.execute(query)]
    attention = tuple(vm for vm in vms if vm.state_reason)[:ATTENTION_VMS]
    return attention, {vm.id: vm for vm in vms if vm.id in busy_ids and vm.state == VMState.RUNNING}
