"""Automatic top-up: a stored means of payment is charged when a balance gets low.

At most once an hour and never beyond a ceiling per month of the account. The payment's row is written under the wallet
lock before anybody is charged, so neither two workers nor a kill pays twice.
"""

from datetime import timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from zentry_web.domain.credits.payments import OPEN_PAYMENTS, AutoTopUp, PaymentState
from zentry_web.domain.credits.statement import first_month
from zentry_web.domain.event import Subject
from zentry_web.domain.language import _
from zentry_web.domain.money import format_credits
from zentry_web.domain.notice_texts import say
from zentry_web.domain.target import Place, Target
from zentry_web.domain.user import SYSTEM, Actor
from zentry_web.models import DbPayment, DbPaymentMethod, DbTopUp
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.billing.ledger import posting as ledger
from zentry_web.services.billing.payments.rows import as_auto_top_up
from zentry_web.services.billing.payments.top_ups import Payments
from zentry_web.services.billing.usage.reports import read_balance, read_burn, time_zone_of
from zentry_web.services.billing.usage.settlement import INTERVAL
from zentry_web.services.errors import ValidationError
from zentry_web.services.shared.access import require_self
from zentry_web.services.shared.fields import check_micro
from zentry_web.services.shared.notices import Notices

PAUSE = timedelta(hours=1)  # between two attempts
LONGEST_RUNWAY_HOURS = 30 * 24
_COUNTED = (*OPEN_PAYMENTS, PaymentState.SUCCEEDED)


