"""Credits that move because a person says so: grants and deductions with a reason, and refunds of what was charged."""

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from zentry_web.domain.billing import AccountKind, Transaction, TransferKind
from zentry_web.domain.user import Actor
from zentry_web.models import DbUser
from zentry_web.services import ledger, prices
from zentry_web.services.base_service import BaseService, body_hash
from zentry_web.services.errors import InsufficientCreditsError, ValidationError
from zentry_web.services.fields import parse_reason

# What each kind gains the wallet, times the amount; from where; how it is called in the trail.
_KINDS = {
    TransferKind.GRANT: (1, AccountKind.GRANTS, "credits.add"),
    TransferKind.DEDUCTION: (-1, AccountKind.GRANTS, "credits.deduct"),
    TransferKind.REFUND: (1, AccountKind.REVENUE, "credits.refund"),
}
_LONGEST_KEY = 100


@dataclass(frozen=True, slots=True)
class ByHand:
    """What somebody asks for. ``target``: of a refund, 'transfer:ID' or 'interval:ID'."""

    user_id: str
    kind: TransferKind
    amount: int
    reason: str
    target: str = ""

    def gains(self, user_id: str) -> bool:
        """Whether that person's wallet grows by it."""
        return user_id == self.user_id and _KINDS[self.kind][0] > 0

    @property
    def body(self) -> str:
        """Tells whether two requests with one key ask for the same."""
        parts = (self.user_id, self.kind, self.amount, self.reason)
        return body_hash(*parts, self.target) if self.target else body_hash(*parts)


def check_request(asked: ByHand, key: str | None) -> ByHand:
    """``asked`` with its reason trimmed. Raises ValidationError (kind, amount, description, idempotency_key)."""
    if asked.kind not in _KINDS or (asked.kind == TransferKind.REFUND) != bool(asked.target):
        raise ValidationError("Only grants and deductions are recorded by hand.", details={"kind": "Not possible."})
    prices.check_micro("amount", asked.amount, least=1)
    reason = parse_reason(asked.reason, "description")
    if key is not None and not 0 < len(key) <= _LONGEST_KEY:
        raise ValidationError("That request key is not usable.", details={"idempotency_key": "Not usable."})
    return ByHand(asked.user_id, asked.kind, asked.amount, reason, asked.target)


def require_wallet(session: Session, asked: ByHand, wallet: int) -> None:
    """Raise InsufficientCreditsError, told about the person rather than to them, unless a deduction can be paid."""
    if asked.kind == TransferKind.DEDUCTION and wallet < asked.amount:
        name = session.scalar(select(DbUser.name).where(DbUser.id == asked.user_id))
        details = {"needed": asked.amount, "available": wallet, "payer": name}
        raise InsufficientCreditsError("There are not enough credits in the wallet for that.", details=details)


class ByHandPosting(BaseService):
    """Posts without asking whether anybody else must agree: callers have seen to that."""

    name = "by_hand"

    def post(self, asked: ByHand, key: str, *, actor: Actor) -> Transaction:
        """Move the credits once per ``key``, with an audit event; joins the caller's transaction.

        Raises NotFoundError, ConflictError (key used for something else), InsufficientCreditsError.
        """
        sign, source, action = _KINDS[asked.kind]
        with self.transaction() as session:
            wallet = ledger.lock_accounts(session, [asked.user_id])[asked.user_id].wallet
            posted = ledger.find_posted(session, key, asked.body)
            if posted is None:
                gain = sign * asked.amount
                require_wallet(session, asked, wallet)
                amounts = {
                    ledger.account_id(AccountKind.WALLET, asked.user_id): gain,
                    ledger.account_id(source): -gain,
                }
                draft = ledger.Draft(
                    asked.kind, asked.user_id, key, asked.body, amounts, asked.reason, actor_id=actor.id
                )
                (posted,) = ledger.post(session, [draft], self.now())
                self.log_audit_event(
                    actor.id, action, "transfer", posted, {"amount": asked.amount}, actor=actor, owner_id=asked.user_id
                )
            (transaction,) = ledger.read_transactions(session, asked.user_id, ids=[posted])
            return transaction
