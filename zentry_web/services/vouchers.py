"""Vouchers: making codes, handing them out, and redeeming each as often as it may be, once per person."""

import hashlib
from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import ColumnElement, Table, func, insert, or_, select, update
from sqlalchemy.orm import Session

from zentry_web.domain.bill_csv import csv_text, iso
from zentry_web.domain.billing import AccountKind, TransferKind
from zentry_web.domain.money import format_credits
from zentry_web.domain.setting import SettingKey
from zentry_web.domain.text import clean_line
from zentry_web.domain.user import SYSTEM, Actor
from zentry_web.domain.voucher import (
    MAX_BATCH,
    MAX_NOTE,
    MAX_USES,
    Redemption,
    Voucher,
    VoucherDraft,
    VoucherFilter,
    VoucherState,
    make_code,
    parse_code,
    signs_of,
)
from zentry_web.models import DbVoucher, DbVoucherRedemption
from zentry_web.services import ledger
from zentry_web.services.access import require_admin, require_self
from zentry_web.services.base_service import BaseService, Core, body_hash
from zentry_web.services.errors import ConflictError, NotFoundError, ValidationError
from zentry_web.services.event_log import is_only_admin
from zentry_web.services.fields import invalid
from zentry_web.services.notices import Notices
from zentry_web.services.prices import check_micro
from zentry_web.services.rate_limit import RateLimiter, limit_of
from zentry_web.services.settings import Settings

VOUCHER = cast(Table, DbVoucher.__table__)
REDEMPTION = cast(Table, DbVoucherRedemption.__table__)
COLUMNS = ("code", "value", "uses", "used", "state", "expires", "note", "batch", "voucher", "made", "made_by")
MOST_EXPORTED = 100_000
_LONGEST_KEY = 100
LATELY = timedelta(hours=24)


