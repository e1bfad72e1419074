"""What Zentry asks of a payment provider. Everything is repeatable: the payment's id is the idempotency key."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from zentry_web.domain.credits.payments import Order, PaymentNews, PayScript, ProviderEvent


class PaymentError(Exception):
    """The provider refuses, or cannot be understood. The text has no secrets in it."""


class ProviderAway(PaymentError):
    """The provider does not answer: ask again later with the same key."""


class BadSignature(PaymentError):
    """A webhook that the provider did not sign, or signed too long ago."""


@dataclass(frozen=True, slots=True)
class SignedEvent:
    """A webhook as it would arrive over HTTP."""

    payload: bytes
    headers: Mapping[str, str]


class PaymentProvider(Protocol):
    """A decline is no error: it comes back as news with ``state`` failed and the sentence in ``error``."""

    name: str
    is_test: bool  # no money moves: the payer presses buttons on a page of Zentry's, see ``act``
    pay_script: PayScript | None  # None: the pay page is Zentry's own

    def create_intent(self, order: Order) -> PaymentNews:
        """Prepare a payment that the payer completes on the pay page; the same order gives the same intent."""
        ...

    def read_intent(self, ref: str) -> PaymentNews:
        """All that the provider knows of a payment now, ``secret`` and the method used included."""
        ...

    def read_history(self, ref: str) -> list[PaymentNews]:
        """What became of a payment that had come in: its sum of refunds, and each of its disputes as news of its own.

        What webhooks told in between, or should have told."""
        ...

    def cancel_intent(self, ref: str) -> PaymentNews:
        """Make sure that nobody can pay it any more; tells what became of it (it may have been paid meanwhile)."""
        ...

    def charge_method(self, order: Order, method_ref: str) -> PaymentNews:
        """Pay at once with a stored method, the payer being absent; the same order is charged once."""
        ...

    def refund(self, ref: str, minor: int, key: str) -> PaymentNews:
        """Give back a part or all of a payment; one ``key`` gives back once. Tells the payment's new sum of refunds."""
        ...

    def create_customer(self, owner_id: str) -> str:
        """The provider's id for a person whose methods are to be kept; the same for the same person."""
        ...

    def forget_method(self, ref: str) -> None:
        """Remove a stored method; fine when it is gone already."""
        ...

    def parse_event(self, payload: bytes, headers: Mapping[str, str]) -> ProviderEvent:
        """Check the signature first, then read the webhook. Raises BadSignature, PaymentError (unreadable)."""
        ...

    def act(self, ref: str, action: str, card: str) -> SignedEvent:
        """The payer presses a button: 'pay', 'decline' or 'later', with the card that ends in these digits. Returns the
        webhook that follows. Raises PaymentError (over, no such button), and always where money moves."""
        ...
