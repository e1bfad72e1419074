"""How long an owner's credits last, and what they keep running until when. Only reads; never inside a transaction."""

from dataclasses import replace
from typing import Any

from sqlalchemy import Select, func, literal, select

from zentry_web.domain.credits.billing import Balance, UsageState
from zentry_web.domain.credits.landing import Lander, LandingPlan, Policy, make_plan
from zentry_web.domain.credits.usage import OpenHold
from zentry_web.domain.setting import SettingKey
from zentry_web.models import DbProject, DbStored, DbVM
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.billing.usage import reports
from zentry_web.services.billing.usage.settlement import HOLD, INTERVAL, OF_MACHINE
from zentry_web.services.shared.settings import Settings


class Runway(BaseService):
    """A part of BillingService. Raises NotFoundError for an account that there is not."""

    name = "runway"

    def __init__(self, core: Core, settings: Settings, policy: Policy) -> None:
        super().__init__(core)
        self._settings = settings
        self._policy = policy

    def get_balance(self, user_id: str) -> Balance:
        """A person's balance; in the week before it ends with what stops first and last."""
        with self.reading() as session:
            balance = reports.read_balance(session, user_id, self.now())
        return self.with_ends(user_id, balance)

    def with_ends(self, user_id: str, balance: Balance) -> Balance:
        """A person's balance with what stops first and last, in the week before it ends."""
        ends = self.make_plan(user_id).ends if balance.is_ending else ()
        return replace(balance, first_end=ends[0], last_end=ends[-1]) if ends else balance

    def make_plan(self, user_id: str) -> LandingPlan:
        """What stops when if nothing changes.

        Read, then reckoned with nothing open: a plan of many machines takes a while, and others want to write.
        """
        if self._database.open_session.get() is not None:
            raise RuntimeError("a landing plan is made outside transactions")
        query = (
            select(DbVM, DbProject.name, HOLD, INTERVAL.c.state, INTERVAL.c.settled_until, INTERVAL.c.time_zone)
            .join(DbProject, DbProject.id == DbVM.project_id)
            .outerjoin(INTERVAL, (INTERVAL.c.vm_id == DbVM.id) & INTERVAL.c.end_at.is_(None) & OF_MACHINE)
            .outerjoin(HOLD, (HOLD.c.interval_id == INTERVAL.c.id) & HOLD.c.closed_at.is_(None))
            .where(DbVM.owner_id == user_id, DbVM.deleted_at.is_(None))
        )
        with self.reading() as session:
            balance = reports.read_balance(session, user_id, self.now())
            # What will expire unused pays nothing of what is to come.
            lost = balance.total_micro - balance.lasting_micro(balance.burn_micro_per_hour)
            wallet = max(0, balance.wallet_micro - lost)
            grace = self._settings.days(SettingKey.GRACE_DAYS)
            landers = [_as_lander(row._mapping) for row in session.execute(query)]
            landers += [Lander(*row) for row in session.execute(_stored_query(user_id))]
        return make_plan(landers, wallet, self.now(), replace(self._policy, grace=grace))


def _stored_query(user_id: str) -> Select[Any]:
    """What is stored and paid for, or kept for nothing, as Landers."""
    none, rate = literal(None), func.coalesce(INTERVAL.c.rate_micro_per_hour, 0)
    columns: tuple[Any, ...] = (DbVM.id, DbVM.name, literal(0), none, rate, DbStored.kept_until, DbProject.name)
    return (
        select(*columns, DbStored.name)
        .join(DbStored, DbStored.vm_id == DbVM.id)
        .join(DbProject, DbProject.id == DbStored.project_id)
        .outerjoin(INTERVAL, (INTERVAL.c.stored_id == DbStored.id) & INTERVAL.c.end_at.is_(None))
        .where(DbStored.owner_id == user_id, DbStored.ended_at.is_(None))
        .where(INTERVAL.c.id.is_not(None) | DbStored.kept_until.is_not(None))
        .order_by(DbStored.id)
    )


def _as_lander(row: Any) -> Lander:
    vm: DbVM = row["DbVM"]
    hold = None
    if row[HOLD.c.id] is not None:
        hold = OpenHold(
            row[HOLD.c.id], vm.id, row[HOLD.c.rate_micro_per_hour], row[HOLD.c.remaining],
            row[HOLD.c.paid_until], row[INTERVAL.c.settled_until], row[INTERVAL.c.time_zone],
        )  # fmt: skip
    disk = vm.stopped_micro_per_hour if row[INTERVAL.c.state] == UsageState.STOPPED else 0
    return Lander(vm.id, vm.name, vm.importance, hold, disk, vm.disk_until, row[DbProject.name])
