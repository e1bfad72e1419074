"""/admin/system/test-mail: an admin sends themselves a mail, and the System page says what became of it."""

import pytest

from tests.conftest import make_config
from zentry_web.composition import build_container

pytestmark = pytest.mark.integration
URL = "/admin/system/test-mail"
BUTTON = "//section[@id='mail']//button[contains(., 'Send a test mail to myself')]"


@pytest.fixture
def mailing(config, clock):
    """A Zentry that sends mail."""
    built = build_container(make_config(config.data, smtp_url="smtp://127.0.0.1:1"), clock=clock)
    yield built
    built.close()


class TestWithAMailServer:
    @pytest.fixture
    def container(self, mailing):
        return mailing

    @pytest.fixture
    def claimed(self, container):
        """The test mail, as the worker takes it."""

        def claim():
            notices = container.get_billing_service().notices
            while (mail := notices.claim_mail()).subject != "Test mail from Zentry":
                notices.record_sent(mail)  # that of the log-in
            return mail

        return claim

    def test_it_is_told_in_place_what_became_of_it(self, as_admin, container, claimed, clock):
        notices = container.get_billing_service().notices
        page = as_admin.page("/admin/system")
        assert page.one(BUTTON).get("disabled") is None
        assert page.find("//p[@id='test-mail']") == []

        def said():
            return " ".join(as_admin.page("/admin/system").one("//p[@id='test-mail']").xpath("string()").split())

        assert as_admin.post(URL, {}).headers["Location"] == "/admin/system"
        assert said().startswith("The test mail to admin@example.com waits to be sent, asked for ")
        notices.record_failed(claimed(), "451 later")
        assert said().endswith("The mail server’s last answer: 451 later")
        clock.advance(31)
        notices.record_sent(claimed())
        assert said().startswith("The mail server took the test mail to admin@example.com on ")
        as_admin.post(URL, {})
        assert "waits to be sent" in said(), "the newest"
        notices.record_refused(claimed(), "554 <no> such person")
        assert "refused the test mail to admin@example.com on " in said()
        assert said().endswith(": 554 <no> such person")
        assert "Had a test mail sent" in as_admin.page("/admin/audit?action=mail.test").text()

    @pytest.mark.error
    def test_not_too_often(self, as_admin):
        for _ in range(5):
            assert as_admin.post(URL, {}).status_code == 303
        assert as_admin.post(URL, {}).status_code == 429

    @pytest.mark.error
    def test_admins_only(self, as_alice, container):
        assert as_alice.post(URL, {}).status_code == 403


@pytest.mark.error
def test_without_a_mail_server_the_button_says_why_not(as_admin):
    page = as_admin.page("/admin/system")
    button = page.one(BUTTON)
    assert button.get("disabled") is not None
    reason = page.one(f"//p[@id='{button.get('aria-describedby')}']")
    assert reason.text == "No mail server is set, so no mail can be sent."
    assert as_admin.post(URL, {}).status_code == 409
