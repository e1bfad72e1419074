"""Budgets of projects: how each stands, telling owners in time, and refusing what would pass a hard cap (ADR 0008)."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from sqlalchemy import bindparam, case, delete, func, literal, select, union_all, update
from sqlalchemy.orm import Session

from zentry_web.adapters.database import run, upsert
from zentry_web.domain.credits.budget import (
    LARGEST_ALERT,
    MOST_ALERTS,
    Budget,
    BudgetStatus,
    BudgetTold,
    due_alert,
    has_room,
    next_look,
    parse_alerts,
)
from zentry_web.domain.credits.usage import local_month, month_start, next_month_start
from zentry_web.domain.event import Subject
from zentry_web.domain.language import _
from zentry_web.domain.money import format_credits
from zentry_web.domain.notice_texts import say
from zentry_web.domain.projects.project import ProjectAction, ProjectRole, may
from zentry_web.domain.target import Place, Target
from zentry_web.domain.user import SYSTEM, Actor
from zentry_web.models import DbProject, DbProjectMember, DbUser, DbVM
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.billing.ledger.wallets import Wallets
from zentry_web.services.billing.usage import holds
from zentry_web.services.billing.usage.intervals import BUDGET
from zentry_web.services.billing.usage.reports import cost_of, unsettled_seconds
from zentry_web.services.billing.usage.settlement import HOLD, INTERVAL, PROJECT_MONTH, UNSETTLED
from zentry_web.services.errors import BudgetExceededError, ValidationError
from zentry_web.services.shared.access import find_role, require_member
from zentry_web.services.shared.fields import check_micro
from zentry_web.services.shared.notices import Notices
from zentry_web.services.shared.rounds import each_batch, is_round_over

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
    def id(self) -> str:
        return str(self.row.project_id)

    @property
    def budget(self) -> Budget:
        return _as_budget(self.row)

    @property
    def told(self) -> BudgetTold:
        return BudgetTold(self.row.told_month, self.row.told_amount, self.row.told_percent)


class Budgets(BaseService):
    """Amounts are micro-credits; a month is a calendar month in the owner's time zone. What runs is never stopped."""

    name = "budgets"

    def __init__(self, core: Core, notices: Notices, wallets: Wallets, *, window: timedelta) -> None:
        super().__init__(core)
        self._wallets = wallets
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
            raise ValidationError(
                _("Please check the percentages."), details={"alerts": _("These percentages do not work.")}
            )
        wanted = {
            "amount": amount_micro, "alerts": ",".join(map(str, sorted(set(alerts)))), "hard_cap": hard_cap,
            "look_at": self.now(),
        }  # fmt: skip
        with self.transaction() as session:
            project = self._wallets.locked_project(session, actor, project_id, ProjectAction.BUDGET)
            fresh = {"project_id": project_id, "told_month": "", "told_amount": 0, "told_percent": 0}
            written = upsert(session, BUDGET).values(fresh | wanted)
            session.execute(written.on_conflict_do_update(index_elements=["project_id"], set_=wanted))
            details = {"amount": amount_micro, "alerts": sorted(set(alerts)), "hard_cap": hard_cap}
            self.audit("project.budget", Subject.project(project), details, actor=actor, personal=_named(project))

    def remove_budget(self, project_id: str, *, actor: Actor = SYSTEM) -> None:
        """From now on the project has no budget; nothing if it has none. Raises NotFoundError."""
        with self.transaction() as session:
            project = self._wallets.locked_project(session, actor, project_id, ProjectAction.BUDGET)
            if run(session, delete(BUDGET).where(BUDGET.c.project_id == project_id)):
                self.audit("project.budget_removed", Subject.project(project), actor=actor, personal=_named(project))

    def forget(self, project_id: str) -> None:
        """The project is gone for good; in the caller's transaction."""
        with self.transaction() as session:
            session.execute(delete(BUDGET).where(BUDGET.c.project_id == project_id))

    # -- starts, inside the caller's transaction ------------------------------------------------

    def require_room(self, vm: DbVM, rate_micro_per_hour: int, *, actor: Actor = SYSTEM) -> None:
        """Refuse a launch, a start or a dearer size at that rate (of its disk, when off) when it would pass a hard cap.

        The owner's wallet is locked. Spent this month, and one hold window of everything in the project that runs or
        is about to, this VM at its new rate included, must fit the budget. One statement for a project without a
        cap, three with one. Raises BudgetExceededError (budget, spent, ahead: micro-credits; project_id; may_change:
        whether ``actor`` may change the budget; whom to ask is in the message).
        """
        with self.transaction() as session:
            refusal = self._find_refusal(session, vm.project_id, rate_micro_per_hour, actor, besides=vm.id)
            if refusal is not None:
                raise refusal

    def find_refusal(self, project_id: str, rate_micro_per_hour: int, *, actor: Actor) -> BudgetExceededError | None:
        """What ``require_room`` would raise for something new at that rate; None: there is room. Callers have checked
        who asks."""
        with self.reading() as session:
            return self._find_refusal(session, project_id, rate_micro_per_hour, actor)

    def _find_refusal(
        self, session: Session, project_id: str, rate_micro_per_hour: int, actor: Actor, besides: str = ""
    ) -> BudgetExceededError | None:
        look = next(iter(_read_looks(session, BUDGET.c.project_id == project_id)), None)
        if look is None or not look.budget.hard_cap:
            return None
        status = _statuses(session, [look], self.now())[project_id]
        running = session.scalar(
            select(func.coalesce(func.sum(HOLD.c.rate_micro_per_hour), 0))
            .join(DbVM, DbVM.id == HOLD.c.vm_id)
            .where(HOLD.c.owner_id == look.owner_id, HOLD.c.closed_at.is_(None))
            .where(DbVM.project_id == project_id, DbVM.id != besides)
        )
        ahead = holds.hold_price(int(running or 0) + rate_micro_per_hour, self._window)
        if has_room(look.budget, status.spent_micro, ahead):
            return None
        return _refusal(look, status, ahead, self._window, _who_changes(session, actor, project_id))

    # -- the worker's side ----------------------------------------------------------------------

    def tell(self) -> int:
        """Tell the owners of projects that have come to a percentage of their budget; returns how many notices.

        Looks only at budgets whose costs changed or whose next percentage may be reached by now.
        """
        now, told = self.now(), 0
        while True:
            with self.reading() as session:
                due = _read_looks(session, BUDGET.c.look_at <= now, limit=AT_ONCE)
            batches = [due] if due else []
            done = each_batch("budget", batches, lambda looks: self._record(looks, now), lambda look: look.id)
            told += sum(news for _, news in done)
            if not sum(looked for looked, _ in done) or len(due) < AT_ONCE or is_round_over():
                return told
            self.give_way()

    def _record(self, due: list[_Look], now: datetime) -> tuple[int, int]:
        """Note when to look again, and tell; how many were looked at and told. Leaves out what somebody else is
        changing, without waiting for it: the next round comes to it."""
        with self.reading() as session:
            statuses = _statuses(session, due, now)
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
                    before, told = BudgetTold(status.month, status.budget.amount_micro, percent), told + 1
                rows.append(_noted(status, before))
            if rows:
                session.execute(_NOTE, rows)
            self._core.checkpoint("budgets.told")
        return len(rows), told

    def _tell(self, look: _Look, status: BudgetStatus, percent: int) -> None:
        budget = status.budget
        words = say(
            "budget_spent_capped" if budget.hard_cap else "budget_spent",
            project=look.project_name, percent=percent, spent=format_credits(status.spent_micro),
            budget=format_credits(budget.amount_micro), projected=format_credits(status.projected_micro, decimals=2),
        )  # fmt: skip
        key = f"{budget.project_id}:{status.month}:{budget.amount_micro}:{percent}"
        self._notices.tell(look.owner_id, "budget", key, *words, target=Target(Place.PROJECT, budget.project_id))


