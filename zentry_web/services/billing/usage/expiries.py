"""What the worker does about promotional credit that ends: telling its owner in time, and taking what is left."""

from datetime import datetime, timedelta

from sqlalchemy import select, update

from zentry_web.domain.credits.billing import AccountKind, TransferKind
from zentry_web.domain.credits.promotions import NOTICE_DAYS, Promotion, notice_due
from zentry_web.domain.language import dated
from zentry_web.domain.money import format_credits
from zentry_web.domain.notice_texts import say
from zentry_web.domain.target import Place, Target
from zentry_web.domain.user import SYSTEM, Actor
from zentry_web.domain.zones import zone_of
from zentry_web.services.base_service import BaseService, Core, body_hash
from zentry_web.services.billing.ledger import posting as ledger
from zentry_web.services.billing.ledger import promotions
from zentry_web.services.billing.usage.reports import time_zone_of
from zentry_web.services.billing.usage.runs import BillingRuns
from zentry_web.services.shared.access import require_self
from zentry_web.services.shared.notices import Notices
from zentry_web.services.shared.rounds import each_alone

PROMOTION = promotions.PROMOTION


class Promotions(BaseService):
    """A part of BillingService. Amounts are micro-credits, times aware UTC."""

    name = "promotions"

    def __init__(self, core: Core, notices: Notices, runs: BillingRuns) -> None:
        super().__init__(core)
        self._notices = notices
        self._runs = runs

    def list_open(self, user_id: str, *, actor: Actor = SYSTEM) -> list[Promotion]:
        """A person's promotions that have something left, in the order in which they are used."""
        require_self(actor, user_id)
        with self.reading() as session:
            return promotions.read(session, [user_id]).get(user_id, [])

    # -- the worker's side ----------------------------------------------------------------------

    def expire(self, confirmed_until: datetime) -> int:
        """Take what is left of the promotions that have ended, once what was used until then is charged; returns how
        many gave something. Safe to repeat, late and in several workers. Raises nothing of its own.

        What lies on holds by then stays with them: it pays what it was set aside for, or is taken when it comes back.
        """
        now = self.now()
        with self.reading() as session:
            due = session.execute(
                select(PROMOTION.c.id, PROMOTION.c.owner_id, PROMOTION.c.expires_at)
                .where(PROMOTION.c.remaining > 0, PROMOTION.c.expires_at <= min(now, confirmed_until))
                .order_by(PROMOTION.c.expires_at, PROMOTION.c.id)
            ).all()
        return sum(each_alone("expire", [tuple(row) for row in due], lambda each: self._expire(*each)))

    def _expire(self, promotion_id: str, owner_id: str, end: datetime) -> int:
        self._runs.settle_owner(owner_id, end)
        with self.transaction() as session:
            wallet = ledger.lock_accounts(session, [owner_id])[owner_id].wallet
            found = promotions.read_one(session, promotion_id)
            if found is None:
                return 0
            promotion = found[1]
            micro = min(wallet, promotion.left_micro)
            if micro <= 0:
                return 0
            key = f"expiry:{promotion_id}:{promotion.left_micro}"
            amounts = {
                ledger.account_id(AccountKind.WALLET, owner_id): -micro,
                ledger.account_id(AccountKind.EXPIRED): micro,
            }
            reason = f"Promotional credit expired: {promotion.reason}"
            draft = ledger.Draft(TransferKind.EXPIRY, owner_id, key, body_hash(key, micro), amounts, reason)
            (transfer_id,) = ledger.post(session, [draft], self.now())
            use = promotions.Use(owner_id, transfer_id, micro)
            promotions.take_parts(session, [(use, [(promotion, micro)])])
            self._core.checkpoint("promotions.expired")
        return 1

    def tell(self) -> None:
        """Tell owners 7 days and 1 day before what is left of a promotion expires. Safe to repeat."""
        now = self.now()
        query = select(PROMOTION.c.id, PROMOTION.c.told, PROMOTION.c.expires_at).where(
            PROMOTION.c.remaining > 0,
            PROMOTION.c.expires_at > now,
            PROMOTION.c.expires_at <= now + timedelta(days=max(NOTICE_DAYS)),
        )
        with self.reading() as session:
            rows = session.execute(query.order_by(PROMOTION.c.id)).all()
        due = [(row.id, days) for row in rows if (days := notice_due(row.expires_at, now, row.told)) is not None]
        each_alone("tell of promotions", due, lambda each: self._tell(*each), lambda each: each[0])

    def _tell(self, promotion_id: str, days: int) -> None:
        with self.transaction() as session:
            found = promotions.read_one(session, promotion_id)
            if found is None or not found[1].left_micro or found[1].expires_at is None:
                return
            owner_id, promotion = found
            zone = zone_of(time_zone_of(session, owner_id))
            end = dated(found[1].expires_at.astimezone(zone), "%a %d %b %Y %H:%M")
            left = format_credits(promotion.left_micro, decimals=2)
            words = say("promotion_expires", credits=left, at=end)
            target = Target(Place.CREDITS)
            self._notices.tell(owner_id, "promotion", f"{promotion_id}:{days}", *words, target=target)
            session.execute(update(PROMOTION).where(PROMOTION.c.id == promotion_id).values(told=days))
