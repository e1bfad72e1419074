"""Budgets of projects: how each stands, telling owners in time, and refusing what would pass a hard cap (ADR 0008)."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any, cast

from sqlalchemy import CursorResult, bindparam, case, delete, func, literal, select, union_all, update
from sqlalchemy.orm import Session

from zentry_web.domain.budget import (
    LARGEST_ALERT,
    MOST_ALERTS,
    Budget,
    BudgetStatus,
    Told,
    due_alert,
    has_room,
    next_look,
    parse_alerts,
)
from zentry_web.domain.money import format_credits
from zentry_web.domain.project import ProjectAction, ProjectRole, may
from zentry_web.domain.usage import local_month, month_start, next_month_start
from zentry_web.domain.user import SYSTEM, Actor
from zentry_web.models import DbProject, DbProjectMember, DbUser, DbVM
from zentry_web.services import holds, ledger
from zentry_web.services.access import find_role, require_member
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.errors import BudgetExceededError, ValidationError
from zentry_web.services.notices import Notices
from zentry_web.services.prices import check_micro
from zentry_web.services.settlement import HOLD, INTERVAL, MONTH, UNSETTLED
from zentry_web.services.usage import BUDGET
from zentry_web.services.usage_reports import cost_of, unsettled_seconds

AT_ONCE = 200  # budgets looked at in one go
MOST_NAMES = 3  # of people to ask


@dataclass(frozen=True, slots=True)
class _Look:
    """A budget that is due, with what it takes to judge it."""

    row: Any  # of BUDGET
    project_name: str
    owner_id: str
    zone: str

    @property
    def budget(self) -> Budget:
        return _budget(self.row)

    @property
    def told(self) -> Told:
        return Told(self.row.told_month, self.row.told_amount, self.row.told_percent)


class Budgets(BaseService):
    """Amounts are micro-credits; a month is a calendar month in the owner's time zone. What runs is never stopped."""

    name = "budgets"

    def __init__(self, core: Core, notices: Notices, *, window: timedelta) -> None:
        super().__init__(core)
        self._notices = notices
        self._window = window

    # -- the owner's side -----------------------------------------------------------------------

    def get_status(self, project_id: str, *, actor: Actor = SYSTEM) -> BudgetStatus | None:
        """The project's budget and how it stands; None when it has none. Three statements. Raises NotFoundError."""
        with self.reading() as session:
            require_member(session, actor, project_id, ProjectAction.VIEW)
            look = next(iter(_read_looks(session, BUDGET.c.project_id == project_id)), None)
            if look is None:
                return None
            return _statuses(session, [look], self.now())[project_id]

    def set_budget(
        self, project_id: str, amount_micro: int, alerts: Collection[int], *, hard_cap: bool, actor: Actor = SYSTEM
    ) -> None:
        """Give a project a monthly budget, or another one. Raises ValidationError (amount_micro, alerts),
        NotFoundError.

        Percentages told this month are not told again for the same amount; another amount begins afresh.
        """
        check_micro("amount_micro", amount_micro, least=1)
        if len(set(alerts)) > MOST_ALERTS or not all(1 <= each <= LARGEST_ALERT for each in alerts):
            raise ValidationError("Please check the percentages.", details={"alerts": "These percentages do not work."})
        wanted = {
            "amount": amount_micro, "alerts": ",".join(map(str, sorted(set(alerts)))), "hard_cap": hard_cap,
            "look_at": self.now(),
        }  # fmt: skip
        with self.transaction() as session:
            project = self._locked(session, project_id, actor)
            fresh = {"project_id": project_id, "told_month": "", "told_amount": 0, "told_percent": 0}
            upsert = ledger.upsert(session, BUDGET).values(fresh | wanted)
            session.execute(upsert.on_conflict_do_update(index_elements=["project_id"], set_=wanted))
            details = {"amount": amount_micro, "alerts": sorted(set(alerts)), "hard_cap": hard_cap}
            self._log("project.budget", project, actor, details)

    def remove_budget(self, project_id: str, *, actor: Actor = SYSTEM) -> None:
        """From now on the project has no budget; nothing if it has none. Raises NotFoundError."""
        with self.transaction() as session:
            project = self._locked(session, project_id, actor)
            gone = session.execute(delete(BUDGET).where(BUDGET.c.project_id == project_id))
            if cast(CursorResult[Any], gone).rowcount:
                self._log("project.budget_removed", project, actor, {})

    def _locked(self, session: Session, project_id: str, actor: Actor) -> DbProject:
        """The project, with its owner's wallet locked: no start is judged by half of a change."""
        owner_id = require_member(session, actor, project_id, ProjectAction.BUDGET).owner_id
        ledger.lock_accounts(session, [owner_id])
        return require_member(session, actor, project_id, ProjectAction.BUDGET, fresh=True)

    def _log(self, action: str, project: DbProject, actor: Actor, details: dict[str, Any]) -> None:
        self.log_audit_event(
            actor.id, action, "project", project.id, details, actor=actor,
            owner_id=project.owner_id, project_id=project.id, personal={"project": project.name},
        )  # fmt: skip

    # -- starts, inside the caller's transaction ------------------------------------------------

    def require_room(self, vm: DbVM, rate_micro_per_hour: int, *, actor: Actor = SYSTEM) -> None:
        """Refuse a launch, a start or a dearer size at that rate (of its disk, when off) when it would pass a hard cap.

        The owner's wallet is locked. Spent this month, and one hold window of everything in the project that runs or
        is about to, this VM at its new rate included, must fit the budget. One statement for a project without a
        cap, three with one. Raises BudgetExceededError (budget, spent, ahead: micro-credits; project_id; may_change:
        whether ``actor`` may change the budget; whom to ask is in the message).
        """
        with self.transaction() as session:
            look = next(iter(_read_looks(session, BUDGET.c.project_id == vm.project_id)), None)
            if look is None or not look.budget.hard_cap:
                return
            status = _statuses(session, [look], self.now())[vm.project_id]
            running = session.scalar(
                select(func.coalesce(func.sum(HOLD.c.rate_micro_per_hour), 0))
                .join(DbVM, DbVM.id == HOLD.c.vm_id)
                .where(HOLD.c.owner_id == vm.owner_id, HOLD.c.closed_at.is_(None))
                .where(DbVM.project_id == vm.project_id, DbVM.id != vm.id)
            )
            ahead = holds.hold_price(int(running or 0) + rate_micro_per_hour, self._window)
            if not has_room(look.budget, status.spent_micro, ahead):
                raise _refusal(look, status, ahead, self._window, _who_changes(session, actor, vm.project_id))

    # -- the worker's side ----------------------------------------------------------------------

    def tell(self) -> int:
        """Tell the owners of projects that have come to a percentage of their budget; returns how many notices.

        Looks only at budgets whose costs changed or whose next percentage may be reached by now.
        """
        now, told = self.now(), 0
        while True:
            with self.reading() as session:
                due = _read_looks(session, BUDGET.c.look_at <= now, limit=AT_ONCE)
                statuses = _statuses(session, due, now)
            looked, news = self._record(due, statuses) if due else (0, 0)
            told += news
            if not looked or len(due) < AT_ONCE:
                return told
            self.give_way()

    def _record(self, due: list[_Look], statuses: dict[str, BudgetStatus]) -> tuple[int, int]:
        """Note when to look again, and tell; how many were looked at and told. Leaves out what somebody else is
        changing, without waiting for it: the next round comes to it."""
        found = [look.row.project_id for look in due]
        free = select(BUDGET.c.project_id, BUDGET.c.look_at).where(BUDGET.c.project_id.in_(found))
        rows, told = [], 0
        with self.transaction() as session:
            locked = session.execute(free.with_for_update(skip_locked=True))
            seen = {row.project_id: row.look_at for row in locked}
            for look in due:
                if seen.get(look.row.project_id) != look.row.look_at:
                    continue
                status, before = statuses[look.row.project_id], look.told
                percent = due_alert(status, before)
                if percent is not None:
                    self._tell(look, status, percent)
                    before, told = Told(status.month, status.budget.amount_micro, percent), told + 1
                rows.append(_noted(status, before))
            if rows:
                session.execute(_NOTE, rows)
            self._core.checkpoint("budgets.told")
        return len(rows), told

    def _tell(self, look: _Look, status: BudgetStatus, percent: int) -> None:
        budget = status.budget
        lines = [
            f"{format_credits(status.spent_micro)} of {format_credits(budget.amount_micro)} credits are spent.",
            f"If everything stays as it is, the month comes to {format_credits(status.projected_micro, decimals=2)}.",
            "Launches and starts that would pass the budget are refused. What runs goes on."
            if budget.hard_cap
            else "Nothing is stopped or refused.",
        ]
        key = f"{budget.project_id}:{status.month}:{budget.amount_micro}:{percent}"
        title = f"{look.project_name}: {percent} % of this month's budget is spent"
        self._notices.tell(
            look.owner_id, "budget", key, title, "\n".join(lines), url=f"/projects/{budget.project_id}"
        )  # fmt: skip


