"""The admin of the demo: gives people credits, with reasons, before they run out."""

from collections.abc import Iterable

from zentry_web.domain.credits.billing import TransferKind
from zentry_web.domain.credits.books import ByHand
from zentry_web.domain.money import MICRO
from zentry_web.domain.user import SYSTEM, Actor, User
from zentry_web.services.billing_service import BillingService

KEPT_HOURS = 24  # what wallets never fall below, so that nothing in the demo stops for lack of credits
TOP_UP_HOURS = 7 * 24
ROUND_TO = 10 * MICRO
WELCOME = 10 * MICRO
_REASONS = ("Monthly budget", "Top-up by bank transfer", "Extra budget for the new release", "Budget of the team")


class DemoFunds:
    """Adds credits through BillingService as ``admin``."""

    def __init__(self, billing: BillingService) -> None:
        self._billing = billing
        self._given = 0
        self.admin: Actor = SYSTEM

    def welcome(self, user: User) -> None:
        """A first gift; every fourth one is a typing error that is corrected."""
        self._add(user, WELCOME, "Welcome credits")
        if self._given % 4 == 0:
            self._add(user, WELCOME, "Welcome credits")
            self._move(TransferKind.DEDUCTION, user, WELCOME, "Correction: given twice")

    def make_sure(self, user: User, more_micro_per_hour: int) -> None:
        """Top up unless the wallet lasts for a day with a further ``more_micro_per_hour`` running."""
        balance = self._billing.get_balance(user.id)
        burn = balance.burn_micro_per_hour + more_micro_per_hour
        if balance.wallet_micro - balance.accrued_micro < burn * KEPT_HOURS + more_micro_per_hour:
            reason = _REASONS[self._given % len(_REASONS)]
            self._add(user, self._rounded(balance.accrued_micro + burn * TOP_UP_HOURS), reason)

    def top_up_all(self, users: Iterable[User], *, days: int) -> None:
        """Let everybody's credits last for ``days`` from now."""
        for user in users:
            balance = self._billing.get_balance(user.id)
            missing = balance.burn_micro_per_hour * 24 * days - balance.available_micro
            if missing > 0:
                self._add(user, self._rounded(missing), "Budget for the next weeks")

    def _add(self, user: User, amount: int, reason: str) -> None:
        self._given += 1
        self._move(TransferKind.GRANT, user, amount, reason)

    def _move(self, kind: TransferKind, user: User, amount: int, reason: str) -> None:
        """As the admin would, but without a second one for large amounts."""
        key = f"by-hand:{self._billing.new_id('key')}"
        self._billing.by_hand.post(ByHand(user.id, kind, amount, reason), key, actor=self.admin)

    def _rounded(self, amount: int) -> int:
        return -(-amount // ROUND_TO) * ROUND_TO
