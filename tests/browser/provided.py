"""A second Zentry, with a mail server and an OpenID provider: some pages are others there."""

import contextlib
from pathlib import Path

from playwright.sync_api import Page

from tests.browser.mailbox import local_mailbox
from tests.browser.product import PASSWORD, Product
from tests.oidc_issuer import local_issuer, settings_for
from tests.services.people import acting
from zentry_web.adapters.clock import SystemClock

MOVING, NEW_ADDRESS = "mona@example.com", "mona@example.org"


class Provided:
    """Its people: 'outsider' (not signed in), 'linked' (came through the provider), 'moving' (changes her address)."""

    def __init__(self, folder: Path) -> None:
        self._stack = contextlib.ExitStack()
        inbox, smtp_url = self._stack.enter_context(local_mailbox())
        issuer = self._stack.enter_context(local_issuer(SystemClock()))
        issuer.asks = True
        self.product = Product(folder, host="localhost", smtp_url=smtp_url, **settings_for(issuer)).start()
        self._stack.callback(self.product.stop)
        user = self.product.make_user("Mona Moving", MOVING)
        change = self.product.container.get_auth_service().email_change
        change.request(user.id, NEW_ADDRESS, actor=acting(user))
        self.things = {
            "agree_old": inbox.path_mailed_to(MOVING, "email").rpartition("/")[2],
            "agree_new": inbox.path_mailed_to(NEW_ADDRESS, "email").rpartition("/")[2],
        }

    def stop(self) -> None:
        self._stack.close()

    def sign_in(self, who: str, page: Page) -> None:
        """In this browser, as one of its people."""
        page.goto("/login")
        if who == "linked":
            page.get_by_role("button", name="Continue with Acme ID").click()
            page.get_by_role("link", name="Yes, it is me").click()
        elif who == "moving":
            page.get_by_label("E-mail").fill(MOVING)
            page.get_by_label("Password", exact=True).fill(PASSWORD)
            page.get_by_role("button", name="Log in", exact=True).click()
        page.wait_for_url("**/overview")