_NOTE = (
    update(BUDGET)
    .where(BUDGET.c.project_id == bindparam("project"))
    .values(
        told_month=bindparam("month"), told_amount=bindparam("amount_told"), told_percent=bindparam("percent"),
        look_at=bindparam("next", type_=BUDGET.c.look_at.type),
    )
)  # fmt: skip


def _noted(status: BudgetStatus, told: Told) -> dict[str, Any]:
    """What is kept of a look: the values of _NOTE."""
    return {
        "project": status.budget.project_id, "month": told.month, "amount_told": told.amount_micro,
        "percent": told.percent, "next": next_look(status),
    }  # fmt: skip


def _read_looks(session: Session, condition: Any, *, limit: int = 1) -> list[_Look]:
    rows = session.execute(
        select(BUDGET, DbProject.name.label("project_name"), DbProject.owner_id, DbUser.time_zone)
        .join(DbProject, DbProject.id == BUDGET.c.project_id)
        .join(DbUser, DbUser.id == DbProject.owner_id)
        .where(condition)
        .order_by(BUDGET.c.look_at, BUDGET.c.project_id)
        .limit(limit)
    )
    return [_Look(row, row.project_name, row.owner_id, row.time_zone) for row in rows]


def _statuses(session: Session, looks: Iterable[_Look], now: datetime) -> dict[str, BudgetStatus]:
    """How budgets stand, by project id. One statement per time zone."""
    found: dict[str, BudgetStatus] = {}
    for zone, group in groupby(sorted(looks, key=lambda look: look.zone), key=lambda look: look.zone):
        members = list(group)
        sums = _read_sums(session, members, now, zone)
        for look in members:
            spent, rate = sums.get(look.row.project_id, (0, 0))
            end = next_month_start(now, zone)
            found[look.row.project_id] = BudgetStatus(look.budget, local_month(now, zone), end, now, spent, rate)
    return found


