"""Vouchers: making codes, handing them out, and redeeming each as often as it may be, once per person."""

import hashlib
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import ColumnElement, Select, Table, func, insert, or_, select, update
from sqlalchemy.orm import Session

from zentry_web.adapters.database import upsert
from zentry_web.domain.credits.bill_csv import csv_text, iso
from zentry_web.domain.credits.billing import AccountKind, TransferKind
from zentry_web.domain.credits.books import APPROVED_BATCH, LATELY, Approval, Move, MoveKind
from zentry_web.domain.credits.promotions import expiry_of
from zentry_web.domain.credits.voucher import (
    MAX_BATCH,
    MAX_DAYS,
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
from zentry_web.domain.event import Subject
from zentry_web.domain.language import _, dated
from zentry_web.domain.money import MAX_AMOUNT, format_credits
from zentry_web.domain.notice_texts import say
from zentry_web.domain.target import Place, Target
from zentry_web.domain.text import clean_line
from zentry_web.domain.user import SYSTEM, Actor
from zentry_web.models import DbVoucher, DbVoucherRedemption
from zentry_web.services.base_service import BaseService, Core, body_hash
from zentry_web.services.billing.ledger import posting as ledger
from zentry_web.services.billing.ledger import promotions
from zentry_web.services.errors import NotFoundError, ValidationError
from zentry_web.services.shared.access import require_admin, require_self
from zentry_web.services.shared.event_log import is_only_admin
from zentry_web.services.shared.fields import check_micro, invalid
from zentry_web.services.shared.notices import Notices
from zentry_web.services.shared.rate_limits import RateLimiter, limit_of
from zentry_web.services.shared.request_keys import LONGEST_KEY, require_same
from zentry_web.services.shared.settings import Settings

VOUCHER = cast(Table, DbVoucher.__table__)
REDEMPTION = cast(Table, DbVoucherRedemption.__table__)
COLUMNS = (
    "code", "value", "uses", "used", "state", "expires", "note", "batch", "voucher", "made", "made_by", "promo_days",
)  # fmt: skip
MOST_EXPORTED = 100_000


class Vouchers(BaseService):
    """Amounts are micro-credits, times aware UTC. A voucher's credits come from what Zentry grants."""

    name = "vouchers"

    def __init__(self, core: Core, notices: Notices, settings: Settings | None = None) -> None:
        """``settings`` say what one admin's vouchers may come to without a second admin (None: anything)."""
        super().__init__(core)
        self._notices = notices
        self._settings = settings
        self._limits = RateLimiter(core)

    # -- for admins -----------------------------------------------------------------------------

    def create(
        self, draft: VoucherDraft, *, actor: Actor = SYSTEM, idempotency_key: str | None = None
    ) -> list[Voucher] | Approval:
        """Make ``draft.count`` vouchers alike, one batch; admins only; audited. One key makes one batch.

        What all of them can come to decides whether it waits for a second admin: then the answer is the ``Approval``.
        Raises ValidationError (value_micro, count, uses, expires_at, note, promo_days), ConflictError (key used for
        another draft), ProofRequiredError.
        """
        require_admin(actor)
        draft = _checked(draft, self.now())
        batch_id = _batch_id(actor, idempotency_key) if idempotency_key else self.new_id("vb")
        with self.transaction() as session:
            if self._settings is not None and session.scalar(_first_of(batch_id)) is None:
                move = Move(
                    MoveKind.VOUCHERS, actor.id, draft.total_micro, draft.note or "Vouchers", terms=draft.as_terms()
                )
                waits = self._settings.second_admin.consider(session, move, f"vouchers:{batch_id}", actor=actor)
                if waits is not None:
                    return waits
            self._make(session, draft, batch_id, actor.id, actor)
        with self.reading() as session:
            made = _read(session, VOUCHER.c.batch_id == batch_id)
        first = made[0]
        before = VoucherDraft(first.value_micro, len(made), first.uses, first.expires_at, first.note, first.promo_days)
        require_same(before == draft, _("This form was already used to make other vouchers. Open a new one."))
        return made

    def carry_out(self, request: Approval, actor: Actor) -> None:
        """Make what a second admin has agreed to, in the caller's transaction. Raises ValidationError (too late)."""
        draft = _checked(VoucherDraft.from_terms(request.move.terms), self.now())
        with self.transaction() as session:
            self._make(session, draft, request.batch_id, request.asked_by, actor)

    def _make(self, session: Session, draft: VoucherDraft, batch_id: str, maker_id: str, actor: Actor) -> None:
        shared = {
            "value": draft.value_micro, "uses": draft.uses, "used": 0, "expires_at": draft.expires_at,
            "note": draft.note, "batch_id": batch_id, "created_by": maker_id, "created_at": self.now(),
            "revoked_at": None, "promo_days": draft.promo_days,
        }  # fmt: skip
        rows = [
            {"id": self.new_id("vch"), "code": make_code(), "number": number, **shared}
            for number in range(1, draft.count + 1)
        ]
        if session.scalar(_first_of(batch_id)) is not None:
            return
        once = upsert(session, VOUCHER).on_conflict_do_nothing(index_elements=["batch_id", "number"])
        session.execute(once, rows)  # the same form at the same moment waits here, and then changes nothing
        if session.scalar(_first_of(batch_id)) == rows[0]["id"]:
            details = {"count": draft.count, "amount": draft.value_micro, "uses": draft.uses}
            self.audit("voucher.create", Subject("voucher_batch", batch_id), details, actor=actor)

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
                self.audit("voucher.revoke", Subject("voucher", voucher_id), details, actor=actor)
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
            self.audit("voucher.export", Subject("voucher_batch", wanted.batch_id or "all"), details, actor=actor)
        rows = [
            (
                each.shown_code, format_credits(each.value_micro).replace(",", ""), each.uses, each.used,
                str(each.state(now)), iso(each.expires_at), each.note, each.batch_id, each.id, iso(each.created_at),
                each.created_by, "" if each.promo_days is None else each.promo_days,
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
            redemption = self._redeem(session, user_id, code, actor, request_key[:LONGEST_KEY])
            self._core.checkpoint("redeem.written")
        self._limits.give_back(tries)
        return redemption

    def _redeem(self, session: Session, user_id: str, code: str, actor: Actor, request_key: str) -> Redemption:
        now = self.now()
        query = select(VOUCHER).where(VOUCHER.c.code == code).with_for_update()
        row = session.execute(query).one_or_none()
        if row is None:
            raise invalid({"code": _("There is no voucher with this code. Please check what you typed.")})
        voucher = _as_voucher(row)
        before = _find_redemption(session, voucher, user_id)
        if before is not None:
            if request_key and before[1] == request_key:
                return before[0]
            raise invalid({"code": _("You have redeemed this voucher already. It works once for each person.")})
        _refuse_unless_open(voucher, now)
        if voucher.created_by == user_id and not is_only_admin(session, user_id, now):
            raise invalid({"code": _("You made this voucher yourself: ask another admin for a grant instead.")})
        self._refuse_too_much(session, voucher, user_id, now)
        ledger.require_room(self.get_user_credits(user_id), voucher.value_micro, "code")
        transfer_id = self._post(session, voucher, user_id, actor)
        session.execute(update(VOUCHER).where(VOUCHER.c.id == voucher.id).values(used=VOUCHER.c.used + 1))
        values = {"voucher_id": voucher.id, "user_id": user_id, "transfer_id": transfer_id, "at": now}
        session.execute(insert(REDEMPTION), [values | {"request_key": request_key}])
        details = {"amount": voucher.value_micro, "transfer": transfer_id}
        self.audit("voucher.redeem", Subject("voucher", voucher.id, user_id), details, actor=actor)
        words = _words_of(voucher, transfer_id, now)
        self._notices.tell(user_id, "voucher", voucher.id, *words, target=Target(Place.CREDITS))
        return Redemption(voucher.id, user_id, transfer_id, voucher.value_micro, now)

    def _refuse_too_much(self, session: Session, voucher: Voucher, user_id: str, now: datetime) -> None:
        if self._settings is None or voucher.created_by == SYSTEM.id or voucher.batch_id.startswith(APPROVED_BATCH):
            return
        most = self._settings.approval_limit()
        lately = session.scalar(
            select(func.coalesce(func.sum(VOUCHER.c.value), 0))
            .join(REDEMPTION, REDEMPTION.c.voucher_id == VOUCHER.c.id)
            .where(
                REDEMPTION.c.user_id == user_id,
                REDEMPTION.c.at > now - LATELY,
                VOUCHER.c.created_by == voucher.created_by,
                ~VOUCHER.c.batch_id.startswith(APPROVED_BATCH, autoescape=True),
            )
        )
        if int(lately or 0) + voucher.value_micro > most:
            text = _(
                "Vouchers give at most %(most)s credits within 24 hours. Redeem this one later.",
                most=format_credits(most),
            )
            raise invalid({"code": text})

    def _post(self, session: Session, voucher: Voucher, user_id: str, actor: Actor) -> str:
        amounts = {
            ledger.account_id(AccountKind.WALLET, user_id): voucher.value_micro,
            ledger.account_id(AccountKind.GRANTS if voucher.promo_days is None else AccountKind.PROMOTIONS): (
                -voucher.value_micro
            ),
        }
        body = body_hash(voucher.id, user_id, voucher.value_micro)
        key, reason = f"voucher:{voucher.id}:{user_id}", f"Voucher {voucher.shown_code}"
        draft = ledger.Draft(TransferKind.VOUCHER, user_id, key, body, amounts, reason, actor_id=actor.id)
        now = self.now()
        (transfer_id,) = ledger.post(session, [draft], now)
        if voucher.promo_days is not None:
            promotions.give(session, user_id, transfer_id, voucher.value_micro, _end_of(voucher, now), now)
        return transfer_id


def _end_of(voucher: Voucher, now: datetime) -> datetime | None:
    """When what a promotional voucher gives expires; None: never."""
    return expiry_of(now + timedelta(days=voucher.promo_days)) if voucher.promo_days else None


def _words_of(voucher: Voucher, transfer_id: str, now: datetime) -> tuple[str, str]:
    """What whoever redeems it at ``now`` is told."""
    credits = format_credits(voucher.value_micro)
    if voucher.promo_days is None:
        return say("voucher_redeemed", credits=credits, receipt=transfer_id)
    end = _end_of(voucher, now)
    if end is None:
        return say("voucher_redeemed_promotional", credits=credits, receipt=transfer_id)
    return say("voucher_redeemed_until", credits=credits, end=dated(end, "%a %d %b %Y %H:%M"), receipt=transfer_id)


def _first_of(batch_id: str) -> Select[str]:
    return select(VOUCHER.c.id).where(VOUCHER.c.batch_id == batch_id, VOUCHER.c.number == 1)


def _checked(draft: VoucherDraft, now: datetime) -> VoucherDraft:
    """The draft with its note trimmed. Raises ValidationError with all that is wrong."""
    errors: dict[str, str] = {}
    try:
        check_micro("value_micro", draft.value_micro, least=1)
    except ValidationError as error:
        errors |= error.details
    if not 1 <= draft.count <= MAX_BATCH:
        errors["count"] = _("Make 1 to %(most)s vouchers at a time.", most=MAX_BATCH)
    if not 1 <= draft.uses <= MAX_USES:
        errors["uses"] = _("A voucher can have 1 to %(most)s uses.", most=f"{MAX_USES:,}")
    if not errors and draft.total_micro > MAX_AMOUNT:
        errors["value_micro"] = _(
            "All of them together would be more than %(most)s credits.", most=format_credits(MAX_AMOUNT)
        )
    if draft.expires_at is not None and not now < draft.expires_at <= now + timedelta(days=36_525):
        errors["expires_at"] = _("The last day must not be over, nor a century away.")
    if draft.promo_days is not None and not 0 <= draft.promo_days <= MAX_DAYS:
        errors["promo_days"] = _("Promotional credit lasts for 0 to %(most)s days.", most=f"{MAX_DAYS:,}")
    note = ""
    try:
        note = clean_line(draft.note, longest=MAX_NOTE)
    except ValueError as error:
        errors["note"] = str(error)
    if errors:
        raise invalid(errors)
    return replace(draft, note=note)


def _refuse_unless_open(voucher: Voucher, now: datetime) -> None:
    sentences = {
        VoucherState.REVOKED: _("This voucher is no longer valid."),
        VoucherState.USED_UP: _("This voucher has been used up."),
        VoucherState.EXPIRED: _("This voucher has expired."),
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
    return [_as_voucher(row) for row in session.execute(query)]


def _one(session: Session, voucher_id: str, *, lock: bool = False) -> Voucher:
    query = select(VOUCHER).where(VOUCHER.c.id == voucher_id)
    row = session.execute(query.with_for_update() if lock else query).one_or_none()
    if row is None:
        raise NotFoundError(_("There is no such voucher."))
    return _as_voucher(row)


def _find_redemption(session: Session, voucher: Voucher, user_id: str) -> tuple[Redemption, str] | None:
    """The person's redemption of a voucher and the key of the form that brought it."""
    query = select(REDEMPTION).where(REDEMPTION.c.voucher_id == voucher.id, REDEMPTION.c.user_id == user_id)
    row = session.execute(query).one_or_none()
    if row is None:
        return None
    return Redemption(voucher.id, user_id, row.transfer_id, voucher.value_micro, row.at), row.request_key


def _as_voucher(row: Any) -> Voucher:
    return Voucher(
        row.id, row.code, row.value, row.uses, row.used, row.expires_at, row.note, row.batch_id, row.created_by,
        row.created_at, row.revoked_at, row.promo_days,
    )  # fmt: skip
