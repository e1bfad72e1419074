"""Payments: what a provider tells, what Zentry remembers of it, and what follows for credits. Pure rules.

Money is whole minor units of a currency (cents) on the provider's side and micro-credits on Zentry's.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from zentry_web.domain.language import _
from zentry_web.domain.money import MICRO

if TYPE_CHECKING:
    from zentry_web.domain.credits.taxes import Tax

LEAST_MICRO = MICRO  # one credit: cards charge a fixed fee per payment
MOST_MICRO = 10_000 * MICRO
_TYPED = re.compile(r"([0-9]{1,12})(?:[.,]([0-9]{1,6}))?")

# How many decimals the minor units stand for that Stripe counts in, as its table of currencies says (docs.stripe.com/
# currencies): two, but for these. Where it takes only whole tens or hundreds of them, that is the step.
_NONE, _THREE, _TWO = (
    frozenset(codes.split())
    for codes in (
        "bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf",
        "bhd jod kwd omr tnd",
        "aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bmd bnd bob brl bsd bwp byn bzd cad cdf chf cny "
        "cop crc cve czk dkk dop dzd egp etb eur fjd fkp gbp gel gip gmd gtq gyd hkd hnl htg huf idr ils inr isk "
        "jmd kes kgs khr kyd kzt lak lbp lkr lrd lsl mad mdl mkd mmk mnt mop mur mvr mwk mxn myr mzn nad ngn nio "
        "nok npr nzd pab pen pgk php pkr pln qar ron rsd rub sar sbd scr sek sgd shp sle sos srd szl thb tjs top "
        "try ttd twd tzs uah usd uyu uzs wst xcd yer zar zmw",
    )
)
_STEPS = {"isk": 100} | dict.fromkeys(_THREE, 10)
UNCLEAR = frozenset({"ugx"})  # both without decimals and with two in that table
CURRENCIES = _NONE | _TWO | _THREE


class PaymentState(StrEnum):
    CREATED = "created"  # the row is there; the provider may not know of it yet
    PENDING = "pending"  # the provider waits for the payer, or for the bank
    SUCCEEDED = "succeeded"
    FAILED = "failed"  # declined; with the payer there, another try may still succeed
    CANCELLED = "cancelled"


OPEN_PAYMENTS = (PaymentState.CREATED, PaymentState.PENDING)
# A provider's news may come in any order: a state gives way only to a later one. Money that came in is never forgotten.
_LATENESS = {state: place for place, state in enumerate(("created", "pending", "failed", "cancelled", "succeeded"))}


def later_state(now: PaymentState, told: PaymentState) -> PaymentState:
    """The state to be in after the provider told ``told``, whenever that was sent."""
    return max(now, told, key=lambda state: _LATENESS[state])


# Refunds and disputes come long after the money, and their webhooks may be lost: the provider is asked at these ages.
HISTORY_LOOKS = tuple(timedelta(days=days) for days in (1, 3, 7, 14, 30, 60, 90, 120))


def next_history_look(paid_at: datetime, now: datetime, refunded_at: datetime | None = None) -> datetime | None:
    """When to ask next what became of a payment that came in, and of its last refund; None: never again."""
    begun = [moment for moment in (paid_at, refunded_at) if moment is not None]
    return min((moment + age for moment in begun for age in HISTORY_LOOKS if moment + age > now), default=None)


class DisputeState(StrEnum):
    OPEN = "open"
    WON = "won"  # by Zentry's operator: the payment stands
    LOST = "lost"


def later_dispute(now: DisputeState | None, told: DisputeState) -> DisputeState:
    """A closed dispute stays as it was closed."""
    return told if now in (None, DisputeState.OPEN) else now


@dataclass(frozen=True, slots=True)
class CreditPrice:
    """What credits are sold for: ``minor_per_credit`` minor units of ``currency`` for one credit."""

    currency: str
    minor_per_credit: int

    def minor_of(self, micro: int) -> int | None:
        """What an amount costs; None when the provider could not take exactly that."""
        minor, rest = divmod(micro * self.minor_per_credit, MICRO)
        return None if rest or minor % step_of(self.currency) else minor


def share(micro: int, minor: int, of_minor: int) -> int:
    """The part of a payment's credits that a part of its money stands for, rounded down; all for all."""
    return micro if minor >= of_minor else micro * minor // of_minor


def decimals_of(currency: str) -> int:
    """How many decimals of a currency the provider's minor units stand for."""
    return 0 if currency in _NONE else 3 if currency in _THREE else 2


def step_of(currency: str) -> int:
    """The provider takes only multiples of so many minor units."""
    return _STEPS.get(currency, 1)


def whole_units(currency: str) -> str:
    """In words what amounts must come to: ``'whole cents'``."""
    step, decimals = step_of(currency), decimals_of(currency)
    if step > 1 or not decimals:
        return f"multiples of {format_minor(step, currency)}"
    return "whole cents"


def format_minor(minor: int, currency: str) -> str:
    """``format_minor(1250, 'eur')`` is ``'12.50 EUR'``."""
    sign, minor, decimals = "-" if minor < 0 else "", abs(minor), decimals_of(currency)
    whole, part = divmod(minor, 10**decimals)
    fraction = f".{part:0{decimals}d}" if decimals else ""
    return f"{sign}{whole:,}{fraction} {currency.upper()}"


