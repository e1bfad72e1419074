"""Rows of payments as what services hand out."""

from zentry_web.domain.credits.payments import AutoTopUp, Payment, PaymentEvent, PaymentState, Refund, StoredMethod
from zentry_web.domain.credits.taxes import Tax
from zentry_web.models import DbPayment, DbPaymentEvent, DbPaymentMethod, DbPaymentRefund, DbTopUp


def as_payment(row: DbPayment, owner_name: str = "") -> Payment:
    """A payment's row."""
    return Payment(
        id=row.id,
        owner_id=row.owner_id,
        provider=row.provider,
        provider_ref=row.provider_ref or "",
        is_automatic=row.is_automatic,
        amount_micro=row.amount_micro,
        minor=row.minor,
        currency=row.currency,
        state=PaymentState(row.state),
        error=row.error,
        method_label=row.method_label,
        saves_method=row.save_method,
        refunded_minor=row.refunded_minor,
        disputed_minor=row.disputed_minor,
        reversed_micro=row.refund_micro + row.dispute_micro,
        written_off_micro=row.refund_off_micro + row.dispute_off_micro,
        created_at=row.created_at,
        settled_at=row.settled_at,
        owner_name=owner_name,
        tax=Tax.from_json(row.tax) if row.tax is not None else None,
    )


def as_stored_method(row: DbPaymentMethod) -> StoredMethod:
    """A stored method's row."""
    return StoredMethod(row.id, row.label, row.expiry_month, row.expiry_year, row.created_at)


def as_payment_event(row: DbPaymentEvent) -> PaymentEvent:
    """A webhook's row."""
    return PaymentEvent(row.id, row.kind, row.at, row.received_at, row.effect)


def as_refund(row: DbPaymentRefund) -> Refund:
    """A refund's row."""
    return Refund(row.id, row.minor, row.reason, row.actor_id, PaymentState(row.state), row.error, row.created_at)


def as_auto_top_up(row: DbTopUp | None) -> AutoTopUp:
    """The settings of a person; the defaults, switched off, of one who never chose any."""
    if row is None or not row.amount_micro:
        return AutoTopUp()
    return AutoTopUp(
        enabled=row.enabled,
        threshold_micro=row.threshold_micro,
        runway_hours=row.runway_hours,
        amount_micro=row.amount_micro,
        ceiling_micro=row.ceiling_micro,
        method_id=row.method_id or "",
        last_attempt_at=row.last_attempt_at,
        off_reason=row.off_reason,
    )
