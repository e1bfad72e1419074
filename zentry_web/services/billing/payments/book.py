"""What a provider tells of a payment becomes state and credits here, whatever the order in which it is told.

Facts only grow (money that came in, the sum refunded, disputes that closed), and what is posted is the difference to
what was posted before: the same news twice, late or in another order comes to the same entries.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from zentry_web.domain.credits.billing import AccountKind, TransferKind
from zentry_web.domain.credits.payments import (
    Dispute,
    DisputeState,
    Method,
    PaymentNews,
    PaymentState,
    ProviderEvent,
    format_minor,
    later_dispute,
    later_state,
    next_history_look,
    share,
)
from zentry_web.domain.event import Subject
from zentry_web.domain.money import format_credits
from zentry_web.domain.notice_texts import say
from zentry_web.domain.target import Place, Target
from zentry_web.models import DbPayment, DbPaymentDispute, DbPaymentEvent, DbPaymentMethod, DbTopUp
from zentry_web.services.base_service import BaseService, Core, body_hash
from zentry_web.services.billing.ledger import posting as ledger
from zentry_web.services.billing.payments.receipts import Receipts
from zentry_web.services.billing.payments.refunds import note_refunds
from zentry_web.services.shared.notices import Notices

SOON = timedelta(seconds=5)
_EFFECT = 200
_LABEL = 60


@dataclass(frozen=True, slots=True)
class _Move:
    """Credits of a payment that go back, or come again: how that is posted, recorded and told."""

    takes: bool
    of: str  # the payment's columns: of what was refunded, or disputed
    kind: TransferKind
    reason: str
    action: str
    off_detail: str  # how the event calls what is written off; '' where it does not tell
    key: str  # of the notice; its text is payment_KEY
    effect: str


_REFUNDED = _Move(
    True, "refund", TransferKind.PAYMENT_REFUND, "Payment refunded", "credits.payment_refund", "written_off",
    "refunded", "taken back for a refund",
)  # fmt: skip
_REFUND_FAILED = _Move(
    False, "refund", TransferKind.PAYMENT_REFUND, "Refund failed", "credits.refund_failed", "not_written_off",
    "refund_failed", "given back after a failed refund",
)  # fmt: skip
_DISPUTED = _Move(
    True, "dispute", TransferKind.DISPUTE, "Payment disputed", "credits.dispute", "written_off",
    "disputed", "taken back for a dispute",
)  # fmt: skip
_DISPUTE_SETTLED = _Move(
    False, "dispute", TransferKind.DISPUTE, "Dispute settled", "credits.dispute_won", "",
    "undisputed", "given back after a dispute",
)  # fmt: skip


class PaymentBook(BaseService):
    """Takes news in, in one transaction under the owner's wallet lock."""

    name = "payment_book"

    def __init__(self, core: Core, notices: Notices, receipts: Receipts) -> None:
        super().__init__(core)
        self._notices = notices
        self._receipts = receipts

    def find_payment(self, session: Session, provider: str, news: PaymentNews) -> DbPayment | None:
        """The payment that news is about: by the provider's id, else by ours if the provider's is not known yet."""
        query = select(DbPayment).where(DbPayment.provider == provider)
        found = session.scalar(query.where(DbPayment.provider_ref == news.ref)) if news.ref else None
        if found is None and news.payment_id:
            found = session.scalar(query.where(DbPayment.id == news.payment_id))
            if found is not None and news.ref and found.provider_ref not in (None, news.ref):
                return None
        return found

    def lock_payment(self, session: Session, payment_id: str, owner_id: str) -> DbPayment:
        """The payment, with its owner's wallet locked before it."""
        ledger.lock_accounts(session, [owner_id])
        query = select(DbPayment).where(DbPayment.id == payment_id).with_for_update()
        return session.scalars(query.execution_options(populate_existing=True)).one()

    def take_in(self, provider: str, news: PaymentNews, event: ProviderEvent | None = None) -> str | None:
        """Make what the provider told true here: state, credits, notices. One transaction; any number of times.

        Returns the payment's id, or None when the news is about no payment of Zentry's. An ``event`` taken in
        before has no effect. News whose amount or currency is not the payment's own has none either.
        """
        with self.reading() as session:
            found = self.find_payment(session, provider, news)
            if found is None:
                return None
            payment_id, owner_id = found.id, found.owner_id
        with self.transaction() as session:
            payment = self.lock_payment(session, payment_id, owner_id)
            if event is not None and session.get(DbPaymentEvent, (provider, event.id)) is not None:
                return payment_id
            effect = self._apply(session, payment, news)
            if event is not None:
                if payment.state == PaymentState.PENDING:  # the bank takes its time: ask soon, not only by and by
                    payment.look_at, payment.looks = self.now() + SOON, 0
                session.add(_event_row(provider, payment_id, event, effect, self.now()))
            session.flush()
            self._core.checkpoint("payments.taken_in")
        return payment_id

    # -- inside ---------------------------------------------------------------------------------

    def _apply(self, session: Session, payment: DbPayment, news: PaymentNews) -> str:
        if news.minor not in (None, payment.minor) or news.currency not in (None, payment.currency):
            self.audit(
                "payment.mismatch", _subject(payment), {"minor": news.minor or 0, "currency": news.currency or ""}
            )
            return "Refused: amount or currency is not the payment's"
        done = [self._change_state(session, payment, news)]
        self._note_facts(session, payment, news)
        done += self._post_due(session, payment)
        if payment.state == PaymentState.SUCCEEDED:
            waits = payment.save_method and payment.method_id is None
            later = next_history_look(payment.settled_at or payment.created_at, self.now(), payment.refunded_at)
            payment.look_at = self.now() + SOON if waits and payment.looks < 10 else later
        return ", ".join(each for each in done if each) or "Nothing new"

    def _note_facts(self, session: Session, payment: DbPayment, news: PaymentNews) -> None:
        """Keep what ``news`` adds to what is known: the provider's id, the means of payment, refunds, a dispute."""
        if news.ref and payment.provider_ref is None:
            payment.provider_ref = news.ref
        if news.method is not None:
            self._keep_method(session, payment, news.method)
        note_refunds(session, payment, news, self.now())
        if news.dispute is not None:
            self._note_dispute(session, payment, news.dispute)

    def _post_due(self, session: Session, payment: DbPayment) -> list[str]:
        """Bring the credits up to what is known."""
        done = [self._credit(session, payment)] if payment.state == PaymentState.SUCCEEDED else []
        return done if payment.transfer_id is None else done + self._reverse(session, payment)

    def _change_state(self, session: Session, payment: DbPayment, news: PaymentNews) -> str:
        before = PaymentState(payment.state)
        payment.state = state = later_state(before, news.state or before)
        if state == before:
            return ""
        payment.error = news.error if state == PaymentState.FAILED else ""
        if state != PaymentState.PENDING:
            payment.settled_at = self.now()
        if state == PaymentState.CANCELLED or (state == PaymentState.FAILED and payment.is_automatic):
            payment.look_at = None
        if state == PaymentState.FAILED:
            self.audit("payment.failed", _subject(payment), {"minor": payment.minor})
            if payment.is_automatic:
                self._switch_off(session, payment)
        return f"{before.capitalize()} to {state}"

    def _switch_off(self, session: Session, payment: DbPayment) -> None:
        row = session.get(DbTopUp, payment.owner_id, with_for_update=True)
        reason = payment.error or "The payment did not go through."
        if row is not None:
            row.enabled, row.off_reason = False, reason[:_EFFECT]
        price = format_minor(payment.minor, payment.currency)
        words = say("auto_top_up_off", price=price, method=payment.method_label, reason=reason)
        self._tell(payment, "auto_top_up", "off", words)

    def _keep_method(self, session: Session, payment: DbPayment, method: Method) -> None:
        payment.method_label = method.label[:_LABEL]
        if not payment.save_method or payment.method_id is not None or payment.state != PaymentState.SUCCEEDED:
            return
        query = select(DbPaymentMethod).where(DbPaymentMethod.provider == payment.provider)
        row = session.scalar(query.where(DbPaymentMethod.ref == method.ref))
        if row is None:
            row = DbPaymentMethod(
                id=self.new_id("pm"), owner_id=payment.owner_id, provider=payment.provider, ref=method.ref,
                label=method.label[:_LABEL], expiry_month=method.expiry_month, expiry_year=method.expiry_year,
                created_at=self.now(), removed_at=None,
            )  # fmt: skip
            session.add(row)
            session.flush()
        payment.method_id = row.id

    def _note_dispute(self, session: Session, payment: DbPayment, dispute: Dispute) -> None:
        row = session.get(DbPaymentDispute, (payment.provider, dispute.ref))
        if row is None:
            row = DbPaymentDispute(
                provider=payment.provider, ref=dispute.ref, payment_id=payment.id, minor=dispute.minor,
                state=DisputeState.OPEN,
            )  # fmt: skip
            session.add(row)
        elif row.payment_id != payment.id:
            return
        row.state = later_dispute(DisputeState(row.state), dispute.state)
        session.flush()
        taken = select(func.coalesce(func.sum(DbPaymentDispute.minor), 0)).where(
            DbPaymentDispute.payment_id == payment.id, DbPaymentDispute.state != DisputeState.WON
        )
        payment.disputed_minor = min(int(session.scalar(taken) or 0), payment.minor)

    # -- credits --------------------------------------------------------------------------------

    def _credit(self, session: Session, payment: DbPayment) -> str:
        if payment.transfer_id is not None:
            return ""
        price = format_minor(payment.minor, payment.currency)
        amounts = {AccountKind.WALLET: payment.amount_micro, AccountKind.PAYMENTS: -payment.amount_micro}
        payment.transfer_id = self._post(
            session, payment, TransferKind.PAYMENT, amounts, f"Payment of {price}", f"payment:{payment.id}"
        )
        receipt = self._receipts.issue(session, payment)
        self.audit("credits.top_up", _subject(payment), {"amount": payment.amount_micro, "minor": payment.minor})
        credits = format_credits(payment.amount_micro)
        notice = "payment_received_automatic" if payment.is_automatic else "payment_received"
        self._tell(payment, "payment", "received", say(notice, price=price, credits=credits, receipt=receipt))
        return f"{credits} credits added"

    def _reverse(self, session: Session, payment: DbPayment) -> list[str]:
        """Post what the sums refunded and disputed ask for, beyond what was posted before."""
        refunded = share(payment.amount_micro, payment.refunded_minor, payment.minor)
        # What is refunded is back already: a dispute of it takes nothing twice.
        disputed = share(payment.amount_micro, payment.disputed_minor, payment.minor)
        disputed = min(disputed, payment.amount_micro - refunded)
        moves = (
            (_DISPUTE_SETTLED, payment.dispute_micro - disputed),
            (_REFUND_FAILED, payment.refund_micro - refunded),
            (_REFUNDED, refunded - payment.refund_micro),
            (_DISPUTED, disputed - payment.dispute_micro),
        )
        done = [self._move(session, payment, move, due) for move, due in moves if due > 0]
        note = self._receipts.correct(session, payment)
        return [*done, f"Credit note {note}"] if note else done

    def _move(self, session: Session, payment: DbPayment, move: _Move, due: int) -> str:
        """Take ``due`` credits back, or give them back: of those, what had been written off first."""
        total, written_off = getattr(payment, f"{move.of}_micro"), getattr(payment, f"{move.of}_off_micro")
        if move.takes:
            off = self._take_back(session, payment, move, due)
            total, written_off = total + due, written_off + off
        else:
            off = min(written_off, due)
            self._return(session, payment, move, due, off)
            total, written_off = total - due, written_off - off
        setattr(payment, f"{move.of}_micro", total)
        setattr(payment, f"{move.of}_off_micro", written_off)
        details = {"amount": due} | ({move.off_detail: off} if move.off_detail else {})
        self.audit(move.action, _subject(payment), details)
        words = say(
            f"payment_{move.key}", credits=format_credits(due - off), receipt=payment.id,
            price=format_minor(payment.minor, payment.currency),
            refunded=format_minor(payment.refunded_minor, payment.currency),
        )  # fmt: skip
        self._tell(payment, "payment", f"{move.key}:{payment.postings}", words)
        return f"{format_credits(due)} credits {move.effect}"

    def _take_back(self, session: Session, payment: DbPayment, move: _Move, due: int) -> int:
        """Take credits that are not promotional from the wallet; returns what had to be written off."""
        taken = min(ledger.lock_accounts(session, [payment.owner_id])[payment.owner_id].own, due)
        amounts = {AccountKind.WALLET: -taken, AccountKind.WRITE_OFF: taken - due, AccountKind.PAYMENTS: due}
        self._post(session, payment, move.kind, amounts, move.reason, self._next_key(payment))
        return due - taken

    def _return(self, session: Session, payment: DbPayment, move: _Move, due: int, off: int) -> None:
        """Undo ``_take_back``: ``off`` is no longer written off, the rest goes to the wallet."""
        amounts = {AccountKind.WALLET: due - off, AccountKind.WRITE_OFF: off, AccountKind.PAYMENTS: -due}
        self._post(session, payment, move.kind, amounts, move.reason, self._next_key(payment))

    def _next_key(self, payment: DbPayment) -> str:
        payment.postings += 1
        return f"payment:{payment.id}:{payment.postings}"

    def _post(
        self, session: Session, payment: DbPayment, kind: TransferKind, amounts: Mapping[AccountKind, int],
        reason: str, key: str,
    ) -> str:  # fmt: skip
        named = {
            ledger.account_id(account, payment.owner_id if account == AccountKind.WALLET else None): micro
            for account, micro in amounts.items()
            if micro
        }
        body = body_hash(payment.id, kind, sorted(named.items()))
        draft = ledger.Draft(kind, payment.owner_id, key, body, named, f"{reason} ({payment.id})")
        (transfer_id,) = ledger.post(session, [draft], self.now())
        return transfer_id

    # -- telling --------------------------------------------------------------------------------

    def _tell(self, payment: DbPayment, kind: str, what: str, words: tuple[str, str]) -> None:
        target = Target(Place.PAYMENT, payment.id)
        self._notices.tell(payment.owner_id, kind, f"{payment.id}:{what}", *words, target=target)


def _subject(payment: DbPayment) -> Subject:
    return Subject("payment", payment.id, payment.owner_id)


def _event_row(provider: str, payment_id: str, event: ProviderEvent, effect: str, now: Any) -> DbPaymentEvent:
    return DbPaymentEvent(
        provider=provider, id=event.id, payment_id=payment_id, kind=event.kind[:80], at=event.at, received_at=now,
        payload=dict(event.payload), effect=effect[:_EFFECT],
    )  # fmt: skip