class Vouchers(BaseService):
    """Amounts are micro-credits, times aware UTC. A voucher's credits come from what Zentry grants."""

    name = "vouchers"

    def __init__(self, core: Core, notices: Notices, settings: Settings | None = None) -> None:
        """``settings`` say what one admin's vouchers may give one person within a day (None: anything).

        Otherwise a voucher would be the way around the second admin that a large grant needs.
        """
        super().__init__(core)
        self._notices = notices
        self._settings = settings
        self._limits = RateLimiter(core)

    # -- for admins -----------------------------------------------------------------------------

    def create(
        self, draft: VoucherDraft, *, actor: Actor = SYSTEM, idempotency_key: str | None = None
    ) -> list[Voucher]:
        """Make ``draft.count`` vouchers alike, one batch; admins only; audited. One key makes one batch.

        Raises ValidationError (value_micro, count, uses, expires_at, note), ConflictError (key used for another draft).
        """
        require_admin(actor)
        now = self.now()
        note = _check_draft(draft, now, self._threshold(actor.id))
        batch_id = _batch_id(actor, idempotency_key) if idempotency_key else self.new_id("vb")
        shared = {
            "value": draft.value_micro, "uses": draft.uses, "used": 0, "expires_at": draft.expires_at, "note": note,
            "batch_id": batch_id, "created_by": actor.id, "created_at": now, "revoked_at": None,
        }  # fmt: skip
        rows = [
            {"id": self.new_id("vch"), "code": make_code(), "number": number, **shared}
            for number in range(1, draft.count + 1)
        ]
        first_id = select(VOUCHER.c.id).where(VOUCHER.c.batch_id == batch_id, VOUCHER.c.number == 1)
        with self.transaction() as session:
            if session.scalar(first_id) is None:
                once = ledger.upsert(session, VOUCHER).on_conflict_do_nothing(index_elements=["batch_id", "number"])
                session.execute(once, rows)  # the same form at the same moment waits here, and then changes nothing
                if session.scalar(first_id) == rows[0]["id"]:
                    details = {"count": draft.count, "amount": draft.value_micro, "uses": draft.uses}
                    self.log_audit_event(actor.id, "voucher.create", "voucher_batch", batch_id, details, actor=actor)
        with self.reading() as session:
            made = _read(session, VOUCHER.c.batch_id == batch_id)
        first = made[0]
        if (len(made), first.value_micro, first.uses, first.note, first.expires_at) != (
            draft.count, draft.value_micro, draft.uses, note, draft.expires_at
        ):  # fmt: skip
            raise ConflictError("This form was already used to make other vouchers. Open a new one.")
        return made

    def list_vouchers(
        self, wanted: VoucherFilter, *, actor: Actor = SYSTEM, before: str | None = None, limit: int = 50
    ) -> list[Voucher]:
        """Vouchers, newest first; admins only. ``before``: the id of the last one seen."""
        require_admin(actor)
        conditions = _conditions(wanted, self.now())
        if before is not None:
            conditions.append(VOUCHER.c.id < before)
        with self.reading() as session:
            return _read(session, *conditions, limit=limit)

    def get_voucher(self, voucher_id: str, *, actor: Actor = SYSTEM) -> Voucher:
        """One voucher; admins only. Raises NotFoundError."""
        require_admin(actor)
        with self.reading() as session:
            return _one(session, voucher_id)

    def revoke(self, voucher_id: str, *, actor: Actor = SYSTEM) -> Voucher:
        """From now on the code works for nobody; what it gave stays. Admins only; audited; again changes nothing."""
        require_admin(actor)
        with self.transaction() as session:
            found = _one(session, voucher_id, lock=True)
            if found.revoked_at is None:
                session.execute(update(VOUCHER).where(VOUCHER.c.id == voucher_id).values(revoked_at=self.now()))
                details = {"used": found.used, "amount": found.value_micro}
                self.log_audit_event(actor.id, "voucher.revoke", "voucher", voucher_id, details, actor=actor)
            return _one(session, voucher_id)

    def export_csv(self, wanted: VoucherFilter, *, actor: Actor = SYSTEM) -> str:
        """The vouchers that the filter lists, codes included, as CSV; admins only. That it was taken is audited.

        Raises PermissionDeniedError, RateLimitedError.
        """
        require_admin(actor)
        self._limits.check_actor("file", actor)
        now = self.now()
        with self.transaction() as session:
            found = _read(session, *_conditions(wanted, now), limit=MOST_EXPORTED)
            details = {"count": len(found), "batch": wanted.batch_id}
            what = wanted.batch_id or "all"
            self.log_audit_event(actor.id, "voucher.export", "voucher_batch", what, details, actor=actor)
        rows = [
            (
                each.shown_code, format_credits(each.value_micro).replace(",", ""), each.uses, each.used,
                str(each.state(now)), iso(each.expires_at), each.note, each.batch_id, each.id, iso(each.created_at),
                each.created_by,
            )
            for each in found
        ]  # fmt: skip
        return csv_text(COLUMNS, rows)

    # -- for everybody --------------------------------------------------------------------------

    def redeem(self, user_id: str, typed: object, *, actor: Actor = SYSTEM, request_key: str = "") -> Redemption:
        """Add a voucher's value to a person's wallet, once per person, as long as it has uses left; tells by mail.

        The same ``request_key`` (a form sent twice) gives the same answer and one effect. Raises ValidationError
        (``code``: not a code, unknown, revoked, expired, used up, used by this person before, made by this person while
        there are other admins), RateLimitedError
        (too many of those), NotFoundError (no such account).
        """
        require_self(actor, user_id)
        try:
            code = parse_code(typed)
        except ValueError as error:
            raise invalid({"code": str(error)}) from None
        tries = limit_of("voucher", user_id)
        self._limits.check(tries)  # counted before: many at once are not more than as many one by one
        with self.transaction() as session:
            ledger.lock_accounts(session, [user_id])
            redemption = self._redeem(session, user_id, code, actor, request_key[:_LONGEST_KEY])
            self._core.checkpoint("redeem.written")
        self._limits.give_back(tries)
        return redemption

    def _redeem(self, session: Session, user_id: str, code: str, actor: Actor, request_key: str) -> Redemption:
        now = self.now()
        query = select(VOUCHER).where(VOUCHER.c.code == code).with_for_update()
        row = session.execute(query).one_or_none()
        if row is None:
            raise invalid({"code": "There is no voucher with this code. Please check what you typed."})
        voucher = _voucher(row)
        before = _find_redemption(session, voucher, user_id)
        if before is not None:
            if request_key and before[1] == request_key:
                return before[0]
            raise invalid({"code": "You have redeemed this voucher already. It works once for each person."})
        _refuse_unless_open(voucher, now)
        if voucher.created_by == user_id and not is_only_admin(session, user_id, now):
            raise invalid({"code": "You made this voucher yourself: ask another admin for a grant instead."})
        self._refuse_too_much(session, voucher, user_id, now)
        transfer_id = self._post(session, voucher, user_id, actor)
        session.execute(update(VOUCHER).where(VOUCHER.c.id == voucher.id).values(used=VOUCHER.c.used + 1))
        values = {"voucher_id": voucher.id, "user_id": user_id, "transfer_id": transfer_id, "at": now}
        session.execute(insert(REDEMPTION), [values | {"request_key": request_key}])
        details = {"amount": voucher.value_micro, "transfer": transfer_id}
        self.log_audit_event(
            actor.id, "voucher.redeem", "voucher", voucher.id, details, actor=actor, owner_id=user_id
        )  # fmt: skip
        credits = format_credits(voucher.value_micro)
        self._notices.tell(
            user_id, "voucher", voucher.id, f"Voucher redeemed: {credits} credits",
            f"{credits} credits were added to your balance. Receipt number: {transfer_id}.\n"
            "What Zentry had stopped for lack of credit starts again by itself.",
            url="/credits",
        )  # fmt: skip
        return Redemption(voucher.id, user_id, transfer_id, voucher.value_micro, now)

    def _refuse_too_much(self, session: Session, voucher: Voucher, user_id: str, now: datetime) -> None:
        threshold = self._threshold(voucher.created_by)
        if threshold is None:
            return
        lately = session.scalar(
            select(func.coalesce(func.sum(VOUCHER.c.value), 0))
            .join(REDEMPTION, REDEMPTION.c.voucher_id == VOUCHER.c.id)
            .where(
                REDEMPTION.c.user_id == user_id,
                REDEMPTION.c.at > now - LATELY,
                VOUCHER.c.created_by == voucher.created_by,
            )
        )
        if int(lately or 0) + voucher.value_micro > threshold:
            most = format_credits(threshold)
            raise invalid({"code": f"Vouchers give at most {most} credits within 24 hours. Redeem this one later."})

    def _threshold(self, admin_id: str) -> int | None:
        if self._settings is None or admin_id == SYSTEM.id:
            return None
        return self._settings.limit_for(SettingKey.APPROVAL_CREDITS, admin_id)

    def _post(self, session: Session, voucher: Voucher, user_id: str, actor: Actor) -> str:
        amounts = {
            ledger.account_id(AccountKind.WALLET, user_id): voucher.value_micro,
            ledger.account_id(AccountKind.GRANTS): -voucher.value_micro,
        }
        body = body_hash(voucher.id, user_id, voucher.value_micro)
        key, reason = f"voucher:{voucher.id}:{user_id}", f"Voucher {voucher.shown_code}"
        draft = ledger.Draft(TransferKind.VOUCHER, user_id, key, body, amounts, reason, actor_id=actor.id)
        (transfer_id,) = ledger.post(session, [draft], self.now())
        return transfer_id


