"""The one rule for all by which an admin creates or moves credits or money: what needs a second admin, and asking.

Whatever it is (domain/credits/books.py: MoveKind), it is weighed by the most that it can come to, together with what
the same admin did alone that way within 24 hours, for whomever; against the lowest limit of these 24 hours, whoever
changed it.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any, cast

from sqlalchemy import Select, Table, case, func, select
from sqlalchemy import text as sql
from sqlalchemy.orm import Session, aliased

from zentry_web.domain.credits.billing import TransferKind
from zentry_web.domain.credits.books import (
    APPROVAL_TIME,
    APPROVED_BATCH,
    APPROVED_REFUND,
    APPROVED_TRANSFER,
    GIVING,
    LATELY,
    Approval,
    ApprovalOutcome,
    Batch,
    Move,
    MoveKind,
)
from zentry_web.domain.credits.payments import PaymentState, share
from zentry_web.domain.event import Subject
from zentry_web.domain.language import _, lazy
from zentry_web.domain.money import format_credits
from zentry_web.domain.notice_texts import say, say_line
from zentry_web.domain.target import Place, Target
from zentry_web.domain.user import SYSTEM, Actor, Role
from zentry_web.models import DbApproval, DbEntry, DbPayment, DbPaymentRefund, DbTransfer, DbUser, DbVoucher
from zentry_web.services.base_service import BaseService, Core, body_hash
from zentry_web.services.errors import ConflictError, NotFoundError
from zentry_web.services.shared.access import require_recent_proof
from zentry_web.services.shared.event_log import is_only_admin, role_changed_lately
from zentry_web.services.shared.notices import Notices
from zentry_web.services.shared.request_keys import require_same
from zentry_web.services.shared.setting_values import SettingValues

VOUCHER = cast(Table, DbVoucher.__table__)
TRANSFER = cast(Table, DbTransfer.__table__)
ENTRY = cast(Table, DbEntry.__table__)
_NO_BATCH = " "  # no key begins with it
_User, _Asker, _Decider = aliased(DbUser), aliased(DbUser), aliased(DbUser)


class SecondAdmin(BaseService):
    """Amounts are micro-credits. ``values`` tell what one admin may move alone, in the open transaction."""

    name = "second_admin"

    def __init__(self, core: Core, notices: Notices, values: SettingValues) -> None:
        super().__init__(core)
        self._notices = notices
        self._values = values

    def consider(
        self, session: Session, move: Move, key: str, *, actor: Actor, batch: Batch | None = None,
        check: Callable[[], object] = lambda: None,
    ) -> Approval | None:  # fmt: skip
        """The request that now waits for a second admin, who is told; None: the actor may do it alone, at once.

        In the caller's transaction. The same ``key`` gives the same request. ``check`` raises when it could not be done
        anyway: that is not asked for. Zentry itself may do all. Raises ProofRequiredError, ConflictError (key used for
        something else).
        """
        if actor.id == SYSTEM.id:
            return None
        require_recent_proof(actor, self.now())
        # What one admin does at once is weighed one by one.
        session.execute(select(DbUser.id).where(DbUser.id == actor.id).with_for_update(key_share=True))
        body = _body(move)
        made = session.execute(
            select(DbApproval.id, DbApproval.body_hash).where(DbApproval.request_key == key)
        ).one_or_none()
        if made is not None:
            require_same(made.body_hash == body)
            return self.get(session, made.id)
        if not self._is_needed(session, move, actor, batch):
            return None
        check()
        return self._ask(session, move, key, body, actor, batch)

    def require_settled(self, actor: Actor) -> None:
        """Whoever became an admin within the last 24 hours neither agrees to a request nor changes what is about money.

        The command line's admins may at once. Raises ConflictError.
        """
        with self.reading() as session:
            if actor.id != SYSTEM.id and role_changed_lately(session, actor.id, self.now()):
                raise ConflictError(_("You became an admin within the last 24 hours: this is possible after that."))

    def find_open(self, session: Session, kind: MoveKind, target: str) -> Approval | None:
        """A request of that kind about that thing which still waits."""
        waiting = query_requests().where(DbApproval.kind == kind, DbApproval.target == target, *self.waiting())
        row = session.execute(waiting.limit(1)).one_or_none()
        return as_approval(row) if row else None

    def waiting(self) -> tuple[Any, Any]:
        """SQL: requests that can be decided."""
        return DbApproval.outcome == ApprovalOutcome.PENDING, DbApproval.expires_at > self.now()

    def get(self, session: Session, approval_id: str) -> Approval:
        """One request as it stands. Raises NotFoundError."""
        row = session.execute(query_requests().where(DbApproval.id == approval_id)).one_or_none()
        if row is None:
            raise NotFoundError(_("There is no such request."))
        return as_approval(row).as_of(self.now())

    # -- the rule -------------------------------------------------------------------------------

    def _is_needed(self, session: Session, move: Move, actor: Actor, batch: Batch | None) -> bool:
        now = self.now()
        is_alone = is_only_admin(session, actor.id, now)
        if move.kind == MoveKind.SETTING:  # nobody could agree where there is one admin: they are held to the old limit
            return not is_alone and move.amount_micro > self._values.approval_limit()
        if move.gains(actor.id) and not is_alone:
            return True
        if role_changed_lately(session, actor.id, now):
            return True  # else one admin would have as many limits as accounts to make admins
        others, own = self._done_alone(session, move.kind, actor, batch)
        # Of a batch all counts before its first grant is posted; and what was posted under its key, for whoever comes
        # again with the same key and other people.
        this = move.amount_micro if batch is None else max(batch.total_micro, own + move.amount_micro)
        return others + this > self._values.approval_limit()

    def _done_alone(self, session: Session, kind: MoveKind, actor: Actor, batch: Batch | None) -> tuple[int, int]:
        """What the admin has lately done alone that way, and in this batch."""
        since = self.now() - LATELY
        if kind == MoveKind.PAYMENT:
            return _paid_back(session, actor, since), 0
        kinds = [TransferKind(each) for each in GIVING if each != MoveKind.VOUCHERS]
        if kind not in GIVING:
            kinds = [TransferKind(kind)]
        others, own = _moved(session, actor, since, kinds, batch)
        return others + (_in_vouchers(session, actor, since) if kind in GIVING else 0), own

    # -- asking ---------------------------------------------------------------------------------

    def _ask(
        self, session: Session, move: Move, key: str, body: str, actor: Actor, batch: Batch | None
    ) -> Approval:  # fmt: skip
        now = self.now()
        row = DbApproval(
            id=self.new_id("apr"), kind=move.kind, user_id=move.user_id, amount=move.amount_micro, reason=move.reason,
            target=move.target, terms=dict(move.terms), request_key=key, body_hash=body, asked_by=actor.id,
            asked_at=now, expires_at=now + APPROVAL_TIME, outcome=ApprovalOutcome.PENDING,
        )  # fmt: skip
        session.add(row)
        session.flush()
        found = self.get(session, row.id)
        details: dict[str, Any] = {"amount": move.amount_micro, "kind": move.kind}
        self.audit("approval.ask", Subject("approval", found.id), details, actor=actor)
        person = found.asked_by_name
        if batch is not None:  # one word for all of them
            credits = format_credits(batch.total_micro)
            words = say("approval_asked_many", person=person, credits=credits, count=batch.count, why=move.reason)
        else:
            words = say("approval_asked", person=person, what=_asked_for(found), why=why_of(found))
        told = batch.key if batch else found.id
        others = DbUser.role == Role.ADMIN, DbUser.disabled_at.is_(None), DbUser.id != actor.id
        for admin_id in session.scalars(select(DbUser.id).where(*others).order_by(DbUser.id)).all():
            if not move.gains(admin_id):  # they may not approve it
                self._notices.tell(admin_id, "approval", told, *words, target=Target(Place.APPROVALS))
        return found


def _asked_for(found: Approval) -> str:
    match found.move.kind:
        case MoveKind.GRANT:
            return lazy("a grant of %(what)s", what=found.what)
        case MoveKind.DEDUCTION:
            return lazy("a deduction of %(what)s", what=found.what)
        case MoveKind.REFUND:
            return lazy("a refund of %(what)s", what=found.what)
    return found.what


def why_of(found: Approval) -> str:
    """The reason, after whom it is about if that is a person."""
    reason = found.move.reason
    return say_line("about_person", person=found.user_email, why=reason) if found.is_about_a_person else reason


def _body(move: Move) -> str:
    return body_hash(move.user_id, move.kind, move.amount_micro, move.reason, move.target, dict(move.terms))


def _moved(
    session: Session, actor: Actor, since: datetime, kinds: list[TransferKind], batch: Batch | None
) -> tuple[int, int]:
    """What transfers of these kinds an admin made alone came to, and those of this batch."""
    is_own = TRANSFER.c.idempotency_key.startswith(batch.key_of("") if batch else _NO_BATCH, autoescape=True)
    query = (
        select(is_own, func.sum(ENTRY.c.amount))
        .join(TRANSFER, TRANSFER.c.id == ENTRY.c.transfer_id)
        .where(
            TRANSFER.c.actor_id == actor.id,
            sql("transfer.actor_id <> 'system'"),  # as the partial index spells it
            TRANSFER.c.kind.in_(kinds),
            TRANSFER.c.at > since,
            ~TRANSFER.c.idempotency_key.startswith(APPROVED_TRANSFER, autoescape=True),
            ENTRY.c.amount > 0,  # each has one side that gains
        )
        .group_by(is_own)
    )
    sums = {bool(own): int(amount) for own, amount in session.execute(query)}
    return sums.get(False, 0), sums.get(True, 0)


def _in_vouchers(session: Session, actor: Actor, since: datetime) -> int:
    """What the vouchers that an admin made alone can come to; of revoked ones what they gave."""
    columns = VOUCHER.c
    uses = func.sum(case((columns.revoked_at.is_(None), columns.uses), else_=columns.used))
    query = (
        select(columns.value, uses)
        .where(columns.created_by == actor.id, columns.created_at > since)
        .where(~columns.batch_id.startswith(APPROVED_BATCH, autoescape=True))
        .group_by(columns.value)
    )
    return sum(int(value) * int(number) for value, number in session.execute(query))


def _paid_back(session: Session, actor: Actor, since: datetime) -> int:
    """The credits that stand for the money an admin gave back alone."""
    query = (
        select(DbPayment.amount_micro, DbPayment.minor, DbPaymentRefund.minor)
        .join(DbPayment, DbPayment.id == DbPaymentRefund.payment_id)
        .where(DbPaymentRefund.actor_id == actor.id, DbPaymentRefund.created_at > since)
        .where(DbPaymentRefund.state != PaymentState.FAILED)
        .where(~DbPaymentRefund.id.startswith(APPROVED_REFUND, autoescape=True))
    )
    return sum(share(micro, part, whole) for micro, whole, part in session.execute(query))


def query_requests() -> Select[Any, str, str, str]:
    """Requests with the names of those concerned, for ``as_approval``."""
    table = DbApproval.__table__
    return (
        select(table, _User.email.label("user_email"), _Asker.name.label("asked"), _Decider.name.label("decided"))
        .select_from(DbApproval)
        .outerjoin(_User, _User.id == DbApproval.user_id)
        .outerjoin(_Asker, _Asker.id == DbApproval.asked_by)
        .outerjoin(_Decider, _Decider.id == DbApproval.decided_by)
    )


def as_approval(row: Any) -> Approval:
    """A row of ``query_requests``."""
    move = Move(MoveKind(row.kind), row.user_id, row.amount, row.reason, row.target, row.terms)
    return Approval(
        id=row.id, move=move, asked_by=row.asked_by, asked_at=row.asked_at, expires_at=row.expires_at,
        outcome=ApprovalOutcome(row.outcome), decided_by=row.decided_by, decided_at=row.decided_at,
        transfer_id=row.transfer_id, user_email=row.user_email or "", asked_by_name=row.asked or row.asked_by,
        decided_by_name=row.decided or row.decided_by or "",
    )  # fmt: skip
