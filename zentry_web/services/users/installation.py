"""The installation as its admins look at it: what there is, who runs dry, what went wrong, how it grows."""

from datetime import datetime, timedelta

from sqlalchemy import BigInteger, func, literal_column, select
from sqlalchemy.orm import Session

from zentry_web.domain.credits.books import day_number, day_start
from zentry_web.domain.ids import first_id
from zentry_web.domain.monitoring import ComputeStatus, Heartbeat
from zentry_web.domain.overview import AdminOverview, GrowthDay, HostShare, RefusedMail, RunsDry, Troubles
from zentry_web.domain.projects.quota import Resource
from zentry_web.domain.user import SYSTEM, Actor
from zentry_web.domain.vms.operation import OperationState
from zentry_web.domain.vms.state import ON
from zentry_web.models import DbEvent, DbOperation, DbUsageInterval, DbUser, DbVM
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.billing_service import BillingService
from zentry_web.services.monitoring_service import MonitoringService
from zentry_web.services.shared.access import require_admin
from zentry_web.services.shared.event_log import read_events
from zentry_web.services.vm_service import VMService

DAY = timedelta(days=1)
GROWTH_DAYS = 30
SHOWN = 5  # of each kind of trouble, and of those who run dry
LOOP_LATE = timedelta(minutes=5)
# How far its rounds lie apart. How often is sampled the operator says: nothing is late there.
SLOWER = {"backup": timedelta(minutes=16), "sample": timedelta(days=2)}
_DAY_OF_SIGN_UP = literal_column('("user".created_at / 86400000000)', type_=BigInteger())


class Installation(BaseService):
    """A part of UserService; for admins only. Raises PermissionDeniedError."""

    name = "installation"

    def __init__(self, core: Core, billing: BillingService, vm: VMService, monitoring: MonitoringService) -> None:
        super().__init__(core)
        self._billing = billing
        self._vm = vm
        self._monitoring = monitoring

    def get_overview(self, *, actor: Actor = SYSTEM) -> AdminOverview:
        """Everything at a glance. At most sixteen statements, however much there is."""
        require_admin(actor)
        now = self.now()
        driest = self._billing.landing.list_driest(SHOWN)
        with self.reading() as session:
            burn = select(func.sum(DbUsageInterval.rate_micro_per_hour)).where(
                ~DbUsageInterval.settled, DbUsageInterval.end_at.is_(None)
            )
            new = func.count().filter(DbUser.created_at >= now - GROWTH_DAYS * DAY)
            users, new_users = session.execute(select(func.count(), new).select_from(DbUser)).one()
            compute, beats = self._monitoring.get_compute_status(), self._monitoring.list_heartbeats()
            return AdminOverview(
                users=users,
                vms_by_state=self._vm.count_by_state(None, actor=actor),
                burn_micro_per_hour=int(session.scalar(burn) or 0),
                system_balances=self._billing.books.ledger.get_system_balances(),
                compute=compute,
                heartbeats=tuple(beats),
                new_users=new_users,
                capacity=_capacity(session, compute),
                driest=_with_names(session, driest),
                troubles=Troubles(
                    loops=_late(beats, now) if compute.worker_ok else (),
                    failed=tuple(
                        read_events(
                            session,
                            DbOperation.state == OperationState.FAILED,
                            DbOperation.finished_at >= now - DAY,
                            DbEvent.id >= first_id("evt", now - 2 * DAY),  # asked for: ids have an index
                            limit=SHOWN,
                        )
                    ),
                    mails=_refused(session, now - DAY),
                ),
            )

    def list_growth(self, *, actor: Actor = SYSTEM) -> list[GrowthDay]:
        """The last 30 days in UTC, today among them: what was used and paid, and how many accounts began. Four
        statements."""
        require_admin(actor)
        last = day_number(self.now())
        first = last - GROWTH_DAYS + 1
        days = self._billing.books.totals.list_days(first, last, actor=actor)
        query = select(_DAY_OF_SIGN_UP, func.count()).select_from(DbUser).where(DbUser.created_at >= day_start(first))
        with self.reading() as session:
            began = {int(day): count for day, count in session.execute(query.group_by(_DAY_OF_SIGN_UP))}
        return [
            GrowthDay(each.day, each.usage_micro, each.payments_micro, began.get(day_number(each.day), 0))
            for each in days
        ]


def _capacity(session: Session, compute: ComputeStatus) -> tuple[HostShare, ...]:
    """What the hosts have by the worker's last word, beside what machines were promised; nothing before that."""
    has = compute.capacity
    is_on = DbVM.state.in_(ON)
    query = select(
        func.sum(DbVM.vcpus).filter(is_on),
        func.sum(DbVM.vcpus).filter(DbVM.purge_at.is_(None)),
        func.sum(DbVM.memory_mib).filter(DbVM.purge_at.is_(None)),
        func.sum(DbVM.disk_gib),  # that of those in the recycle bin is there, too
    ).where(DbVM.deleted_at.is_(None) | DbVM.purge_at.is_not(None))
    running, vcpus, memory, disk = (int(each or 0) for each in session.execute(query).one())
    rows = (
        (Resource.VCPUS, "vcpus", running, vcpus),
        (Resource.MEMORY, "memory_mib", has.get("memory_mib", 0) - has.get("memory_free_mib", 0), memory),
        (Resource.DISK, "disk_gib", has.get("disk_gib", 0) - has.get("disk_free_gib", 0), disk),
    )
    return tuple(
        HostShare(resource, has[name], used, promised) for resource, name, used, promised in rows if has.get(name)
    )


def _with_names(session: Session, driest: list[tuple[str, datetime, int, int]]) -> tuple[RunsDry, ...]:
    query = select(DbUser.id, DbUser.name, DbUser.email).where(DbUser.id.in_([each[0] for each in driest]))
    people = {row.id: row for row in session.execute(query)}
    return tuple(
        RunsDry(user_id, people[user_id].name, people[user_id].email, at, left, burn)
        for user_id, at, left, burn in driest
        if user_id in people
    )


def _late(beats: list[Heartbeat], now: datetime) -> tuple[Heartbeat, ...]:
    """Of each loop the newest round of any worker, where it failed or was too long ago."""
    newest: dict[str, Heartbeat] = {}
    for beat in sorted(beats, key=lambda each: each.at):
        newest[beat.loop] = beat
    return tuple(
        beat for loop, beat in sorted(newest.items()) if beat.error or now - beat.at > SLOWER.get(loop, LOOP_LATE)
    )


def _refused(session: Session, since: datetime) -> tuple[RefusedMail, ...]:
    query = (
        select(DbUser.id, DbUser.email, DbUser.mail_refused_at, DbUser.mail_refused)
        .where(DbUser.mail_refused_at >= since)
        .order_by(DbUser.mail_refused_at.desc())
        .limit(SHOWN)
    )
    rows = session.execute(query)
    return tuple(RefusedMail(user_id, email, at, error) for user_id, email, at, error in rows if at is not None)
