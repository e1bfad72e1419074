"""The worker's loop for payments: asking the provider what no webhook has told, and paying automatically."""

from collections.abc import Callable

import structlog

from zentry_web.services.billing_service import BillingService
from zentry_web.services.errors import ServiceError

log = structlog.get_logger(__name__)


class Cashier:
    """Looks at what is due, every round afresh. One payment's trouble does not hold up the others."""

    def __init__(self, billing: BillingService) -> None:
        self._payments = billing.payments
        self._auto = billing.auto_top_ups
        self._desk = billing.payment_desk

    def run(self) -> None:
        """Ask about payments under way, finish refunds, pay where a balance is low."""
        if not self._payments.is_set_up:
            return
        for payment_id in self._payments.list_looks():
            _quietly(self._payments.look, payment_id)
        for refund_id in self._desk.list_open():
            _quietly(self._desk.finish, refund_id)
        for user_id in self._auto.list_due():
            _quietly(self._auto.attempt, user_id)


def _quietly(act: Callable[[str], object], thing: str) -> None:
    """What fails now is due again later."""
    try:
        act(thing)
    except ServiceError as error:
        log.warning("payment_put_off", thing=thing, reason=error.message)
