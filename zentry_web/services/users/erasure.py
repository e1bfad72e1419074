"""Erasing an account: what the register in personal_data.py says of every table, in one transaction."""

from typing import Any

from sqlalchemy import and_, delete, func, or_, select, update
from sqlalchemy.orm import Session

from zentry_web.adapters.database import run
from zentry_web.domain.event import UNKNOWN_ACCOUNT, Subject
from zentry_web.domain.language import _
from zentry_web.domain.user import SYSTEM, Actor
from zentry_web.domain.vms.state import VMState
from zentry_web.models import DbEvent, DbEventPersonal, DbMailRequest, DbProjectInvitation, DbUser, DbVM
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.billing_service import BillingService
from zentry_web.services.errors import ConflictError
from zentry_web.services.monitoring_service import MonitoringService
from zentry_web.services.project_service import ProjectService
from zentry_web.services.shared.access import require_self
from zentry_web.services.shared.account_rows import require_user_row
from zentry_web.services.shared.fields import email_key
from zentry_web.services.users.personal_data import PERSONAL, PERSONAL_METRICS, Erasure
from zentry_web.services.users.ssh_keys import forget_in_machines

ERASED_NAME = "Erased account"
_INSTEAD = {"name": "Erased", "name_key": "erased"}  # of projects and machines; all else is emptied
# Events of others whose personal fields hold an address that somebody typed.
_NAMING_ADDRESSES = ("member.invite", "auth.email_change_ask")


class AccountErasure(BaseService):
    """A part of UserService."""

    name = "account_erasure"

    def __init__(
        self, core: Core, billing: BillingService, project: ProjectService, monitoring: MonitoringService
    ) -> None:
        super().__init__(core)
        self._billing = billing
        self._project = project
        self._monitoring = monitoring

    def erase(self, user_id: str, *, actor: Actor = SYSTEM) -> None:
        """Erase what is personal about an account, for good. Ledger and events stay, with ids only.

        Raises ConflictError while VMs are left, NotFoundError.
        """
        require_self(actor, user_id)
        with self.transaction() as session:
            self._billing.wallets.lock(user_id)
            row = require_user_row(session, user_id, lock=True)
            if session.scalar(select(DbVM.id).where(DbVM.owner_id == user_id, DbVM.state != VMState.DELETED).limit(1)):
                raise ConflictError(_("Delete all virtual machines of the account first."))
            # Another database: what goes here is of machines that are gone, whatever becomes of this transaction.
            machines = list(session.scalars(select(DbVM.id).where(DbVM.owner_id == user_id)))
            self._monitoring.forget_machines(list(PERSONAL_METRICS), machines)
            _erase_addresses(session, row)
            self._billing.payments.erase(user_id)
            self._project.members.erase(user_id)
            forget_in_machines(session, user_id)
            _erase_tables(session, user_id)
            self._empty(row)
            session.flush()
            without_trace = Actor(actor.id, actor.role, request_id=actor.request_id)
            self.audit("user.erased", Subject.user(user_id), actor=without_trace)

    def _empty(self, row: DbUser) -> None:
        row.email = row.email_key = f"{row.id}@erased.invalid"
        row.name, row.password_hash, row.time_zone = ERASED_NAME, None, "UTC"
        row.region, row.language, row.theme, row.shortcuts, row.mail_refused = "", "", None, True, ""
        row.disabled_at = row.disabled_at or self.now()
        row.deletion_at = row.email_proven_at = None


def _erase_tables(session: Session, user_id: str) -> None:
    """The rows and fields that the register names; rows that refer to others first."""
    order = {table: number for number, table in enumerate(DbUser.metadata.sorted_tables)}
    for each in sorted(PERSONAL, key=lambda each: -order[each.table.__table__]):
        statement: Any = None
        if each.erasure == Erasure.ROWS:
            statement = delete(each.table)
        elif each.emptied and each.table is not DbUser:
            statement = update(each.table).values({column: _INSTEAD.get(column, "") for column in each.emptied})
        if statement is not None:
            mine = each.whose(user_id)
            run(session, statement.where(mine))


def _erase_addresses(session: Session, row: DbUser) -> None:
    """Personal fields of every event that is about the account, belongs to it, was caused by it, or holds one of its
    addresses; and what else stands under one that the account had."""
    events = select(DbEvent.id).where(or_(DbEvent.owner_id == row.id, DbEvent.actor_id == row.id))
    addresses = _addresses(session, row)
    by_others = select(DbEvent.id).where(DbEvent.action.in_(_NAMING_ADDRESSES))
    named = and_(
        or_(DbEventPersonal.subject_id == UNKNOWN_ACCOUNT, DbEventPersonal.event_id.in_(by_others)),
        func.lower(DbEventPersonal.fields["email"].as_string()).in_({each.lower() for each in addresses}),
    )
    mine = or_(DbEventPersonal.subject_id == row.id, DbEventPersonal.event_id.in_(events), named)
    keys = {email_key(each) for each in addresses}
    asked = session.execute(select(DbMailRequest.id, DbMailRequest.email))
    requests = [request_id for request_id, email in asked if email_key(email) in keys]
    for statement in (
        delete(DbEventPersonal).where(mine),
        delete(DbMailRequest).where(DbMailRequest.id.in_(requests)),
        delete(DbProjectInvitation).where(DbProjectInvitation.email_key.in_(keys)),
    ):
        run(session, statement)


def _addresses(session: Session, row: DbUser) -> set[str]:
    """The account's address and those it had before, as far as its events tell."""
    changes = select(DbEvent.id).where(
        DbEvent.resource_id == row.id, DbEvent.action.in_(("auth.signup", "auth.email_change"))
    )
    fields = session.scalars(select(DbEventPersonal.fields).where(DbEventPersonal.event_id.in_(changes)))
    found = {each[name] for each in fields for name in ("email", "old_email") if each.get(name)}
    return found | {row.email}