class AutoTopUps(BaseService):
    """Settings of people, and what the worker does by them."""

    name = "auto_top_ups"

    def __init__(self, core: Core, notices: Notices, payments: Payments) -> None:
        super().__init__(core)
        self._notices = notices
        self._payments = payments

    # -- the owner's side -----------------------------------------------------------------------

    def get_settings(self, user_id: str, *, actor: Actor = SYSTEM) -> AutoTopUp:
        """A person's settings; defaults, switched off, when none were ever chosen."""
        require_self(actor, user_id)
        with self.reading() as session:
            return as_auto_top_up(session.get(DbTopUp, user_id))

    def set_settings(self, user_id: str, wanted: AutoTopUp, *, actor: Actor) -> None:
        """Choose when and how much to pay by itself. Amounts are micro-credits.

        Raises ValidationError: amounts out of range, a ceiling below the amount, no stored means of payment.
        """
        require_self(actor, user_id)
        self._payments.require_provider()
        self._payments.check_amount(wanted.amount_micro)
        check_micro("threshold_micro", wanted.threshold_micro, least=0)
        check_micro("ceiling_micro", wanted.ceiling_micro, least=0)
        if not 0 <= wanted.runway_hours <= LONGEST_RUNWAY_HOURS:
            text = _("Choose from 0 to %(most)s hours.", most=LONGEST_RUNWAY_HOURS)
            raise ValidationError(text, details={"runway_hours": text})
        if wanted.ceiling_micro < wanted.amount_micro:
            text = _("The month's ceiling must allow at least one top-up.")
            raise ValidationError(text, details={"ceiling_micro": text})
        kept = {method.id for method in self._payments.list_methods(user_id)}
        if wanted.enabled and wanted.method_id not in kept:
            text = _("Keep a card first: tick that with your next payment.")
            raise ValidationError(text, details={"method_id": text})
        with self.transaction() as session:
            ledger.lock_accounts(session, [user_id])
            row = self._payments.top_up_row(session, user_id)
            row.enabled, row.method_id = wanted.enabled, wanted.method_id if wanted.method_id in kept else None
            row.threshold_micro, row.runway_hours = wanted.threshold_micro, wanted.runway_hours
            row.amount_micro, row.ceiling_micro = wanted.amount_micro, wanted.ceiling_micro
            row.off_reason = ""
            details = {"enabled": wanted.enabled, "amount": wanted.amount_micro, "ceiling": wanted.ceiling_micro}
            self.audit("payment.auto_top_up", Subject.user(user_id), details, actor=actor)

    def count_this_month(self, user_id: str) -> int:
        """Micro-credits of automatic payments in the account's present month, those under way included."""
        with self.reading() as session:
            return self._spent(session, user_id)

    # -- the worker's side ----------------------------------------------------------------------

    def list_due(self) -> list[str]:
        """People whose balance calls for a top-up by now. Two statements, however many there are."""
        if not self._payments.is_set_up:
            return []
        now = self.now()
        accounts = ledger.ACCOUNT
        total = select(func.sum(accounts.c.balance)).where(accounts.c.owner_id == DbTopUp.user_id).scalar_subquery()
        ready = select(DbTopUp, total).where(DbTopUp.enabled, DbTopUp.method_id.is_not(None))
        ready = ready.where(DbTopUp.last_attempt_at.is_(None) | (DbTopUp.last_attempt_at <= now - PAUSE))
        with self.reading() as session:
            rows = session.execute(ready.order_by(DbTopUp.user_id)).all()
            mine = INTERVAL.c.owner_id.in_(select(DbTopUp.user_id).where(DbTopUp.enabled))
            burning = read_burn(session, now, mine)
        due = []
        for row, micro in rows:
            burn, accrued = burning.get(row.user_id, (0, 0))
            if as_auto_top_up(row).is_low(int(micro or 0) - accrued, burn):
                due.append(row.user_id)
        return due

    def attempt(self, user_id: str) -> str | None:
        """Pay for a person if that is still due; the payment's id, or None. Safe in several workers at once.

        Raises ProviderUnavailableError: the payment stays, and is taken up again with the same key.
        """
        payment_id = self._begin(user_id)
        if payment_id is None:
            return None
        self._core.checkpoint("payments.auto_written")
        self._payments.introduce(payment_id)
        return payment_id

    def _begin(self, user_id: str) -> str | None:
        """Write the payment's row, if it is due: looked at again under the wallet lock."""
        now = self.now()
        with self.transaction() as session:
            ledger.lock_accounts(session, [user_id])
            row = session.get(DbTopUp, user_id, with_for_update=True, populate_existing=True)
            method = session.get(DbPaymentMethod, row.method_id) if row and row.method_id else None
            if row is None or not row.enabled or method is None or method.removed_at is not None:
                return None
            if row.last_attempt_at is not None and row.last_attempt_at > now - PAUSE:
                return None
            balance, wanted = read_balance(session, user_id, now), as_auto_top_up(row)
            minor = self._payments.price.minor_of(wanted.amount_micro)
            if not wanted.is_low(balance.total_micro, balance.burn_micro_per_hour) or minor is None:
                return None
            if method.provider != self._payments.require_provider().name or self._is_open(session, user_id):
                return None
            if self._spent(session, user_id) + wanted.amount_micro > wanted.ceiling_micro:
                self._tell_ceiling(session, user_id, wanted)
                return None
            row.last_attempt_at = now
            payment = self._payments.new_payment(
                session, owner_id=user_id, idempotency_key=f"auto:{user_id}:{int(now.timestamp())}",
                is_automatic=True, amount_micro=wanted.amount_micro, minor=minor, save_method=False,
                method_id=method.id, method_label=method.label,
            )  # fmt: skip
            self.audit("payment.start", Subject("payment", payment.id, user_id), {"amount": wanted.amount_micro})
            return payment.id

    def _is_open(self, session: Session, user_id: str) -> bool:
        query = select(DbPayment.id).where(DbPayment.owner_id == user_id, DbPayment.is_automatic)
        return session.scalar(query.where(DbPayment.state.in_(OPEN_PAYMENTS)).limit(1)) is not None

    def _spent(self, session: Session, user_id: str) -> int:
        month = first_month(self.now(), time_zone_of(session, user_id))
        query = select(func.coalesce(func.sum(DbPayment.amount_micro), 0)).where(
            DbPayment.owner_id == user_id,
            DbPayment.is_automatic,
            DbPayment.state.in_(_COUNTED),
            DbPayment.created_at >= month.start,
            DbPayment.created_at < month.end,
        )
        return int(session.scalar(query) or 0)

    def _tell_ceiling(self, session: Session, user_id: str, wanted: AutoTopUp) -> None:
        month = first_month(self.now(), time_zone_of(session, user_id))
        credits, ceiling = format_credits(wanted.amount_micro), format_credits(wanted.ceiling_micro)
        self._notices.tell(
            user_id, "auto_top_up", f"ceiling:{month.name}:{wanted.ceiling_micro}",
            *say("auto_top_up_ceiling", credits=credits, ceiling=ceiling), target=Target(Place.AUTOMATIC_TOP_UP),
        )  # fmt: skip
