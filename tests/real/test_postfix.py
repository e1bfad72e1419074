"""Mails handed to a real Postfix: its own certificate, its demands on names, its refusals."""

import os
import pwd
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.compute_contract import wait_for
from zentry_web.adapters.mailer import MailError, MailRefused, SmtpMailer, SmtpServer
from zentry_web.domain.notice import Mail

pytestmark = [pytest.mark.real, pytest.mark.integration]

SENDER = "Zentry <zentry@cloud.example.com>"
HERE, ELSEWHERE = "127.0.0.1", "127.0.0.2"

MAIN = """compatibility_level = 3.6
queue_directory = {home}/queue
data_directory = {home}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
maillog_file = {home}/log/mail.log
maillog_file_prefixes = {home}
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = mail.example.com
mydestination =
local_recipient_maps =
smtpd_helo_required = yes
smtpd_helo_restrictions = reject_invalid_helo_hostname, reject_non_fqdn_helo_hostname
smtputf8_enable = no
smtpd_tls_security_level = {tls}
smtpd_tls_cert_file = {home}/cert.pem
smtpd_tls_key_file = {home}/key.pem
virtual_mailbox_domains = example.com, xn--bcher-kva.example
virtual_mailbox_maps = inline:{{ {{ ana@example.com = ana }}, {{ ana@xn--bcher-kva.example = umlaut }} }}
virtual_mailbox_base = {home}/mail
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
virtual_minimum_uid = 1
"""
MASTER = """127.0.0.1:{port} inet n    -       n       -       -       smtpd
127.0.0.2:{port} inet n    -       n       -       -       smtpd
cleanup   unix  n       -       n       -       0       cleanup
qmgr      unix  n       -       n       300     1       qmgr
rewrite   unix  -       -       n       -       -       trivial-rewrite
bounce    unix  -       -       n       -       0       bounce
defer     unix  -       -       n       -       0       bounce
virtual   unix  -       n       n       -       -       virtual
error     unix  -       -       n       -       -       error
tlsmgr    unix  -       -       n       1000?   1       tlsmgr
postlog   unix-dgram n  -       n       -       1       postlogd
anvil     unix  -       -       n       -       1       anvil
"""


class Postfix:
    """A Postfix of this test's own, below ``home``."""

    def __init__(self, home: Path, *, tls: str = "may") -> None:
        owner = pwd.getpwnam("postfix")
        for name in ("conf", "queue", "data", "mail", "log"):
            (home / name).mkdir(parents=True)
        for name in ("data", "mail"):
            os.chown(home / name, owner.pw_uid, owner.pw_gid)
        with socket.socket() as free:
            free.bind((HERE, 0))
            self.port = free.getsockname()[1]
        values = {"home": home, "tls": tls, "uid": owner.pw_uid, "gid": owner.pw_gid, "port": self.port}
        (home / "conf" / "main.cf").write_text(MAIN.format(**values))
        (home / "conf" / "master.cf").write_text(MASTER.format(**values))
        self.home = home
        names = ["-subj", "/CN=mail.example.com", "-addext", f"subjectAltName=IP:{ELSEWHERE}"]
        files = ["-keyout", "key.pem", "-out", "cert.pem"]
        self.run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *files, *names)

    def run(self, *words: str) -> None:
        done = subprocess.run(words, cwd=self.home, capture_output=True, text=True, check=False, timeout=60)
        log = self.home / "log" / "mail.log"
        assert done.returncode == 0, done.stderr + (log.read_text() if log.exists() else "")

    def postfix(self, what: str) -> None:
        self.run("postfix", "-c", str(self.home / "conf"), what)

    def url(self, host: str = HERE) -> str:
        return f"smtp://{host}:{self.port}"

    def inbox(self, name: str) -> str:
        path = self.home / "mail" / name
        wait_for(path.exists, 30, f"a mail for {name}")
        return path.read_text()


@pytest.fixture
def postfix():
    # Not below tmp_path, which no other account may enter: Postfix works as several.
    with tempfile.TemporaryDirectory(prefix="zentry-postfix-") as folder:
        Path(folder).chmod(0o711)
        server = Postfix(Path(folder) / "home")
        server.postfix("start")
        yield server
        server.postfix("abort")


def mailer(url, *, hello="cloud.example.com", ca_file=None):
    return SmtpMailer(SmtpServer(url, SENDER, hello, ca_file))


def mail(to, number=1):
    return Mail(f"mail_{number}", to, "Grüße", "Your machine stops at nine.", 1)


def test_a_mail_arrives_through_the_servers_own_certificate_here(postfix):
    mailer(postfix.url()).send(mail("ana@example.com"))
    arrived = postfix.inbox("ana")
    assert "from cloud.example.com" in arrived
    assert "with ESMTPS" in arrived, "over TLS"


def test_elsewhere_a_certificate_that_nobody_vouches_for_is_refused_unless_its_file_is_given(postfix, monkeypatch):
    monkeypatch.setattr(
        "zentry_web.adapters.mailer.is_loopback", lambda host: host == HERE
    )  # 127.0.0.2 plays elsewhere
    with pytest.raises(MailError, match="certificate"):
        mailer(postfix.url(ELSEWHERE)).send(mail("ana@example.com"))
    mailer(postfix.url(ELSEWHERE), ca_file=postfix.home / "cert.pem").send(mail("ana@example.com"))
    assert "cloud.example.com" in postfix.inbox("ana")


@pytest.mark.parametrize("hello", ["localhost", "zentry"])
def test_this_server_wants_a_full_name_and_refuses_others(postfix, hello):
    with pytest.raises(MailError):
        mailer(postfix.url(), hello=hello).send(mail("ana@example.com"))


@pytest.mark.parametrize("hello", ["bücher.example", "192.0.2.7", "2001:db8::7"])
def test_names_and_addresses_of_every_form_are_introduced_as_the_standard_wants(postfix, hello):
    mailer(postfix.url(), hello=hello).send(mail("ana@example.com"))
    assert postfix.inbox("ana")


def test_a_domain_with_umlauts_is_reached_without_smtputf8(postfix):
    mailer(postfix.url()).send(mail("ana@bücher.example"))
    assert "To: ana@xn--bcher-kva.example" in postfix.inbox("umlaut")


def test_an_address_that_is_not_there_is_refused_for_good(postfix):
    with pytest.raises(MailRefused, match="550"):
        mailer(postfix.url()).send(mail("nobody@example.com"))
