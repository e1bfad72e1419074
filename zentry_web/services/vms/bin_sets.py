"""Deleting and restoring all machines of a project: what vm_bin.py does for one, for many at once.

One transaction marks them all, by a few statements: from then on they are deleted, or there again. What takes long,
their last charges, their operations and their events, follows in chunks, so that nobody waits for the write lock. A
machine whose turn is to come is told by its columns alone (``IS_LEAVING``, ``IS_RETURNING``): anybody can go on at any
time. Callers hold the owner's wallet.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.orm import Session

from zentry_web.adapters.database import run
from zentry_web.domain.credits.usage import BilledVM, seconds_between
from zentry_web.domain.event import Outcome, Subject
from zentry_web.domain.language import _
from zentry_web.domain.monitoring import ComputeStatus
from zentry_web.domain.user import SYSTEM, Actor, Role
from zentry_web.domain.vms.operation import STATE_WHEN_ACCEPTED, OperationKind
from zentry_web.domain.vms.state import VMState
from zentry_web.models import DbHold, DbProject, DbUsageInterval, DbUser, DbVM
from zentry_web.models.vm import IS_LEAVING, IS_RETURNING
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.errors import ConflictError
from zentry_web.services.vms.basis import VMBasis
from zentry_web.services.vms.operations import reason_of
from zentry_web.services.vms.runs import VANISHED

CHUNK = 50  # machines in one transaction: what keeps it well under 100 ms
COMING_BACK = "It comes back from the recycle bin in a moment."
_LATE = timedelta(seconds=60)  # without a word from the worker for so long, nothing is charged up to now
_SECONDS_PER_HOUR = 3600
_RESTORE_FACTS = (
    DbVM.id, DbVM.project_id, DbVM.owner_id, DbVM.state, DbVM.size_id, DbVM.image_id, DbVM.vcpus, DbVM.memory_mib,
    DbVM.disk_gib, DbVM.made,
)  # fmt: skip


class VMBinSets(BaseService):
    """A part of VMBin."""

    name = "vm_bin_sets"

    def __init__(self, core: Core, basis: VMBasis) -> None:
        super().__init__(core)
        self._billing, self._monitoring, self._operations = basis.billing, basis.monitoring, basis.operations

    # -- deleting -------------------------------------------------------------------------------

    def mark_deleted(self, session: Session, project: DbProject, actor: Actor) -> None:
        """All VMs of a project are deleted from now on and nothing is under way with them; ``leave`` does the rest.

        Raises ConflictError (protected).
        """
        here = DbVM.project_id == project.id, DbVM.deleted_at.is_(None)
        query = select(DbVM.id, DbVM.name, DbVM.protected, DbVM.state).where(*here).order_by(DbVM.id)
        rows = session.execute(query.with_for_update()).all()
        if names := [row.name for row in rows if row.protected]:
            raise ConflictError(
                _("Protected from deletion: %(names)s. Switch that off first.", names=", ".join(names[:10]))
            )
        leaving = [row.id for row in rows if row.state != VMState.DELETING]
        self._billing.catch_up(project.owner_id, leaving)  # for prices they count no more, once they are deleted
        self._operations.cancel_open(session, *leaving)
        _write(session, {"deleted_at": self.now(), "deleted_by": actor.id}, *here)

    def leave(self, session: Session, project: DbProject, actor: Actor | None) -> int:
        """Take the next VMs of a deleted project off the bill, up to its deletion, and have them powered off or
        deleted; how many. ``actor`` is who deleted it, if they are still there to tell from where."""
        vms = _locked(session, DbVM.id.in_(self._next_leaving(session, project.id)))
        if not vms:
            return 0
        actor = actor or _read_actor(session, vms[0].deleted_by)
        status, purge_at = self._monitoring.get_compute_status(), project.purge_at
        is_kept = {vm.id: purge_at is not None and was_made(vm) for vm in vms}
        kinds = {vm_id: OperationKind.BIN if kept else OperationKind.DELETE for vm_id, kept in is_kept.items()}
        ends = {vm.id: confirmed_end(vm, status, self.now()) for vm in vms}
        self._delete(session, vms, kinds, ends, purge_at, actor)
        return len(vms)

    def _next_leaving(self, session: Session, project_id: str) -> list[str]:
        """Those first whose hold has most too much: it may pay for what another one lacks, as if all went at once."""
        interval = DbUsageInterval
        query = (
            select(DbVM.id, DbVM.deleted_at, interval.settled_until, interval.rate_micro_per_hour, DbHold.remaining)
            .outerjoin(interval, (interval.vm_id == DbVM.id) & interval.end_at.is_(None) & interval.stored_id.is_(None))
            .outerjoin(DbHold, (DbHold.vm_id == DbVM.id) & DbHold.closed_at.is_(None))
            .where(DbVM.project_id == project_id, IS_LEAVING)
        )
        surplus: dict[str, int] = {}
        for vm_id, deleted_at, since, rate, held in session.execute(query):
            used = seconds_between(since, deleted_at) if since and deleted_at else 0
            surplus[vm_id] = (held or 0) * _SECONDS_PER_HOUR - (rate or 0) * used
        return sorted(surplus, key=lambda vm_id: (-surplus[vm_id], vm_id))[:CHUNK]

    def _delete(
        self,
        session: Session,
        vms: Sequence[DbVM],
        kinds: Mapping[str, OperationKind],
        ends: Mapping[str, datetime],
        purge_at: datetime | None,
        actor: Actor,
    ) -> None:
        """Each of these VMs of one owner by its kind of operation, billed up to its end."""
        reason = reason_of(vms[0], actor)
        operations = self._operations.enqueue_all(session, kinds, reason, actor=actor)
        drafts = [(f"vm.{kinds[vm.id]}", Subject.vm(vm, operations[vm.id])) for vm in vms]
        accepted = self.audit_all(drafts, {"reason": reason}, actor=actor, outcome=Outcome.ACCEPTED)
        events = dict(zip((vm.id for vm in vms), accepted, strict=True))
        self._billing.close_intervals(vms[0].owner_id, ends, events)
        off = {"state_reason": "", "credit_stopped_at": None, "disk_until": None}
        for kind in set(kinds.values()):
            kept = kind == OperationKind.BIN
            more = {"state": STATE_WHEN_ACCEPTED[kind], "purge_at": purge_at if kept else None}
            some = [vm_id for vm_id, each in kinds.items() if each == kind]
            _write(session, off | more | {"binned_with_project": kept}, DbVM.id.in_(some))
        _forget(session, vms)

    # -- restoring ------------------------------------------------------------------------------

    def lock_gone(self, session: Session, project_id: str) -> Sequence[Any]:
        """What has to be known of the VMs that went with a project to tell whether they can be restored; locked."""
        query = select(*_RESTORE_FACTS).where(*went_with(project_id)).order_by(DbVM.id)
        return session.execute(query.with_for_update()).all()

    def mark_restored(self, session: Session, project_id: str, actor: Actor) -> None:
        """The VMs that went with a project are there again, their names taken; ``come_back`` does the rest."""
        back = {"deleted_at": None, "purge_at": None, "binned_with_project": False}
        _write(session, back | {"deleted_by": actor.id, "state_reason": COMING_BACK}, *went_with(project_id))

    def come_back(self, session: Session, project: DbProject, actor: Actor | None) -> int:
        """Restore the next VMs of a restored project, each paid for from now on; how many. ``actor``: see ``leave``."""
        next_ones = select(DbVM.id).where(DbVM.project_id == project.id, IS_RETURNING).order_by(DbVM.id).limit(CHUNK)
        vms = _locked(session, DbVM.id.in_(list(session.scalars(next_ones))))
        if vms:
            self.restore(session, vms, actor=actor or _read_actor(session, vms[0].deleted_by))
        return len(vms)

    def restore(self, session: Session, vms: Sequence[DbVM], *, actor: Actor) -> None:
        """These VMs of one owner are back, off; their disks are paid for from now on."""
        done = self.audit_all([("vm.restore", Subject.vm(vm)) for vm in vms], actor=actor)
        events = dict(zip((vm.id for vm in vms), done, strict=True))
        back = {"deleted_at": None, "purge_at": None, "deleted_by": None, "binned_with_project": False}
        made = [vm for vm in vms if vm.made]
        billed = [BilledVM.of(vm) for vm in made]
        ids = [vm.id for vm in vms]
        _write(session, back | {"state": VMState.STOPPED, "state_reason": ""}, DbVM.id.in_(ids), DbVM.made.is_(True))
        _write(
            session, back | {"state": VMState.ERROR, "state_reason": VANISHED}, DbVM.id.in_(ids), DbVM.made.is_(False)
        )
        _forget(session, vms)
        self._billing.open_stopped(billed, events)


def confirmed_end(vm: DbVM, status: ComputeStatus, now: datetime) -> datetime:
    """Up to when a VM is charged that ends now, or that was deleted before: now, or when it was
    deleted; or, while the hypervisor does not answer, or does not bear out that it runs, the last moment confirmed."""
    end, heard = vm.deleted_at or now, status.answered_at
    if vm.confirmed_until is not None:  # known not to run, or nothing known of it since then
        return min(end, vm.confirmed_until)
    if heard is None or (status.ok and end - heard < _LATE):
        return end
    return min(end, heard)


def was_made(vm: DbVM) -> bool:
    """Whether it ever ran: there may be a disk to keep, even if the hypervisor has lost the machine."""
    return vm.made or vm.started_at is not None


def _locked(session: Session, which: ColumnElement[bool]) -> list[DbVM]:
    query = select(DbVM).where(which).order_by(DbVM.id).with_for_update()
    return list(session.scalars(query.execution_options(populate_existing=True)))


def _read_actor(session: Session, user_id: str | None) -> Actor:
    """Who began what is gone on with, but for where they were."""
    role = session.scalar(select(DbUser.role).where(DbUser.id == user_id))
    return SYSTEM if role is None or user_id is None else Actor(user_id, Role(role))


def went_with(project_id: str) -> tuple[ColumnElement[bool], ...]:
    """What tells the VMs that went into the bin with their project."""
    return DbVM.project_id == project_id, DbVM.binned_with_project.is_(True), DbVM.purge_at.is_not(None)


def copy_prices(session: Session, first: DbVM) -> None:
    """Give the VMs that went with the first one's project, if they have its size, image and disk, its prices."""
    names = ("price_version_id", "image_price_version_id", "running_micro_per_hour", "stopped_micro_per_hour")
    session.flush()
    alike = DbVM.size_id == first.size_id, DbVM.image_id == first.image_id, DbVM.disk_gib == first.disk_gib
    others = (*went_with(first.project_id), *alike, DbVM.id != first.id)
    _write(session, {name: getattr(first, name) for name in names}, *others)


def _write(session: Session, values: Mapping[str, Any], *which: ColumnElement[bool]) -> None:
    """Set these columns, as the session would: with another version, so that observations made before do not count."""
    run(session, update(DbVM).where(*which).values(version=DbVM.version + 1, **values))


def _forget(session: Session, vms: Sequence[DbVM]) -> None:
    """What the session knows of them is old now."""
    for vm in vms:
        session.expire(vm)
