"""UserService: accounts as people and admins see them, the overview, activity and the audit trail."""

from collections.abc import Collection
from datetime import timedelta

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from zentry_web.domain.credits.usage import next_month_start
from zentry_web.domain.event import Event, TrailFilter
from zentry_web.domain.overview import AdminOverview, BusyVM, Dashboard, FirstSteps
from zentry_web.domain.projects.project import RIGHTS
from zentry_web.domain.query_language import ListSearch, Term
from zentry_web.domain.user import SYSTEM, Actor, User, UserRow
from zentry_web.domain.vms.state import ON
from zentry_web.models import (
    DbEvent,
    DbUser,
    DbVM,
)
from zentry_web.services.auth_service import AuthService
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.billing_service import BillingService
from zentry_web.services.monitoring_service import MonitoringService
from zentry_web.services.project_service import ProjectService
from zentry_web.services.shared.access import read_audience, require_admin, require_self
from zentry_web.services.shared.account_rows import as_user, require_user_row
from zentry_web.services.shared.event_log import (
    events_query,
    fetch_events,
    for_viewer,
    latest_seq,
    read_events,
    read_events_after,
)
from zentry_web.services.shared.fields import email_key
from zentry_web.services.users.access import UserAccess
from zentry_web.services.users.announcements import Announcements
from zentry_web.services.users.bulk import UserBulk
from zentry_web.services.users.closure import AccountClosure
from zentry_web.services.users.directory import UserDirectory
from zentry_web.services.users.erasure import AccountErasure
from zentry_web.services.users.event_export import EventExport
from zentry_web.services.users.export import DataExport
from zentry_web.services.users.frame import PageFrame
from zentry_web.services.users.installation import Installation
from zentry_web.services.users.mail_check import MailCheck
from zentry_web.services.users.notes import UserNotes
from zentry_web.services.users.saved_views import SavedViews
from zentry_web.services.users.search import Search
from zentry_web.services.users.ssh_keys import SshKeys
from zentry_web.services.users.trail import AuditTrail
from zentry_web.services.users.views import UserViews
from zentry_web.services.users.waiting import read_waiting
from zentry_web.services.vm_service import VMService

