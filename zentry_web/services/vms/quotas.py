"""Quotas of projects and their owners: how they stand, refusing what would pass one, setting them (ADR 0016).

Every machine counts, whole: a stopped one may be started at any time, and keeps what it needs. Of one in the recycle
bin the disk counts, which is there; the rest is asked for again when it is restored.
"""

from collections.abc import Collection, Mapping
from functools import partial
from typing import Any

from sqlalchemy import delete, func, insert, literal, select, union_all
from sqlalchemy.orm import Session

from zentry_web.domain.event import Subject
from zentry_web.domain.language import _
from zentry_web.domain.projects.project import ProjectAction, may
from zentry_web.domain.projects.quota import (
    Amounts,
    Limits,
    Overrides,
    ParsedLimit,
    Quota,
    QuotaDefaults,
    QuotaHolder,
    Resource,
    Room,
    Scope,
    make_quota,
    make_room,
    parse_limit,
    refusal,
    with_overrides,
)
from zentry_web.domain.setting import quota_key
from zentry_web.domain.user import SYSTEM, Actor
from zentry_web.domain.vms.catalogue import Size
from zentry_web.domain.vms.operation import OPEN_OPERATION_STATES, OperationKind
from zentry_web.domain.vms.vm import VM
from zentry_web.models import DbOperation, DbProject, DbQuota, DbStored, DbUser, DbVM
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.billing_service import BillingService
from zentry_web.services.errors import NotFoundError, QuotaExceededError
from zentry_web.services.shared.access import find_role, require_admin, require_member, require_payer, require_self
from zentry_web.services.shared.fields import Fields

_DEFAULT: ParsedLimit = (False, None)


