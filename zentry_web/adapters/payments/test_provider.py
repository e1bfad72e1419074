"""The built-in test provider: payments without money, for tests and demos. Start-up refuses it in production.

Its memory is a SQLite file of its own that web and worker share, as the real provider's memory is elsewhere.
"""

import json
import secrets
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from zentry_web.adapters.clock import Clock
from zentry_web.adapters.payments.base import PaymentError, SignedEvent
from zentry_web.adapters.payments.signing import HEADER, derive_key, sign, verify
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

LATER = timedelta(seconds=15)  # how long a payment that comes 'later' takes
DECLINED = "The card was declined."
WORKS, DECLINES_LATER = "4242", "0341"  # the last digits of the test cards
_SCHEMA = """
CREATE TABLE IF NOT EXISTS intent (ref TEXT PRIMARY KEY, key TEXT NOT NULL UNIQUE, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS refund (key TEXT PRIMARY KEY, ref TEXT NOT NULL, minor INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS method (ref TEXT PRIMARY KEY, body TEXT NOT NULL);
"""


@dataclass(frozen=True, slots=True)
class _Intent:
    ref: str
    payment_id: str
    minor: int
    currency: str
    save_method: bool
    state: str = PaymentState.PENDING
    error: str = ""
    paid_from: int | None = None  # second since 1970 at which a payment that comes later has come
    refunded_minor: int = 0
    method: dict[str, Any] | None = None
    dispute: dict[str, Any] | None = field(default=None)
    refunds: list[dict[str, Any]] = field(default_factory=list)


