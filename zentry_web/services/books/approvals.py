"""Large grants, deductions and refunds, and what an admin would gain: one admin asks, a second one agrees, and it is
posted exactly once.

Callers of ``submit`` are admins; Zentry itself (starting credits, demo data, the command line) posts directly.
"""

from datetime import timedelta
from typing import Any

from sqlalchemy import Select, func, select, text, update
from sqlalchemy.orm import Session, aliased

from zentry_web.domain.billing import AccountKind, Transaction, TransferKind
from zentry_web.domain.books import APPROVAL_TIME, BATCH_KEYS, Approval, ApprovalOutcome, Batch, needs_second
from zentry_web.domain.money import format_credits
from zentry_web.domain.setting import SettingKey
from zentry_web.domain.user import SYSTEM, Actor, Role
from zentry_web.models import DbApproval, DbUser
from zentry_web.services import ledger
from zentry_web.services.access import require_admin, require_recent_proof
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.books.refunds import Refunds
from zentry_web.services.by_hand import ByHand, ByHandPosting, check_request, require_wallet
from zentry_web.services.errors import ConflictError, NotFoundError
from zentry_web.services.event_log import is_only_admin, role_changed_lately
from zentry_web.services.ledger import ENTRY, TRANSFER, account_id
from zentry_web.services.notices import Notices
from zentry_web.services.settings import Settings

LATELY = timedelta(hours=24)
GIVING = (TransferKind.GRANT, TransferKind.REFUND)
_WORDS = {TransferKind.GRANT: "a grant", TransferKind.DEDUCTION: "a deduction", TransferKind.REFUND: "a refund"}
_URL = "/admin/approvals"

_User, _Asker, _Decider = aliased(DbUser), aliased(DbUser), aliased(DbUser)


