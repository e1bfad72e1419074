"""Credits that move because a person says so: grants and deductions with a reason, and refunds of what was charged."""

from dataclasses import replace
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from zentry_web.domain.credits.billing import AccountKind, Transaction, TransferKind
from zentry_web.domain.credits.books import ByHand
from zentry_web.domain.credits.promotions import LONGEST
from zentry_web.domain.event import Subject
from zentry_web.domain.language import _
from zentry_web.domain.user import Actor
from zentry_web.models import DbUser
from zentry_web.services.base_service import BaseService, body_hash
from zentry_web.services.billing.ledger import posting as ledger
from zentry_web.services.billing.ledger import promotions
from zentry_web.services.errors import InsufficientCreditsError, ValidationError
from zentry_web.services.shared.fields import check_micro, parse_reason
from zentry_web.services.shared.request_keys import check_key

# What each kind gains the wallet, times the amount; from where; how it is called in the trail.
_KINDS = {
    TransferKind.GRANT: (1, AccountKind.GRANTS, "credits.add"),
    TransferKind.PROMOTION: (1, AccountKind.PROMOTIONS, "credits.promote"),
    TransferKind.DEDUCTION: (-1, AccountKind.GRANTS, "credits.deduct"),
    TransferKind.REFUND: (1, AccountKind.REVENUE, "credits.refund"),
}


def check_request(asked: ByHand, key: str | None, now: datetime) -> ByHand:
    """``asked`` with its reason trimmed. Raises ValidationError (kind, amount, description, idempotency_key,
    expires_at)."""
    if asked.kind not in _KINDS or (asked.kind == TransferKind.REFUND) != bool(asked.target):
        raise ValidationError(
            _("Only grants and deductions are recorded by hand."), details={"kind": _("Not possible.")}
        )
    check_micro("amount", asked.amount, least=1)
    reason = parse_reason(asked.reason, "description")
    check_key(key)
    if asked.expires_at is not None:
        require_end(asked.expires_at, now)
    return replace(asked, reason=reason)


def require_end(expires_at: datetime, now: datetime) -> None:
    """Raise ValidationError (expires_at) unless promotional credit that ends then is good for something."""
    if not now < expires_at <= now + LONGEST:
        text = _("The last day must not be over, nor a century away.")
        raise ValidationError(text, details={"expires_at": text})


def body_of(asked: ByHand) -> str:
    """Tells whether two requests with one key ask for the same."""
    more = (asked.target, asked.expires_at and asked.expires_at.isoformat())
    return body_hash(asked.user_id, asked.kind, asked.amount, asked.reason, *filter(None, more))


def require_wallet(session: Session, asked: ByHand, own: int) -> None:
    """Raise InsufficientCreditsError, told about the person rather than to them, unless a deduction can be paid by what
    of the wallet is not promotional."""
    if asked.kind == TransferKind.DEDUCTION and own < asked.amount:
        name = session.scalar(select(DbUser.name).where(DbUser.id == asked.user_id))
        details = {"needed": asked.amount, "available": own, "payer": name}
        raise InsufficientCreditsError(_("There are not enough credits in the wallet for that."), details=details)


class ByHandPosting(BaseService):
    """Posts without asking whether anybody else must agree: callers have seen to that."""

    name = "by_hand"

    def check(self, asked: ByHand) -> ByHand:
        """``asked`` with its reason trimmed, before anything is done. Raises ValidationError (kind, amount,
        description)."""
        return check_request(asked, None, self.now())

    def post(self, asked: ByHand, key: str, *, actor: Actor) -> Transaction:
        """Move the credits once per ``key``, with an audit event; joins the caller's transaction.

        Raises NotFoundError, ConflictError (key used for something else), InsufficientCreditsError.
        """
        sign, source, action = _KINDS[asked.kind]
        body = body_of(asked)
        with self.transaction() as session:
            funds = ledger.lock_accounts(session, [asked.user_id])[asked.user_id]
            posted = ledger.find_posted(session, key, body)
            if posted is None:
                gain = sign * asked.amount
                require_wallet(session, asked, funds.own)
                ledger.require_room(funds.wallet, gain, "amount")
                amounts = {
                    ledger.account_id(AccountKind.WALLET, asked.user_id): gain,
                    ledger.account_id(source): -gain,
                }
                draft = ledger.Draft(asked.kind, asked.user_id, key, body, amounts, asked.reason, actor_id=actor.id)
                (posted,) = ledger.post(session, [draft], self.now())
                if asked.kind == TransferKind.PROMOTION:
                    promotions.give(session, asked.user_id, posted, gain, asked.expires_at, self.now())
                subject = Subject("transfer", posted, asked.user_id)
                self.audit(action, subject, {"amount": asked.amount}, actor=actor)
            (transaction,) = ledger.read_transactions(session, asked.user_id, ids=[posted])
            return transaction
