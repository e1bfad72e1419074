"""What a provider tells of a payment becomes state and credits here, whatever the order in which it is told.

Facts only grow (money that came in, the sum refunded, disputes that closed), and what is posted is the difference to
what was posted before: the same news twice, late or in another order comes to the same entries.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from zentry_web.domain.billing import AccountKind, TransferKind
from zentry_web.domain.money import format_credits
from zentry_web.domain.payments import (
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
from zentry_web.domain.user import SYSTEM
from zentry_web.models import DbPayment, DbPaymentDispute, DbPaymentEvent, DbPaymentMethod, DbTopUp
from zentry_web.services import ledger
from zentry_web.services.base_service import BaseService, Core, body_hash
from zentry_web.services.notices import Notices
from zentry_web.services.payment_refunds import note_refunds

SOON = timedelta(seconds=5)
_EFFECT = 200
_LABEL = 60


class PaymentBook(BaseService):
    """Takes news in, in one transaction under the owner's wallet lock."""

    name = "payment_book"

    def __init__(self, core: Core, notices: Notices) -> None:
        super().__init__(core)
        self._notices = notices

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
            self._log("payment.mismatch", payment, {"minor": news.minor or 0, "currency": news.currency or ""})
            return "Refused: amount or currency is not the payment's"
        if news.ref and payment.provider_ref is None:
            payment.provider_ref = news.ref
        done = [self._change_state(session, payment, news)]
        if news.method is not None:
            self._keep_method(session, payment, news.method)
        if payment.state == PaymentState.SUCCEEDED:
            done.append(self._credit(session, payment))
        note_refunds(session, payment, news, self.now())
        if news.dispute is not None:
            self._note_dispute(session, payment, news.dispute)
        if payment.transfer_id is not None:
            done += self._reverse(session, payment)
        if payment.state == PaymentState.SUCCEEDED:
            waits = payment.save_method and payment.method_id is None
            later = next_history_look(payment.settled_at or payment.created_at, self.now(), payment.refunded_at)
            payment.look_at = self.now() + SOON if waits and payment.looks < 10 else later
        return ", ".join(each for each in done if each) or "Nothing new"

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
            self._log("payment.failed", payment, {"minor": payment.minor})
            if payment.is_automatic:
                self._switch_off(session, payment)
        return f"{before.capitalize()} to {state}"

    def _switch_off(self, session: Session, payment: DbPayment) -> None:
        row = session.get(DbTopUp, payment.owner_id, with_for_update=True)
        reason = payment.error or "The payment did not go through."
        if row is not None:
            row.enabled, row.off_reason = False, reason[:_EFFECT]
        price = format_minor(payment.minor, payment.currency)
        self._tell(
            payment, "auto_top_up", "off", "Automatic top-up is switched off",
            f"A payment of {price} with {payment.method_label} did not go through: {reason}\n"
            "Nothing was charged. Choose another means of payment to switch it on again.",
        )  # fmt: skip

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
        self._log("credits.top_up", payment, {"amount": payment.amount_micro, "minor": payment.minor})
        credits = format_credits(payment.amount_micro)
        how = " by automatic top-up" if payment.is_automatic else ""
        self._tell(
            payment, "payment", "received", f"Payment received: {price} for {credits} credits",
            f"Your payment of {price} has come in{how}, and {credits} credits are in your wallet.\n"
            f"Receipt {payment.id}",
        )  # fmt: skip
        return f"{credits} credits added"

    def _reverse(self, session: Session, payment: DbPayment) -> list[str]:
        """Post what the sums refunded and disputed ask for, beyond what was posted before."""
        refunded = share(payment.amount_micro, payment.refunded_minor, payment.minor)
        # What is refunded is back already: a dispute of it takes nothing twice.
        disputed = share(payment.amount_micro, payment.disputed_minor, payment.minor)
        disputed = min(disputed, payment.amount_micro - refunded)
        done = [self._undispute(session, payment, payment.dispute_micro - disputed)]
        done.append(self._give_back(session, payment, payment.refund_micro - refunded))
        done.append(self._refund(session, payment, refunded - payment.refund_micro))
        done.append(self._dispute(session, payment, disputed - payment.dispute_micro))
        return done

    def _refund(self, session: Session, payment: DbPayment, due: int) -> str:
        if due <= 0:
            return ""
        off = self._take_back(session, payment, TransferKind.PAYMENT_REFUND, due, "Payment refunded")
        payment.refund_micro += due
        payment.refund_off_micro += off
        self._log("credits.payment_refund", payment, {"amount": due, "written_off": off})
        price = format_minor(payment.refunded_minor, payment.currency)
        self._tell(
            payment, "payment", f"refunded:{payment.postings}", f"Refunded: {price} of your payment",
            f"{price} in all go back the way they came, and {format_credits(due - off)} credits were taken from your "
            f"wallet for it.\nReceipt {payment.id}",
        )  # fmt: skip
        return f"{format_credits(due)} credits taken back for a refund"

    def _give_back(self, session: Session, payment: DbPayment, due: int) -> str:
        """A refund failed: what was written off for it first, the rest to the wallet."""
        if due <= 0:
            return ""
        off = min(payment.refund_off_micro, due)
        self._return(session, payment, TransferKind.PAYMENT_REFUND, due, off, "Refund failed")
        payment.refund_micro -= due
        payment.refund_off_micro -= off
        self._log("credits.refund_failed", payment, {"amount": due, "not_written_off": off})
        self._tell(
            payment, "payment", f"refund_failed:{payment.postings}", "A refund did not reach you",
            f"The bank returned a refund of your payment of {format_minor(payment.minor, payment.currency)}, and "
            f"{format_credits(due - off)} credits are back in your wallet.\nReceipt {payment.id}",
        )  # fmt: skip
        return f"{format_credits(due)} credits given back after a failed refund"

    def _dispute(self, session: Session, payment: DbPayment, due: int) -> str:
        if due <= 0:
            return ""
        off = self._take_back(session, payment, TransferKind.DISPUTE, due, "Payment disputed")
        payment.dispute_micro += due
        payment.dispute_off_micro += off
        self._log("credits.dispute", payment, {"amount": due, "written_off": off})
        text = f"{format_credits(due - off)} credits were taken from your wallet until the bank has decided."
        self._tell(payment, "payment", f"disputed:{payment.postings}", "A payment was disputed at the bank", text)
        return f"{format_credits(due)} credits taken back for a dispute"

    def _undispute(self, session: Session, payment: DbPayment, due: int) -> str:
        if due <= 0:
            return ""
        off = min(payment.dispute_off_micro, due)
        self._return(session, payment, TransferKind.DISPUTE, due, off, "Dispute settled")
        payment.dispute_micro -= due
        payment.dispute_off_micro -= off
        self._log("credits.dispute_won", payment, {"amount": due})
        text = f"{format_credits(due - off)} credits are back in your wallet."
        self._tell(payment, "payment", f"undisputed:{payment.postings}", "A disputed payment stands", text)
        return f"{format_credits(due)} credits given back after a dispute"

    def _take_back(self, session: Session, payment: DbPayment, kind: TransferKind, due: int, reason: str) -> int:
        """Take credits from the wallet, never below zero; returns what had to be written off."""
        wallet = ledger.lock_accounts(session, [payment.owner_id])[payment.owner_id].wallet
        taken = min(wallet, due)
        amounts = {AccountKind.WALLET: -taken, AccountKind.WRITE_OFF: taken - due, AccountKind.PAYMENTS: due}
        self._post(session, payment, kind, amounts, reason, self._next_key(payment))
        return due - taken

    def _return(
        self, session: Session, payment: DbPayment, kind: TransferKind, due: int, off: int, reason: str
    ) -> None:
        """Undo ``_take_back``: ``off`` is no longer written off, the rest goes to the wallet."""
        amounts = {AccountKind.WALLET: due - off, AccountKind.WRITE_OFF: off, AccountKind.PAYMENTS: -due}
        self._post(session, payment, kind, amounts, reason, self._next_key(payment))

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

    def _tell(self, payment: DbPayment, kind: str, what: str, title: str, body: str) -> None:
        url = f"/credits/top-up/{payment.id}"
        self._notices.tell(payment.owner_id, kind, f"{payment.id}:{what}", title, body, url=url)

    def _log(self, action: str, payment: DbPayment, details: dict[str, Any]) -> None:
        self.log_audit_event(SYSTEM.id, action, "payment", payment.id, details, owner_id=payment.owner_id)


def _event_row(provider: str, payment_id: str, event: ProviderEvent, effect: str, now: Any) -> DbPaymentEvent:
    return DbPaymentEvent(
        provider=provider, id=event.id, payment_id=payment_id, kind=event.kind[:80], at=event.at, received_at=now,
        payload=dict(event.payload), effect=effect[:_EFFECT],
    )  # fmt: skip
