"""The worker's loop for payments: asking the provider what no webhook has told, and paying automatically."""

import structlog

from zentry_web.services.billing_service import BillingService
from zentry_web.services.errors import ServiceError

log = structlog.get_logger(__name__)


class Cashier:
    """Looks at what is due, every round afresh. One payment's trouble does not hold up the others."""

    def __init__(self, billing: BillingService) -> None:
        self._payments = billing.payments

    def run(self) -> None:
        """Ask about payments under way."""
        if not self._payments.is_set_up:
            return
        for payment_id in self._payments.list_looks():
            try:
                self._payments.look(payment_id)
            except ServiceError as error:  # it is put off already, and comes again
                log.warning("payment_not_looked_at", payment=payment_id, reason=error.message)
