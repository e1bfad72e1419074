"""The admin's side of payments: looking at all of them, and giving money back."""

import hashlib

from sqlalchemy import select
from sqlalchemy.orm import Session

from zentry_web.domain.payments import Payment, PaymentEvent, PaymentState, Refund, format_minor
from zentry_web.domain.user import Actor
from zentry_web.models import DbPayment, DbPaymentEvent, DbPaymentRefund, DbUser
from zentry_web.services.access import require_admin
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.errors import ConflictError, NotFoundError, ValidationError
from zentry_web.services.fields import parse_reason
from zentry_web.services.payment_rows import event_of, payment_of, refund_of
from zentry_web.services.payments import Payments

_LONGEST_ERROR = 500


class PaymentDesk(BaseService):
    """A refund is a row before the provider is asked: what a crash leaves open, the worker finishes with its key."""

    name = "payment_desk"

    def __init__(self, core: Core, payments: Payments) -> None:
        super().__init__(core)
        self._payments = payments

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
            match = DbUser.email_key == search.lower()
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
            return [payment_of(row, name) for row, name in rows]

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
                payment_of(row, name),
                [event_of(each) for each in rows],
                [refund_of(e) for e in session.scalars(refunds)],
            )

    def refund(
        self, payment_id: str, minor: int, reason: str, *, actor: Actor, idempotency_key: str | None = None
    ) -> Refund:
        """Give ``minor`` units of a payment back the way they came; the credits go from the wallet as far as they are
        there, the rest is written off. Audited. The same key: the same refund, once.

        Raises ValidationError (amount, reason), NotFoundError, ConflictError (the provider refuses; the key was used
        for another refund), ProviderUnavailableError (the worker goes on asking).
        """
        require_admin(actor)
        refund_id = self._id_for(payment_id, actor, idempotency_key)
        self._insert(refund_id, payment_id, minor, parse_reason(reason, "reason"), actor)
        self._core.checkpoint("payments.refund_written")
        self.finish(refund_id)
        with self.reading() as session:
            done = refund_of(session.get_one(DbPaymentRefund, refund_id))
        if done.state == PaymentState.FAILED:
            raise ConflictError("The payment provider refuses this refund.")
        return done

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

    def _insert(self, refund_id: str, payment_id: str, minor: int, reason: str, actor: Actor) -> None:
        with self.reading() as session:
            owner_id = self._row(session, payment_id).owner_id
        with self.transaction() as session:
            payment = self._payments.book.lock_payment(session, payment_id, owner_id)
            made = session.get(DbPaymentRefund, refund_id)
            if made is not None:
                if (made.minor, made.reason) != (minor, reason):
                    raise ConflictError("This request was made before with other contents.")
                return
            provider = self._payments.require_provider()
            if payment.provider != provider.name:
                raise ConflictError("This payment was made with another provider than is set up now.")
            under_way = select(DbPaymentRefund.minor).where(
                DbPaymentRefund.payment_id == payment_id, DbPaymentRefund.state == PaymentState.CREATED
            )
            left = payment_of(payment).refundable_minor - sum(session.scalars(under_way))
            if not 0 < minor <= left:
                text = f"At most {format_minor(max(0, left), payment.currency)} can be given back."
                raise ValidationError(text, details={"amount": text})
            row = DbPaymentRefund(
                id=refund_id, payment_id=payment_id, minor=minor, reason=reason, actor_id=actor.id,
                state=PaymentState.CREATED, error="", created_at=self.now(),
            )  # fmt: skip
            session.add(row)
            session.flush()
            details = {"minor": minor, "reason": reason, "refund": refund_id}
            self.log_audit_event(
                actor.id, "payment.refund", "payment", payment_id, details, actor=actor, owner_id=owner_id
            )

    def _close(self, refund_id: str, state: PaymentState, error: str = "") -> None:
        with self.transaction() as session:
            row = session.get_one(DbPaymentRefund, refund_id, with_for_update=True)
            if row.state == PaymentState.CREATED:  # the bank may have returned it meanwhile
                row.state, row.error = state, error[:_LONGEST_ERROR]

    def _row(self, session: Session, payment_id: str) -> DbPayment:
        row = session.get(DbPayment, payment_id)
        if row is None:
            raise NotFoundError("There is no such payment.")
        return row