def _check_draft(draft: VoucherDraft, now: datetime, most_micro: int | None) -> str:
    """The note, trimmed. Raises ValidationError with all that is wrong."""
    errors: dict[str, str] = {}
    try:
        check_micro("value_micro", draft.value_micro, least=1)
    except ValidationError as error:
        errors |= error.details
    if most_micro is not None and draft.value_micro > most_micro and not errors:
        most = format_credits(most_micro)
        errors["value_micro"] = f"At most {most} credits. Grant more on the person's page: a second admin approves it."
    if not 1 <= draft.count <= MAX_BATCH:
        errors["count"] = f"Make 1 to {MAX_BATCH} vouchers at a time."
    if not 1 <= draft.uses <= MAX_USES:
        errors["uses"] = f"A voucher can have 1 to {MAX_USES:,} uses."
    if draft.expires_at is not None and not now < draft.expires_at <= now + timedelta(days=36_525):
        errors["expires_at"] = "The last day must not be over, nor a century away."
    note = ""
    try:
        note = clean_line(draft.note, longest=MAX_NOTE)
    except ValueError as error:
        errors["note"] = str(error)
    if errors:
        raise invalid(errors)
    return note


def _refuse_unless_open(voucher: Voucher, now: datetime) -> None:
    sentences = {
        VoucherState.REVOKED: "This voucher is no longer valid.",
        VoucherState.USED_UP: "This voucher has been used up.",
        VoucherState.EXPIRED: "This voucher has expired.",
    }
    if sentence := sentences.get(voucher.state(now)):
        raise invalid({"code": sentence})


