"""Notices happen once; mails reach a real SMTP server at least once, under one Message-ID."""

import socket
import threading
from dataclasses import replace
from datetime import timedelta
from email import message_from_bytes
from email.policy import default

import pytest
from aiosmtpd.controller import Controller

from tests.services.people import acting
from zentry_web.adapters.letters import Letters, MailSettings
from zentry_web.adapters.mailer import MailError, NullMailer, SmtpMailer, SmtpServer, make_mailer
from zentry_web.domain.notice import Mail, WaitingMails
from zentry_web.domain.target import Place, Target
from zentry_web.services.errors import NotFoundError
from zentry_web.services.shared.mail_queue import LEASE
from zentry_web.services.shared.notices import GIVE_UP, Notices
from zentry_web.web.output.targets import path_of
from zentry_web.worker.telling import Postman

pytestmark = pytest.mark.integration


class Inbox:
    """What an SMTP server does with mails: keep them, or refuse."""

    def __init__(self):
        self.mails, self.answer = [], "250 OK"

    async def handle_DATA(self, server, session, envelope):
        if self.answer.startswith("250"):
            self.mails.append((envelope.rcpt_tos, envelope.content.decode()))
        return self.answer


@pytest.fixture
def inbox():
    return Inbox()


@pytest.fixture
def server(inbox):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    controller = Controller(inbox, hostname="127.0.0.1", port=port)
    controller.start()
    yield f"smtp://127.0.0.1:{port}"
    controller.stop()


@pytest.fixture
def notices(cloud):
    cloud.billing.notices = Notices(
        replace(cloud.container.parts.core, mail=MailSettings(True, Letters("https://cloud.example.com", path_of)))
    )
    return cloud.billing.notices


def postman(cloud, url):
    return Postman(
        [cloud.billing.notices], SmtpMailer(SmtpServer(url, "Zentry <zentry@cloud.example.com>")), threading.Event()
    )


def test_a_notice_happens_once_and_is_mailed_once(cloud, notices, alice, server, inbox):
    for expected in (True, False):
        assert notices.tell(alice.id, "test", "1", "Grüße", "The body.", target=Target(Place.PLAN)) is expected
    postman(cloud, server).run()
    postman(cloud, server).run()
    ((to, text),) = inbox.mails
    assert to == [alice.email]
    assert "https://cloud.example.com/credits/plan" in text
    assert "@cloud.example.com>" in text.split("Message-ID:")[1].splitlines()[0]
    (notice,) = notices.list_notices(alice.id, actor=acting(alice))
    assert (notice.title, notice.read_at) == ("Grüße", None)


@pytest.mark.asvs("1.3.11")
def test_a_line_that_begins_with_from_arrives_as_it_was_written(cloud, notices, alice, server, inbox):
    notices.tell(alice.id, "test", "1", "New prices", "From Monday on.\n.\nGrüße")
    postman(cloud, server).run()
    ((_, text),) = inbox.mails
    body = text.replace("\r\n", "\n").split("\n\n", 1)[1]
    assert body.startswith("From Monday on.\n.\n")


@pytest.mark.asvs("1.1.2", "1.3.11")
@pytest.mark.parametrize("field", ["to_address", "subject"])
@pytest.mark.parametrize("end", ["\r\n", "\n", "\r"])
def test_a_line_break_makes_no_header_and_no_mail(server, inbox, field, end):
    mail = replace(
        Mail("mail_1", "alice@example.com", "Title", "Body", 1), **{field: f"a@b.example{end}Bcc: c@d.example"}
    )
    with pytest.raises(MailError):
        SmtpMailer(SmtpServer(server, "zentry@cloud.example.com")).send(mail)
    assert inbox.mails == []


@pytest.mark.asvs("1.1.2", "1.3.11")
@pytest.mark.parametrize("text", ['<b>"Web" & co</b>, 1;2', "Grüße, 你好 \N{PILE OF POO}", "%s {0} \\n", "x" * 900])
def test_subject_and_body_arrive_as_they_were_written(server, inbox, text):
    body = f"{text}\n.\nBcc: c@d.example\n\n--boundary\nContent-Type: text/html\n\n{text}"
    SmtpMailer(SmtpServer(server, "zentry@cloud.example.com")).send(Mail("mail_1", "alice@example.com", text, body, 1))
    ((to, raw),) = inbox.mails
    arrived = message_from_bytes(raw.encode(), policy=default)
    assert to == ["alice@example.com"]
    assert arrived["Subject"] == text
    assert (arrived["Bcc"], arrived.get_content_type(), arrived.is_multipart()) == (None, "text/plain", False)
    assert arrived.get_content().replace("\r\n", "\n").rstrip("\n") == body


def test_a_server_that_refuses_is_asked_again_later(cloud, notices, alice, server, inbox):
    inbox.answer = "451 try again later"
    notices.tell(alice.id, "test", "1", "Title", "Body")
    postman(cloud, server).run()
    postman(cloud, server).run()
    assert inbox.mails == []
    inbox.answer = "250 OK"
    postman(cloud, server).run()
    assert inbox.mails == [], "not before its time"
    cloud.clock.advance(31)
    postman(cloud, server).run()
    assert len(inbox.mails) == 1


