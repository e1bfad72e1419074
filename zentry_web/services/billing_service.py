"""BillingService: credits, holds, usage and what it costs. Amounts are micro-credits, times aware UTC."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

from sqlalchemy import func, select

from zentry_web.adapters.payments.base import PaymentProvider
from zentry_web.domain.billing import (
    SYSTEM_ACCOUNTS,
    AccountKind,
    Balance,
    Check,
    Quote,
    Transaction,
    TransferKind,
    UsageSummary,
    run_out,
)
from zentry_web.domain.books import Approval
from zentry_web.domain.landing import Policy, default_policy
from zentry_web.domain.money import cost, per_month
from zentry_web.domain.payments import CreditPrice
from zentry_web.domain.setting import SettingKey
from zentry_web.domain.usage import SECOND, BilledVM, UsageState, whole_second
from zentry_web.domain.user import SYSTEM, Actor
from zentry_web.domain.vm import Image, Size, next_price
from zentry_web.models import DbProject, DbTransfer, DbUser, DbVM
from zentry_web.services import holds, ledger, prices, usage_reports, usage_sets
from zentry_web.services.access import require_admin, require_self
from zentry_web.services.auto_top_ups import AutoTopUps
from zentry_web.services.base_service import Core, body_hash
from zentry_web.services.billing_runs import BillingRuns
from zentry_web.services.bills import Bills
from zentry_web.services.books import Books
from zentry_web.services.budgets import Budgets
from zentry_web.services.by_hand import ByHand, ByHandPosting, check_request
from zentry_web.services.errors import NotFoundError
from zentry_web.services.handover import Handover
from zentry_web.services.landing import Landing
from zentry_web.services.notices import MailSettings, Notices
from zentry_web.services.payment_desk import PaymentDesk
from zentry_web.services.payments import Payments
from zentry_web.services.price_changes import DEFAULT_NOTICE_DAYS, PriceChanges
from zentry_web.services.price_rehearsal import PriceRehearsal
from zentry_web.services.price_telling import PriceTelling
from zentry_web.services.resizes import Resizes
from zentry_web.services.settings import Settings
from zentry_web.services.spending import Spending
from zentry_web.services.statements import Statements
from zentry_web.services.usage import UsageRecorder
from zentry_web.services.vouchers import Vouchers


class BillingService(BillingRuns):
    """Credits that can never fall below zero, and bills that can be recomputed to the second."""

    name = "billing"

    def __init__(
        self,
        core: Core,
        *,
        hold_window_seconds: int,
        settings: Settings | None = None,
        mail: MailSettings | None = None,
        policy: Policy | None = None,
        price_notice_days: int = DEFAULT_NOTICE_DAYS,
        provider: PaymentProvider | None = None,
        credit_price: CreditPrice | None = None,
    ) -> None:
        super().__init__(core, hold_window_seconds=hold_window_seconds)
        self.settings = settings or Settings(core, mail=mail)
        self.notices = Notices(core, mail)
        self.landing = Landing(core, self.notices, policy or default_policy(hold_window_seconds), self.settings)
        self.bills = Bills(core)
        self.spending = Spending(core, window=self._window)
        self.statements = Statements(core, self.notices)
        self.vouchers = Vouchers(core, self.notices, self.settings)
        self.price_changes = PriceChanges(core, notice_days=price_notice_days)
        self.price_rehearsal = PriceRehearsal(core)
        self.price_telling = PriceTelling(core, self.notices)
        self.payments = Payments(core, self.notices, provider, credit_price)
        self.by_hand = ByHandPosting(core)
        self.resizes = Resizes(core, window=self._window)
        self.handover = Handover(core, window=self._window)
        self.budgets = Budgets(core, self.notices, window=self._window)
        self.books = Books(core, self.by_hand, self.notices, self.statements, self.landing.policy, self.settings)
        self.auto_top_ups = AutoTopUps(core, self.notices, self.payments)
        self.payment_desk = PaymentDesk(core, self.payments)

    # -- credits --------------------------------------------------------------------------------

    def lock_wallet(self, owner_id: str) -> None:
        """Lock an owner's wallet for the rest of the open transaction: first, before a VM or an operation.

        Raises NotFoundError when there is no such account.
        """
        with self.transaction() as session:
            ledger.lock_accounts(session, [owner_id])

    def lock_wallets(self, owner_ids: Collection[str]) -> None:
        """Lock several wallets, in the one order in which everybody does. Raises NotFoundError."""
        with self.transaction() as session:
            ledger.lock_accounts(session, sorted(set(owner_ids)))

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

        A large one of an admin (a setting; what they moved for that person in 24 hours counts) becomes a request that a
        second admin must approve: then the answer is the ``Approval``. Zentry itself (``SYSTEM``) is not subject to it.
        The same ``idempotency_key`` gives the same transaction and one effect. Raises ValidationError (amount,
        description, kind), NotFoundError, ConflictError (key used for something else), InsufficientCreditsError.
        """
        require_admin(actor)
        asked = check_request(ByHand(user_id, kind, amount, description), idempotency_key)
        return self.books.approvals.submit(asked, f"by-hand:{idempotency_key or self.new_id('key')}", actor=actor)

    def _audit(
        self,
        action: str,
        actor: Actor,
        resource_type: str,
        resource_id: str,
        owner_id: str | None,
        details: dict[str, int],
    ) -> None:
        self.log_audit_event(actor.id, action, resource_type, resource_id, details, actor=actor, owner_id=owner_id)

    # -- looking --------------------------------------------------------------------------------

    def get_balance(self, user_id: str, *, actor: Actor = SYSTEM) -> Balance:
        """Wallet, held, accrued to the second, burn rate. Raises NotFoundError (also for somebody else's)."""
        require_self(actor, user_id)
        with self.reading() as session:
            return usage_reports.read_balance(session, user_id, self.now())

    def list_transactions(
        self,
        user_id: str,
        *,
        actor: Actor = SYSTEM,
        with_holds: bool = True,
        before: str | None = None,
        limit: int = 50,
    ) -> list[Transaction]:
        """Transfers of one person, newest first; ``before`` is the id of the last one seen.

        Without ``with_holds``, only what moves the balance: not what was set aside and given back.
        """
        require_self(actor, user_id)
        with self.reading() as session:
            return ledger.read_transactions(session, user_id, with_holds=with_holds, before=before, limit=limit)

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
                return usage_reports.read_month(session, user_id, now, usage_reports.time_zone_of(session, user_id))
            return usage_reports.read_period(session, user_id, start, end or whole_second(now) + SECOND, now)

    def month_spend_by_project(self, user_id: str) -> dict[str, int]:
        """Micro-credits that each of a person's projects has cost this month, accrued seconds included."""
        with self.reading() as session:
            zone = usage_reports.time_zone_of(session, user_id)
            return usage_reports.month_spend(session, user_id, self.now(), zone)

    def project_month_spend(self, project_id: str) -> int:
        """Micro-credits that one project has cost this month, accrued seconds included. Raises NotFoundError."""
        with self.reading() as session:
            owner = session.execute(
                select(DbUser.id, DbUser.time_zone)
                .join(DbProject, DbProject.owner_id == DbUser.id)
                .where(DbProject.id == project_id)
            ).one_or_none()
            if owner is None:
                raise NotFoundError("There is no such project.")
            spend = usage_reports.month_spend(session, owner.id, self.now(), owner.time_zone, project_id)
        return spend.get(project_id, 0)

    def calculate_cost(self, rate_micro_per_hour: int, seconds: int) -> int:
        """Micro-credits for whole ``seconds`` at a rate per hour, rounded half-even once."""
        rate = prices.check_micro("rate_micro_per_hour", rate_micro_per_hour)
        return cost(rate, prices.check_micro("seconds", seconds))

    def quote(self, user_id: str, size: Size, image: Image | None = None) -> Quote:
        """What launching ``size`` with ``image`` would cost this person, and how long credits would last after it."""
        balance = self.get_balance(user_id)
        surcharge = image.surcharge_micro_per_hour if image else 0
        running = size.running_micro_per_hour + surcharge
        burn = balance.burn_micro_per_hour + running
        return Quote(
            running_micro_per_hour=running,
            surcharge_micro_per_hour=surcharge,
            coming=next_price(size, image),
            stopped_micro_per_hour=size.stopped_micro_per_hour,
            month_micro=per_month(running),
            hold_micro=holds.hold_price(running, self._window),
            available_micro=balance.available_micro,
            burn_after_micro_per_hour=burn,
            runs_out_at=run_out(balance.at, balance.total_micro, burn),
        )

    def get_system_balances(self, *, actor: Actor = SYSTEM) -> dict[AccountKind, int]:
        """The sums of all accounts by kind; admins only. Grants and write-offs are negative: what was given away."""
        require_admin(actor)
        accounts = ledger.ACCOUNT
        with self.reading() as session:
            rows = session.execute(select(accounts.c.kind, func.sum(accounts.c.balance)).group_by(accounts.c.kind))
            found = {AccountKind(kind): int(balance) for kind, balance in rows}
        return {kind: found.get(kind, 0) for kind in (*ledger.USER_ACCOUNTS, *SYSTEM_ACCOUNTS)}

    def verify(self) -> list[Check]:
        """Check money's invariants on the live database, in one consistent snapshot. Changes nothing, locks nothing."""
        return self.books.verification.check(every_statement=True)

    # -- VMs, inside the caller's transaction ---------------------------------------------------

    def place_hold(self, vm_id: str, owner_id: str, rate_micro_per_hour: int) -> None:
        """Move the price of the hold window from wallet to held for a VM about to start; once per start.

        Raises InsufficientCreditsError (``needed``, ``available``).
        """
        with self.transaction() as session:
            session.flush()
            funds = ledger.lock_accounts(session, [owner_id])[owner_id]
            holds.place(session, vm_id, owner_id, rate_micro_per_hour, self._window, funds, self.now())

    def release_hold(self, vm_id: str) -> None:
        """Give the hold of a start that will not be back to the wallet; nothing if there is none."""
        with self._recording(vm_id) as recorder:
            recorder.release_hold(vm_id)

    def open_interval(
        self, vm: BilledVM, state: UsageState, at: datetime, *, event_id: str, has_minimum: bool = False
    ) -> None:
        """The driver reported ``state`` at ``at``: close and settle the open interval, open the next.

        A hold goes on from one running interval to the next, else it is released. ``has_minimum``: a person
        started it. Raises InsufficientCreditsError when it runs without a hold and the wallet cannot place one.
        """
        with self._recording(vm.vm_id, vm.owner_id) as recorder:
            recorder.open(vm, state, at, event_id, has_minimum=has_minimum)

    def close_interval(self, vm_id: str, at: datetime, *, event_id: str) -> None:
        """Billing of a VM ends at ``at``: close and settle its open interval, if any, and release its hold."""
        with self._recording(vm_id) as recorder:
            recorder.close(vm_id, at, event_id)

    def catch_up(self, owner_id: str, vm_ids: Collection[str]) -> None:
        """Make the switches of prices that are due by now for these VMs of one owner, whose wallet is locked."""
        with self.transaction() as session:
            until = dict.fromkeys(vm_ids, whole_second(self.now()))
            usage_sets.catch_up(session, owner_id, until, self.now(), self._window)

    def close_intervals(self, owner_id: str, ends: Mapping[str, datetime], events: Mapping[str, str]) -> None:
        """Billing of these VMs of one owner ends, each at its moment and by its event."""
        with self.transaction() as session:
            ledger.lock_accounts(session, [owner_id])
            usage_sets.close_all(session, owner_id, ends, events, self.now(), self._window, charge_minimum=True)

    def open_stopped(self, vms: Sequence[BilledVM], events: Mapping[str, str]) -> None:
        """The disks of these VMs of one owner, of which nothing is charged, are paid for from now on."""
        with self.transaction() as session:
            ledger.lock_accounts(session, {vm.owner_id for vm in vms})
            states = {vm.vm_id: UsageState.STOPPED for vm in vms}
            usage_sets.open_all(session, vms, states, events, self.now(), self._window)

    def move_interval(self, vm: BilledVM, at: datetime, *, event_id: str) -> None:
        """The VM is in ``vm``'s project from ``at`` on: what is open goes on there, hold and minimum with it."""
        with self._recording(vm.vm_id, vm.owner_id) as recorder:
            recorder.move(vm, at, event_id)

    def open_rate(self, vm_id: str) -> int:
        """What a VM costs at this moment, in micro-credits per hour; 0 when nothing is charged."""
        with self.reading() as session:
            return usage_reports.open_rate(session, vm_id)

    # -- prices ---------------------------------------------------------------------------------

    def publish_price(
        self,
        size_id: str,
        running_micro_per_hour: int,
        disk_micro_per_gib_hour: int,
        *,
        starts_at: datetime | None = None,
        actor: Actor,
    ) -> None:
        """Add the next version of a size's price, from now or a later moment on; admins only. VMs keep theirs.

        Raises ValidationError, NotFoundError.
        """
        require_admin(actor)
        running = prices.check_micro("running_micro_per_hour", running_micro_per_hour)
        disk = prices.check_micro("disk_micro_per_gib_hour", disk_micro_per_gib_hour)
        now = self.now()
        start = (starts_at or now).astimezone(UTC)
        with self.transaction() as session:
            number = prices.add_version(session, size_id, running, disk, start, now, actor.id)
            details = {"version": number, "running": running, "disk": disk}
            self._audit("price.publish", actor, "size", size_id, None, details)

    # -- shared ---------------------------------------------------------------------------------

    @contextmanager
    def _recording(self, vm_id: str, owner_id: str | None = None) -> Iterator[UsageRecorder]:
        with self.transaction() as session:
            session.flush()
            owner_id = owner_id or session.scalars(select(DbVM.owner_id).where(DbVM.id == vm_id)).one_or_none()
            if owner_id is None:
                raise NotFoundError("There is no such virtual machine.")
            ledger.lock_accounts(session, [owner_id])
            yield UsageRecorder(session, self.now(), self._window)
