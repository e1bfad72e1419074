"""Tax on top-ups (ADR 0029): who pays what, and receipts. Money is whole minor units of a currency. Pure rules.

Credits are worth their price without tax; tax comes on top. It is worked out once, when a payment begins, and kept.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from zentry_web.domain.countries import country_name
from zentry_web.domain.credits.payments import format_minor, step_of
from zentry_web.domain.language import _

WHOLE = 10_000  # basis points
MAX_LABEL, MAX_NOTE, MAX_NAME, MAX_ADDRESS = 40, 200, 120, 500


class BuyerKind(StrEnum):
    PERSON = "person"
    BUSINESS = "business"
    REGISTERED = "registered"  # a business with a VAT number


@dataclass(frozen=True, slots=True)
class TradeParty:
    """Who sells, or who buys, as a receipt names them. ``country``: two letters, or ''."""

    name: str = ""
    address: str = ""
    country: str = ""
    vat_number: str = ""
    is_business: bool = False

    @property
    def kind(self) -> BuyerKind:
        if not self.is_business:
            return BuyerKind.PERSON
        return BuyerKind.REGISTERED if self.vat_number else BuyerKind.BUSINESS

    @property
    def lines(self) -> list[str]:
        """What stands on paper, line by line."""
        number = _("VAT %(number)s", number=self.vat_number) if self.vat_number else ""
        parts = [self.name, *self.address.splitlines(), country_name(self.country), number]
        return [part for part in parts if part.strip()]

    def as_json(self) -> dict[str, Any]:
        """For a snapshot."""
        return asdict(self)

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> "TradeParty":
        """A snapshot, read back."""
        return cls(**kept)


@dataclass(frozen=True, slots=True)
class TaxRate:
    """A row of the operator's table: from a moment on, buyers of this kind in this country pay so much."""

    id: str
    country: str
    kind: BuyerKind
    basis_points: int
    label: str
    note: str  # what the law wants on the receipt, such as 'Reverse charge'
    valid_from: datetime
    created_by: str = ""

    @property
    def percent(self) -> str:
        return percent(self.basis_points)


@dataclass(frozen=True, slots=True)
class Tax:
    """What one payment is taxed, as it was worked out when it began."""

    net_minor: int
    tax_minor: int
    currency: str
    basis_points: int
    label: str
    note: str
    buyer: TradeParty
    kind: BuyerKind
    country: str  # whose rate it is

    @property
    def gross_minor(self) -> int:
        return self.net_minor + self.tax_minor

    @property
    def name(self) -> str:
        """``'VAT 19 %'``."""
        return f"{self.label or _('Tax')} {percent(self.basis_points)}"

    @property
    def is_due(self) -> bool:
        """Whether there is anything to say of it: a rate, or why there is none."""
        return bool(self.basis_points or self.note)

    def as_json(self) -> dict[str, Any]:
        """For the payment's row."""
        return {**asdict(self), "kind": str(self.kind)}

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> "Tax":
        """A snapshot, read back."""
        return cls(**{**kept, "buyer": TradeParty.from_json(kept["buyer"]), "kind": BuyerKind(kept["kind"])})


def percent(basis_points: int) -> str:
    """``percent(1900)`` is ``'19 %'``, ``percent(550)`` ``'5.5 %'``."""
    whole, part = divmod(basis_points, 100)
    return f"{whole}.{part:02d}".rstrip("0").rstrip(".") + " %"


def tax_of(net_minor: int, basis_points: int, currency: str) -> int:
    """The tax on an amount, rounded once, half up, to the smallest amount that the provider takes."""
    step = step_of(currency)
    return (2 * net_minor * basis_points + WHOLE * step) // (2 * WHOLE * step) * step


def rate_for(rates: Iterable[TaxRate], country: str, kind: BuyerKind, now: datetime) -> TaxRate | None:
    """The row that holds: the newest that is in force of the buyer's kind; a registered business that has no row of
    its own pays as any business. None: no tax."""
    valid = [rate for rate in rates if rate.country == country and rate.valid_from <= now]
    for each in (kind, BuyerKind.BUSINESS) if kind == BuyerKind.REGISTERED else (kind,):
        found = [rate for rate in valid if rate.kind == each]
        if found:
            return max(found, key=lambda rate: (rate.valid_from, rate.id))
    return None


def tax_for(
    net_minor: int, currency: str, buyer: TradeParty, home: str, rates: Iterable[TaxRate], now: datetime
) -> Tax:
    """What a payment of ``net_minor`` is taxed. Who has not said where they are counts as a buyer in the seller's
    country, ``home``."""
    country = buyer.country or home
    rate = rate_for(rates, country, buyer.kind, now)
    empty = Tax(net_minor, 0, currency, 0, "", "", buyer, buyer.kind, country)
    if rate is None:
        return empty
    due = tax_of(net_minor, rate.basis_points, currency)
    return replace(empty, tax_minor=due, basis_points=rate.basis_points, label=rate.label, note=rate.note)


def part_of(tax_minor: int, gross_part: int, gross: int) -> int:
    """The tax in a part of a payment, rounded down; all in all of it: what later parts have is the difference, so the
    parts add up to the whole."""
    return tax_minor if gross_part >= gross else tax_minor * gross_part // gross


class ReceiptKind(StrEnum):
    RECEIPT = "receipt"
    CREDIT_NOTE = "credit_note"


_SERIES = {ReceiptKind.RECEIPT: "R", ReceiptKind.CREDIT_NOTE: "C"}


@dataclass(frozen=True, slots=True)
class Receipt:
    """A document about a payment that came in, or (credit note) about money of it given back: then amounts count
    against the receipt's; they are below zero where a refund came back."""

    id: str
    kind: ReceiptKind
    year: int
    number: int  # 1, 2, 3 … in its kind and year, no gaps
    at: datetime
    payment_id: str
    of: str  # of a credit note: the receipt's number in full
    tax: Tax
    seller: TradeParty

    @property
    def full_number(self) -> str:
        return full_number(self.kind, self.year, self.number)

    @property
    def gross(self) -> str:
        return format_minor(self.tax.gross_minor, self.tax.currency)

    @property
    def sign(self) -> int:
        """-1 of a credit note: its amounts count against those of receipts."""
        return -1 if self.kind == ReceiptKind.CREDIT_NOTE else 1


def tax_totals(receipts: Iterable[Receipt]) -> list[Tax]:
    """What receipts less credit notes come to, by currency and rate, in the order of the first of each."""
    totals: dict[tuple[str, int, str], Tax] = {}
    for receipt in receipts:
        tax, sign = receipt.tax, receipt.sign
        key = tax.currency, tax.basis_points, tax.name
        found = totals.get(key) or replace(tax, net_minor=0, tax_minor=0)
        net, due = found.net_minor + sign * tax.net_minor, found.tax_minor + sign * tax.tax_minor
        totals[key] = replace(found, net_minor=net, tax_minor=due)
    return list(totals.values())


def full_number(kind: ReceiptKind, year: int, number: int) -> str:
    """``'R-2026-000001'``, of a credit note ``'C-2026-000001'``."""
    return f"{_SERIES[kind]}-{year}-{number:06d}"


@dataclass(frozen=True, slots=True)
class TaxSum:
    """What receipts less credit notes of one month came to, by country, kind of buyer, rate and currency."""

    month: str
    country: str
    kind: BuyerKind
    label: str
    basis_points: int
    currency: str
    receipts: int
    credit_notes: int
    net_minor: int
    tax_minor: int

    @property
    def percent(self) -> str:
        return percent(self.basis_points)

    @property
    def gross_minor(self) -> int:
        return self.net_minor + self.tax_minor
