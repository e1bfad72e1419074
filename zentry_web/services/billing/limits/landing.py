"""The landing plan on the database: showing it, telling owners in time, keeping disks that nobody can pay.

What a VM must do (start again, be deleted) is returned; the worker's loop carries it to VMService.
"""

from datetime import datetime, timedelta, tzinfo

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from zentry_web.domain.credits.billing import AccountKind, BilledVM, CreditStop, UsageState, run_out
from zentry_web.domain.credits.landing import (
    DAY,
    DISK_NOTICES,
    LandingPlan,
    Policy,
    RunwayTold,
    disk_notice,
    may_start_again,
    next_told,
    positions,
    seconds_of,
)
from zentry_web.domain.credits.promotions import lapsing
from zentry_web.domain.credits.usage import EPOCH, whole_second
from zentry_web.domain.event import Subject
from zentry_web.domain.language import _, dated, lazy
from zentry_web.domain.notice_texts import say, say_line, say_lines
from zentry_web.domain.setting import SettingKey
from zentry_web.domain.target import Place, Target
from zentry_web.domain.user import SYSTEM, Actor
from zentry_web.domain.vms.state import VMState
from zentry_web.domain.zones import zone_of
from zentry_web.models import DbLanding, DbUser, DbVM
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.billing.ledger import posting as ledger
from zentry_web.services.billing.ledger import promotions
from zentry_web.services.billing.limits.landing_reads import (
    burn_of,
    read_totals,
    storing_owners,
    waiting_owners,
)
from zentry_web.services.billing.usage import holds, reports
from zentry_web.services.billing.usage.interval_rows import Meter
from zentry_web.services.billing.usage.intervals import UsageRecorder
from zentry_web.services.billing.usage.runway import Runway
from zentry_web.services.billing.usage.settlement import INTERVAL, OF_MACHINE
from zentry_web.services.billing.usage.storage import Storage, read_paid, read_unpaid
from zentry_web.services.errors import NotFoundError, ValidationError
from zentry_web.services.shared.access import require_self
from zentry_web.services.shared.fields import check_micro
from zentry_web.services.shared.notices import Notices
from zentry_web.services.shared.rounds import each_alone
from zentry_web.services.shared.settings import Settings

_PLAN = Target(Place.PLAN)
_WORDS = {3600: lazy("an hour"), 86400: lazy("a day"), 3 * 86400: lazy("3 days"), 7 * 86400: lazy("7 days")}
_LINES_IN_MAIL = 20


