"""A test mail that an admin sends to themselves."""

import pytest
from sqlalchemy import select

from tests.conftest import PASSWORD, make_config, sign_up
from tests.services.people import acting, events_of
from zentry_web.composition import build_container
from zentry_web.models import DbOutbox
from zentry_web.services.errors import ConflictError, PermissionDeniedError, RateLimitedError

pytestmark = pytest.mark.integration


@pytest.fixture
def mailing(sqlite_config, clock):
    """Services that send mail."""
    built = build_container(make_config(sqlite_config.data, smtp_url="smtp://127.0.0.1:1"), clock=clock)
    yield built
    built.close()


def an_admin(container, email="admin@example.com"):
    auth = container.get_auth_service()
    return auth.redeem_link(auth.create_admin(email, "Ada"), PASSWORD).user


def test_it_waits_in_the_outbox_and_is_audited(mailing, clock):
    admin, check = an_admin(mailing), mailing.get_user_service().mail_check
    assert check.get_latest(actor=acting(admin)) is None
    assert check.send_test(actor=acting(admin)) == admin.email
    with mailing.database.reading() as session:
        row = session.scalar(select(DbOutbox).where(DbOutbox.subject == "Test mail from Zentry"))
    assert (row.user_id, row.to_address, row.sent_at, row.attempts) == (admin.id, admin.email, None, 0)
    assert "Hello Ada," in row.body
    assert "/admin/system" in row.body
    (event,) = events_of(mailing.parts.core, "mail.test")
    assert (event.actor_id, event.resource_type, event.resource_id) == (admin.id, "mail", row.id)
    latest = check.get_latest(actor=acting(admin))
    assert (latest.to_address, latest.asked_at, latest.sent_at, latest.refused_at, latest.error) == (
        admin.email, row.created_at, None, None, "",
    )  # fmt: skip
    assert check.get_latest(actor=acting(an_admin(mailing, "second@example.com"))) is None, "each sees their own"


@pytest.mark.error
def test_who_may_not_and_when_it_cannot_be(mailing, container, clock):
    admin, check = an_admin(mailing), mailing.get_user_service().mail_check
    alice = sign_up(mailing, "alice")
    for call in (check.send_test, check.get_latest):
        with pytest.raises(PermissionDeniedError):
            call(actor=acting(alice))
    for _ in range(5):
        check.send_test(actor=acting(admin))
    with pytest.raises(RateLimitedError):
        check.send_test(actor=acting(admin))
    clock.advance(hours=2)
    check.send_test(actor=acting(admin))
    with pytest.raises(ConflictError, match="No mail can be sent to root@localhost"):
        check.send_test(actor=acting(an_admin(mailing, "root@localhost")))


@pytest.mark.error
def test_without_a_mail_server_nothing_is_put_there(container, admin):
    with pytest.raises(ConflictError, match="No mail server is set"):
        container.get_user_service().mail_check.send_test(actor=acting(admin))
    assert events_of(container.parts.core, "mail.test") == []