_NOTE = (
    update(BUDGET)
    .where(BUDGET.c.project_id == bindparam("project"))
    .values(
        told_month=bindparam("month"), told_amount=bindparam("amount_told"), told_percent=bindparam("percent"),
        look_at=bindparam("next", type_=BUDGET.c.look_at.type),
    )
)  # fmt: skip


def _noted(status: BudgetStatus, told: BudgetTold) -> dict[str, Any]:
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
        select(PROJECT_MONTH.c.project_id, func.sum(PROJECT_MONTH.c.amount), literal(0))
        .where(PROJECT_MONTH.c.project_id.in_(projects), PROJECT_MONTH.c.month == local_month(now, zone))
        .group_by(PROJECT_MONTH.c.project_id)
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


def _named(project: DbProject) -> dict[str, str]:
    return {"project": project.name}


def _as_budget(row: Any) -> Budget:
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
    way = (
        _("Ask %(who)s to raise the budget", who=(" " + _("or") + " ").join(who))
        if who
        else _("Raise the budget, lift its cap")
    )
    return BudgetExceededError(
        _(
            "This would pass the budget of project %(project)s: %(budget)s credits a month, of which %(spent)s are "
            "spent. %(minutes)s minutes of what runs, with this, come to %(ahead)s. %(way)s, or stop something.",
            project=look.project_name,
            budget=format_credits(budget.amount_micro),
            spent=format_credits(status.spent_micro),
            minutes=minutes,
            ahead=format_credits(ahead),
            way=way,
        ),
        details={
            "budget": budget.amount_micro, "spent": status.spent_micro, "ahead": ahead, "project_id": budget.project_id,
            "may_change": not who,
        },
    )  # fmt: skip