class Approvals(BaseService):
    """Amounts are micro-credits, times aware UTC."""

    name = "approvals"

    def __init__(
        self, core: Core, posting: ByHandPosting, refunds: Refunds, notices: Notices, settings: Settings
    ) -> None:
        super().__init__(core)
        self._posting = posting
        self._refunds = refunds
        self._notices = notices
        self._settings = settings

    def submit(self, asked: ByHand, key: str, *, actor: Actor, batch: Batch | None = None) -> Transaction | Approval:
        """Post it, or, where it needs a second admin, keep it as a request and tell the other admins.

        What the same admin moved the same way for the same person in the last 24 hours counts too; of a ``batch``, all
        that it and the admin's other batches of 24 hours give, whoever it is for. What the admin's own wallet gains
        needs a second one whatever it is, unless there is no other admin. The same ``key``
        gives the same answer and one effect. Raises as posting does; what cannot be posted now is not asked for.
        Asking raises ProofRequiredError, too.
        """
        require_admin(actor)
        with self.transaction() as session:
            wallet = ledger.lock_accounts(session, [asked.user_id])[asked.user_id].wallet
            if ledger.find_posted(session, key, asked.body) is None:
                made = session.scalar(select(DbApproval).where(DbApproval.request_key == key))
                if made is not None:
                    if made.body_hash != asked.body:
                        raise ConflictError("This request was made before with other contents.")
                    return self._get(session, made.id)
                if actor.id != SYSTEM.id and self._needs_second(session, asked, actor, batch):
                    require_recent_proof(actor, self.now())
                    require_wallet(session, asked, wallet)
                    if asked.kind == TransferKind.REFUND:
                        self._refunds.check(asked)
                    return self._ask(session, asked, key, actor, batch)
            return self._post(asked, key, actor)

    def refund(
        self, target: str, amount: int, description: str, *, actor: Actor, idempotency_key: str | None = None
    ) -> Transaction | Approval:
        """Give back ``amount`` micro-credits of what was charged at 'transfer:ID' or 'interval:ID'. See ``submit``.

        Raises NotFoundError (nothing charged there), ValidationError (amount, description), ConflictError.
        """
        require_admin(actor)
        owner_id = self._refunds.owner_of(target)
        asked = check_request(ByHand(owner_id, TransferKind.REFUND, amount, description, target), idempotency_key)
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
            user_id = self._get(session, approval_id).user_id
        with self.transaction() as session:
            ledger.lock_accounts(session, [user_id])
            session.execute(select(DbApproval.id).where(DbApproval.id == approval_id).with_for_update())
            found = self._get(session, approval_id)
            outcome = ApprovalOutcome.APPROVED if agree else ApprovalOutcome.REFUSED
            if found.outcome == outcome and found.decided_by == actor.id:
                return found
            if not found.is_open:
                raise ConflictError(f"This request is {found.outcome} already.")
            if agree:
                _require_disinterested(found, actor)
                if role_changed_lately(session, actor.id, self.now()):
                    raise ConflictError("You became an admin within the last 24 hours: approve requests after that.")
            transfer_id = None
            if agree:
                asked = ByHand(found.user_id, found.kind, found.amount_micro, found.reason, found.target)
                transfer_id = self._post(asked, f"approval:{found.id}", actor).id
            values = {
                "outcome": outcome, "decided_by": actor.id, "decided_at": self.now(), "transfer_id": transfer_id,
            }  # fmt: skip
            session.execute(update(DbApproval).where(DbApproval.id == approval_id).values(**values))
            self._log("approval.approve" if agree else "approval.refuse", found, actor)
            self._tell_asker(found, outcome, actor)
            self._core.checkpoint("approval.decided")
            return self._get(session, approval_id)

    def list_approvals(
        self, *, actor: Actor = SYSTEM, pending: bool = False, before: str | None = None, limit: int = 50
    ) -> list[Approval]:
        """Requests, newest first; ``pending``: only those that wait. ``before`` is the id of the last one seen."""
        require_admin(actor)
        query = _query().order_by(DbApproval.id.desc()).limit(limit)
        if before:
            query = query.where(DbApproval.id < before)
        if pending:
            query = query.where(*self._waiting())
        with self.reading() as session:
            return [_approval(row).as_of(self.now()) for row in session.execute(query)]

    def get_approval(self, approval_id: str, *, actor: Actor = SYSTEM) -> Approval:
        """One request. Raises NotFoundError."""
        require_admin(actor)
        with self.reading() as session:
            return self._get(session, approval_id)

    def count_pending(self) -> int:
        """How many requests wait for an admin."""
        query = select(func.count()).select_from(DbApproval).where(*self._waiting())
        with self.reading() as session:
            return session.scalar(query) or 0

    def expire(self) -> None:
        """Close the requests that nobody decided in time; the worker calls this. Safe to repeat."""
        late = select(DbApproval.id).where(
            DbApproval.outcome == ApprovalOutcome.PENDING, DbApproval.expires_at <= self.now()
        )
        with self.reading() as session:
            ids = list(session.scalars(late))
        for approval_id in ids:
            with self.transaction() as session:
                still = DbApproval.id == approval_id, DbApproval.outcome == ApprovalOutcome.PENDING
                session.execute(update(DbApproval).where(*still).values(outcome=ApprovalOutcome.EXPIRED))
                found = self._get(session, approval_id)
                if found.outcome == ApprovalOutcome.EXPIRED:
                    self._tell_asker(found, ApprovalOutcome.EXPIRED, SYSTEM)

    # -- inside ---------------------------------------------------------------------------------

    def _post(self, asked: ByHand, key: str, actor: Actor) -> Transaction:
        if asked.kind == TransferKind.REFUND:
            return self._refunds.post(asked, key, actor=actor)
        return self._posting.post(asked, key, actor=actor)

    def _needs_second(self, session: Session, asked: ByHand, actor: Actor, batch: Batch | None) -> bool:
        if asked.gains(actor.id) and not is_only_admin(session, actor.id, self.now()):
            return True
        threshold = self._settings.limit_for(SettingKey.APPROVAL_CREDITS, actor.id)
        if needs_second(asked.amount, self._lately(session, asked, actor), threshold):
            return True
        if batch is None:
            return False
        # All of it counts before its first grant is posted; and what was posted under its key, for whoever comes again
        # with the same key and other people.
        others, own = self._in_batches(session, actor, batch)
        return needs_second(max(batch.total_micro, own + asked.amount), others, threshold)

    def _in_batches(self, session: Session, actor: Actor, batch: Batch) -> tuple[int, int]:
        """What this admin has given in other batches lately, and in this one."""
        is_own = TRANSFER.c.idempotency_key.startswith(batch.key_of(""), autoescape=True)
        given = (
            select(is_own, func.sum(ENTRY.c.amount))
            .join(TRANSFER, TRANSFER.c.id == ENTRY.c.transfer_id)
            .where(
                TRANSFER.c.actor_id == actor.id,
                text("transfer.actor_id <> 'system'"),  # as the partial index spells it
                TRANSFER.c.at > self.now() - LATELY,
                TRANSFER.c.idempotency_key.startswith(BATCH_KEYS),
                ENTRY.c.amount > 0,
            )
            .group_by(is_own)
        )
        sums = {bool(own): int(amount) for own, amount in session.execute(given)}
        return sums.get(False, 0), sums.get(True, 0)

    def _lately(self, session: Session, asked: ByHand, actor: Actor) -> int:
        """What this admin has moved that way for that person without a second one."""
        kinds = GIVING if asked.kind in GIVING else (asked.kind,)
        mine = (
            select(func.coalesce(func.sum(func.abs(ENTRY.c.amount)), 0))
            .join(TRANSFER, TRANSFER.c.id == ENTRY.c.transfer_id)
            .where(
                TRANSFER.c.actor_id == actor.id,
                text("transfer.actor_id <> 'system'"),  # as the partial index spells it
                TRANSFER.c.owner_id == asked.user_id,
                TRANSFER.c.kind.in_(kinds),
                TRANSFER.c.at > self.now() - LATELY,
                TRANSFER.c.idempotency_key.not_like("approval:%"),
                ENTRY.c.account_id == account_id(AccountKind.WALLET, asked.user_id),
            )
        )
        return int(session.scalar(mine) or 0)

    def _ask(self, session: Session, asked: ByHand, key: str, actor: Actor, batch: Batch | None) -> Approval:
        now = self.now()
        row = DbApproval(
            id=self.new_id("apr"), kind=asked.kind, user_id=asked.user_id, amount=asked.amount, reason=asked.reason,
            target=asked.target, request_key=key, body_hash=asked.body, asked_by=actor.id, asked_at=now,
            expires_at=now + APPROVAL_TIME, outcome=ApprovalOutcome.PENDING,
        )  # fmt: skip
        session.add(row)
        session.flush()
        found = self._get(session, row.id)
        self._log("approval.ask", found, actor)
        admins = select(DbUser.id).where(DbUser.role == Role.ADMIN, DbUser.disabled_at.is_(None), DbUser.id != actor.id)
        if found.gains(asked.user_id):
            admins = admins.where(DbUser.id != asked.user_id)  # they may not approve it
        title = f"{found.asked_by_name} asks for {_WORDS[found.kind]} of {format_credits(found.amount_micro)} credits"
        body = f"For {found.user_email}: {found.reason}\nIt needs a second admin within seven days."
        if batch is not None:  # one word for all of them
            total = format_credits(batch.total_micro)
            title = f"{found.asked_by_name} asks for grants of {total} credits for {batch.count} people"
            body = f"{found.reason}\nEach needs a second admin within seven days."
        told = batch.key if batch else found.id
        for admin_id in session.scalars(admins.order_by(DbUser.id)).all():
            self._notices.tell(admin_id, "approval", told, title, body, url=_URL)
        return found

    def _tell_asker(self, found: Approval, outcome: ApprovalOutcome, actor: Actor) -> None:
        if found.asked_by in (actor.id, SYSTEM.id):
            return
        title = f"Your request for {format_credits(found.amount_micro)} credits was {outcome}"
        if outcome == ApprovalOutcome.EXPIRED:
            title = f"Your request for {format_credits(found.amount_micro)} credits has expired"
        body = f"For {found.user_email}: {found.reason}"
        self._notices.tell(found.asked_by, "approval_end", found.id, title, body, url=_URL)

    def _log(self, action: str, found: Approval, actor: Actor) -> None:
        details: dict[str, Any] = {"amount": found.amount_micro, "kind": found.kind}
        self.log_audit_event(actor.id, action, "approval", found.id, details, actor=actor, owner_id=found.asked_by)

    def _waiting(self) -> tuple[Any, Any]:
        return DbApproval.outcome == ApprovalOutcome.PENDING, DbApproval.expires_at > self.now()

    def _get(self, session: Session, approval_id: str) -> Approval:
        row = session.execute(_query().where(DbApproval.id == approval_id)).one_or_none()
        if row is None:
            raise NotFoundError("There is no such request.")
        return _approval(row).as_of(self.now())