def parse_minor(text: str, currency: str) -> int:
    """Minor units in a typed amount: ``parse_minor('12.50', 'eur')`` is 1250. Raises ValueError with a sentence."""
    found = _TYPED.fullmatch(text.strip())
    if found is None:
        raise ValueError(_("Enter an amount such as 12.50."))
    whole, fraction = found[1], (found[2] or "")
    decimals = decimals_of(currency)
    if len(fraction) > decimals:
        raise ValueError(
            _("Enter an amount in %(currency)s.", currency=whole_units(currency))
            if decimals
            else _("This currency has no cents.")
        )
    minor = int(whole + fraction.ljust(decimals, "0"))
    if minor % step_of(currency):
        raise ValueError(_("Enter an amount in %(currency)s.", currency=whole_units(currency)))
    return minor


# -- what a provider is asked and tells -----------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PayScript:
    """What the payer's browser loads from the provider, and whom the page may talk to; on the pay page only."""

    url: str
    publishable_key: str
    script: tuple[str, ...]
    frame: tuple[str, ...]
    connect: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Order:
    """A payment that a provider is asked for. ``payment_id`` is also the idempotency key."""

    payment_id: str
    minor: int
    currency: str
    description: str
    customer_ref: str = ""
    save_method: bool = False


@dataclass(frozen=True, slots=True)
class Method:
    """A means of payment kept at the provider. ``label`` is what a person knows it by: 'Visa •••• 4242'."""

    ref: str
    label: str
    expiry_month: int
    expiry_year: int


@dataclass(frozen=True, slots=True)
class Dispute:
    """A payment that the card's holder has questioned at the bank."""

    ref: str
    minor: int
    state: DisputeState


@dataclass(frozen=True, slots=True)
class ProviderRefund:
    """One refund as the provider knows it. ``key`` is the one Zentry asked with ('': it was made elsewhere)."""

    ref: str
    minor: int
    has_failed: bool  # the money is back with the operator
    key: str = ""


@dataclass(frozen=True, slots=True)
class PaymentNews:
    """Facts about one payment. What is None is not told. ``ref`` is the provider's id of it ('': it has none)."""

    ref: str
    payment_id: str = ""
    minor: int | None = None
    currency: str | None = None
    state: PaymentState | None = None
    error: str = ""
    refunded_minor: int | None = None  # of all refunds together
    refunds: tuple[ProviderRefund, ...] = ()  # those that are told of one by one
    dispute: Dispute | None = None
    method: Method | None = None
    secret: str = ""  # what the payer's browser needs; never stored, never logged


@dataclass(frozen=True, slots=True)
class ProviderEvent:
    """A webhook whose signature is right. ``news`` is None for kinds that mean nothing to Zentry."""

    id: str
    kind: str
    at: datetime
    news: PaymentNews | None
    payload: Mapping[str, Any] = field(default_factory=dict)


# -- what Zentry shows ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Payment:
    """A top-up by payment, as its owner and admins see it."""

    id: str
    owner_id: str
    provider: str
    provider_ref: str
    is_automatic: bool
    amount_micro: int
    minor: int
    currency: str
    state: PaymentState
    error: str
    method_label: str
    saves_method: bool
    refunded_minor: int
    disputed_minor: int
    reversed_micro: int
    written_off_micro: int
    created_at: datetime
    settled_at: datetime | None
    owner_name: str = ""
    tax: "Tax | None" = None  # None: it began before there were taxes

    @property
    def is_open(self) -> bool:
        return self.state in OPEN_PAYMENTS

    @property
    def refundable_minor(self) -> int:
        """What can still be given back."""
        return self.minor - self.refunded_minor - self.disputed_minor if self.state == PaymentState.SUCCEEDED else 0

    @property
    def price(self) -> str:
        """What is paid, tax included."""
        return format_minor(self.minor, self.currency)


@dataclass(frozen=True, slots=True)
class PayPage:
    """What the page needs on which a person pays."""

    payment: Payment
    script: PayScript | None = None  # None: the test provider's buttons
    secret: str = ""


@dataclass(frozen=True, slots=True)
class StoredMethod:
    """A means of payment that a person keeps with the provider."""

    id: str
    label: str
    expiry_month: int
    expiry_year: int
    created_at: datetime

    @property
    def expiry(self) -> str:
        return f"{self.expiry_month:02d}/{self.expiry_year % 100:02d}"


@dataclass(frozen=True, slots=True)
class PaymentEvent:
    """One webhook that was taken in. ``effect`` says in words what it did."""

    id: str
    kind: str
    at: datetime
    received_at: datetime
    effect: str


@dataclass(frozen=True, slots=True)
class Refund:
    """Money given back by an admin."""

    id: str
    minor: int
    reason: str
    actor_id: str
    state: PaymentState
    error: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class AutoTopUp:
    """When and how much to pay by itself. ``off_reason`` says why Zentry switched it off."""

    enabled: bool = False
    threshold_micro: int = 5 * MICRO
    runway_hours: int = 0  # 0: the balance alone decides
    amount_micro: int = 20 * MICRO
    ceiling_micro: int = 100 * MICRO
    method_id: str = ""
    last_attempt_at: datetime | None = None
    off_reason: str = ""

    def is_low(self, total_micro: int, burn_micro_per_hour: int) -> bool:
        """Whether a balance calls for a top-up."""
        return total_micro < self.threshold_micro or total_micro < burn_micro_per_hour * self.runway_hours