def test_a_server_that_refuses_for_good_is_not_asked_again_and_it_stands_at_the_account(
    cloud, notices, alice, server, inbox
):
    inbox.answer = "554 no such person"
    notices.tell(alice.id, "test", "1", "Title", "Body")
    postman(cloud, server).run()
    users = cloud.container.get_user_service()
    refused = users.get_user(alice.id)
    assert (refused.mail_refused, refused.mail_refused_at) == ("554 no such person", cloud.clock.now())
    inbox.answer = "250 OK"
    cloud.clock.advance(86400)
    postman(cloud, server).run()
    assert inbox.mails == [], "that mail is over"
    notices.tell(alice.id, "test", "2", "Title", "Body")
    postman(cloud, server).run()
    assert len(inbox.mails) == 1
    assert users.get_user(alice.id).mail_refused_at is None, "mail arrives again"


def test_what_waits_is_told_with_its_age_and_the_last_answer(cloud, notices, alice, server, inbox):
    inbox.answer = "451 later"
    assert notices.waiting_mails() == WaitingMails(0, None, "")
    since = cloud.clock.now()
    notices.tell(alice.id, "test", "1", "Title", "Body")
    cloud.clock.advance(60)
    notices.tell(alice.id, "test", "2", "Title", "Body")
    postman(cloud, server).run()
    waiting = notices.waiting_mails()
    assert (waiting.count, waiting.error) == (2, "451 later")
    assert abs((waiting.since - since).total_seconds()) < 0.01


@pytest.mark.asvs("1.3.3")
def test_words_of_others_stand_in_no_subject_and_make_no_link(cloud, notices, alice, server, inbox):
    notices.tell(alice.id, "member", "1", "evil.example joined Pay at https://evil.example", "By evil@evil.example.")
    postman(cloud, server).run()
    ((_, raw),) = inbox.mails
    arrived = message_from_bytes(raw.encode(), policy=default)
    assert arrived["Subject"] == "News of a project on Zentry"
    assert "evil" not in raw
    assert "… joined Pay at …" in arrived.get_content()
    (notice,) = notices.list_notices(alice.id, actor=acting(alice))
    assert notice.title == "evil.example joined Pay at https://evil.example", "in the app it is no link anyway"


def test_a_worker_killed_after_sending_sends_again_under_the_same_id(cloud, notices, alice, server, inbox):
    notices.tell(alice.id, "test", "1", "Title", "Body")
    mailer = SmtpMailer(SmtpServer(server, "zentry@cloud.example.com"))
    mailer.send(notices.claim_mail())
    assert notices.claim_mail() is None
    cloud.clock.advance(LEASE.total_seconds() + 1)
    postman(cloud, server).run()
    ids = {text.split("Message-ID:")[1].splitlines()[0] for _, text in inbox.mails}
    assert (len(inbox.mails), len(ids)) == (2, 1)


def test_an_older_claim_records_nothing(cloud, notices, alice):
    notices.tell(alice.id, "test", "1", "Title", "Body")
    old = notices.claim_mail()
    cloud.clock.advance(LEASE.total_seconds() + 1)
    new = notices.claim_mail()
    notices.record_failed(old, "too late")
    notices.record_sent(new)
    cloud.clock.advance(86400)
    assert notices.claim_mail() is None


def test_a_mail_that_nobody_takes_is_given_up_and_the_list_counts(cloud, notices, alice):
    notices.tell(alice.id, "test", "1", "Title", "Body")
    cloud.clock.advance((GIVE_UP + timedelta(hours=1)).total_seconds())
    notices.prune()
    assert notices.claim_mail() is None
    assert notices.count_unread(alice.id) == 1


def test_without_a_mail_server_the_list_is_all(cloud, alice):
    assert cloud.billing.notices.tell(alice.id, "test", "1", "Title", "Body")
    assert cloud.billing.notices.claim_mail() is None


def test_reading_ones_own_only(cloud, notices, alice, bob):
    notices.tell(alice.id, "test", "1", "Title", "Body", mail=False)
    (notice,) = notices.list_notices(alice.id)
    with pytest.raises(NotFoundError):
        notices.list_notices(alice.id, actor=acting(bob))
    with pytest.raises(NotFoundError):
        notices.mark_read(bob.id, notice.id, actor=acting(bob))
    notices.mark_read(alice.id, notice.id, actor=acting(alice))
    assert notices.count_unread(alice.id) == 0


@pytest.mark.error
def test_a_server_that_is_not_there():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"smtp://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(MailError):
        SmtpMailer(SmtpServer(url, "zentry@localhost")).send(Mail("mail_1", "a@example.com", "s", "b", 1))


@pytest.mark.asvs("12.3.1")
@pytest.mark.error
def test_a_password_is_not_sent_in_the_clear(server):
    url = server.replace("smtp://", "smtp://user:secret@")
    with pytest.raises(MailError, match="TLS"):
        SmtpMailer(SmtpServer(url, "zentry@localhost")).send(Mail("mail_1", "a@example.com", "s", "b", 1))


@pytest.mark.parametrize("url", ["http://x", "smtp://", "mail.example.com"])
def test_only_smtp_addresses(url):
    with pytest.raises(ValueError, match="smtp"):
        SmtpMailer(SmtpServer(url, "zentry@localhost"))
    assert isinstance(make_mailer(SmtpServer("", "zentry@localhost")), NullMailer)