class Quotas(BaseService):
    """A part of VMService. Whoever looks before they change something holds the owner's wallet lock."""

    name = "quotas"

    def __init__(self, core: Core, billing: BillingService) -> None:
        super().__init__(core)
        self._billing = billing

    def get_defaults(self) -> QuotaDefaults:
        """The quotas of whom no admin has set others for: the one place that says so. One statement."""
        values = self._billing.settings.get_several([quota_key(scope, each) for scope in Scope for each in Resource])

        def limits(scope: Scope) -> Limits:
            found = [values[quota_key(scope, each)] for each in Resource]
            return Limits(*(limit if isinstance(limit, int) else None for limit in found))

        return QuotaDefaults(limits(Scope.USER), limits(Scope.PROJECT))

    # -- launches and resizes, inside the caller's transaction ----------------------------------

    def require_room(
        self, project_id: str, owner_id: str, more: Amounts, *, field: str = "size_id", moves_in: bool = False
    ) -> None:
        """Refuse what would pass the project's or its owner's quota. The owner's wallet is locked. Four statements.

        ``field`` is what in a form chose the amounts. What ``moves_in`` the owner has already. Raises
        QuotaExceededError.
        """
        with self.transaction() as session:
            quotas = self._read(session, project_id, owner_id)[: 1 if moves_in else 2]
        if problem := _problem(quotas, project_id, more, field):
            raise problem

    # -- looking --------------------------------------------------------------------------------

    def get_quotas(self, project_id: str, *, actor: Actor = SYSTEM) -> tuple[Quota, ...]:
        """How a project's quota stands, and that of its owner for those who may launch. Raises NotFoundError."""
        with self.reading() as session:
            project = require_member(session, actor, project_id, ProjectAction.VIEW)
            knows = may(find_role(session, actor, project_id), ProjectAction.FUNDS)
            of_project, of_owner = self._read(session, project_id, project.owner_id)
            return tuple(each for each in ((of_project, of_owner) if knows else (of_project,)) if each.gauges)

    def get_own(self, user_id: str, *, actor: Actor = SYSTEM) -> Quota:
        """How the quota of all projects that a person owns stands. Raises NotFoundError."""
        require_self(actor, user_id)
        with self.reading() as session:
            return self._read(session, "", user_id)[1]

    def get_room(self, project_id: str, more: Amounts, *, actor: Actor = SYSTEM) -> Room:
        """What is left for those who may launch in a project, and why ``more`` does not fit, if it does not.

        Raises NotFoundError, PermissionDeniedError.
        """
        with self.reading() as session:
            owner_id = require_member(session, actor, project_id, ProjectAction.LAUNCH).owner_id
            quotas = self._read(session, project_id, owner_id)
        problem = _problem(quotas, project_id, more, "")
        return Room(make_room(quotas), problem.message if problem else "")

    # -- admins ---------------------------------------------------------------------------------

    def get_holder(self, holder_id: str, *, actor: Actor = SYSTEM) -> QuotaHolder:
        """What an admin has set for an account or project, and what it takes up. Raises NotFoundError."""
        require_admin(actor)
        with self.reading() as session:
            scope, owner_id, name, _ = _find(session, holder_id)
            used = _read_used(session, owner_id)
            mine = used.get(holder_id, Amounts()) if scope == Scope.PROJECT else sum(used.values(), Amounts())
            overrides = _read_overrides(session, [holder_id]).get(holder_id, {})
        return QuotaHolder(holder_id, scope, name, self.get_defaults().of(scope), overrides, mine)

    def set_limits(self, holder_id: str, data: Mapping[str, object], *, actor: Actor = SYSTEM) -> None:
        """Set the limits of an account or project (``vms``, ``vcpus``, ``memory_mib``, ``disk_gib``, ``stored_gib``, as
        typed): a number, 'none' for no limit, nothing for the default; admins only. What there is stays, however low
        they are.

        Raises ValidationError (per field), NotFoundError.
        """
        require_admin(actor)
        fields, after = Fields(data), Overrides()
        for each in Resource:
            is_set, limit = fields.take(each, partial(parse_limit, each), _DEFAULT)
            if is_set:
                after[each] = limit
        fields.check()
        with self.transaction() as session:
            _, owner_id, _, _ = _find(session, holder_id)
            self._billing.wallets.lock(owner_id)  # no launch is judged by half of a change
            scope, payer_id, name, project_id = _find(session, holder_id)
            require_payer(payer_id, owner_id)
            before = _read_overrides(session, [holder_id]).get(holder_id, {})
            if before == after:
                return
            session.execute(delete(DbQuota).where(DbQuota.holder_id == holder_id))
            rows = [{"holder_id": holder_id, "resource": each, "amount": limit} for each, limit in after.items()]
            if rows:
                session.execute(insert(DbQuota), rows)
            holder = Subject(scope, holder_id, owner_id, project_id)
            details = {"before": _plain(before), "after": _plain(after)}
            personal = {"project": name} if scope == Scope.PROJECT else None
            self.audit(f"{scope}.quota", holder, details, actor=actor, personal=personal)

    # -- inside ---------------------------------------------------------------------------------

    def _read(self, session: Session, project_id: str, owner_id: str) -> tuple[Quota, Quota]:
        """The quota of a project and of its owner. Four statements."""
        used = _read_used(session, owner_id)
        overrides = _read_overrides(session, [project_id, owner_id])
        defaults = self.get_defaults()

        def quota(scope: Scope, holder_id: str, amounts: Amounts) -> Quota:
            limits: Limits = with_overrides(defaults.of(scope), overrides.get(holder_id, {}))
            return make_quota(scope, limits, amounts)

        return (
            quota(Scope.PROJECT, project_id, used.get(project_id, Amounts())),
            quota(Scope.USER, owner_id, sum(used.values(), Amounts())),
        )


def size_amounts(size: Size) -> Amounts:
    """What a machine of that size takes up."""
    return Amounts(1, size.vcpus, size.memory_mib, size.disk_gib)


def growth(vm: VM, size: Size) -> Amounts:
    """What a machine takes up more in that size."""
    return size_amounts(size).beyond(Amounts(1, vm.vcpus, vm.memory_mib, vm.disk_gib))


