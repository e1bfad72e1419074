"""One action on many accounts: each in a transaction of its own, so that one that is refused undoes no other."""

import re
from collections.abc import Callable, Sequence

from zentry_web.domain.credits.billing import TransferKind
from zentry_web.domain.credits.books import Approval, Batch, ByHand
from zentry_web.domain.event import Subject
from zentry_web.domain.language import _, ngettext
from zentry_web.domain.people.directory import MOST_AT_ONCE, BulkAction
from zentry_web.domain.query_language import ListSearch
from zentry_web.domain.user import Actor, User, UserRow
from zentry_web.services.auth_service import AuthService
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.billing_service import BillingService
from zentry_web.services.errors import ConflictError, ValidationError
from zentry_web.services.shared.access import require_admin, require_recent_proof
from zentry_web.services.shared.one_by_one import Became, EachOutcome, EachResult, count_outcomes, do_each
from zentry_web.services.users.access import UserAccess
from zentry_web.services.users.directory import UserDirectory

_KEY = re.compile(r"[A-Za-z0-9]{8,40}")


class UserBulk(BaseService):
    """A part of UserService; for admins who have proved lately who they are. Amounts are micro-credits."""

    name = "user_bulk"

    def __init__(
        self, core: Core, access: UserAccess, directory: UserDirectory, auth: AuthService, billing: BillingService
    ) -> None:
        super().__init__(core)
        self._access = access
        self._directory = directory
        self._auth = auth
        self._billing = billing

    def preview(
        self, ids: Sequence[str], wanted: ListSearch | None = None, *, actor: Actor
    ) -> list[UserRow]:  # fmt: skip
        """The accounts that ``ids`` name or, with ``wanted``, all that fit; newest first.

        Raises PermissionDeniedError, ProofRequiredError, ValidationError on ``ids`` (nobody, or more than 500).
        """
        require_admin(actor)
        require_recent_proof(actor, self.now())
        chosen = list(dict.fromkeys(ids))
        if wanted is not None:
            chosen = self._directory.list_ids(wanted, actor=actor, limit=MOST_AT_ONCE + 1)
        _check_number(chosen)
        rows = self._directory.list_by_ids(chosen, actor=actor)
        _check_number([row.user.id for row in rows])
        return rows

    def run(
        self, action: BulkAction, ids: Sequence[str], key: str, *, actor: Actor, amount: int = 0, reason: str = ""
    ) -> list[Became[User]]:
        """Do it to each of these accounts, and tell what became of each. Sent again with the same ``key``, credits
        move once. A grant needs ``amount`` for each and ``reason``; what the whole batch gives, with this admin's other
        batches of 24 hours, decides whether a second admin must agree to each.

        Raises as ``preview``, and ValidationError (``amount``, ``description``, ``key``).
        """
        rows = self.preview(ids, actor=actor)
        if not _KEY.fullmatch(key):
            raise ValidationError(_("Please begin again."), details={"key": _("Not usable.")})
        if action == BulkAction.GRANT:
            self._billing.by_hand.check(ByHand(rows[0].user.id, TransferKind.GRANT, amount, reason))
        batch = Batch(key, len(rows), amount * len(rows))
        doing: dict[BulkAction, Callable[[User], EachResult]] = {
            BulkAction.DISABLE: lambda user: self._set_disabled(user, True, actor),
            BulkAction.ENABLE: lambda user: self._set_disabled(user, False, actor),
            BulkAction.END_SESSIONS: lambda user: self._end_sessions(user, actor),
            BulkAction.GRANT: lambda user: self._grant(user, amount, reason, batch, actor),
        }
        results = do_each([row.user for row in rows], doing[action], self.give_way)
        counts = {str(outcome): number for outcome, number in count_outcomes(results).items()}
        details = {"action": str(action), **counts, **({"amount_micro": amount} if amount else {})}
        self.audit("user.bulk", Subject("user_list", key, actor.id), details, actor=actor)
        return results

    def _set_disabled(self, user: User, disabled: bool, actor: Actor) -> EachResult:
        if (user.disabled_at is not None) == disabled:
            return EachOutcome.UNCHANGED, _("Disabled already.") if disabled else _("Not disabled.")
        if user.is_admin:
            raise ConflictError(_("An admin's account is disabled and enabled on its own page."))
        self._access.set_disabled(user.id, disabled, actor=actor)
        return EachOutcome.DONE, ""

    def _end_sessions(self, user: User, actor: Actor) -> EachResult:
        if user.id == actor.id:
            raise ConflictError(_("Your own sessions are on your security page."))
        ended = self._auth.end_sessions(user.id, actor=actor)
        if not ended:
            return EachOutcome.UNCHANGED, _("Was not signed in.")
        return EachOutcome.DONE, ngettext("%(num)s session.", "%(num)s sessions.", ended)

    def _grant(self, user: User, amount: int, reason: str, batch: Batch, actor: Actor) -> EachResult:
        if user.disabled_at is not None:
            raise ConflictError(_("The account is disabled."))
        asked = self._billing.by_hand.check(ByHand(user.id, TransferKind.GRANT, amount, reason))
        done = self._billing.books.approvals.submit(asked, batch.key_of(user.id), actor=actor, batch=batch)
        if isinstance(done, Approval):
            return EachOutcome.WAITS, _("A second admin must agree.")
        return EachOutcome.DONE, ""


def _check_number(ids: Sequence[str]) -> None:
    if not ids:
        raise ValidationError(_("Choose somebody first."), details={"ids": _("Choose somebody first.")})
    if len(ids) > MOST_AT_ONCE:
        text = _("These are more than %(most)s accounts. Narrow the filter down.", most=MOST_AT_ONCE)
        raise ValidationError(text, details={"ids": text})
