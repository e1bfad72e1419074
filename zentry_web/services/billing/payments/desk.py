"""The admin's side of payments: looking at all of them, and giving money back."""

import hashlib

from sqlalchemy import select
from sqlalchemy.orm import Session

from zentry_web.domain.credits.books import Approval, Move, MoveKind
from zentry_web.domain.credits.payments import Payment, PaymentEvent, PaymentState, Refund, format_minor, share
from zentry_web.domain.event import Subject
from zentry_web.domain.language import _
from zentry_web.domain.user import Actor
from zentry_web.models import DbPayment, DbPaymentEvent, DbPaymentRefund, DbUser
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.billing.payments.rows import as_payment, as_payment_event, as_refund
from zentry_web.services.billing.payments.top_ups import Payments
from zentry_web.services.errors import ConflictError, NotFoundError, ValidationError
from zentry_web.services.shared.access import require_admin
from zentry_web.services.shared.fields import email_key, parse_reason
from zentry_web.services.shared.request_keys import require_same
from zentry_web.services.shared.second_admin import SecondAdmin

_LONGEST_ERROR = 500


class PaymentDesk(BaseService):
    """A refund is a row before the provider is asked: what a crash leaves open, the worker finishes with its key."""

    name = "payment_desk"

    def __init__(self, core: Core, payments: Payments, second: SecondAdmin) -> None:
        super().__init__(core)
        self._payments = payments
        self._second = second

    def list_payments(
        self, *, actor: Actor, state: PaymentState | None = None, search: str = "", special: str = "",
        before: str | None = None, limit: int = 50,
    ) -> list[Payment]:  # fmt: skip
        """All payments, newest first. ``search``: an id of Zentry's or the provider's, a person's id or e-mail;
        ``special``: 'refunded', 'disputed' or 'automatic'."""
        require_admin(actor)
        query = select(DbPayment, DbUser.name).join(DbUser, DbUser.id == DbPayment.owner_id)
        if state is not None:
            query = query.where(DbPayment.state == state)
        if search:
            named = (DbPayment.id, DbPayment.provider_ref, DbPayment.owner_id)
            match = DbUser.email_key == email_key(search)
            for column in named:
                match |= column == search
            query = query.where(match)
        conditions = {
            "refunded": DbPayment.refunded_minor > 0,
            "disputed": DbPayment.dispute_micro > 0,
            "automatic": DbPayment.is_automatic,
        }
        if special in conditions:
            query = query.where(conditions[special])
        if before:
            query = query.where(DbPayment.id < before)
        with self.reading() as session:
            rows = session.execute(query.order_by(DbPayment.id.desc()).limit(limit))
            return [as_payment(row, name) for row, name in rows]

    def get_payment(self, payment_id: str, *, actor: Actor) -> tuple[Payment, list[PaymentEvent], list[Refund]]:
        """One payment with the provider's events, oldest first, and its refunds. Raises NotFoundError."""
        require_admin(actor)
        events = select(DbPaymentEvent).where(DbPaymentEvent.payment_id == payment_id)
        refunds = select(DbPaymentRefund).where(DbPaymentRefund.payment_id == payment_id)
        refunds = refunds.order_by(DbPaymentRefund.created_at, DbPaymentRefund.id)
        with self.reading() as session:
            row = self._row(session, payment_id)
            name = session.scalars(select(DbUser.name).where(DbUser.id == row.owner_id)).one()
            rows = session.scalars(events.order_by(DbPaymentEvent.received_at, DbPaymentEvent.id))
            return (
                as_payment(row, name),
                [as_payment_event(each) for each in rows],
                [as_refund(e) for e in session.scalars(refunds)],
            )

    def refund(
        self, payment_id: str, minor: int, reason: str, *, actor: Actor, idempotency_key: str | None = None
    ) -> Refund | Approval:
        """Give ``minor`` units of a payment back the way they came; the credits go from the wallet as far as they are
        there, the rest is written off. Audited. The same key: the same refund, once.

        Where a second admin is needed, the answer is the ``Approval``. Raises ValidationError (amount, reason),
        NotFoundError, ConflictError (the provider refuses; the key was used for another refund), ProofRequiredError,
        ProviderUnavailableError (the worker goes on asking).
        """
        require_admin(actor)
        refund_id = self._id_for(payment_id, actor, idempotency_key)
        waits = self._insert(refund_id, payment_id, minor, parse_reason(reason, "reason"), actor)
        if waits is not None:
            return waits
        self._core.checkpoint("payments.refund_written")
        self.finish(refund_id)
        with self.reading() as session:
            done = as_refund(session.get_one(DbPaymentRefund, refund_id))
        if done.state == PaymentState.FAILED:
            raise ConflictError(_("The payment provider refuses this refund."))
        return done

    def carry_out(self, request: Approval, actor: Actor) -> None:
        """Begin a refund that a second admin has agreed to, in the caller's transaction; the worker asks the provider.

        Raises as ``refund``.
        """
        move = request.move
        self._insert(request.refund_id, move.target, move.terms["minor"], move.reason, actor, is_agreed=True)

    def list_open(self) -> list[str]:
        """Refunds that the provider has not answered yet."""
        query = select(DbPaymentRefund.id).where(DbPaymentRefund.state == PaymentState.CREATED)
        with self.reading() as session:
            return list(session.scalars(query.order_by(DbPaymentRefund.id)))

    def finish(self, refund_id: str) -> None:
        """Ask the provider for a refund, with its own key, and record the answer; safe to repeat."""
        with self.reading() as session:
            row = session.get_one(DbPaymentRefund, refund_id)
            payment = session.get_one(DbPayment, row.payment_id)
            ref, minor = payment.provider_ref or "", row.minor
            is_open, with_whom = row.state == PaymentState.CREATED, payment.provider
        provider = self._payments.require_provider()
        if not is_open or with_whom != provider.name:
            return
        try:
            news = self._payments.ask(lambda: provider.refund(ref, minor, refund_id))
        except ConflictError:
            self._close(refund_id, PaymentState.FAILED, "The payment provider refuses this refund.")
            return
        self._core.checkpoint("payments.refund_made")
        self._payments.book.take_in(provider.name, news)
        self._close(refund_id, PaymentState.SUCCEEDED)

    def _id_for(self, payment_id: str, actor: Actor, key: str | None) -> str:
        """The id follows from the key: the table's own uniqueness then lets a key work once."""
        if key is None:
            return self.new_id("ref")
        return "ref_" + hashlib.sha256("\n".join((payment_id, actor.id, key)).encode()).hexdigest()[:32]

    def _insert(
        self, refund_id: str, payment_id: str, minor: int, reason: str, actor: Actor, *, is_agreed: bool = False
    ) -> Approval | None:
        with self.reading() as session:
            owner_id = self._row(session, payment_id).owner_id
        with self.transaction() as session:
            payment = self._payments.book.lock_payment(session, payment_id, owner_id)
            made = session.get(DbPaymentRefund, refund_id)
            if made is not None:
                require_same((made.minor, made.reason) == (minor, reason))
                return None
            self._check(session, payment, minor)
            if not is_agreed:
                waits = self._consider(session, payment, refund_id, minor, reason, actor)
                if waits is not None:
                    return waits
            row = DbPaymentRefund(
                id=refund_id, payment_id=payment_id, minor=minor, reason=reason, actor_id=actor.id,
                state=PaymentState.CREATED, error="", created_at=self.now(),
            )  # fmt: skip
            session.add(row)
            session.flush()
            details = {"minor": minor, "reason": reason, "refund": refund_id}
            self.audit("payment.refund", Subject("payment", payment_id, owner_id), details, actor=actor)
            return None

    def _check(self, session: Session, payment: DbPayment, minor: int) -> None:
        """Raise ConflictError or ValidationError (amount) unless so much can be given back now."""
        provider = self._payments.require_provider()
        if payment.provider != provider.name:
            raise ConflictError(_("This payment was made with another provider than is set up now."))
        under_way = select(DbPaymentRefund.minor).where(
            DbPaymentRefund.payment_id == payment.id, DbPaymentRefund.state == PaymentState.CREATED
        )
        left = as_payment(payment).refundable_minor - sum(session.scalars(under_way))
        if not 0 < minor <= left:
            text = _("At most %(amount)s can be given back.", amount=format_minor(max(0, left), payment.currency))
            raise ValidationError(text, details={"amount": text})

    def _consider(
        self, session: Session, payment: DbPayment, refund_id: str, minor: int, reason: str, actor: Actor
    ) -> Approval | None:
        """The request that it becomes, if it does: weighed by the credits that the money stands for."""
        micro = max(1, share(payment.amount_micro, minor, payment.minor))
        terms = {"minor": minor, "price": format_minor(minor, payment.currency)}
        move = Move(MoveKind.PAYMENT, payment.owner_id, micro, reason, payment.id, terms)
        return self._second.consider(session, move, refund_id, actor=actor)

    def _close(self, refund_id: str, state: PaymentState, error: str = "") -> None:
        with self.transaction() as session:
            row = session.get_one(DbPaymentRefund, refund_id, with_for_update=True)
            if row.state == PaymentState.CREATED:  # the bank may have returned it meanwhile
                row.state, row.error = state, error[:_LONGEST_ERROR]

    def _row(self, session: Session, payment_id: str) -> DbPayment:
        row = session.get(DbPayment, payment_id)
        if row is None:
            raise NotFoundError(_("There is no such payment."))
        return row
