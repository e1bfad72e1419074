"""The admin's books, as attributes of one object: ``billing.books``."""

from zentry_web.domain.landing import Policy
from zentry_web.services.base_service import Core
from zentry_web.services.books.approvals import Approvals
from zentry_web.services.books.ledger_browser import LedgerBrowser
from zentry_web.services.books.refunds import Refunds
from zentry_web.services.books.totals import Totals
from zentry_web.services.books.verification import Verification
from zentry_web.services.books.write_offs import WriteOffs
from zentry_web.services.by_hand import ByHandPosting
from zentry_web.services.notices import Notices
from zentry_web.services.settings import Settings
from zentry_web.services.statements import Statements


class Books:
    """What admins look up and decide about everybody's credits."""

    def __init__(
        self,
        core: Core,
        posting: ByHandPosting,
        notices: Notices,
        statements: Statements,
        policy: Policy,
        settings: Settings,
    ) -> None:
        self.ledger = LedgerBrowser(core)
        self.refunds = Refunds(core, posting, notices)
        self.approvals = Approvals(core, posting, self.refunds, notices, settings)
        self.verification = Verification(core, notices, statements, policy)
        self.totals = Totals(core)
        self.write_offs = WriteOffs(core)
