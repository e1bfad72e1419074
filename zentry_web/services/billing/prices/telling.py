"""Telling owners of announced prices, each their own figures, before anything changes for them. The worker's."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import func, insert, select, update
from sqlalchemy.orm import Session

from zentry_web.domain.credits.prices import (
    Burn,
    ComingVMPrice,
    new_prices,
    notice_text,
    withdrawn_prices,
)
from zentry_web.domain.credits.usage import UsageState, whole_second
from zentry_web.domain.language import later as later_said
from zentry_web.domain.target import Place, Target
from zentry_web.models import DbPriceChange, DbPriceTold, DbUsageInterval, DbUser, DbVM
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.billing.ledger import posting as ledger
from zentry_web.services.billing.prices.coming import pending, read_coming
from zentry_web.services.billing.usage.price_switch import affected_query
from zentry_web.services.shared.notices import Notices
from zentry_web.services.shared.rounds import each_alone, each_batch

OWNERS_PER_TRANSACTION = 10
_PRICES = Target(Place.PRICES)


class PriceTelling(BaseService):
    """Looks afresh each round: whoever has machines that a change concerns and was not told, is told now."""

    name = "price_telling"

    def __init__(self, core: Core, notices: Notices) -> None:
        super().__init__(core)
        self._notices = notices

    def run(self) -> int:
        """Tell owners of announced and of withdrawn changes, in short transactions; returns how many were told.

        Stopped at any point, it goes on where it was; each owner is told once per change. Raises nothing of its own.
        """
        with self.reading() as session:
            query = select(DbPriceChange.id).where(*pending())
            changes = list(session.scalars(query.order_by(DbPriceChange.starts_at, DbPriceChange.id)))
        told = sum(each_alone("announce prices", changes, self._announce))
        each_alone("finish prices", changes, self._finish)
        return told + sum(each_alone("call off", [()], lambda _: self._call_off(), lambda _: "prices"))

    # -- announced ------------------------------------------------------------------------------

    def _announce(self, change_id: str) -> int:
        with self.reading() as session:
            waiting = list(session.scalars(_untold(change_id)))
        size = OWNERS_PER_TRANSACTION
        batches = [waiting[first : first + size] for first in range(0, len(waiting), size)]
        return sum(each_batch("tell of prices", batches, lambda owners: self._announce_to(change_id, owners)))

    def _announce_to(self, change_id: str, owners: list[str]) -> int:
        with self.transaction() as session:
            ledger.lock_accounts(session, owners)
            change = _standing(session, change_id)
            told = self._tell(session, change, owners) if change is not None else 0
            self._core.checkpoint("prices.told_written")
        self._core.checkpoint("prices.told_committed")
        self.give_way()
        return told

    def _tell(self, session: Session, change: DbPriceChange, owner_ids: Sequence[str]) -> int:
        now = self.now()  # read under the wallets' locks: nothing of theirs is charged beyond it
        mine = (DbPriceTold.change_id == change.id) & DbPriceTold.owner_id.in_(owner_ids)
        already = set(session.scalars(select(DbPriceTold.owner_id).where(mine)))
        untold = [owner_id for owner_id in owner_ids if owner_id not in already]
        machines, earlier = _of_change(read_coming(session, untold, now), change.id)
        effective_at = max(change.starts_at, whole_second(now))
        burns, zones = _burns(session, machines, earlier), _zones(session, machines)
        following = select(func.min(DbPriceChange.starts_at)).where(*pending(), DbPriceChange.starts_at > effective_at)
        later = session.scalar(following) if machines else None
        for owner_id, coming in machines.items():
            is_late = change.starts_at <= now
            since = max((vm.starts_at for vm in earlier[owner_id]), default=None)
            burn, zone = burns[owner_id], zones[owner_id]
            body = later_said(
                partial(notice_text, burn, coming, effective_at, zone, is_late=is_late, since=since, later=later)
            )
            words = new_prices(change.title, effective_at, zones[owner_id], body)
            self._notices.tell(owner_id, "prices", change.id, *words, target=_PRICES)
        rows = [_told_row(change.id, owner_id, now, effective_at, burn) for owner_id, burn in burns.items()]
        if rows:
            session.execute(insert(DbPriceTold), rows)
        return len(rows)

    def _finish(self, change_id: str) -> None:
        """Note that nobody is left to tell or to switch, so that nobody looks again."""
        now = self.now()
        open_rows = select(DbPriceTold.owner_id).where(
            DbPriceTold.change_id == change_id, DbPriceTold.done_at.is_(None)
        )
        with self.reading() as session:
            change = session.get(DbPriceChange, change_id)
            if change is None or change.starts_at > now:
                return
            if session.scalar(open_rows.limit(1)) or session.scalar(_untold(change_id).limit(1)):
                return
        with self.transaction() as session:
            unfinished = (DbPriceChange.id == change_id) & DbPriceChange.finished_at.is_(None)
            session.execute(update(DbPriceChange).where(unfinished).values(finished_at=now))

    # -- withdrawn ------------------------------------------------------------------------------

    def _call_off(self) -> int:
        """Tell those who had been told of a change that it does not happen."""
        told = 0
        query = (
            select(DbPriceTold.change_id, DbPriceTold.owner_id, DbPriceChange.starts_at)
            .join(DbPriceChange, DbPriceChange.id == DbPriceTold.change_id)
            .where(DbPriceChange.withdrawn_at.is_not(None), DbPriceTold.done_at.is_(None))
            .order_by(DbPriceTold.change_id, DbPriceTold.owner_id)
            .limit(OWNERS_PER_TRANSACTION)
        )
        while True:
            with self.reading() as session:
                if session.execute(query).first() is None:
                    return told
            with self.transaction() as session:
                rows = session.execute(query.with_for_update(of=DbPriceTold, skip_locked=True)).all()
                zones = _zones(session, {row.owner_id for row in rows})
                for change_id, owner_id, starts_at in rows:
                    words = withdrawn_prices(starts_at, zones[owner_id])
                    self._notices.tell(owner_id, "prices_off", change_id, *words, target=_PRICES)
                    mine = (DbPriceTold.change_id == change_id) & (DbPriceTold.owner_id == owner_id)
                    session.execute(update(DbPriceTold).where(mine).values(done_at=self.now()))
                self._core.checkpoint("prices.called_off")
            told += len(rows)
            self.give_way()


def _untold(change_id: str) -> Any:
    """Owners of machines that a change concerns who were not told of it, in order."""
    row = affected_query(change_id).subquery().c
    told = select(DbPriceTold.owner_id).where(DbPriceTold.change_id == change_id)
    return select(row.owner_id).distinct().where(row.owner_id.not_in(told)).order_by(row.owner_id)


def _standing(session: Session, change_id: str) -> DbPriceChange | None:
    """The change, unless it was withdrawn meanwhile; it cannot be until this transaction ends."""
    query = select(DbPriceChange).where(DbPriceChange.id == change_id, DbPriceChange.withdrawn_at.is_(None))
    return session.scalars(query.with_for_update(read=True)).one_or_none()


Machines = Mapping[str, Sequence[ComingVMPrice]]


def _of_change(coming: Iterable[ComingVMPrice], change_id: str) -> tuple[Machines, Machines]:
    """Per owner concerned, what the change brings, and what those do that come before it."""
    here: dict[str, list[ComingVMPrice]] = {}
    before: dict[str, list[ComingVMPrice]] = {}
    for vm in coming:
        if vm.change_id == change_id:
            here.setdefault(vm.owner_id, []).append(vm)
        elif vm.owner_id not in here:
            before.setdefault(vm.owner_id, []).append(vm)
    return here, {owner_id: before.get(owner_id, []) for owner_id in here}


def _burns(session: Session, machines: Machines, earlier: Machines) -> dict[str, Burn]:
    """What all machines of these owners cost per hour just before and after a change. Two statements."""
    interval = DbUsageInterval
    open_now: dict[str, dict[str, UsageState]] = {owner_id: {} for owner_id in machines}
    burning, running = dict.fromkeys(machines, 0), dict.fromkeys(machines, 0)
    rows = session.execute(
        select(
            interval.owner_id, interval.vm_id, interval.state, interval.rate_micro_per_hour, interval.stored_id
        ).where(interval.owner_id.in_(machines), interval.end_at.is_(None))
    )
    for owner_id, vm_id, state, rate, stored_id in rows:
        if stored_id is None:
            open_now[owner_id][vm_id] = UsageState(state)
        burning[owner_id] += rate
    all_of_them = select(DbVM.owner_id, func.sum(DbVM.running_micro_per_hour)).where(
        DbVM.owner_id.in_(machines), DbVM.deleted_at.is_(None)
    )
    running |= {owner_id: int(total) for owner_id, total in session.execute(all_of_them.group_by(DbVM.owner_id))}
    burns = {}
    for owner_id, coming in machines.items():
        states, first = open_now[owner_id], earlier[owner_id]
        before, all_before = burning[owner_id] + _rise(first, states), running[owner_id] + _rise_running(first)
        burns[owner_id] = Burn(before, before + _rise(coming, states), all_before, all_before + _rise_running(coming))
    return burns


def _rise(coming: Iterable[ComingVMPrice], states: Mapping[str, UsageState]) -> int:
    """How much more per hour machines in these states cost."""
    return sum(vm.rise(states[vm.vm_id]) for vm in coming if vm.vm_id in states)


def _rise_running(coming: Iterable[ComingVMPrice]) -> int:
    return sum(vm.rise(UsageState.RUNNING) for vm in coming)


def _zones(session: Session, owner_ids: Iterable[str]) -> dict[str, str]:
    rows = session.execute(select(DbUser.id, DbUser.time_zone).where(DbUser.id.in_(list(owner_ids))))
    return dict(rows.all())


def _told_row(change_id: str, owner_id: str, now: datetime, effective_at: datetime, burn: Burn) -> dict[str, Any]:
    return {
        "change_id": change_id,
        "owner_id": owner_id,
        "told_at": now,
        "effective_at": effective_at,
        "old_micro_per_hour": burn.before,
        "new_micro_per_hour": burn.after,
        "done_at": None,
    }
