"""Stripe: PaymentIntents by card with the official library. Card numbers go from the browser to Stripe only.

What is sent is kept to what every version of the API understands; what a person bought stands in ``metadata``.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, TypeVar

import requests
import stripe

from zentry_web.adapters.payments.base import BadSignature, PaymentError, ProviderAway, SignedEvent
from zentry_web.domain.credits.payments import (
    Dispute,
    DisputeState,
    Method,
    Order,
    PaymentNews,
    PaymentState,
    PayScript,
    ProviderEvent,
    ProviderRefund,
)

TIMEOUT_SECONDS = 20
JS, HOOKS, API = "https://js.stripe.com", "https://hooks.stripe.com", "https://api.stripe.com"
WANTS_ITS_HOLDER = "The bank wants you to confirm this payment yourself."
_EXPAND = ["latest_charge", "payment_method"]
_STATES = {
    "succeeded": PaymentState.SUCCEEDED,
    "canceled": PaymentState.CANCELLED,
    "processing": PaymentState.PENDING,
    "requires_action": PaymentState.PENDING,
    "requires_confirmation": PaymentState.PENDING,
    "requires_capture": PaymentState.PENDING,
}
# Inquiries ('warning_…') take no money, so they are no disputes here.
_DISPUTES = {
    "needs_response": DisputeState.OPEN,
    "under_review": DisputeState.OPEN,
    "won": DisputeState.WON,
    "lost": DisputeState.LOST,
}
_REFUND_EVENTS = ("refund.created", "refund.updated", "refund.failed", "charge.refund.updated")
_REFUND_FAILED = ("failed", "canceled")
_KEPT = (
    "id", "object", "amount", "amount_received", "amount_refunded", "currency", "status", "payment_intent", "charge",
    "reason", "metadata",
)  # fmt: skip


class StripeProvider:
    """One Stripe account. ``api`` stands in for Stripe's address in tests."""

    name = "stripe"
    is_test = False

    def __init__(
        self,
        *,
        secret_key: str,
        publishable_key: str,
        webhook_secret: str,
        api: str = "",
        http: stripe.HTTPClient | None = None,
    ) -> None:
        self.pay_script: PayScript | None = _pay_script(publishable_key, api)
        self._webhook_secret = webhook_secret
        self._client = stripe.StripeClient(
            secret_key,
            base_addresses={"api": api} if api else {},
            http_client=http or stripe.RequestsClient(timeout=TIMEOUT_SECONDS, session=_straight()),
        )

    def create_intent(self, order: Order) -> PaymentNews:
        """A PaymentIntent for a card; with ``save_method`` the card is kept for payments without the payer."""
        params: dict[str, Any] = _ordered(order)
        if order.save_method:
            params |= {"customer": order.customer_ref, "setup_future_usage": "off_session"}
        made = _ask(lambda: self._client.v1.payment_intents.create(params, _key(order.payment_id)))  # type: ignore[arg-type]
        return _intent_news(made.to_dict())

    def read_intent(self, ref: str) -> PaymentNews:
        """The intent with its latest charge (refunds) and method."""
        found = _ask(lambda: self._client.v1.payment_intents.retrieve(ref, {"expand": _EXPAND}))
        return _intent_news(found.to_dict())

    def read_history(self, ref: str) -> list[PaymentNews]:
        """The intent with its refunds, and its disputes if there was one: Stripe lists them apart."""
        intent = _ask(lambda: self._client.v1.payment_intents.retrieve(ref, {"expand": _EXPAND})).to_dict()
        refunds = _ask(lambda: self._client.v1.refunds.list({"payment_intent": ref, "limit": 100}))
        made = tuple(_refund(each.to_dict()) for each in refunds.auto_paging_iter())
        found = [replace(_intent_news(intent), refunds=made)]
        charge = intent.get("latest_charge")
        if isinstance(charge, Mapping) and charge.get("disputed"):
            listed = _ask(lambda: self._client.v1.disputes.list({"payment_intent": ref, "limit": 100}))
            told = [_dispute_news(ref, dispute.to_dict()) for dispute in listed.data]
            found += [news for news in told if news is not None]
        return found

    def cancel_intent(self, ref: str) -> PaymentNews:
        """Cancel it; one that is paid or cancelled already is told as it is."""
        try:
            cancelled = _ask(lambda: self._client.v1.payment_intents.cancel(ref))
        except ProviderAway:
            raise
        except PaymentError:
            return self.read_intent(ref)
        return _intent_news(cancelled.to_dict())

    def charge_method(self, order: Order, method_ref: str) -> PaymentNews:
        """An intent confirmed at once, off session. Declines, and cards that want their holder, are told as failed."""
        params = _ordered(order) | {
            "customer": order.customer_ref, "payment_method": method_ref, "confirm": True, "off_session": True,
        }  # fmt: skip
        try:
            made = _ask(lambda: self._client.v1.payment_intents.create(params, _key(order.payment_id)))  # type: ignore[arg-type]
        except _Declined as declined:
            return PaymentNews(
                ref=declined.ref, payment_id=order.payment_id, state=PaymentState.FAILED, error=str(declined)
            )
        news = _intent_news(made.to_dict())
        if made.status == "requires_action":  # nobody is there to confirm it
            news = replace(self.cancel_intent(news.ref), state=PaymentState.FAILED, error=WANTS_ITS_HOLDER)
        return news

    def refund(self, ref: str, minor: int, key: str) -> PaymentNews:
        """Refund, then read the payment's new sum of refunds."""
        params: Any = {"payment_intent": ref, "amount": minor, "metadata": {"refund_id": key}}
        made = _ask(lambda: self._client.v1.refunds.create(params, _key(key)))
        return replace(self.read_intent(ref), refunds=(_refund(made.to_dict()),))

    def create_customer(self, owner_id: str) -> str:
        """A customer that is known by Zentry's id only: no name, no address."""
        params: Any = {"metadata": {"user_id": owner_id}}
        return _ask(lambda: self._client.v1.customers.create(params, _key(f"customer:{owner_id}"))).id

    def forget_method(self, ref: str) -> None:
        """Detach it from its customer."""
        try:
            _ask(lambda: self._client.v1.payment_methods.detach(ref))
        except ProviderAway:
            raise
        except PaymentError:
            return  # it is detached already

    def parse_event(self, payload: bytes, headers: Mapping[str, str]) -> ProviderEvent:
        """Check Stripe's signature and its age (five minutes), then read."""
        try:
            signature = headers.get("Stripe-Signature")
            event = self._client.construct_event(payload, signature, self._webhook_secret).to_dict()
        except stripe.SignatureVerificationError as error:
            raise BadSignature("The signature is wrong or too old.") from error
        except (ValueError, TypeError, AttributeError) as error:
            raise BadSignature("This is no webhook of Stripe's.") from error
        try:
            thing = event["data"]["object"]
            kept = {name: thing[name] for name in _KEPT if thing.get(name) is not None}
            at = datetime.fromtimestamp(event["created"], UTC)
            return ProviderEvent(str(event["id"]), str(event["type"]), at, _told(event["type"], thing), kept)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise PaymentError("The webhook cannot be read.") from error

    def act(self, ref: str, action: str, card: str) -> SignedEvent:
        """Nobody presses buttons here."""
        raise PaymentError("Payments end on Stripe's form only.")