def _read_sums(session: Session, looks: list[_Look], now: datetime, zone: str) -> dict[str, tuple[int, int]]:
    """Per project: spent since the month began (charged and accrued), and micro-credits per hour now."""
    projects = [look.row.project_id for look in looks]
    owners = {look.owner_id for look in looks}
    charged = (
        select(MONTH.c.project_id, func.sum(MONTH.c.amount), literal(0))
        .where(MONTH.c.project_id.in_(projects), MONTH.c.month == local_month(now, zone))
        .group_by(MONTH.c.project_id)
    )
    accrued = (
        select(
            INTERVAL.c.project_id,
            func.sum(cost_of(unsettled_seconds(now, month_start(now, zone)))),
            func.sum(case((INTERVAL.c.end_at.is_(None), INTERVAL.c.rate_micro_per_hour), else_=0)),
        )
        .where(INTERVAL.c.owner_id.in_(owners), INTERVAL.c.project_id.in_(projects), UNSETTLED)
        .group_by(INTERVAL.c.project_id)
    )
    sums: dict[str, tuple[int, int]] = {}
    for project_id, amount, rate in session.execute(union_all(charged, accrued)):
        spent, burn = sums.get(project_id, (0, 0))
        sums[project_id] = (spent + int(amount), burn + int(rate))
    return sums


def _budget(row: Any) -> Budget:
    return Budget(row.project_id, row.amount, parse_alerts(row.alerts), row.hard_cap)


def _who_changes(session: Session, actor: Actor, project_id: str) -> list[str]:
    """The names of those who may change the budget, the owner first; none if ``actor`` may. Two statements at most."""
    if may(find_role(session, actor, project_id), ProjectAction.BUDGET):
        return []
    roles = [role for role in ProjectRole if may(role, ProjectAction.BUDGET)]
    query = (
        select(DbUser.name)
        .join(DbProjectMember, DbProjectMember.user_id == DbUser.id)
        .where(DbProjectMember.project_id == project_id, DbProjectMember.role.in_(roles))
        .order_by(DbProjectMember.role != ProjectRole.OWNER, DbUser.name, DbUser.id)
        .limit(MOST_NAMES)
    )
    return list(session.scalars(query))


def _refusal(look: _Look, status: BudgetStatus, ahead: int, window: timedelta, who: list[str]) -> BudgetExceededError:
    budget, minutes = status.budget, window // timedelta(minutes=1)
    way = f"Ask {' or '.join(who)} to raise the budget" if who else "Raise the budget, lift its cap"
    return BudgetExceededError(
        f"This would pass the budget of project {look.project_name}: {format_credits(budget.amount_micro)} credits a "
        f"month, of which {format_credits(status.spent_micro)} are spent. {minutes} minutes of what runs, with this, "
        f"come to {format_credits(ahead)}. {way}, or stop something.",
        details={
            "budget": budget.amount_micro, "spent": status.spent_micro, "ahead": ahead, "project_id": budget.project_id,
            "may_change": not who,
        },
    )  # fmt: skip