FIRST_DAYS = timedelta(days=14)  # as long as an account counts as new
DEAREST_PROJECTS = 5
BUSIEST_VMS = 5
ATTENTION_VMS = 5
RECENT_EVENTS = 8
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
        self.frame = PageFrame(core, monitoring)
        self.mail_check = MailCheck(core, billing.notices)
        self.notes = UserNotes(core)
        self.saved_views = SavedViews(core)
        self.ssh_keys = SshKeys(core, billing.notices)
        self.event_export = EventExport(core)
        self.access = UserAccess(core, auth, billing)
        self.views = UserViews(core)
        self.trail = AuditTrail(core)
        self.installation = Installation(core, billing, vm, monitoring)
        self.search = Search(core, project, vm)
        self.bulk = UserBulk(core, self.access, self.directory, auth, billing)

    # -- accounts -------------------------------------------------------------------------------

    def get_user(self, user_id: str, *, actor: Actor = SYSTEM) -> User:
        """An account: one's own, or any for admins. Raises NotFoundError."""
        require_self(actor, user_id)
        with self.reading() as session:
            return as_user(require_user_row(session, user_id))

    def find_by_email(self, email: str, *, actor: Actor = SYSTEM) -> User | None:
        """The account with this address, however it is spelled; for admins. Raises PermissionDeniedError."""
        require_admin(actor)
        with self.reading() as session:
            row = session.scalar(select(DbUser).where(DbUser.email_key == email_key(email)))
            return as_user(row) if row else None

    def list_users(
        self, *, actor: Actor = SYSTEM, search: str = "", before: str | None = None, limit: int = 50
    ) -> list[UserRow]:
        """Accounts, newest first, with their credits (micro) and VMs; for admins.

        ``search`` is part of an e-mail address or name, or an id; ``before`` the id of the last row seen. More filters
        and orders: ``directory.list_people``. Raises PermissionDeniedError.
        """
        wanted = ListSearch((Term("", search),) if search.strip() else ())
        return self.directory.list_people(wanted, actor=actor, before=before, limit=limit)

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
        """A person's overview: what is theirs, and the projects of others they belong to. At most seven
        statements, ten with others', and four more while credits end, however many VMs and projects. Raises
        NotFoundError."""
        require_self(actor, user_id)
        zone, projects, states = self._project.list_with_zones(user_id)
        balance, spend, lately = self._billing.spending.get_money(user_id, zone)
        month_micro = sum(spend.values())
        with self.reading() as session:
            shared = {each.id: (each.owner_id, theirs) for each, theirs in projects if each.owner_id != user_id}
            spend |= self._billing.reports.spend_by_project(shared)
            dearest = sorted((each for each, _ in projects), key=lambda each: -spend.get(each.id, 0))
            costly = [(each, spend.get(each.id, 0)) for each in dearest]
            recent = _recent_events(session, user_id, list(shared))
            others = _running_vms(session, list(shared)) if shared else ()
            busiest = self._monitoring.get_busiest(user_id, BUSIEST_VMS, others=others)
            attention, busy = self._vm.list_striking(user_id, [each.vm_id for each, _ in busiest], ATTENTION_VMS)
            return Dashboard(
                balance=balance,
                state_counts=states,
                projects_count=len(projects),
                project_spend=tuple(each for each in costly if each[0].id not in shared)[:DEAREST_PROJECTS],
                shared_spend=tuple(each for each in costly if each[0].id in shared)[:DEAREST_PROJECTS],
                recent=tuple(for_viewer(recent, actor)),
                rights={each.id: RIGHTS[each.role] for each, _ in projects if each.role},
                attention=tuple(attention),
                busiest=tuple(
                    BusyVM(busy[sample.vm_id], sample.cpu_percent, sample.at, line)
                    for sample, line in busiest
                    if sample.vm_id in busy
                ),
                waiting=read_waiting(session, user_id, balance.at),
                lately=lately,
                month_micro=month_micro,
                month_end=next_month_start(balance.at, zone),
            )

    def get_first_steps(
        self, user: User, dashboard: Dashboard, *, has_factor: bool, actor: Actor = SYSTEM
    ) -> FirstSteps | None:
        """What somebody whose account is new has done of what one does first; None once the account is older than
        ``FIRST_DAYS``, or all is done. No statement."""
        require_self(actor, user.id)
        if self.now() - user.created_at >= FIRST_DAYS:
            return None
        has_key, has_budget = dashboard.waiting.has_key, dashboard.waiting.has_budget
        steps = FirstSteps(has_key, dashboard.projects_count > 0, dashboard.vm_count > 0, has_factor, has_budget)
        return None if steps.done == 5 else steps

    def get_admin_overview(self, *, actor: Actor = SYSTEM) -> AdminOverview:
        """The whole installation at a glance; for admins. Raises PermissionDeniedError."""
        return self.installation.get_overview(actor=actor)

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
        wanted = TrailFilter(action, actor_id, resource_id, outcome)
        return self.trail.search_events(wanted, actor=actor, before=before, limit=limit)

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


_TOLD = DbEvent.action.not_in(UNTOLD)
# Built once: each overview asks it.
_OWN_RECENT = events_query(DbEvent.owner_id == bindparam("user"), _TOLD, limit=RECENT_EVENTS, endings=False)


def _recent_events(session: Session, user_id: str, shared: list[str]) -> list[Event]:
    """The newest events of what is one's own, and of these projects of others."""
    found = fetch_events(session, _OWN_RECENT, {"user": user_id})
    if shared:
        theirs = DbEvent.project_id.in_(shared), DbEvent.owner_id != user_id, _TOLD
        found += read_events(session, *theirs, limit=RECENT_EVENTS, endings=False)
    return sorted(found, key=lambda event: -event.seq)[:RECENT_EVENTS]


def _running_vms(session: Session, project_ids: list[str]) -> list[str]:
    query = select(DbVM.id).where(DbVM.project_id.in_(project_ids), DbVM.state.in_(ON))
    return list(session.scalars(query.order_by(DbVM.id.desc()).limit(MOST_COMPARED)))
