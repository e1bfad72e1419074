"""A mail server of our own that keeps what it takes."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_string
from email.policy import default
from typing import Any

from aiosmtpd.controller import Controller

from tests.browser.product import free_port, wait_until


class Inbox:
    """What a mail server of our own has taken: (recipients, text)."""

    def __init__(self) -> None:
        self.mails: list[tuple[list[str], str]] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.mails.append((envelope.rcpt_tos, envelope.content.decode()))
        return "250 OK"

    def path_mailed_to(self, address: str, kind: str) -> str:
        """The path of the newest link of that ``kind`` in a mail to somebody, once it was sent."""

        def look() -> str | None:
            for recipients, text in reversed(self.mails):
                if address in recipients:
                    body = message_from_string(text, policy=default).get_content()
                    if found := re.search(rf"/{kind}/\S+", body):
                        return found[0]
            return None

        found = wait_until(look, 30, f"a {kind} link for {address}")
        assert found is not None
        return found


@contextmanager
def local_mailbox() -> Iterator[tuple[Inbox, str]]:
    """A real SMTP server, and its address."""
    taken, port = Inbox(), free_port()
    controller = Controller(taken, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        yield taken, f"smtp://127.0.0.1:{port}"
    finally:
        controller.stop()
