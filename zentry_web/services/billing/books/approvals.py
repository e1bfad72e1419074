"""What waits for a second admin: one admin asked, another one agrees, and it is done exactly once.

What needs one is decided in second_admin.py. Zentry itself (starting credits, demo data, the command
line) acts directly.
"""

from collections.abc import Callable, Mapping

from sqlalchemy import func, select, update

from zentry_web.domain.credits.billing import Transaction, TransferKind
from zentry_web.domain.credits.books import Approval, ApprovalOutcome, Batch, ByHand, MoveKind
from zentry_web.domain.event import Subject
from zentry_web.domain.language import _, lazy
from zentry_web.domain.notice_texts import say
from zentry_web.domain.target import Place, Target
from zentry_web.domain.user import SYSTEM, Actor
from zentry_web.models import DbApproval
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.billing.books.refunds import Refunds
from zentry_web.services.billing.ledger import posting as ledger
from zentry_web.services.billing.ledger.by_hand import ByHandPosting, body_of, check_request, require_wallet
from zentry_web.services.errors import ConflictError
from zentry_web.services.shared.access import require_admin, require_recent_proof
from zentry_web.services.shared.notices import Notices
from zentry_web.services.shared.rounds import each_alone
from zentry_web.services.shared.second_admin import SecondAdmin, as_approval, query_requests, why_of

Deed = Callable[[Approval, Actor], None]


_OUTCOMES = {
    ApprovalOutcome.PENDING: lazy("pending"),
    ApprovalOutcome.APPROVED: lazy("approved"),
    ApprovalOutcome.REFUSED: lazy("refused"),
    ApprovalOutcome.EXPIRED: lazy("expired"),
}


