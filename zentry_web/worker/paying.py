"""The worker's loop for payments: asking the provider what no webhook has told, and paying automatically."""

from collections.abc import Callable, Iterable

import structlog

from zentry_web.services.billing_service import BillingService
from zentry_web.services.errors import ServiceError
from zentry_web.services.shared.rounds import each_alone, steps

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
        payments, desk, auto = self._payments, self._desk, self._auto
        steps(
            "pay",
            [
                ("payments", lambda: _each("look", payments.list_looks(), payments.look)),
                ("refunds", lambda: _each("refund", desk.list_open(), desk.finish)),
                ("top-ups", lambda: _each("top up", auto.list_due(), auto.attempt)),
            ],
        )


def _each(what: str, things: Iterable[str], act: Callable[[str], object]) -> None:
    each_alone(what, things, lambda thing: _quietly(act, thing))


def _quietly(act: Callable[[str], object], thing: str) -> None:
    """What fails now is due again later."""
    try:
        act(thing)
    except ServiceError as error:
        log.warning("payment_put_off", thing=thing, reason=error.message)
