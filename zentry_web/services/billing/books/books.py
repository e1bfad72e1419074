"""The admin's books, as attributes of one object: ``billing.books``."""

from collections.abc import Mapping

from zentry_web.domain.credits.books import MoveKind
from zentry_web.domain.credits.landing import Policy
from zentry_web.services.base_service import Core
from zentry_web.services.billing.bills.statements import Statements
from zentry_web.services.billing.books.approvals import Approvals, Deed
from zentry_web.services.billing.books.ledger_browser import LedgerBrowser
from zentry_web.services.billing.books.refunds import Refunds
from zentry_web.services.billing.books.totals import Totals
from zentry_web.services.billing.books.verification import Verification
from zentry_web.services.billing.books.write_offs import WriteOffs
from zentry_web.services.billing.ledger.by_hand import ByHandPosting
from zentry_web.services.shared.notices import Notices
from zentry_web.services.shared.second_admin import SecondAdmin


class Books:
    """What admins look up and decide about everybody's credits."""

    def __init__(
        self,
        core: Core,
        posting: ByHandPosting,
        notices: Notices,
        statements: Statements,
        policy: Policy,
        second: SecondAdmin,
        deeds: Mapping[MoveKind, Deed],
    ) -> None:
        self.ledger = LedgerBrowser(core)
        self.refunds = Refunds(core, posting, notices)
        self.approvals = Approvals(core, posting, self.refunds, notices, second, deeds)
        self.verification = Verification(core, notices, statements, policy)
        self.totals = Totals(core)
        self.write_offs = WriteOffs(core)
