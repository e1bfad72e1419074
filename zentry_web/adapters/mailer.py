"""Handing mails to a mail server, or to nobody."""

import smtplib
import ssl
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate, parseaddr
from typing import Protocol
from urllib.parse import unquote, urlsplit

from zentry_web.domain.notice import Mail

TIMEOUT_SECONDS = 20


class MailError(Exception):
    """The mail server cannot be reached or did not take the mail."""


class Mailer(Protocol):
    """Takes mails. ``send`` returns once the server has taken responsibility, or raises MailError."""

    def send(self, mail: Mail) -> None: ...


class NullMailer:
    """For installations without a mail server: takes everything, sends nothing."""

    def send(self, mail: Mail) -> None:
        """Nothing."""


class SmtpMailer:
    """One connection per mail. ``smtps://`` speaks TLS from the start; ``smtp://`` uses STARTTLS where offered."""

    def __init__(self, url: str, sender: str) -> None:
        """``url``: smtp[s]://[user:password@]host[:port]. Raises ValueError for anything else."""
        parts = urlsplit(url)
        if parts.scheme not in ("smtp", "smtps") or not parts.hostname:
            raise ValueError("a mail server is given as smtp://host:port or smtps://user:password@host:port")
        self._tls = parts.scheme == "smtps"
        self._host = parts.hostname
        self._port = parts.port or (465 if self._tls else 587)
        self._login = (unquote(parts.username), unquote(parts.password or "")) if parts.username else None
        self._sender = sender
        self._domain = parseaddr(sender)[1].rpartition("@")[2] or "localhost"

    def send(self, mail: Mail) -> None:
        """Hand one mail over. A repeat carries the same Message-ID."""
        try:
            with self._connect() as server:
                if self._login:
                    server.login(*self._login)
                self._hand_over(server, mail)
        except (OSError, smtplib.SMTPException, ValueError) as error:
            raise MailError(f"{type(error).__name__}: {error}") from error

    def _connect(self) -> smtplib.SMTP:
        context = ssl.create_default_context()
        if self._tls:
            return smtplib.SMTP_SSL(self._host, self._port, timeout=TIMEOUT_SECONDS, context=context)
        server = smtplib.SMTP(self._host, self._port, timeout=TIMEOUT_SECONDS)
        try:
            server.ehlo()
            if server.has_extn("starttls"):
                server.starttls(context=context)
                server.ehlo()
            elif self._login:
                raise smtplib.SMTPNotSupportedError("a password is not sent without TLS: use smtps://")
        except BaseException:
            server.close()
            raise
        return server

    def _hand_over(self, server: smtplib.SMTP, mail: Mail) -> None:
        message = self._message(mail)
        sender = parseaddr(self._sender)[1]
        if f"{sender}{mail.to_address}".isascii():
            # smtplib's send_message would write '>From' where a line of the text begins with 'From'.
            server.sendmail(sender, [mail.to_address], message.as_bytes(policy=SMTP))
        else:
            server.send_message(message)

    def _message(self, mail: Mail) -> EmailMessage:
        message = EmailMessage()
        message["From"] = self._sender
        message["To"] = mail.to_address
        message["Subject"] = mail.subject
        message["Date"] = formatdate()
        message["Message-ID"] = f"<{mail.id}@{self._domain}>"
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(mail.body)
        return message


def make_mailer(url: str, sender: str) -> Mailer:
    """The mailer that an address names; none: one that sends nothing."""
    return SmtpMailer(url, sender) if url else NullMailer()
