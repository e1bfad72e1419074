"""Paying at the built-in test provider, and looking at what came of it."""

from sqlalchemy import select

from tests.services.people import acting
from zentry_web.domain.credits.billing import AccountKind
from zentry_web.models import DbAccount, DbEntry, DbNotice, DbPaymentEvent, DbTransfer

STARTING = 5_000_000
CREDIT = 1_000_000


class Till:
    """One person's payments on the services of a test."""

    def __init__(self, container, user):
        self.container, self.user, self.me = container, user, acting(user)
        self.billing = container.get_billing_service()
        self.payments, self.provider = self.billing.payments, self.billing.payments.provider

    def start(self, credits=10, **more):
        return self.payments.start_top_up(self.user.id, credits * CREDIT, actor=self.me, **more)

    def press(self, payment, action="pay", card="4242"):
        return self.payments.press_test_button(self.user.id, payment.id, action, card, actor=self.me)

    def pay(self, credits=10, **more):
        return self.press(self.start(credits, **more))

    def kept(self, card="4242"):
        """A stored card, from a payment of one credit."""
        self.press(self.start(1, save_method=True), card=card)
        return self.payments.list_methods(self.user.id)[0]

    def get(self, payment):
        return self.payments.get_payment(self.user.id, payment.id)

    def take(self, event):
        self.payments.take_event("test", event.payload, event.headers)

    # -- looking --------------------------------------------------------------------------------

    def rows(self, query):
        with self.container.database.reading() as session:
            return list(session.scalars(query))

    @property
    def wallet(self):
        return self.billing.get_user_credits(self.user.id)

    def account(self, kind):
        return self.rows(select(DbAccount.balance).where(DbAccount.id == f"acc_{kind}"))[0]

    @property
    def written_off(self):
        return -self.account(AccountKind.WRITE_OFF)

    @property
    def kinds(self):
        """The kinds of this person's transfers beyond the starting credits, in order."""
        mine = DbTransfer.owner_id == self.user.id
        return self.rows(select(DbTransfer.kind).where(mine).order_by(DbTransfer.seq))[1:]

    @property
    def lowest(self):
        return min(self.rows(select(DbEntry.balance_after).where(DbEntry.account_id == f"wallet_{self.user.id}")))

    @property
    def effects(self):
        """What the webhooks did, in alphabetical order: the clock of a test stands still."""
        return sorted(self.rows(select(DbPaymentEvent.effect)))

    @property
    def titles(self):
        mine = DbNotice.user_id == self.user.id
        return self.rows(select(DbNotice.title).where(mine).order_by(DbNotice.id))

    def spend(self, micro):
        """Credits are gone."""
        self.billing.deduct_credits(self.user.id, micro, "spent")

    def assert_sound(self):
        assert [check for check in self.billing.verify() if not check.ok] == []
        assert self.lowest >= 0
