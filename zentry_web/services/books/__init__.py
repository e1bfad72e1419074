"""The admin's books, as attributes of one object: ``billing.books``."""

from zentry_web.services.base_service import Core
from zentry_web.services.books.ledger_browser import LedgerBrowser


class Books:
    """What admins look up and decide about everybody's credits."""

    def __init__(self, core: Core) -> None:
        self.ledger = LedgerBrowser(core)