class Landing(BaseService):
    """Credits that come to an end: announced, in the owner's order, and undone by any credit that comes in."""

    name = "landing"

    def __init__(
        self, core: Core, notices: Notices, policy: Policy, settings: Settings, runway: Runway, storage: Storage
    ) -> None:
        super().__init__(core)
        self._notices = notices
        self._runway = runway
        self._storage = storage
        self._settings = settings
        self.policy = policy  # but for the days of grace

    # -- the owner's side -----------------------------------------------------------------------

    def get_plan(self, user_id: str, *, actor: Actor = SYSTEM) -> LandingPlan:
        """What stops when if nothing changes. Raises NotFoundError (also for somebody else's)."""
        require_self(actor, user_id)
        return self._runway.make_plan(user_id)

    def set_order(self, user_id: str, vm_ids: list[str], *, actor: Actor = SYSTEM) -> None:
        """Put VMs in order of importance, the most important first. Raises ValidationError, NotFoundError."""
        require_self(actor, user_id)
        if len(set(vm_ids)) != len(vm_ids):
            raise ValidationError(
                _("Each machine can have one place only."), details={"order": _("A machine is in twice.")}
            )
        places = positions(vm_ids)
        with self.transaction() as session:
            ledger.lock_accounts(session, [user_id])
            query = select(DbVM).where(DbVM.owner_id == user_id, DbVM.deleted_at.is_(None)).order_by(DbVM.id)
            vms = {vm.id: vm for vm in session.scalars(query.with_for_update())}
            if not set(vm_ids) <= set(vms):
                raise NotFoundError(_("There is no such virtual machine."))
            for vm in vms.values():
                vm.importance = places.get(vm.id, 0)
            self.audit("landing.order", Subject.user(user_id), {"order": vm_ids}, actor=actor)

    def get_low_balance(self, user_id: str, *, actor: Actor = SYSTEM) -> int | None:
        """The balance (micro-credits) at which the person wants to be told; None: not at all."""
        require_self(actor, user_id)
        with self.reading() as session:
            row = session.get(DbLanding, user_id)
            return row.low_micro if row else None

    def set_low_balance(self, user_id: str, micro: int | None, *, actor: Actor = SYSTEM) -> None:
        """Be told once whenever the balance falls to ``micro``; None: never. Raises ValidationError."""
        require_self(actor, user_id)
        if micro is not None:
            check_micro("low_micro", micro, least=1)
        with self.transaction() as session:
            row = self._row(session, user_id)
            row.low_micro, row.low_told = micro, False
            self.audit("landing.low_balance", Subject.user(user_id), {"micro": micro}, actor=actor)

    def list_driest(self, limit: int) -> list[tuple[str, datetime, int, int]]:
        """The ids of those whose credits end soonest at what they use now, when that is, what they have left and use
        per hour (micro-credits). Three statements; callers have checked who asks."""
        now = self.now()
        with self.reading() as session:
            burning = reports.read_burn(session, now)
            totals = read_totals(session, burning)
            promoted = promotions.read_ending(session, totals)
        found = []
        for user_id, (burn, accrued) in burning.items():
            left = max(0, totals.get(user_id, 0) - accrued)
            lost = lapsing(promoted[user_id], now, accrued, burn) if user_id in promoted else 0
            end = run_out(now, max(0, left - lost), burn)
            if end is not None:
                found.append((user_id, end, left, burn))
        return sorted(found, key=lambda each: each[1])[:limit]

    # -- telling --------------------------------------------------------------------------------

    def announce(self) -> None:
        """Tell every owner whose runway or balance has come down to something they must know."""
        now = self.now()
        with self.reading() as session:
            burning = reports.read_burn(session, now)
            watched = or_(DbLanding.told_seconds.is_not(None), DbLanding.low_micro.is_not(None))
            rows = {row.user_id: row for row in session.scalars(select(DbLanding).where(watched))}
            totals = read_totals(session, set(burning) | set(rows))
            promoted = promotions.read_ending(session, totals)

        def look(user_id: str) -> None:
            burn, accrued = burning.get(user_id, (0, 0))
            left = max(0, totals[user_id] - accrued)
            lost = lapsing(promoted[user_id], now, accrued, burn) if user_id in promoted else 0
            runway = max(0, left - lost) * 3600 // burn if burn else None
            row = rows.get(user_id)
            told = RunwayTold(row.episode, row.told_seconds) if row else RunwayTold()
            low = bool(row and row.low_micro is not None and (left <= row.low_micro) != row.low_told)
            if low or next_told(told, runway)[0] != told:
                self._tell_runway(user_id, told, left, runway)

        each_alone("announce", sorted(totals), look)

    def _tell_runway(self, user_id: str, told: RunwayTold, left: int, runway: int | None) -> None:
        lines = self._lines(user_id) if next_told(told, runway)[1] else None
        with self.transaction() as session:
            row = self._row(session, user_id)
            told, tell = next_told(RunwayTold(row.episode, row.told_seconds), runway)
            if tell and lines is None:
                return  # somebody else has told meanwhile: the next round looks again
            if row.low_micro is not None and (left <= row.low_micro) != row.low_told:
                row.low_told = not row.low_told
                if row.low_told:
                    words = say("low_balance", credits=_credits(left))
                    self._notices.tell(user_id, "low_balance", self.new_id("low"), *words, target=_PLAN)
            row.episode, row.told_seconds = told.episode, told.seconds
            if tell and told.seconds is not None and lines is not None:
                words = say("runway", span=_WORDS[told.seconds], lines=lines)
                self._notices.tell(user_id, "runway", f"{told.episode}:{told.seconds}", *words, target=_PLAN)

    def tell_stop(self, stop: CreditStop) -> None:
        """Tell the owner that this VM's credits end, once per run and landing; nothing is stopped before this."""
        with self.reading() as session:
            vm = session.get(DbVM, stop.vm_id)
            hold = holds.find_hold(session, stop.vm_id)
            if vm is None or hold is None:
                return
            row = session.get(DbLanding, vm.owner_id)
            episode = row.episode if row and row.told_seconds is not None else (row.episode if row else 0) + 1
            key = f"{hold.id}:{episode}"
            if self._notices.was_told(vm.owner_id, "credit_stop", key):
                return
            owner_id, name, zone = vm.owner_id, vm.name, _zone(session, vm.owner_id)
            landing_told = self._notices.was_told(owner_id, "landing", f"{episode}")
        lines = None if landing_told else self._lines(owner_id)
        with self.transaction():
            words = say("credit_stop", vm=name, at=_moment(stop.ends_at, zone))
            self._notices.tell(owner_id, "credit_stop", key, *words, target=_PLAN, mail=False)
            if lines is not None:
                self._notices.tell(owner_id, "landing", f"{episode}", *say("landing", lines=lines), target=_PLAN)
            self._core.checkpoint("landing.told")

    def tell_disks(self) -> None:
        """Tell the owners of disks that are kept without a charge how long that lasts."""
        now = self.now()
        with self.reading() as session:
            query = select(DbVM.id, DbVM.disk_until).where(DbVM.disk_until <= now + max(DISK_NOTICES) * DAY)
            due = [(vm_id, until, disk_notice(until, now)) for vm_id, until in session.execute(query) if until]
        news = [(vm_id, until, days) for vm_id, until, days in due if days is not None]
        each_alone("tell disk", news, lambda each: self._tell_disk(*each), lambda each: each[0])

    def _tell_disk(self, vm_id: str, until: datetime, days: int) -> None:
        key = _disk_key(vm_id, until, days)
        with self.reading() as session:
            vm = session.get(DbVM, vm_id)
            if vm is None or self._notices.was_told(vm.owner_id, "disk", key):
                return
            owner_id, name, zone = vm.owner_id, vm.name, _zone(session, vm.owner_id)
        when = _moment(max(until, self.now() + DAY) if days == 1 else until, zone)
        with self.transaction():
            self._notices.tell(owner_id, "disk", key, *say("disk", vm=name, at=when), target=_PLAN)

    # -- disks without a charge -----------------------------------------------------------------

    def keep_disk(self, vm: DbVM, at: datetime) -> None:
        """From ``at`` on this disk is kept without a charge, for the time that the setting gives; in the caller's
        transaction, under the owner's wallet lock, with no interval open."""
        vm.disk_until = self._kept_until(at)

    def _kept_until(self, at: datetime) -> datetime:
        return at + self._settings.days(SettingKey.GRACE_DAYS)

    def keep_disks(self) -> None:
        """Stop charging for the disks of stopped VMs, and for what is stored, that their owner's wallet cannot pay any
        more."""
        now = self.now()
        used = func.sum(reports.accrued_of(now))
        query = (
            select(INTERVAL.c.owner_id)
            .join(ledger.ACCOUNT, ledger.ACCOUNT.c.owner_id == INTERVAL.c.owner_id)
            .where(INTERVAL.c.end_at.is_(None), INTERVAL.c.state != UsageState.RUNNING)
            .where(ledger.ACCOUNT.c.kind == AccountKind.WALLET)
            .group_by(INTERVAL.c.owner_id, ledger.ACCOUNT.c.balance)
            .having(ledger.ACCOUNT.c.balance * 3600 < used)
        )
        with self.reading() as session:
            broke = list(session.scalars(query))
        each_alone("keep disks", broke, lambda owner_id: self._keep_disks_of(owner_id, now))

    def _keep_disks_of(self, owner_id: str, now: datetime) -> None:
        with self.transaction() as session:
            wallet = ledger.lock_accounts(session, [owner_id])[owner_id].wallet
            query = (
                select(DbVM, INTERVAL.c.settled_until, INTERVAL.c.rate_micro_per_hour)
                .join(INTERVAL, (INTERVAL.c.vm_id == DbVM.id) & INTERVAL.c.end_at.is_(None) & OF_MACHINE)
                .where(DbVM.owner_id == owner_id, DbVM.state == VMState.STOPPED, DbVM.deleted_at.is_(None))
                .where(INTERVAL.c.state == UsageState.STOPPED)
                .order_by(DbVM.id)
            )
            rows = session.execute(query.with_for_update(of=DbVM)).all()
            stored = read_paid(session, owner_id)
            rates = [(row[2], row[1]) for row in rows] + [(each.rate_micro_per_hour, since) for each, since in stored]
            burn = sum(rate for rate, _since in rates)
            used = sum(rate * ((now - since) // timedelta(seconds=1)) for rate, since in rates)
            if wallet * 3600 >= used or not burn:
                return
            # What cannot be paid is not charged: the bill ends at the last second that the wallet pays in full.
            end = whole_second(now) - timedelta(seconds=-(-(used - wallet * 3600) // burn))
            for vm, _settled, _rate in rows:
                event_id = self.audit("vm.disk_kept", Subject.vm(vm))
                UsageRecorder(Meter(session, now, self.policy.window)).close(vm.id, end, event_id)
                self.keep_disk(vm, now)
            self._storage.keep_unpaid(session, [each for each, _since in stored], end, self._kept_until(now))
            self._core.checkpoint("landing.disks_kept")

    def resume_disks(self) -> None:
        """Charge again for disks, and what is stored, that were kept for nothing, where the wallet pays them for an
        hour and all that runs for half a window."""
        with self.reading() as session:
            owners = {*session.scalars(waiting_owners(DbVM.disk_until.is_not(None)))}
            owners |= {*session.scalars(storing_owners())}
        each_alone("resume disks", sorted(owners), self._resume_disks_of)

    def _resume_disks_of(self, owner_id: str) -> None:
        with self.transaction() as session:
            wallet = ledger.lock_accounts(session, [owner_id])[owner_id].wallet
            query = select(DbVM).where(DbVM.owner_id == owner_id, DbVM.disk_until.is_not(None))
            vms = session.scalars(query.where(DbVM.state == VMState.STOPPED).order_by(DbVM.id).with_for_update())
            kept = list(vms)
            stored = read_unpaid(session, owner_id)
            price = sum(vm.stopped_micro_per_hour for vm in kept) + sum(each.rate_micro_per_hour for each in stored)
            burn = burn_of(session, owner_id)
            if not (kept or stored) or not may_start_again(wallet, price, burn, self.policy.window):
                return
            for vm in kept:
                self.leave_grace(session, vm, self.audit("vm.disk_resumed", Subject.vm(vm)))
            self._storage.pay_again(session, stored)

    def leave_grace(self, session: Session, vm: DbVM, event_id: str) -> None:
        """The disk, and what is stored of the machine, is charged again from now on; in the caller's transaction, under
        the owner's wallet lock."""
        if vm.disk_until is None:
            return
        now = self.now()
        recorder = UsageRecorder(Meter(session, now, self.policy.window))
        recorder.open(BilledVM.of(vm), UsageState.STOPPED, now, event_id, has_minimum=False)
        self._storage.resume(session, [vm.id], {vm.id: event_id})
        vm.disk_until = None

    def list_deletions(self) -> list[str]:
        """VMs whose disk has been kept to the end, and whose owner was told that a day or more ago."""
        now = self.now()
        with self.reading() as session:
            query = select(DbVM).where(DbVM.disk_until <= now, DbVM.deleted_at.is_(None), DbVM.state == VMState.STOPPED)
            due = []
            for vm in session.scalars(query.order_by(DbVM.id)):
                told = self._notices.was_told(vm.owner_id, "disk", _disk_key(vm.id, vm.disk_until, 1))
                if told is not None and now >= told.at + DAY:
                    due.append(vm.id)
            return due

    # -- starting again -------------------------------------------------------------------------

    def list_returns(self) -> list[str]:
        """VMs that Zentry stopped for lack of credit and whose owner has credits now, the most important first."""
        with self.reading() as session:
            owners = list(session.scalars(waiting_owners(DbVM.credit_stopped_at.is_not(None))))
            query = select(DbVM.id).where(DbVM.owner_id.in_(owners), DbVM.credit_stopped_at.is_not(None))
            return list(session.scalars(query.order_by(DbVM.owner_id, DbVM.importance.desc(), DbVM.name, DbVM.id)))

    def may_return(self, session: Session, vm: DbVM) -> bool:
        """Whether there is enough to start it again and keep what runs running. The wallet is locked."""
        wallet = ledger.lock_accounts(session, [vm.owner_id])[vm.owner_id].wallet
        price = holds.hold_price(vm.running_micro_per_hour, self.policy.window)
        return may_start_again(wallet, price, burn_of(session, vm.owner_id), self.policy.window)

    def tell_return(self, vm: DbVM) -> None:
        """Tell the owner that the VM starts again; in the caller's transaction."""
        key = f"{vm.id}:{_epoch(self.now())}"
        self._notices.tell(vm.owner_id, "credit_back", key, *say("credit_back", vm=vm.name))

    # -- inside ---------------------------------------------------------------------------------

    def _row(self, session: Session, user_id: str) -> DbLanding:
        row = session.get(DbLanding, user_id, with_for_update=True)
        if row is None:
            row = DbLanding(user_id=user_id, episode=0, told_seconds=None, low_micro=None, low_told=False)
            session.add(row)
            session.flush()
        return row

    def _lines(self, user_id: str) -> str:
        """The next lines of the plan, each with its end, in the reader's time zone."""
        with self.reading() as session:
            zone = _zone(session, user_id)
        lines = [
            say_line(
                f"landing_{line.step}", at=_moment(line.at, zone), vm=line.name, project=line.project, what=line.stored
            )
            for line in self._runway.make_plan(user_id).lines[:_LINES_IN_MAIL]
        ]
        return say_lines(lines)


def _zone(session: Session, user_id: str) -> tzinfo:
    return zone_of(session.scalars(select(DbUser.time_zone).where(DbUser.id == user_id)).one())


def _moment(moment: datetime, zone: tzinfo) -> str:
    return dated(moment.astimezone(zone), "%a %d %b %H:%M")


def _credits(micro: int) -> str:
    return f"{micro // 1_000_000}.{micro % 1_000_000 // 10_000:02d}"


def _epoch(moment: datetime) -> int:
    return seconds_of(whole_second(moment) - EPOCH)


def _disk_key(vm_id: str, until: datetime | None, days: int) -> str:
    return f"{vm_id}:{_epoch(until) if until else ''}:{days}"