class Approvals(BaseService):
    """Amounts are micro-credits, times aware UTC. ``deeds``: how what is no transfer by hand is done once agreed to."""

    name = "approvals"

    def __init__(
        self,
        core: Core,
        posting: ByHandPosting,
        refunds: Refunds,
        notices: Notices,
        second: SecondAdmin,
        deeds: Mapping[MoveKind, Deed],
    ) -> None:
        super().__init__(core)
        self._posting = posting
        self._refunds = refunds
        self._notices = notices
        self._second = second
        self._deeds = deeds

    def submit(self, asked: ByHand, key: str, *, actor: Actor, batch: Batch | None = None) -> Transaction | Approval:
        """Post it, or, where it needs a second admin, keep it as a request and tell the other admins.

        The same ``key`` gives the same answer and one effect. Raises as posting does; what cannot be posted now is not
        asked for. Raises ProofRequiredError, too.
        """
        require_admin(actor)
        with self.transaction() as session:
            own = ledger.lock_accounts(session, [asked.user_id])[asked.user_id].own

            def check() -> None:
                require_wallet(session, asked, own)
                if asked.kind == TransferKind.REFUND:
                    self._refunds.check(asked)

            if ledger.find_posted(session, key, body_of(asked)) is None:
                waits = self._second.consider(session, asked.move, key, actor=actor, batch=batch, check=check)
                if waits is not None:
                    return waits
            return self._post(asked, key, actor)

    def refund(
        self, target: str, amount: int, description: str, *, actor: Actor, idempotency_key: str | None = None
    ) -> Transaction | Approval:
        """Give back ``amount`` micro-credits of what was charged at 'transfer:ID' or 'interval:ID'. See ``submit``.

        Raises NotFoundError (nothing charged there), ValidationError (amount, description), ConflictError.
        """
        require_admin(actor)
        owner_id = self._refunds.owner_of(target)
        asked = check_request(
            ByHand(owner_id, TransferKind.REFUND, amount, description, target), idempotency_key, self.now()
        )
        return self.submit(asked, f"refund:{idempotency_key or self.new_id('key')}", actor=actor)

    def decide(self, approval_id: str, agree: bool, *, actor: Actor) -> Approval:
        """Approve (post it, once) or refuse a request. Whoever asked may take it back, but not approve it; nor may
        whose wallet gains.

        Deciding again the same way changes nothing. Raises NotFoundError, PermissionDeniedError, ProofRequiredError (to
        agree), ConflictError (own request or gain, decided otherwise, too late) and what posting raises: then the
        request goes on waiting.
        """
        require_admin(actor)
        if agree:
            require_recent_proof(actor, self.now())
        with self.reading() as session:
            user_id = self._second.get(session, approval_id).move.user_id
        with self.transaction() as session:
            ledger.lock_accounts(session, [user_id])
            session.execute(select(DbApproval.id).where(DbApproval.id == approval_id).with_for_update())
            found = self._second.get(session, approval_id)
            outcome = ApprovalOutcome.APPROVED if agree else ApprovalOutcome.REFUSED
            if found.outcome == outcome and found.decided_by == actor.id:
                return found
            if not found.is_open:
                raise ConflictError(_("This request is %(outcome)s already.", outcome=_OUTCOMES[found.outcome]))
            if agree:
                _require_disinterested(found, actor)
                self._second.require_settled(actor)
            transfer_id = self._carry_out(found, actor) if agree else None
            values = {
                "outcome": outcome, "decided_by": actor.id, "decided_at": self.now(), "transfer_id": transfer_id,
            }  # fmt: skip
            session.execute(update(DbApproval).where(DbApproval.id == approval_id).values(**values))
            action = "approval.approve" if agree else "approval.refuse"
            details = {"amount": found.move.amount_micro, "kind": found.move.kind}
            self.audit(action, Subject("approval", found.id, found.asked_by), details, actor=actor)
            self._tell_asker(found, outcome, actor)
            self._core.checkpoint("approval.decided")
            return self._second.get(session, approval_id)

    def list_approvals(
        self, *, actor: Actor = SYSTEM, pending: bool = False, before: str | None = None, limit: int = 50
    ) -> list[Approval]:
        """Requests, newest first; ``pending``: only those that wait. ``before`` is the id of the last one seen."""
        require_admin(actor)
        query = query_requests().order_by(DbApproval.id.desc()).limit(limit)
        if before:
            query = query.where(DbApproval.id < before)
        if pending:
            query = query.where(*self._second.waiting())
        with self.reading() as session:
            return [as_approval(row).as_of(self.now()) for row in session.execute(query)]

    def get_approval(self, approval_id: str, *, actor: Actor = SYSTEM) -> Approval:
        """One request. Raises NotFoundError."""
        require_admin(actor)
        with self.reading() as session:
            return self._second.get(session, approval_id)

    def count_pending(self) -> int:
        """How many requests wait for an admin."""
        query = select(func.count()).select_from(DbApproval).where(*self._second.waiting())
        with self.reading() as session:
            return session.scalar(query) or 0

    def expire(self) -> None:
        """Close the requests that nobody decided in time; the worker calls this. Safe to repeat."""
        late = select(DbApproval.id).where(
            DbApproval.outcome == ApprovalOutcome.PENDING, DbApproval.expires_at <= self.now()
        )
        with self.reading() as session:
            ids = list(session.scalars(late))
        each_alone("expire approval", ids, self._expire)

    def _expire(self, approval_id: str) -> None:
        with self.transaction() as session:
            still = DbApproval.id == approval_id, DbApproval.outcome == ApprovalOutcome.PENDING
            session.execute(update(DbApproval).where(*still).values(outcome=ApprovalOutcome.EXPIRED))
            found = self._second.get(session, approval_id)
            if found.outcome == ApprovalOutcome.EXPIRED:
                self._tell_asker(found, ApprovalOutcome.EXPIRED, SYSTEM)

    # -- inside ---------------------------------------------------------------------------------

    def _post(self, asked: ByHand, key: str, actor: Actor) -> Transaction:
        if asked.kind == TransferKind.REFUND:
            return self._refunds.post(asked, key, actor=actor)
        return self._posting.post(asked, key, actor=actor)

    def _carry_out(self, found: Approval, actor: Actor) -> str | None:
        """Do what was asked for, once; returns the transfer if it is one."""
        move = found.move
        if (deed := self._deeds.get(move.kind)) is not None:
            deed(found, actor)
            return None
        return self._post(ByHand.of(move), f"approval:{found.id}", actor).id

    def _tell_asker(self, found: Approval, outcome: ApprovalOutcome, actor: Actor) -> None:
        if found.asked_by in (actor.id, SYSTEM.id):
            return
        if outcome == ApprovalOutcome.EXPIRED:
            words = say("approval_expired", what=found.what, why=why_of(found))
        else:
            words = say("approval_decided", what=found.what, outcome=outcome, why=why_of(found))
        self._notices.tell(found.asked_by, "approval_end", found.id, *words, target=Target(Place.APPROVALS))


def _require_disinterested(found: Approval, actor: Actor) -> None:
    if found.asked_by == actor.id:
        raise ConflictError(_("You asked for this: another admin must approve it."))
    if found.move.gains(actor.id):
        raise ConflictError(_("These credits would be yours: an admin who does not gain must approve it."))
