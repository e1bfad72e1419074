"""Handing mails to a mail server, or to nobody."""

import smtplib
import ssl
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate, parseaddr
from ipaddress import ip_address
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from zentry_web.domain.email import wire_address
from zentry_web.domain.host import is_loopback
from zentry_web.domain.notice import Mail

TIMEOUT_SECONDS = 20


class MailError(Exception):
    """The mail server cannot be reached or did not take the mail."""


class MailRefused(MailError):
    """The server will never take this mail: its address or its text was refused for good (5xx)."""


class Mailer(Protocol):
    """Takes mails. ``send`` returns once the server has taken responsibility, or raises MailError (ask again later) or
    MailRefused (never again)."""

    def send(self, mail: Mail) -> None: ...


class NullMailer:
    """For installations without a mail server: takes everything, sends nothing."""

    def send(self, mail: Mail) -> None:
        """Nothing."""


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """Which mail server. ``url``: smtp[s]://[user:password@]host[:port]; ``hello``: the name Zentry gives itself there;
    ``ca_file``: the certificate, or its issuer's, of a server that no public authority vouches for."""

    url: str
    sender: str
    hello: str = "localhost"
    ca_file: Path | None = None


class SmtpMailer:
    """One connection per mail. ``smtps://`` speaks TLS from the start; ``smtp://`` uses STARTTLS where offered.

    The server's certificate is checked, but for a server on this very machine: nobody stands between.
    """

    def __init__(self, server: SmtpServer) -> None:
        """Raises ValueError for an address that is none."""
        parts = urlsplit(server.url)
        if parts.scheme not in ("smtp", "smtps") or not parts.hostname:
            raise ValueError("a mail server is given as smtp://host:port or smtps://user:password@host:port")
        self._tls = parts.scheme == "smtps"
        self._host = parts.hostname
        self._port = parts.port or (465 if self._tls else 587)
        self._login = (unquote(parts.username), unquote(parts.password or "")) if parts.username else None
        self._sender = server.sender
        self._hello = _hello(server.hello)
        self._ca_file = server.ca_file
        self._domain = parseaddr(server.sender)[1].rpartition("@")[2] or "localhost"

    def send(self, mail: Mail) -> None:
        """Hand one mail over. A repeat carries the same Message-ID."""
        try:
            with self._connect() as server:
                if self._login:
                    server.login(*self._login)
                self._hand_over(server, mail)
        except smtplib.SMTPRecipientsRefused as error:
            code, answer = next(iter(error.recipients.values()))
            raise _error_of(code, answer) from error
        except smtplib.SMTPDataError as error:
            raise _error_of(error.smtp_code, error.smtp_error) from error
        except (OSError, smtplib.SMTPException, ValueError) as error:
            raise MailError(f"{type(error).__name__}: {error}") from error

    def _context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self._ca_file) if self._ca_file else None)
        context.minimum_version = ssl.TLSVersion.TLSv1_2  # said here: some Pythons leave it to the system
        if self._ca_file is None and is_loopback(self._host):
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context

    def _connect(self) -> smtplib.SMTP:
        context = self._context()
        if self._tls:
            return smtplib.SMTP_SSL(self._host, self._port, self._hello, timeout=TIMEOUT_SECONDS, context=context)
        server = smtplib.SMTP(self._host, self._port, self._hello, timeout=TIMEOUT_SECONDS)
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
        sender, to = wire_address(parseaddr(self._sender)[1]), wire_address(mail.to_address)
        if f"{sender}{to}".isascii():
            # smtplib's send_message would write '>From' where a line of the text begins with 'From'.
            server.sendmail(sender, [to], message.as_bytes(policy=SMTP))
        else:
            server.send_message(message)

    def _message(self, mail: Mail) -> EmailMessage:
        message = EmailMessage()
        message["From"] = self._sender
        message["To"] = wire_address(mail.to_address)
        message["Subject"] = mail.subject
        message["Date"] = formatdate()
        message["Message-ID"] = f"<{mail.id}@{self._domain}>"
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(mail.body)
        return message


def _error_of(code: int, answer: bytes | str) -> MailError:
    text = answer.decode(errors="replace") if isinstance(answer, bytes) else answer
    words = f"{code} {' '.join(text.split())}"
    return MailRefused(words) if code >= 500 else MailError(words)


def _hello(host: str) -> str:
    """How a host introduces itself (RFC 5321, 4.1.4): by its name, or its address in brackets."""
    try:
        address = ip_address(host)
    except ValueError:
        return wire_address(f"a@{host}").partition("@")[2]
    return f"[{address}]" if address.version == 4 else f"[IPv6:{address}]"


def make_mailer(server: SmtpServer) -> Mailer:
    """The mailer that a server's address names; none: one that sends nothing."""
    return SmtpMailer(server) if server.url else NullMailer()