def _problem(quotas: Collection[Quota], project_id: str, more: Amounts, field: str) -> QuotaExceededError | None:
    for quota in quotas:
        if gauge := quota.refusing(more):
            wanted = more.of(gauge.resource)
            details = {
                "quota": gauge.resource.value, "scope": quota.scope.value, "limit": gauge.limit, "used": gauge.used,
                "wanted": wanted, "project_id": project_id,
                "field": "project_id" if gauge.resource == Resource.VMS else field,
            }  # fmt: skip
            return QuotaExceededError(refusal(quota.scope, gauge, wanted), details=details)
    return None


def _read_used(session: Session, owner_id: str) -> dict[str, Amounts]:
    """What an owner's machines, and what is stored of them, take up, per project; a machine whose size is being changed
    takes the larger of both, of one in the recycle bin there is the disk."""
    sums = (
        select(DbVM.project_id, func.count(), func.sum(DbVM.vcpus), func.sum(DbVM.memory_mib), func.sum(DbVM.disk_gib))
        .add_columns(literal(0))
        .where(DbVM.owner_id == owner_id, DbVM.deleted_at.is_(None))
        .group_by(DbVM.project_id)
    )
    binned = (
        select(DbVM.project_id, literal(0), literal(0), literal(0), func.sum(DbVM.disk_gib), literal(0))
        .where(DbVM.owner_id == owner_id, DbVM.purge_at.is_not(None))
        .group_by(DbVM.project_id)
    )
    stored = (
        select(DbStored.project_id, literal(0), literal(0), literal(0), literal(0), func.sum(DbStored.gib))
        .where(DbStored.owner_id == owner_id, DbStored.ended_at.is_(None))
        .group_by(DbStored.project_id)
    )
    used: dict[str, Amounts] = {}
    for row in session.execute(union_all(sums, binned, stored)):
        used[row[0]] = used.get(row[0], Amounts()) + Amounts(*map(int, row[1:]))
    growing = (
        select(DbVM.project_id, DbVM.vcpus, DbVM.memory_mib, DbVM.disk_gib, DbOperation.details)
        .join(DbVM, DbVM.id == DbOperation.vm_id)
        .where(DbVM.owner_id == owner_id, DbVM.deleted_at.is_(None))
        .where(DbOperation.kind == OperationKind.RESIZE, DbOperation.state.in_(OPEN_OPERATION_STATES))
    )
    for project_id, vcpus, memory_mib, disk_gib, details in session.execute(growing):
        now = Amounts(0, vcpus, memory_mib, disk_gib)
        then = Amounts(0, details["vcpus"], details["memory_mib"], details["disk_gib"])
        used[project_id] = used[project_id] + then.beyond(now)
    return used


def _read_overrides(session: Session, holder_ids: Collection[str]) -> dict[str, Overrides]:
    found: dict[str, Overrides] = {}
    query = select(DbQuota.holder_id, DbQuota.resource, DbQuota.amount).where(DbQuota.holder_id.in_(holder_ids))
    for holder_id, resource, amount in session.execute(query):
        found.setdefault(holder_id, {})[Resource(resource)] = amount
    return found


def _find(session: Session, holder_id: str) -> tuple[Scope, str, str, str | None]:
    """(what it is, whose wallet it is, its name, the project's id)."""
    if holder_id.startswith("prj"):
        query = select(DbProject.owner_id, DbProject.name).where(
            DbProject.id == holder_id, DbProject.deleted_at.is_(None)
        )
        if row := session.execute(query).one_or_none():
            return Scope.PROJECT, row.owner_id, row.name, holder_id
    elif row := session.execute(select(DbUser.id, DbUser.name).where(DbUser.id == holder_id)).one_or_none():
        return Scope.USER, row.id, row.name, None
    raise NotFoundError(_("There is no such account or project."))


def _plain(overrides: Overrides) -> dict[str, Any]:
    return {each.value: limit for each, limit in overrides.items()}