def _require_disinterested(found: Approval, actor: Actor) -> None:
    if found.asked_by == actor.id:
        raise ConflictError("You asked for this: another admin must approve it.")
    if found.gains(actor.id):
        raise ConflictError("These credits would be yours: an admin who does not gain must approve it.")


def _query() -> Select[Any]:
    table = DbApproval.__table__
    return (
        select(*table.c, _User.email, _Asker.name.label("asker"), _Decider.name.label("decider"))
        .select_from(DbApproval)
        .outerjoin(_User, _User.id == DbApproval.user_id)
        .outerjoin(_Asker, _Asker.id == DbApproval.asked_by)
        .outerjoin(_Decider, _Decider.id == DbApproval.decided_by)
    )


def _approval(row: Any) -> Approval:
    return Approval(
        id=row.id, kind=TransferKind(row.kind), user_id=row.user_id, amount_micro=row.amount, reason=row.reason,
        target=row.target, asked_by=row.asked_by, asked_at=row.asked_at, expires_at=row.expires_at,
        outcome=ApprovalOutcome(row.outcome), decided_by=row.decided_by, decided_at=row.decided_at,
        transfer_id=row.transfer_id, user_email=row.email or row.user_id, asked_by_name=row.asker or row.asked_by,
        decided_by_name=row.decider or row.decided_by or "",
    )  # fmt: skip
