"""The landing plan on the database: showing it, telling owners in time, keeping disks that nobody can pay.

What a VM must do (start again, be deleted) is returned; the worker's loop carries it to VMService.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from zentry_web.domain.billing import AccountKind, BilledVM, CreditStop, UsageState
from zentry_web.domain.landing import (
    DAY,
    DISK_NOTICES,
    LandingPlan,
    LandingStep,
    Policy,
    Told,
    disk_notice,
    make_plan,
    may_start_again,
    next_told,
    positions,
    seconds_of,
)
from zentry_web.domain.setting import SettingKey
from zentry_web.domain.usage import EPOCH, whole_second
from zentry_web.domain.user import SYSTEM, Actor
from zentry_web.models import DbLanding, DbProject, DbUser, DbVM
from zentry_web.services import holds, ledger
from zentry_web.services.access import require_self
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.errors import NotFoundError, ValidationError
from zentry_web.services.landing_reads import as_lander, burn_of, read_burn, read_totals, used_of, waiting_owners
from zentry_web.services.notices import Notices
from zentry_web.services.prices import check_micro
from zentry_web.services.settings import Settings
from zentry_web.services.settlement import HOLD, INTERVAL
from zentry_web.services.usage import UsageRecorder

PLAN_URL = "/credits/plan"
_WORDS = {3600: "an hour", 86400: "a day", 3 * 86400: "3 days", 7 * 86400: "7 days"}
_STEPS = {
    LandingStep.STOP: "{name} is stopped",
    LandingStep.KEEP: "the disk of {name} is kept without a charge",
    LandingStep.DELETE: "the disk of {name} is deleted",
}
_LINES_IN_MAIL = 20


class Landing(BaseService):
    """Credits that come to an end: announced, in the owner's order, and undone by any credit that comes in."""

    name = "landing"

    def __init__(self, core: Core, notices: Notices, policy: Policy, settings: Settings) -> None:
        super().__init__(core)
        self._notices = notices
        self._settings = settings
        self.policy = policy  # but for the days of grace

    # -- the owner's side -----------------------------------------------------------------------

    def get_plan(self, user_id: str, *, actor: Actor = SYSTEM) -> LandingPlan:
        """What stops when if nothing changes. Raises NotFoundError (also for somebody else's)."""
        require_self(actor, user_id)
        with self.reading() as session:
            return self._plan(session, user_id)

    def set_order(self, user_id: str, vm_ids: list[str], *, actor: Actor = SYSTEM) -> None:
        """Put VMs in order of importance, the most important first. Raises ValidationError, NotFoundError."""
        require_self(actor, user_id)
        if len(set(vm_ids)) != len(vm_ids):
            raise ValidationError("Each machine can have one place only.", details={"order": "A machine is in twice."})
        places = positions(vm_ids)
        with self.transaction() as session:
            ledger.lock_accounts(session, [user_id])
            query = select(DbVM).where(DbVM.owner_id == user_id, DbVM.deleted_at.is_(None)).order_by(DbVM.id)
            vms = {vm.id: vm for vm in session.scalars(query.with_for_update())}
            if not set(vm_ids) <= set(vms):
                raise NotFoundError("There is no such virtual machine.")
            for vm in vms.values():
                vm.importance = places.get(vm.id, 0)
            self.log_audit_event(actor.id, "landing.order", "user", user_id, {"order": vm_ids}, actor=actor)

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
            self.log_audit_event(actor.id, "landing.low_balance", "user", user_id, {"micro": micro}, actor=actor)

    # -- telling --------------------------------------------------------------------------------

    def announce(self) -> None:
        """Tell every owner whose runway or balance has come down to something they must know."""
        now = self.now()
        with self.reading() as session:
            burning = read_burn(session, now)
            watched = or_(DbLanding.told_seconds.is_not(None), DbLanding.low_micro.is_not(None))
            rows = {row.user_id: row for row in session.scalars(select(DbLanding).where(watched))}
            totals = read_totals(session, set(burning) | set(rows))
        for user_id, total in sorted(totals.items()):
            burn, accrued = burning.get(user_id, (0, 0))
            left = max(0, total - accrued)
            runway = left * 3600 // burn if burn else None
            row = rows.get(user_id)
            told = Told(row.episode, row.told_seconds) if row else Told()
            low = bool(row and row.low_micro is not None and (left <= row.low_micro) != row.low_told)
            if low or next_told(told, runway)[0] != told:
                self._tell_runway(user_id, left, runway)

    def _tell_runway(self, user_id: str, left: int, runway: int | None) -> None:
        with self.transaction() as session:
            row = self._row(session, user_id)
            told, tell = next_told(Told(row.episode, row.told_seconds), runway)
            if row.low_micro is not None and (left <= row.low_micro) != row.low_told:
                row.low_told = not row.low_told
                if row.low_told:
                    title = f"Your balance is down to {_credits(left)} credits"
                    body = "You asked to be told at this balance."
                    self._notices.tell(user_id, "low_balance", self.new_id("low"), title, body, url=PLAN_URL)
            row.episode, row.told_seconds = told.episode, told.seconds
            if tell and told.seconds is not None:
                title = f"Your credits last for less than {_WORDS[told.seconds]}"
                body = self._describe(session, user_id, "If nothing changes:")
                self._notices.tell(user_id, "runway", f"{told.episode}:{told.seconds}", title, body, url=PLAN_URL)

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
            owner_id, name = vm.owner_id, vm.name
        with self.transaction() as session:
            zone = _zone(session, owner_id)
            title = f"{name} stops at {_moment(stop.ends_at, zone)}: credits end"
            body = "The machine is asked to power off a little before. Its disk is kept."
            self._notices.tell(owner_id, "credit_stop", key, title, body, url=PLAN_URL, mail=False)
            text = self._describe(session, owner_id, "Your credits end. This is what happens unless credits come in:")
            self._notices.tell(owner_id, "landing", f"{episode}", "Machines are about to stop", text, url=PLAN_URL)
            self._core.checkpoint("landing.told")

    def tell_disks(self) -> None:
        """Tell the owners of disks that are kept without a charge how long that lasts."""
        now = self.now()
        with self.reading() as session:
            query = select(DbVM.id, DbVM.disk_until).where(DbVM.disk_until <= now + max(DISK_NOTICES) * DAY)
            due = [(vm_id, until, disk_notice(until, now)) for vm_id, until in session.execute(query) if until]
        for vm_id, until, days in due:
            if days is not None:
                self._tell_disk(vm_id, until, days)

    def _tell_disk(self, vm_id: str, until: datetime, days: int) -> None:
        key = _disk_key(vm_id, until, days)
        with self.reading() as session:
            vm = session.get(DbVM, vm_id)
            if vm is None or self._notices.was_told(vm.owner_id, "disk", key):
                return
            owner_id, name, zone = vm.owner_id, vm.name, _zone(session, vm.owner_id)
        when = _moment(max(until, self.now() + DAY) if days == 1 else until, zone)
        body = "Nobody pays for this disk. Any credit that comes in keeps it; then the machine starts again."
        title = f"The disk of {name} will be deleted at {when}"
        with self.transaction():
            self._notices.tell(owner_id, "disk", key, title, body, url=PLAN_URL)

    # -- disks without a charge -----------------------------------------------------------------

    def keep_disk(self, vm: DbVM, at: datetime) -> None:
        """From ``at`` on this disk is kept without a charge, for the time that the setting gives; in the caller's
        transaction, under the owner's wallet lock, with no interval open."""
        vm.disk_until = at + self._settings.days(SettingKey.GRACE_DAYS)

    def keep_disks(self) -> None:
        """Stop charging for the disks of stopped VMs that their owner's wallet cannot pay any more."""
        now = self.now()
        used = func.sum(used_of(now))
        query = (
            select(INTERVAL.c.owner_id)
            .join(ledger.ACCOUNT, ledger.ACCOUNT.c.owner_id == INTERVAL.c.owner_id)
            .where(INTERVAL.c.end_at.is_(None), INTERVAL.c.state == UsageState.STOPPED)
            .where(ledger.ACCOUNT.c.kind == AccountKind.WALLET)
            .group_by(INTERVAL.c.owner_id, ledger.ACCOUNT.c.balance)
            .having(ledger.ACCOUNT.c.balance * 3600 < used)
        )
        with self.reading() as session:
            broke = list(session.scalars(query))
        for owner_id in broke:
            self._keep_disks_of(owner_id, now)

    def _keep_disks_of(self, owner_id: str, now: datetime) -> None:
        with self.transaction() as session:
            wallet = ledger.lock_accounts(session, [owner_id])[owner_id].wallet
            query = (
                select(DbVM, INTERVAL.c.settled_until, INTERVAL.c.rate_micro_per_hour)
                .join(INTERVAL, (INTERVAL.c.vm_id == DbVM.id) & INTERVAL.c.end_at.is_(None))
                .where(DbVM.owner_id == owner_id, DbVM.state == UsageState.STOPPED, DbVM.deleted_at.is_(None))
                .where(INTERVAL.c.state == UsageState.STOPPED)
                .order_by(DbVM.id)
            )
            rows = session.execute(query.with_for_update(of=DbVM)).all()
            burn = sum(row[2] for row in rows)
            used = sum(row[2] * ((now - row[1]) // timedelta(seconds=1)) for row in rows)
            if wallet * 3600 >= used or not burn:
                return
            # What cannot be paid is not charged: the bill ends at the last second that the wallet pays in full.
            end = whole_second(now) - timedelta(seconds=-(-(used - wallet * 3600) // burn))
            for vm, _settled, _rate in rows:
                event_id = self._event(vm, "vm.disk_kept")
                UsageRecorder(session, now, self.policy.window).close(vm.id, end, event_id)
                self.keep_disk(vm, now)
            self._core.checkpoint("landing.disks_kept")

    def resume_disks(self) -> None:
        """Charge again for disks that were kept for nothing, where the wallet pays them for an hour and all that runs
        for half a window."""
        with self.reading() as session:
            owners = list(session.scalars(waiting_owners(DbVM.disk_until.is_not(None))))
        for owner_id in owners:
            with self.transaction() as session:
                wallet = ledger.lock_accounts(session, [owner_id])[owner_id].wallet
                query = select(DbVM).where(DbVM.owner_id == owner_id, DbVM.disk_until.is_not(None))
                vms = session.scalars(query.where(DbVM.state == UsageState.STOPPED).order_by(DbVM.id).with_for_update())
                kept = list(vms)
                price = sum(vm.stopped_micro_per_hour for vm in kept)
                burn = burn_of(session, owner_id)
                if not kept or not may_start_again(wallet, price, burn, self.policy.window):
                    continue
                for vm in kept:
                    self.leave_grace(session, vm, self._event(vm, "vm.disk_resumed"))

    def leave_grace(self, session: Session, vm: DbVM, event_id: str) -> None:
        """The disk is charged again from now on; in the caller's transaction, under the owner's wallet lock."""
        if vm.disk_until is None:
            return
        billed = BilledVM(
            vm.id, vm.owner_id, vm.project_id, vm.price_version_id,
            vm.running_micro_per_hour, vm.stopped_micro_per_hour, vm.image_price_version_id,
        )  # fmt: skip
        now = self.now()
        recorder = UsageRecorder(session, now, self.policy.window)
        recorder.open(billed, UsageState.STOPPED, now, event_id, has_minimum=False)
        vm.disk_until = None

    def list_deletions(self) -> list[str]:
        """VMs whose disk has been kept to the end, and whose owner was told that a day or more ago."""
        now = self.now()
        with self.reading() as session:
            query = select(DbVM).where(DbVM.disk_until <= now, DbVM.deleted_at.is_(None), DbVM.state == "stopped")
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
        title = f"{vm.name} starts again"
        self._notices.tell(vm.owner_id, "credit_back", key, title, "There are credits for it again.")

    # -- inside ---------------------------------------------------------------------------------

    def _row(self, session: Session, user_id: str) -> DbLanding:
        row = session.get(DbLanding, user_id, with_for_update=True)
        if row is None:
            row = DbLanding(user_id=user_id, episode=0, told_seconds=None, low_micro=None, low_told=False)
            session.add(row)
            session.flush()
        return row

    def _plan(self, session: Session, user_id: str) -> LandingPlan:
        wallet = self.get_user_credits(user_id)
        query = (
            select(DbVM, DbProject.name, HOLD, INTERVAL.c.state, INTERVAL.c.settled_until, INTERVAL.c.time_zone)
            .join(DbProject, DbProject.id == DbVM.project_id)
            .outerjoin(INTERVAL, (INTERVAL.c.vm_id == DbVM.id) & INTERVAL.c.end_at.is_(None))
            .outerjoin(HOLD, (HOLD.c.interval_id == INTERVAL.c.id) & HOLD.c.closed_at.is_(None))
            .where(DbVM.owner_id == user_id, DbVM.deleted_at.is_(None))
        )
        landers = [as_lander(row._mapping) for row in session.execute(query)]
        return make_plan(
            landers, wallet, self.now(), replace(self.policy, grace=self._settings.days(SettingKey.GRACE_DAYS))
        )

    def _describe(self, session: Session, user_id: str, opening: str) -> str:
        """The next lines of the plan, as text in the reader's time zone."""
        zone = _zone(session, user_id)
        lines = [
            f"- {_moment(line.at, zone)}: {_STEPS[line.step].format(name=f'{line.name} ({line.project})')}"
            for line in self._plan(session, user_id).lines[:_LINES_IN_MAIL]
        ]
        return "\n".join([opening, *lines, "", "Any credit that comes in undoes this."])

    def _event(self, vm: DbVM, action: str) -> str:
        return self.log_audit_event(
            SYSTEM.id, action, "vm", vm.id, {}, owner_id=vm.owner_id, project_id=vm.project_id, vm_id=vm.id
        )


def _zone(session: Session, user_id: str) -> ZoneInfo:
    return ZoneInfo(session.scalars(select(DbUser.time_zone).where(DbUser.id == user_id)).one())


def _moment(moment: datetime, zone: ZoneInfo) -> str:
    return f"{moment.astimezone(zone):%a %d %b %H:%M}"


def _credits(micro: int) -> str:
    return f"{micro // 1_000_000}.{micro % 1_000_000 // 10_000:02d}"


def _epoch(moment: datetime) -> int:
    return seconds_of(whole_second(moment) - EPOCH)


def _disk_key(vm_id: str, until: datetime | None, days: int) -> str:
    return f"{vm_id}:{_epoch(until) if until else ''}:{days}"
