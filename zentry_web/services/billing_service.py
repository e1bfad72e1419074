"""BillingService: credits, holds, usage and what it costs. Amounts are micro-credits, times aware UTC."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from zentry_web.adapters.payments.base import PaymentProvider
from zentry_web.domain.credits.billing import (
    Balance,
    Check,
    Quote,
    Transaction,
    TransferKind,
    UsageSummary,
)
from zentry_web.domain.credits.books import Approval, ByHand, MoveKind
from zentry_web.domain.credits.usage import SECOND, BilledVM, UsageState, whole_second
from zentry_web.domain.language import _
from zentry_web.domain.money import cost, per_month
from zentry_web.domain.package_settings import BillingSettings
from zentry_web.domain.query_language import EVERYTHING, ListSearch
from zentry_web.domain.setting import SettingKey
from zentry_web.domain.user import SYSTEM, Actor
from zentry_web.domain.vms.catalogue import Image, Size, next_price
from zentry_web.models import DbTransfer, DbVM
from zentry_web.services.base_service import BaseService, Core, body_hash
from zentry_web.services.billing.bills.bills import Bills
from zentry_web.services.billing.bills.spending import Spending
from zentry_web.services.billing.bills.statements import Statements
from zentry_web.services.billing.books.books import Books
from zentry_web.services.billing.ledger import posting as ledger
from zentry_web.services.billing.ledger.by_hand import ByHandPosting, check_request
from zentry_web.services.billing.ledger.wallets import Wallets
from zentry_web.services.billing.limits.budgets import Budgets
from zentry_web.services.billing.limits.landing import Landing
from zentry_web.services.billing.limits.stored_grace import StoredGrace
from zentry_web.services.billing.payments.automatic import AutoTopUps
from zentry_web.services.billing.payments.desk import PaymentDesk
from zentry_web.services.billing.payments.top_ups import Payments
from zentry_web.services.billing.payments.vouchers import Vouchers
from zentry_web.services.billing.prices.changes import PriceChanges
from zentry_web.services.billing.prices.rehearsal import PriceRehearsal
from zentry_web.services.billing.prices.telling import PriceTelling
from zentry_web.services.billing.usage import holds, interval_sets, price_switch, reports
from zentry_web.services.billing.usage.expiries import Promotions
from zentry_web.services.billing.usage.handover import Handover
from zentry_web.services.billing.usage.interval_rows import Meter
from zentry_web.services.billing.usage.intervals import UsageRecorder
from zentry_web.services.billing.usage.price_list import PriceList
from zentry_web.services.billing.usage.resizes import Resizes
from zentry_web.services.billing.usage.runs import BillingRuns
from zentry_web.services.billing.usage.runway import Runway
from zentry_web.services.billing.usage.storage import Storage
from zentry_web.services.errors import NotFoundError
from zentry_web.services.shared.access import require_admin, require_self
from zentry_web.services.shared.fields import check_micro
from zentry_web.services.shared.notices import Notices
from zentry_web.services.shared.paging import CHUNK, in_chunks, page_of
from zentry_web.services.shared.parties import Parties
from zentry_web.services.shared.rate_limits import RateLimiter
from zentry_web.services.shared.settings import Settings


class BillingService(BaseService):
    """Credits that can never fall below zero, and bills that can be recomputed to the second."""

    name = "billing"

    def __init__(
        self,
        core: Core,
        settings: BillingSettings,
        *,
        provider: PaymentProvider | None = None,
    ) -> None:
        super().__init__(core)
        self._window = timedelta(seconds=settings.hold_window_seconds)
        self.runs = BillingRuns(core, window=self._window)
        self.wallets = Wallets(core)
        self.settings = Settings(core, settings.defaults, settings.pinned)
        self.notices = Notices(core)
        self.promotions = Promotions(core, self.notices, self.runs)
        self.runway = Runway(core, self.settings, settings.landing_policy)
        self.storage = Storage(core, window=self._window)
        self.stored_grace = StoredGrace(core, self.notices)
        self.landing = Landing(core, self.notices, settings.landing_policy, self.settings, self.runway, self.storage)
        self.reports = reports.Reports(core)
        self.bills = Bills(core)
        self.spending = Spending(core, self.runway, window=self._window)
        self.parties = Parties(core, self.settings)
        self.statements = Statements(core, self.notices, self.parties)
        self.vouchers = Vouchers(core, self.notices, self.settings)
        self.price_list = PriceList(core)
        self.price_changes = PriceChanges(core, notice_days=settings.price_notice_days)
        self.price_rehearsal = PriceRehearsal(core)
        self.price_telling = PriceTelling(core, self.notices)
        self.payments = Payments(core, self.notices, provider, settings.credit_price, self.parties)
        self.by_hand = ByHandPosting(core)
        self.resizes = Resizes(core, self.runway, window=self._window)
        self.handover = Handover(core, window=self._window)
        self.budgets = Budgets(core, self.notices, self.wallets, window=self._window)
        self.auto_top_ups = AutoTopUps(core, self.notices, self.payments)
        second = self.settings.second_admin
        self.payment_desk = PaymentDesk(core, self.payments, second)
        deeds = {
            MoveKind.VOUCHERS: self.vouchers.carry_out,
            MoveKind.PAYMENT: self.payment_desk.carry_out,
            MoveKind.SETTING: self.settings.carry_out,
        }
        self.books = Books(core, self.by_hand, self.notices, self.statements, self.landing.policy, second, deeds)

    @property
    def hold_window(self) -> timedelta:
        """For how long a running VM is paid in advance."""
        return self._window

    # -- credits --------------------------------------------------------------------------------

    def open_accounts(self, user_id: str) -> None:
        """A new person's empty wallet and held account, in the caller's transaction."""
        with self.transaction() as session:
            ledger.open_accounts(session, user_id)

    def grant_starting_credits(self, user_id: str, *, once_per: str | None = None) -> Transaction | None:
        """The credits a new account begins with: once ever per person, and per ``once_per`` (a mailbox) if given.

        None when the setting is 0, or another account of that mailbox had them.
        """
        starting_micro = self.settings.number(SettingKey.STARTING_CREDITS)
        if not starting_micro:
            return None
        key = f"starting:{user_id}"
        if once_per is not None:
            key = f"starting:{body_hash(once_per)}"
            with self.reading() as session:
                taken = select(DbTransfer.id).where(DbTransfer.idempotency_key == key, DbTransfer.owner_id != user_id)
                if session.scalar(taken) is not None:
                    return None
        asked = ByHand(user_id, TransferKind.GRANT, starting_micro, "Starting credits")
        return self.by_hand.post(asked, key, actor=SYSTEM)

    def add_credits(
        self,
        user_id: str,
        amount: int,
        description: str,
        *,
        actor: Actor = SYSTEM,
        idempotency_key: str | None = None,
    ) -> Transaction | Approval:
        """Give ``amount`` > 0 micro-credits with a reason; admins only. See ``record_transaction``."""
        return self.record_transaction(
            user_id, TransferKind.GRANT, amount, description, actor=actor, idempotency_key=idempotency_key
        )

    def deduct_credits(
        self,
        user_id: str,
        amount: int,
        description: str,
        *,
        actor: Actor = SYSTEM,
        idempotency_key: str | None = None,
    ) -> Transaction | Approval:
        """Take ``amount`` > 0 micro-credits back from the wallet; admins only. See ``record_transaction``.

        Raises InsufficientCreditsError when the wallet has less: held credits are not touched.
        """
        return self.record_transaction(
            user_id, TransferKind.DEDUCTION, amount, description, actor=actor, idempotency_key=idempotency_key
        )

    def promote(
        self,
        user_id: str,
        amount: int,
        description: str,
        *,
        expires_at: datetime | None = None,
        actor: Actor = SYSTEM,
        idempotency_key: str | None = None,
    ) -> Transaction | Approval:
        """Give ``amount`` > 0 micro-credits of promotional credit: used before other credits, not paid back, gone at
        the whole hour at or after ``expires_at`` (None: it stays). Admins only. See ``record_transaction``; raises
        ValidationError for expires_at, too."""
        asked = ByHand(user_id, TransferKind.PROMOTION, amount, description, expires_at=expires_at)
        return self._record(asked, actor, idempotency_key)

    def record_transaction(
        self,
        user_id: str,
        kind: TransferKind,
        amount: int,
        description: str,
        *,
        actor: Actor = SYSTEM,
        idempotency_key: str | None = None,
    ) -> Transaction | Approval:
        """Post a grant or a deduction of ``amount`` > 0 micro-credits; admins only; it is audited.

        What an admin may not move alone (second_admin.py) becomes a request that another one must approve: then
        the answer is the ``Approval``. Zentry itself (``SYSTEM``) is not subject to it.
        The same ``idempotency_key`` gives the same transaction and one effect. Raises ValidationError (amount,
        description, kind), NotFoundError, ConflictError (key used for something else), InsufficientCreditsError,
        ProofRequiredError.
        """
        return self._record(ByHand(user_id, kind, amount, description), actor, idempotency_key)

    def _record(self, asked: ByHand, actor: Actor, idempotency_key: str | None) -> Transaction | Approval:
        require_admin(actor)
        asked = check_request(asked, idempotency_key, self.now())
        return self.books.approvals.submit(asked, f"by-hand:{idempotency_key or self.new_id('key')}", actor=actor)

    # -- looking --------------------------------------------------------------------------------

    def get_balance(self, user_id: str, *, actor: Actor = SYSTEM) -> Balance:
        """Wallet, held, accrued to the second, burn rate. Raises NotFoundError (also for somebody else's)."""
        require_self(actor, user_id)
        with self.reading() as session:
            return reports.read_balance(session, user_id, self.now())

    def get_runway(self, user_id: str, *, actor: Actor = SYSTEM) -> Balance:
        """The same as pages show it: in the week before credits end with what the landing plan stops first and last
        (three statements more). Not inside a transaction. Raises NotFoundError (also for somebody else's)."""
        require_self(actor, user_id)
        return self.runway.get_balance(user_id)

    def list_transactions(
        self,
        user_id: str,
        *,
        actor: Actor = SYSTEM,
        with_holds: bool = True,
        search: ListSearch = EVERYTHING,
        before: str | None = None,
        limit: int = 50,
    ) -> list[Transaction]:
        """Transfers of one person that fit, newest first; ``before`` is the id of the last one seen.

        Without ``with_holds``, only what moves the balance: not what was set aside and given back.
        """
        require_self(actor, user_id)
        with self.reading() as session:
            return ledger.read_transactions(
                session, user_id, with_holds=with_holds, search=search, before=before, limit=limit
            )

    def export_transactions(
        self, user_id: str, *, actor: Actor = SYSTEM, with_holds: bool = True, search: ListSearch = EVERYTHING
    ) -> Iterator[Transaction]:
        """All that ``list_transactions`` finds, for a file, read in chunks. Raises RateLimitedError."""
        require_self(actor, user_id)
        RateLimiter(self._core).check_actor("file", actor)

        def read(before: str | None) -> tuple[Sequence[Transaction], str | None]:
            rows = self.list_transactions(
                user_id, actor=actor, with_holds=with_holds, search=search, before=before, limit=CHUNK
            )
            return page_of(rows, CHUNK, lambda row: row.id)

        return in_chunks(read)

    def get_usage_summary(
        self, user_id: str, start: datetime | None = None, end: datetime | None = None, *, actor: Actor = SYSTEM
    ) -> UsageSummary:
        """What each VM used and cost, charged and accrued; by default this month in the account's time zone.

        With ``start`` (and ``end``, else up to now): the charges that begin in [start, end). Three statements at most.
        """
        require_self(actor, user_id)
        now = self.now()
        with self.reading() as session:
            if start is None:
                return reports.read_month(session, user_id, now, reports.time_zone_of(session, user_id))
            return reports.read_period(session, user_id, start, end or whole_second(now) + SECOND, now)

    def calculate_cost(self, rate_micro_per_hour: int, seconds: int) -> int:
        """Micro-credits for whole ``seconds`` at a rate per hour, rounded half-even once."""
        rate = check_micro("rate_micro_per_hour", rate_micro_per_hour)
        return cost(rate, check_micro("seconds", seconds))

    def quote(self, user_id: str, size: Size, image: Image | None = None, count: int = 1) -> Quote:
        """What launching ``count`` such machines would cost this person, and how long credits would last after it."""
        balance, surcharge = self.get_runway(user_id), image.surcharge_micro_per_hour if image else 0
        running = size.running_micro_per_hour + surcharge
        burn = balance.burn_micro_per_hour + running * count
        return Quote(
            running_micro_per_hour=running,
            surcharge_micro_per_hour=surcharge,
            coming=next_price(size, image),
            stopped_micro_per_hour=size.stopped_micro_per_hour,
            month_micro=per_month(running * count),
            hold_micro=holds.hold_price(running, self._window) * count,
            available_micro=balance.available_micro,
            burn_after_micro_per_hour=burn,
            runs_out_at=balance.runs_out_with(burn),
            runs_out_before=balance.runs_out_at,
            count=count,
        )

    def verify(self) -> list[Check]:
        """Check money's invariants on the live database, in one consistent snapshot. Changes nothing, locks nothing."""
        return self.books.verification.check(every_statement=True)

    # -- VMs, inside the caller's transaction ---------------------------------------------------

    def require_disk_funds(self, owner_id: str, rate_micro_per_hour: int) -> None:
        """Lock the wallet; raise InsufficientCreditsError unless it pays that much for a disk over the hold window."""
        with self.transaction() as session:
            wallet = ledger.lock_accounts(session, [owner_id])[owner_id].wallet
        message = _(
            "There are not enough credits to pay its disk for %(minutes)s minutes.",
            minutes=self._window // timedelta(minutes=1),
        )
        ledger.require_funds(wallet, holds.hold_price(rate_micro_per_hour, self._window), message)

    def place_hold(self, vm_id: str, owner_id: str, rate_micro_per_hour: int) -> None:
        """Move the price of the hold window from wallet to held for a VM about to start; once per start.

        Raises InsufficientCreditsError (``needed``, ``available``).
        """
        with self.transaction() as session:
            session.flush()
            funds = ledger.lock_accounts(session, [owner_id])[owner_id]
            holds.place(self._meter(session), vm_id, owner_id, rate_micro_per_hour, funds)

    def release_hold(self, vm_id: str) -> None:
        """Give the hold of a start that will not be back to the wallet; nothing if there is none."""
        with self._recording(vm_id) as recorder:
            recorder.release_hold(vm_id)

    def open_interval(
        self, vm: BilledVM, state: UsageState, at: datetime, *, event_id: str, has_minimum: bool = False
    ) -> None:
        """The driver reported ``state`` at ``at``: close and settle the open interval, open the next.

        A hold goes on from one running interval to the next, else it is released; snapshots are paid for again.
        ``has_minimum``: a person started it. Raises InsufficientCreditsError: no hold, and none can be placed.
        """
        with self._recording(vm.vm_id, vm.owner_id) as recorder, self.transaction() as session:
            recorder.open(vm, state, at, event_id, has_minimum=has_minimum)
            self.storage.resume(session, [vm.vm_id], {vm.vm_id: event_id})

    def close_interval(self, vm_id: str, at: datetime, *, event_id: str, deleted: bool = False) -> None:
        """Billing of a VM ends at ``at``: close and settle its open interval, if any, and release its hold; and those
        of its snapshots and, where it is ``deleted``, of its backups."""
        with self._recording(vm_id) as recorder, self.transaction() as session:
            recorder.close(vm_id, at, event_id)
            self.storage.pause(session, {vm_id: at}, {vm_id: event_id}, backups=deleted)

    def catch_up(self, owner_id: str, vm_ids: Collection[str]) -> None:
        """Make the switches of prices that are due by now for these VMs of one owner, whose wallet is locked."""
        with self.transaction() as session:
            until = dict.fromkeys(vm_ids, whole_second(self.now()))
            price_switch.catch_up(self._meter(session), owner_id, until)

    def close_intervals(self, owner_id: str, ends: Mapping[str, datetime], events: Mapping[str, str]) -> None:
        """Billing of these VMs of one owner, and of what is stored of them, ends, each at its moment, by its event."""
        with self.transaction() as session:
            ledger.lock_accounts(session, [owner_id])
            interval_sets.close_all(self._meter(session), owner_id, ends, events, charge_minimum=True)
            self.storage.pause(session, ends, events, backups=True)

    def open_stopped(self, vms: Sequence[BilledVM], events: Mapping[str, str]) -> None:
        """The disks of these VMs of one owner, and what is stored of them, are paid for from now on again."""
        with self.transaction() as session:
            ledger.lock_accounts(session, {vm.owner_id for vm in vms})
            states = {vm.vm_id: UsageState.STOPPED for vm in vms}
            interval_sets.open_all(self._meter(session), vms, states, events)
            self.storage.resume(session, [vm.vm_id for vm in vms], events)

    def move_interval(self, vm: BilledVM, at: datetime, *, event_id: str) -> None:
        """The VM is in ``vm``'s project from ``at`` on: what is open goes on there, hold and minimum with it, and its
        snapshots and backups."""
        with self._recording(vm.vm_id, vm.owner_id) as recorder, self.transaction() as session:
            recorder.move(vm, at, event_id)
            self.storage.follow(session, vm.vm_id, event_id)

    def open_rate(self, vm_id: str) -> int:
        """What a VM costs at this moment, in micro-credits per hour; 0 when nothing is charged."""
        with self.reading() as session:
            return reports.open_rate(session, vm_id)

    # -- shared ---------------------------------------------------------------------------------

    def _meter(self, session: Session) -> Meter:
        return Meter(session, self.now(), self._window)

    @contextmanager
    def _recording(self, vm_id: str, owner_id: str | None = None) -> Iterator[UsageRecorder]:
        with self.transaction() as session:
            session.flush()
            owner_id = owner_id or session.scalars(select(DbVM.owner_id).where(DbVM.id == vm_id)).one_or_none()
            if owner_id is None:
                raise NotFoundError(_("There is no such virtual machine."))
            ledger.lock_accounts(session, [owner_id])
            yield UsageRecorder(self._meter(session))