def _batch_id(actor: Actor, key: str) -> str:
    """One form makes one batch: the id follows from who sent it and its key."""
    return f"vb_{hashlib.sha256(f'{actor.id}:{key}'.encode()).hexdigest()[:26]}"


def _conditions(wanted: VoucherFilter, now: datetime) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if wanted.batch_id:
        found.append(VOUCHER.c.batch_id == wanted.batch_id)
    if text := wanted.search.strip():
        like = [VOUCHER.c.note.icontains(text, autoescape=True), VOUCHER.c.id == text, VOUCHER.c.batch_id == text]
        if signs := signs_of(text):
            like.append(VOUCHER.c.code.contains(signs, autoescape=True))
        found.append(or_(*like))
    over = VOUCHER.c.expires_at.is_not(None) & (VOUCHER.c.expires_at <= now)
    revoked, used_up = VOUCHER.c.revoked_at.is_not(None), VOUCHER.c.used >= VOUCHER.c.uses
    states = {
        VoucherState.REVOKED: revoked,
        VoucherState.USED_UP: ~revoked & used_up,
        VoucherState.EXPIRED: ~revoked & ~used_up & over,
        VoucherState.OPEN: ~revoked & ~used_up & ~over,
    }
    return [*found, states[wanted.state]] if wanted.state else found


def _read(session: Session, *conditions: ColumnElement[bool], limit: int = MAX_BATCH) -> list[Voucher]:
    query = select(VOUCHER).where(*conditions).order_by(VOUCHER.c.id.desc()).limit(limit)
    return [_voucher(row) for row in session.execute(query)]


def _one(session: Session, voucher_id: str, *, lock: bool = False) -> Voucher:
    query = select(VOUCHER).where(VOUCHER.c.id == voucher_id)
    row = session.execute(query.with_for_update() if lock else query).one_or_none()
    if row is None:
        raise NotFoundError("There is no such voucher.")
    return _voucher(row)


def _find_redemption(session: Session, voucher: Voucher, user_id: str) -> tuple[Redemption, str] | None:
    """The person's redemption of a voucher and the key of the form that brought it."""
    query = select(REDEMPTION).where(REDEMPTION.c.voucher_id == voucher.id, REDEMPTION.c.user_id == user_id)
    row = session.execute(query).one_or_none()
    if row is None:
        return None
    return Redemption(voucher.id, user_id, row.transfer_id, voucher.value_micro, row.at), row.request_key


def _voucher(row: Any) -> Voucher:
    return Voucher(
        row.id, row.code, row.value, row.uses, row.used, row.expires_at, row.note, row.batch_id, row.created_by,
        row.created_at, row.revoked_at,
    )  # fmt: skip