T = TypeVar("T")


class _Declined(PaymentError):
    """A card was declined; ``ref`` is the intent's id, if Stripe made one."""

    def __init__(self, message: str, ref: str) -> None:
        super().__init__(message)
        self.ref = ref


def _pay_script(key: str, api: str) -> PayScript:
    """Stripe.js is loaded from Stripe's own host, as Stripe demands; frames for card numbers and for 3-D Secure."""
    if api:
        return PayScript(f"{api}/js.stripe.com/v3/", key, (api,), (api,), (api,))
    return PayScript(f"{JS}/v3/", key, (JS,), (JS, HOOKS), (API,))


def _straight() -> requests.Session:
    """A session that follows no redirect: the library would, and take the secret key along."""
    session = requests.Session()
    session.max_redirects = 0
    return session


def _ordered(order: Order) -> dict[str, Any]:
    return {
        "amount": order.minor,
        "currency": order.currency,
        "payment_method_types": ["card"],
        "metadata": {"payment_id": order.payment_id, "what": order.description},
        "expand": _EXPAND,
    }


def _key(key: str) -> stripe.RequestOptions:
    return {"idempotency_key": key}


def _ask(question: Callable[[], T]) -> T:
    """Call Stripe; its errors without what they quote of the request."""
    try:
        return question()
    except stripe.CardError as error:
        intent = getattr(error.error, "payment_intent", None)
        raise _Declined(error.user_message or "The card was declined.", getattr(intent, "id", "") or "") from error
    except (stripe.APIConnectionError, stripe.RateLimitError) as error:
        raise ProviderAway(_brief(error)) from error
    except stripe.StripeError as error:
        is_away = error.code == "idempotency_key_in_use" or (error.http_status or 500) >= 500
        raise (ProviderAway if is_away else PaymentError)(_brief(error)) from error


