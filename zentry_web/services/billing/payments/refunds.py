"""What was refunded of a payment, from sums and single refunds that are told in any order.

The provider's sum may or may not go down again when a refund fails, so neither is relied on: the highest sum ever told,
and all refunds known one by one, count those that failed; these are taken off again. A sum told late, or a refund heard
of only after it failed, comes to the same.
"""

from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from zentry_web.domain.credits.payments import PaymentNews, PaymentState, ProviderRefund
from zentry_web.models import DbPayment, DbPaymentRefund, DbPaymentRefundTold

RETURNED = "The bank returned the money."


def note_refunds(session: Session, payment: DbPayment, news: PaymentNews, now: datetime) -> None:
    """Keep what ``news`` tells of refunds, and bring ``refunded_minor`` up to it; in the caller's transaction."""
    payment.refund_told_minor = max(payment.refund_told_minor, news.refunded_minor or 0)
    for refund in news.refunds:
        _note(session, payment, refund)
    session.flush()
    told = DbPaymentRefundTold
    query = select(func.sum(told.minor)).where(told.payment_id == payment.id)
    known = int(session.scalar(query) or 0)
    failed = int(session.scalar(query.where(told.has_failed)) or 0)
    refunded = min(max(payment.refund_told_minor, known) - failed, payment.minor)
    if refunded > payment.refunded_minor:
        payment.refunded_at = now
    payment.refunded_minor = refunded


def _note(session: Session, payment: DbPayment, refund: ProviderRefund) -> None:
    row = session.get(DbPaymentRefundTold, (payment.provider, refund.ref))
    if row is None:
        row = DbPaymentRefundTold(
            provider=payment.provider, ref=refund.ref, payment_id=payment.id, minor=refund.minor, has_failed=False
        )
        session.add(row)
    elif row.payment_id != payment.id:
        return
    if refund.has_failed and not row.has_failed:
        row.has_failed = True
        ours = session.get(DbPaymentRefund, refund.key, with_for_update=True) if refund.key else None
        if ours is not None and ours.payment_id == payment.id:
            ours.state, ours.error = PaymentState.FAILED, RETURNED
