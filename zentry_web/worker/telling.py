"""Two loops of the worker: the landing of wallets that run dry, and handing mails to the mail server."""

import threading
from collections.abc import Sequence
from typing import Protocol

import structlog

from zentry_web.adapters.mailer import Mailer, MailError
from zentry_web.domain.notice import Mail
from zentry_web.services.billing_service import BillingService
from zentry_web.services.vm_service import VMService

log = structlog.get_logger(__name__)

MAILS_PER_ROUND = 100


class MailSource(Protocol):
    """Where mails wait: notices, and links that prove an address."""

    def claim_mail(self) -> Mail | None: ...

    def record_sent(self, mail: Mail) -> None: ...

    def record_failed(self, mail: Mail, error: str) -> None: ...


class Lander:
    """Looks at ledger, policy and clock, every round afresh: whatever was missed is made up for."""

    def __init__(self, billing: BillingService, vms: VMService) -> None:
        self._landing = billing.landing
        self._budgets = billing.budgets
        self._vms = vms.landing

    def run(self) -> None:
        """Start again what credits have come in for, tell owners, keep unpaid disks, delete those kept long enough."""
        for vm_id in self._landing.list_returns():
            self._vms.start_again(vm_id)
        self._landing.resume_disks()
        self._landing.announce()
        self._landing.keep_disks()
        self._landing.tell_disks()
        for vm_id in self._landing.list_deletions():
            self._vms.delete_unpaid(vm_id)
        self._budgets.tell()


class Postman:
    """At least once: a mail is recorded as sent after the server took it, under an id that stays the same."""

    def __init__(self, sources: Sequence[MailSource], mailer: Mailer, stop: threading.Event) -> None:
        self._sources = sources
        self._mailer = mailer
        self._stop = stop

    def run(self) -> None:
        """Hand over what is due. A server that is down is asked again later, mail by mail."""
        for source in self._sources:
            for _ in range(MAILS_PER_ROUND):
                mail = None if self._stop.is_set() else source.claim_mail()
                if mail is None:
                    break
                self._send(source, mail)

    def _send(self, source: MailSource, mail: Mail) -> None:
        try:
            self._mailer.send(mail)
        except MailError as error:
            log.warning("mail_not_sent", mail=mail.id, attempt=mail.attempt, error=str(error))
            source.record_failed(mail, str(error))
        else:
            source.record_sent(mail)
