"""Two loops of the worker: the landing of wallets that run dry, and handing mails to the mail server."""

import threading
from collections.abc import Sequence

import structlog

from zentry_web.adapters.mailer import Mailer, MailError, MailRefused
from zentry_web.domain.notice import Mail
from zentry_web.services.billing_service import BillingService
from zentry_web.services.shared.mail_queue import MailQueue
from zentry_web.services.shared.rounds import alone, each_alone, is_round_over, steps
from zentry_web.services.vm_service import VMService

log = structlog.get_logger(__name__)

MAILS_PER_ROUND = 100


class LandingTeller:
    """Looks at ledger, policy and clock, every round afresh: whatever was missed is made up for."""

    def __init__(self, billing: BillingService, vms: VMService) -> None:
        self._landing = billing.landing
        self._budgets = billing.budgets
        self._stored_grace = billing.stored_grace
        self._vms = vms.landing

    def run(self) -> None:
        """Start again what credits have come in for, tell owners, keep unpaid disks, delete those kept long enough."""
        returns, deletions = self._landing.list_returns, self._landing.list_deletions
        steps(
            "land",
            [
                ("returns", lambda: each_alone("start again", returns(), self._vms.start_again)),
                ("resumed disks", self._landing.resume_disks),
                ("announcements", self._landing.announce),
                ("kept disks", self._landing.keep_disks),
                ("notices of disks", self._landing.tell_disks),
                ("notices of what is stored", self._stored_grace.tell),
                ("deletions", lambda: each_alone("delete unpaid", deletions(), self._vms.delete_unpaid)),
                ("budgets", self._budgets.tell),
            ],
        )


class Postman:
    """At least once: a mail is recorded as sent after the server took it, under an id that stays the same."""

    def __init__(self, sources: Sequence[MailQueue], mailer: Mailer, stop: threading.Event) -> None:
        self._sources = sources
        self._mailer = mailer
        self._stop = stop

    def run(self) -> None:
        """Hand over what is due. A server that is down is asked again later, mail by mail."""
        each_alone("mail", self._sources, self._empty, lambda source: type(source).__name__)

    def _empty(self, source: MailQueue) -> None:
        for _ in range(MAILS_PER_ROUND):
            mail = None if self._stop.is_set() or is_round_over() else source.claim_mail()
            if mail is None:
                return
            with alone(f"mail {mail.id}"):
                self._send(source, mail)

    def _send(self, source: MailQueue, mail: Mail) -> None:
        try:
            self._mailer.send(mail)
        except MailRefused as error:
            log.warning("mail_refused", mail=mail.id, attempt=mail.attempt, error=str(error))
            source.record_refused(mail, str(error))
        except MailError as error:
            log.warning("mail_not_sent", mail=mail.id, attempt=mail.attempt, error=str(error))
            source.record_failed(mail, str(error))
        except Exception as error:  # words that no mail can be made of: it must not be taken up again at once
            source.record_failed(mail, f"{type(error).__name__}: {error}"[:300])
            raise
        else:
            source.record_sent(mail)
