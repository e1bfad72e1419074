"""Top-ups by payment: starting one, taking the provider's webhooks in, and asking it again when none comes."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import TypeVar

import structlog
from sqlalchemy import Select, select, update
from sqlalchemy.orm import Session

from zentry_web.adapters.payments.base import BadSignature, PaymentError, PaymentProvider, ProviderAway
from zentry_web.domain.back_off import back_off
from zentry_web.domain.credits.payments import (
    HISTORY_LOOKS,
    LEAST_MICRO,
    MOST_MICRO,
    OPEN_PAYMENTS,
    CreditPrice,
    Order,
    Payment,
    PaymentNews,
    PaymentState,
    PayPage,
    StoredMethod,
    whole_units,
)
from zentry_web.domain.event import Subject
from zentry_web.domain.language import _
from zentry_web.domain.money import format_credits
from zentry_web.domain.user import SYSTEM, Actor
from zentry_web.models import DbPayment, DbPaymentMethod, DbTopUp
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.billing.ledger import posting as ledger
from zentry_web.services.billing.payments.book import PaymentBook
from zentry_web.services.billing.payments.receipts import Receipts
from zentry_web.services.billing.payments.rows import as_payment, as_stored_method
from zentry_web.services.billing.payments.taxes import Taxes
from zentry_web.services.errors import ConflictError, NotFoundError, ProviderUnavailableError, ValidationError
from zentry_web.services.shared.access import require_self
from zentry_web.services.shared.fields import check_micro
from zentry_web.services.shared.notices import Notices
from zentry_web.services.shared.parties import Parties
from zentry_web.services.shared.rate_limits import RateLimiter, limit_of
from zentry_web.services.shared.request_keys import check_key, require_same

log = structlog.get_logger(__name__)

FIRST_LOOK = timedelta(seconds=30)
LONGEST_LOOK = timedelta(hours=1)
GIVE_UP = timedelta(hours=24)  # after this, a payment that nobody finished is cancelled
KEY_LASTS = timedelta(hours=20)  # a provider knows an idempotency key for a day: no charge is repeated after this
LAST_LOOK = timedelta(days=7)
T = TypeVar("T")


class Payments(BaseService):
    """The provider is never called inside a transaction: the row comes first, the answer is recorded afterwards."""

    name = "payments"

    def __init__(
        self, core: Core, notices: Notices, provider: PaymentProvider | None, price: CreditPrice, parties: Parties
    ) -> None:
        super().__init__(core)
        self.provider = provider
        self.price = price
        self.taxes = Taxes(core, parties, price.currency)
        self.receipts = Receipts(core, parties)
        self.book = PaymentBook(core, notices, self.receipts)
        self._limiter = RateLimiter(core)

    # -- the owner's side -----------------------------------------------------------------------

    @property
    def is_set_up(self) -> bool:
        """Whether there is anybody to pay."""
        return self.provider is not None

    def start_top_up(
        self, user_id: str, amount: int, *, save_method: bool = False, actor: Actor, idempotency_key: str | None = None
    ) -> Payment:
        """Prepare a payment for ``amount`` micro-credits; the person pays on its page.

        The same key gives the same payment. Raises ValidationError (amount), ConflictError (key used for something
        else), RateLimitedError, ProviderUnavailableError: then the payment stays, and the worker asks again.
        """
        require_self(actor, user_id)
        self.require_provider()
        minor = self.check_amount(amount)
        key = idempotency_key or self.new_id("key")
        check_key(key)
        self._limiter.check(limit_of("payment", user_id))
        payment_id = self._insert(user_id, amount, minor, save_method, actor, f"{user_id}:{key}")
        self._core.checkpoint("payments.started")
        payment = self.get_payment(user_id, payment_id)
        if payment.state == PaymentState.CREATED:
            self._introduce(payment)
        return self.get_payment(user_id, payment_id)

    def check_amount(self, amount: int, field: str = "amount") -> int:
        """What ``amount`` micro-credits cost in minor units, without tax. Raises ValidationError."""
        check_micro(field, amount)
        minor = self.price.minor_of(amount)
        if not LEAST_MICRO <= amount <= MOST_MICRO:
            text = _(
                "Choose from %(least)s to %(most)s credits.",
                least=format_credits(LEAST_MICRO),
                most=format_credits(MOST_MICRO),
            )
            raise ValidationError(text, details={field: text})
        if minor is None:
            text = _("Choose an amount that comes to %(currency)s.", currency=whole_units(self.price.currency))
            raise ValidationError(text, details={field: text})
        return minor

    def list_payments(
        self, user_id: str, *, actor: Actor = SYSTEM, before: str | None = None, limit: int = 20
    ) -> list[Payment]:
        """A person's payments, newest first; ``before`` is the id of the last one seen."""
        require_self(actor, user_id)
        query = select(DbPayment).where(DbPayment.owner_id == user_id).order_by(DbPayment.id.desc()).limit(limit)
        if before:
            query = query.where(DbPayment.id < before)
        with self.reading() as session:
            return [as_payment(row) for row in session.scalars(query)]

    def get_payment(self, user_id: str, payment_id: str, *, actor: Actor = SYSTEM) -> Payment:
        """One payment. Raises NotFoundError (also for somebody else's)."""
        require_self(actor, user_id)
        with self.reading() as session:
            row = session.get(DbPayment, payment_id)
            if row is None or row.owner_id != user_id:
                raise NotFoundError(_("There is no such payment."))
            return as_payment(row)

    def get_pay_page(self, user_id: str, payment_id: str, *, actor: Actor) -> PayPage:
        """What the page shows on which the person pays. Raises ConflictError when there is nothing left to pay."""
        payment = self._payable(user_id, payment_id, actor)
        provider = self.require_provider()
        if provider.is_test:
            return PayPage(payment)
        news = self.ask(lambda: provider.read_intent(payment.provider_ref))
        return PayPage(payment, provider.pay_script, news.secret)

    def try_again(self, user_id: str, payment_id: str, *, actor: Actor) -> Payment:
        """After a decline the payer tries another card. Raises ConflictError when the payment is over."""
        payment = self._payable(user_id, payment_id, actor)
        with self.transaction() as session:
            row = self.book.lock_payment(session, payment.id, user_id)
            if row.state == PaymentState.FAILED:
                row.state, row.error, row.settled_at = PaymentState.PENDING, "", None
                row.look_at, row.looks = self.now() + FIRST_LOOK, 0
        return self.get_payment(user_id, payment_id)

    def press_test_button(self, user_id: str, payment_id: str, action: str, card: str, *, actor: Actor) -> Payment:
        """What the test provider's page does: the payment ends as the button says, and its webhook arrives. Of two
        who press at once the first counts, and both see that. Raises NotFoundError with any other provider."""
        provider = self.provider
        if provider is None or not provider.is_test:
            raise NotFoundError(_("There is no such payment."))
        payment = self._payable(user_id, payment_id, actor)
        try:
            event = self.ask(lambda: provider.act(payment.provider_ref, action, card))
        except ConflictError:  # maybe pressed twice at once, and the other press was first
            news = self.ask(lambda: provider.read_intent(payment.provider_ref))
            if news.state not in (PaymentState.SUCCEEDED, PaymentState.CANCELLED):
                raise
            self._learn(news)
            return self.get_payment(user_id, payment_id)
        self.take_event(provider.name, event.payload, event.headers)
        return self.get_payment(user_id, payment_id)

    def list_methods(self, user_id: str, *, actor: Actor = SYSTEM) -> list[StoredMethod]:
        """The means of payment that a person keeps, newest first."""
        require_self(actor, user_id)
        with self.reading() as session:
            return [as_stored_method(row) for row in session.scalars(self._methods(user_id))]

    def remove_method(self, user_id: str, method_id: str, *, actor: Actor) -> None:
        """Forget a means of payment, here and at the provider; an automatic top-up that used it is off."""
        require_self(actor, user_id)
        with self.transaction() as session:
            row = session.scalar(self._methods(user_id).where(DbPaymentMethod.id == method_id).with_for_update())
            if row is None:
                raise NotFoundError(_("There is no such means of payment."))
            ref, provider_name = row.ref, row.provider
            row.removed_at = self.now()
            used = update(DbTopUp).where(DbTopUp.user_id == user_id, DbTopUp.method_id == method_id)
            session.execute(used.values(method_id=None, enabled=False, off_reason="The means of payment was removed."))
            self.audit("payment.method_removed", Subject("payment_method", method_id, user_id), actor=actor)
        provider = self.require_provider()
        if provider.name == provider_name:
            self.ask(lambda: provider.forget_method(ref))

    def erase(self, user_id: str) -> None:
        """Use none of a person's cards again, in the caller's transaction: the account is being erased."""
        with self.transaction() as session:
            mine = update(DbPaymentMethod).where(DbPaymentMethod.owner_id == user_id)
            session.execute(mine.where(DbPaymentMethod.removed_at.is_(None)).values(removed_at=self.now()))

    # -- the provider's side --------------------------------------------------------------------

    def take_event(self, provider_name: str, payload: bytes, headers: Mapping[str, str]) -> None:
        """A webhook arrived. Its signature is checked before anything else; then it has its effect, once.

        Kinds that mean nothing here, and payments of others, are passed over. Raises NotFoundError (no such
        provider), ValidationError (signature or contents not right): nothing has happened then.
        """
        provider = self.provider
        if provider is None or provider.name != provider_name:
            raise NotFoundError(_("There is no such provider."))
        try:
            event = provider.parse_event(payload, headers)
        except BadSignature as error:
            log.warning("payment_webhook_refused", provider=provider_name, reason=str(error))
            raise ValidationError(_("The signature is not right.")) from None
        except PaymentError as error:
            log.warning("payment_webhook_unreadable", provider=provider_name, reason=str(error))
            raise ValidationError(_("This cannot be read.")) from None
        known = self.book.take_in(provider_name, event.news, event) if event.news is not None else None
        log.info("payment_webhook", provider=provider_name, kind=event.kind, payment=known or "")

    # -- the worker's side ----------------------------------------------------------------------

    def list_looks(self, limit: int = 50) -> list[str]:
        """Payments about which the provider should be asked by now."""
        query = select(DbPayment.id).where(DbPayment.look_at <= self.now()).order_by(DbPayment.look_at).limit(limit)
        with self.reading() as session:
            return list(session.scalars(query))

    def look(self, payment_id: str) -> None:
        """Ask the provider what became of a payment and take the answer in; a payment that it does not know yet is
        made known to it first. Safe to repeat and in several workers. Raises ProviderUnavailableError."""
        payment = self._claim_look(payment_id)
        if payment is None:
            return
        self._core.checkpoint("payments.look_claimed")
        provider = self.require_provider()
        age = self.now() - payment.created_at
        if payment.state == PaymentState.CREATED and payment.is_automatic and age > KEY_LASTS:
            error = "The payment provider could not be reached."
            self._learn(PaymentNews("", payment.id, state=PaymentState.FAILED, error=error))
        elif payment.state == PaymentState.CREATED:
            self._introduce(payment)
        elif payment.state in (PaymentState.PENDING, PaymentState.FAILED) and age > GIVE_UP:
            self._learn(self.ask(lambda: provider.cancel_intent(payment.provider_ref)))
        elif payment.state == PaymentState.SUCCEEDED:
            for news in self.ask(lambda: provider.read_history(payment.provider_ref)):
                self._learn(news)
        else:
            self._learn(self.ask(lambda: provider.read_intent(payment.provider_ref)))

    def _claim_look(self, payment_id: str) -> Payment | None:
        """Take the look, and put the next one off: another worker finds it done, a killed one's comes again."""
        now = self.now()
        with self.transaction() as session:
            query = select(DbPayment).where(DbPayment.id == payment_id, DbPayment.look_at <= now)
            row = session.scalar(query.with_for_update(skip_locked=True))
            if row is None:
                return None
            row.looks += 1
            row.look_at = now + back_off(row.looks, FIRST_LOOK, LONGEST_LOOK)
            last = HISTORY_LOOKS[-1] + LAST_LOOK if row.state == PaymentState.SUCCEEDED else LAST_LOOK
            if now - max(row.created_at, row.refunded_at or row.created_at) > last:
                row.look_at = None
            is_foreign = self.provider is None or row.provider != self.provider.name
            if is_foreign:  # made with another provider than is set now: only its own webhooks could help
                row.look_at = None
            return None if is_foreign else as_payment(row)

    # -- shared ---------------------------------------------------------------------------------

    def require_provider(self) -> PaymentProvider:
        """The provider. Raises ConflictError when none is set up."""
        if self.provider is None:
            raise ConflictError(_("Payments are not set up here."))
        return self.provider

    def ask(self, question: Callable[[], T]) -> T:
        """Call the provider, outside any transaction; its refusals and absences as errors for people."""
        if self._database.open_session.get() is not None:
            raise RuntimeError("the payment provider is not called inside a transaction")
        try:
            return question()
        except ProviderAway as error:
            log.warning("payment_provider_away", reason=str(error))
            raise ProviderUnavailableError(
                _("The payment provider does not answer. Please try again later.")
            ) from error
        except PaymentError as error:
            log.warning("payment_refused", reason=str(error))
            raise ConflictError(_("The payment provider refuses this.")) from error

    def order_of(self, payment: Payment) -> Order:
        """What the provider is asked for."""
        customer = ""
        if payment.saves_method or payment.is_automatic:
            customer = self._customer(payment.owner_id)
        description = f"{format_credits(payment.amount_micro)} Zentry credits"
        return Order(payment.id, payment.minor, payment.currency, description, customer, payment.saves_method)

    def new_payment(self, session: Session, *, owner_id: str, minor: int, **values: object) -> DbPayment:
        """A payment's row as it begins, in the caller's transaction. Tax comes on top of ``minor``."""
        now = self.now()
        tax = self.taxes.work_out(session, owner_id, minor)
        row = DbPayment(
            id=self.new_id("pay"), provider=self.require_provider().name, provider_ref=None,
            currency=self.price.currency, state=PaymentState.CREATED, error="", refunded_minor=0, refund_told_minor=0,
            disputed_minor=0, transfer_id=None, refund_micro=0, dispute_micro=0, refund_off_micro=0,
            dispute_off_micro=0, postings=0, created_at=now, settled_at=None, refunded_at=None,
            look_at=now + FIRST_LOOK, looks=0, owner_id=owner_id, minor=tax.gross_minor, tax_minor=tax.tax_minor,
            tax=tax.as_json(), **values,
        )  # fmt: skip
        session.add(row)
        session.flush()
        return row

    def _insert(self, user_id: str, amount: int, minor: int, save_method: bool, actor: Actor, key: str) -> str:
        with self.transaction() as session:
            ledger.lock_accounts(session, [user_id])  # the same form at the same moment waits here
            row = session.scalar(select(DbPayment).where(DbPayment.idempotency_key == key))
            if row is not None:
                require_same((row.amount_micro, row.save_method) == (amount, save_method))
                return row.id
            made = self.new_payment(
                session, owner_id=user_id, idempotency_key=key, is_automatic=False, amount_micro=amount,
                minor=minor, save_method=save_method, method_id=None, method_label="",
            )  # fmt: skip
            details = {"amount": amount, "minor": made.minor}
            self.audit("payment.start", Subject("payment", made.id, user_id), details, actor=actor)
            return made.id

    def introduce(self, payment_id: str) -> None:
        """Make a payment that has just been written known to the provider. Raises ProviderUnavailableError."""
        with self.reading() as session:
            payment = as_payment(session.get_one(DbPayment, payment_id))
        self._introduce(payment)

    def _introduce(self, payment: Payment) -> None:
        """Make a payment known to the provider: as an intent, or charged to its method if it is an automatic one."""
        provider = self.require_provider()
        order = self.order_of(payment)
        method_ref = self._method_ref(payment.id) if payment.is_automatic else ""
        if payment.is_automatic:
            news = self.ask(lambda: provider.charge_method(order, method_ref))
        else:
            news = self.ask(lambda: provider.create_intent(order))
        self._core.checkpoint("payments.introduced")
        self._learn(news)

    def _learn(self, news: PaymentNews) -> None:
        self.book.take_in(self.require_provider().name, news)

    def _customer(self, owner_id: str) -> str:
        provider = self.require_provider()
        with self.reading() as session:
            row = session.get(DbTopUp, owner_id)
            if row is not None and row.customer_ref and row.provider == provider.name:
                return row.customer_ref
        ref = self.ask(lambda: provider.create_customer(owner_id))
        with self.transaction() as session:
            top_up = self.top_up_row(session, owner_id)
            top_up.provider, top_up.customer_ref = provider.name, ref
        return ref

    def top_up_row(self, session: Session, user_id: str) -> DbTopUp:
        """A person's row of settings, made when it is not there; in the caller's transaction."""
        row = session.get(DbTopUp, user_id, with_for_update=True, populate_existing=True)
        if row is None:
            row = DbTopUp(
                user_id=user_id, provider="", customer_ref="", enabled=False, threshold_micro=0, runway_hours=0,
                amount_micro=0, ceiling_micro=0, method_id=None, last_attempt_at=None, off_reason="",
            )  # fmt: skip
            session.add(row)
            session.flush()
        return row

    def _payable(self, user_id: str, payment_id: str, actor: Actor) -> Payment:
        payment = self.get_payment(user_id, payment_id, actor=actor)
        provider = self.require_provider()
        if payment.provider != provider.name or payment.is_automatic:
            raise NotFoundError(_("There is no such payment."))
        if payment.state == PaymentState.CREATED:
            self._introduce(payment)
            payment = self.get_payment(user_id, payment_id, actor=actor)
        if payment.state not in (*OPEN_PAYMENTS, PaymentState.FAILED) or not payment.provider_ref:
            raise ConflictError(_("This payment is over."))
        return payment

    def _method_ref(self, payment_id: str) -> str:
        query = select(DbPaymentMethod.ref).join(DbPayment, DbPayment.method_id == DbPaymentMethod.id)
        with self.reading() as session:
            return session.scalar(query.where(DbPayment.id == payment_id)) or ""

    def _methods(self, user_id: str) -> Select[DbPaymentMethod]:
        mine = DbPaymentMethod.owner_id == user_id
        query = select(DbPaymentMethod).where(mine, DbPaymentMethod.removed_at.is_(None))
        return query.order_by(DbPaymentMethod.id.desc())