class BuiltInTestProvider:
    """Payments that a person ends by a button: pay, decline, pay later."""

    name = "test"
    is_test = True
    pay_script: PayScript | None = None

    def __init__(self, path: Path, clock: Clock, secret: str) -> None:
        self._path, self._clock, self._key = path, clock, derive_key(secret)
        self._lock = threading.Lock()

    # -- what every provider does ---------------------------------------------------------------

    def create_intent(self, order: Order) -> PaymentNews:
        """Prepare a payment; the same order gives the same intent."""
        with self._open() as database:
            return _news(self._made(database, order))

    def read_intent(self, ref: str) -> PaymentNews:
        """What became of it. A payment that comes later has come once its time is over."""
        with self._open() as database:
            return _news(self._found(database, ref))

    def read_history(self, ref: str) -> list[PaymentNews]:
        """The intent knows its refunds and its dispute."""
        return [self.read_intent(ref)]

    def cancel_intent(self, ref: str) -> PaymentNews:
        """Nobody can pay it any more, unless it is paid."""
        with self._open() as database:
            intent = self._found(database, ref)
            if intent.state != PaymentState.SUCCEEDED:
                intent = _keep(database, replace(intent, state=PaymentState.CANCELLED, paid_from=None))
            return _news(intent)

    def charge_method(self, order: Order, method_ref: str) -> PaymentNews:
        """Pay at once with a stored card; the one ending in 0341 is declined."""
        with self._open() as database:
            intent = self._made(database, order)
            row = database.execute("SELECT body FROM method WHERE ref = ?", (method_ref,)).fetchone()
            if intent.state == PaymentState.PENDING:
                method = json.loads(row[0]) if row else None
                if method is None or DECLINES_LATER in method["label"]:
                    intent = replace(intent, state=PaymentState.FAILED, error=DECLINED)
                else:
                    intent = replace(intent, state=PaymentState.SUCCEEDED, method=method)
                _keep(database, intent)
            return _news(intent)

    def refund(self, ref: str, minor: int, key: str) -> PaymentNews:
        """Give back a part or all; one key gives back once."""
        with self._open() as database:
            intent = self._found(database, ref)
            if not database.execute("SELECT 1 FROM refund WHERE key = ?", (key,)).fetchone():
                if intent.state != PaymentState.SUCCEEDED or not 0 < minor <= intent.minor - intent.refunded_minor:
                    raise PaymentError("There is not that much to refund.")
                database.execute("INSERT INTO refund VALUES (?, ?, ?)", (key, ref, minor))
                made = {"ref": f"tre_{key}", "minor": minor, "has_failed": False, "key": key}
                sums = {"refunded_minor": intent.refunded_minor + minor, "refunds": [*intent.refunds, made]}
                intent = _keep(database, replace(intent, **sums))  # type: ignore[arg-type]
            return _news(intent)

    def create_customer(self, owner_id: str) -> str:
        """People need no account here."""
        return f"tcus_{owner_id}"

    def forget_method(self, ref: str) -> None:
        """Remove a stored card; fine when it is gone."""
        with self._open() as database:
            database.execute("DELETE FROM method WHERE ref = ?", (ref,))

    def parse_event(self, payload: bytes, headers: Mapping[str, str]) -> ProviderEvent:
        """Check the signature first, then read."""
        verify(self._key, payload, headers.get(HEADER, ""), self._clock.now())
        try:
            told = json.loads(payload)
            at = datetime.fromtimestamp(told["at"], UTC)
            known = told["kind"].startswith(("payment.", "dispute.", "refund."))
            news = _news(_Intent(**told["payment"])) if known else None
            return ProviderEvent(str(told["id"]), str(told["kind"]), at, news, told)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise PaymentError("The webhook cannot be read.") from error

    def act(self, ref: str, action: str, card: str = WORKS) -> SignedEvent:
        """The payer presses a button: 'pay', 'decline' or 'later'. Returns the webhook that follows."""
        with self._open() as database:
            intent = self._found(database, ref)
            if intent.state in (PaymentState.SUCCEEDED, PaymentState.CANCELLED):
                raise PaymentError("This payment is over.")
            if action == "pay":
                intent = _paid(database, replace(intent, method=_card(card)))
            elif action == "later":
                due = int((self._clock.now() + LATER).timestamp())
                intent = replace(intent, state=PaymentState.PENDING, error="", paid_from=due, method=_card(card))
            elif action == "decline":
                intent = replace(intent, state=PaymentState.FAILED, error=DECLINED)
            else:
                raise PaymentError("There is no such button.")
            _keep(database, intent)
        return self.event(f"payment.{intent.state}", ref)

    # -- what only this one can do --------------------------------------------------------------

    def dispute(self, ref: str, state: DisputeState, minor: int | None = None) -> SignedEvent:
        """The card's holder questions a payment, or the bank has decided. Returns the webhook that follows."""
        with self._open() as database:
            intent = self._found(database, ref)
            told = {"ref": f"tdp_{ref}", "minor": minor or intent.minor, "state": str(state)}
            _keep(database, replace(intent, dispute=told))
        return self.event(f"dispute.{state}", ref)

    def fail_refund(self, ref: str, key: str) -> SignedEvent:
        """The bank returns the money of a refund. Returns the webhook that follows."""
        with self._open() as database:
            intent = self._found(database, ref)
            (failed,) = (each for each in intent.refunds if each["key"] == key)
            if not failed["has_failed"]:
                failed["has_failed"] = True
                _keep(database, replace(intent, refunded_minor=intent.refunded_minor - failed["minor"]))
        return self.event("refund.failed", ref)

    def event(self, kind: str, ref: str) -> SignedEvent:
        """A signed webhook about a payment as it is now."""
        now = self._clock.now()
        with self._open() as database:
            intent = self._found(database, ref)
        told = {"id": f"tevt_{secrets.token_hex(12)}", "kind": kind, "at": now.timestamp(), "payment": asdict(intent)}
        payload = json.dumps(told).encode()
        return SignedEvent(payload, {HEADER: sign(self._key, payload, now)})

    # -- inside ---------------------------------------------------------------------------------

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            database = sqlite3.connect(self._path, timeout=10, isolation_level=None)
            try:
                database.executescript(_SCHEMA)
                database.execute("BEGIN IMMEDIATE")
                yield database
                database.execute("COMMIT")
            finally:
                database.close()

    def _made(self, database: sqlite3.Connection, order: Order) -> _Intent:
        row = database.execute("SELECT body FROM intent WHERE key = ?", (order.payment_id,)).fetchone()
        if row:
            return _Intent(**json.loads(row[0]))
        ref = f"tpi_{secrets.token_hex(12)}"
        made = _Intent(ref, order.payment_id, order.minor, order.currency, order.save_method)
        database.execute("INSERT INTO intent VALUES (?, ?, ?)", (ref, order.payment_id, json.dumps(asdict(made))))
        return made

    def _found(self, database: sqlite3.Connection, ref: str) -> _Intent:
        row = database.execute("SELECT body FROM intent WHERE ref = ?", (ref,)).fetchone()
        if row is None:
            raise PaymentError("There is no such payment.")
        intent = _Intent(**json.loads(row[0]))
        if intent.paid_from is not None and intent.paid_from <= self._clock.now().timestamp():
            intent = _keep(database, _paid(database, intent))
        return intent


def _keep(database: sqlite3.Connection, intent: _Intent) -> _Intent:
    database.execute("UPDATE intent SET body = ? WHERE ref = ?", (json.dumps(asdict(intent)), intent.ref))
    return intent


def _paid(database: sqlite3.Connection, intent: _Intent) -> _Intent:
    if intent.save_method and intent.method:
        row = (intent.method["ref"], json.dumps(intent.method))
        database.execute("INSERT OR REPLACE INTO method VALUES (?, ?)", row)
    return replace(intent, state=PaymentState.SUCCEEDED, error="", paid_from=None)


def _card(digits: str) -> dict[str, Any]:
    digits = digits if digits in (WORKS, DECLINES_LATER) else WORKS
    return asdict(Method(f"tpm_{secrets.token_hex(8)}", f"Test card •••• {digits}", 12, 2039))


def _news(intent: _Intent) -> PaymentNews:
    dispute = intent.dispute
    return PaymentNews(
        ref=intent.ref,
        payment_id=intent.payment_id,
        minor=intent.minor,
        currency=intent.currency,
        state=PaymentState(intent.state),
        error=intent.error,
        refunded_minor=intent.refunded_minor,
        refunds=tuple(ProviderRefund(**each) for each in intent.refunds),
        dispute=Dispute(dispute["ref"], dispute["minor"], DisputeState(dispute["state"])) if dispute else None,
        method=Method(**intent.method) if intent.method else None,
    )