def _brief(error: stripe.StripeError) -> str:
    return f"{type(error).__name__} {error.http_status or ''} {error.code or ''}".strip()


def _told(kind: str, thing: Mapping[str, Any]) -> PaymentNews | None:
    """What a webhook says about a payment; None when that is nothing for Zentry."""
    if kind.startswith("payment_intent."):
        return _intent_news(thing)
    if kind.startswith("charge.dispute.") and thing.get("payment_intent"):
        return _dispute_news(thing["payment_intent"], thing)
    if kind in _REFUND_EVENTS and thing.get("payment_intent"):
        return PaymentNews(thing["payment_intent"], currency=thing["currency"], refunds=(_refund(thing),))
    if kind == "charge.refunded" and thing.get("payment_intent"):
        return PaymentNews(
            thing["payment_intent"],
            payment_id=(thing.get("metadata") or {}).get("payment_id", ""),
            minor=thing["amount"],
            currency=thing["currency"],
            state=PaymentState.SUCCEEDED if thing["status"] == "succeeded" else None,
            refunded_minor=thing["amount_refunded"],
            method=_method(thing.get("payment_method"), thing.get("payment_method_details")),
        )
    return None


def _refund(thing: Mapping[str, Any]) -> ProviderRefund:
    key = (thing.get("metadata") or {}).get("refund_id", "")
    return ProviderRefund(thing["id"], thing["amount"], thing["status"] in _REFUND_FAILED, key)


def _dispute_news(ref: str, dispute: Mapping[str, Any]) -> PaymentNews | None:
    state = _DISPUTES.get(dispute["status"])
    if state is None:
        return None
    return PaymentNews(
        ref, currency=dispute["currency"], dispute=Dispute(dispute["id"], dispute["amount"], state)
    )  # fmt: skip


def _intent_news(intent: Mapping[str, Any]) -> PaymentNews:
    problem = intent.get("last_payment_error") or {}
    unpaid = PaymentState.FAILED if problem else PaymentState.PENDING  # 'requires_payment_method'
    charge = intent.get("latest_charge")
    method = intent.get("payment_method")
    return PaymentNews(
        ref=intent["id"],
        payment_id=(intent.get("metadata") or {}).get("payment_id", ""),
        minor=intent["amount"],
        currency=intent["currency"],
        state=_STATES.get(intent["status"], unpaid),
        error=problem.get("message") or "",
        refunded_minor=charge.get("amount_refunded") if isinstance(charge, Mapping) else None,
        method=_method(method.get("id"), method) if isinstance(method, Mapping) else None,
        secret=intent.get("client_secret") or "",
    )


def _method(ref: str | None, details: Mapping[str, Any] | None) -> Method | None:
    card = (details or {}).get("card")
    if not ref or not card:
        return None
    brand = str(card.get("brand") or "card").replace("_", " ").title()
    return Method(ref, f"{brand} •••• {card['last4']}", card["exp_month"], card["exp_year"])
