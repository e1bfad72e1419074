"""What is not undone is asked first: no page has a button that does it, and its address asks when it is opened."""

import re
from pathlib import Path

import pytest

from tests.conftest import PASSWORD
from tests.functional.conftest import Browser
from tests.functional.estate import Estate
from tests.functional.test_route_matrix import PROCESS, PROGRAM, RULES, SIGNED
from tests.page import Page
from tests.services.people import acting, join

pytestmark = pytest.mark.integration
TEMPLATES = Path(__file__).resolve().parents[2] / "zentry_web" / "templates"

# Every address that takes a POST and has no page of its own (no GET), and why one click is enough there.
ONE_CLICK = {
    # Undone by the button that takes its place.
    "vms.protect": "the other way round again",
    "vms.extend_timer": "removed, and scheduled anew for the day that was meant",
    "projects.protect": "the other way round again",
    "projects.archive": "taken out of the archive again",
    "projects.unarchive": "archived again",
    "projects.change_role": "the role before is in the same menu",
    "admin.enable_user": "disabled again",
    "account.set_theme": "the other one again",
    "account.set_language": "the other one again",
    "billing.plan_order": "the order is moved back",
    "billing.auto_top_up": "a form with fields, saved again",
    "account.stay": "asked for again",
    # The page is the question: what happens stands beside yes and no.
    "projects.offer_ownership": "chosen in a form; withdrawn again",
    "projects.accept_ownership": "the page says what it costs",
    "projects.decline_ownership": "the page says what it is",
    "invitations.accept": "the page says into what",
    "invitations.decline": "the page says what it is",
    "invitations.accept_mailed": "the page says into what",
    "invitations.decline_mailed": "the page says what it is",
    "auth.refuse_email": "the page says of what",
    "admin.approve": "the row says how much for whom",
    "admin.publish_prices": "the rehearsal says what and from when; only what it showed",
    "admin.run_bulk": "the page before it says to whom what is done",
    # Nothing is lost by it.
    "vms.console_ticket": "opens a window on one's own machine; unused, it is gone in 30 seconds",
    "admin.bulk": "leads to its page",
    "admin.add_note": "deleted again",
    "admin.test_mail": "a mail to oneself",
    "admin.build_image": "cancelled again",
    "admin.renew_version": "cancelled, or withdrawn, again",
    "account.change_password": "with the password of now",
    "account.cancel_email": "asked for again",
    "account.read_notices": "they stay in the list",
    "account.dismiss": "a banner",
    "account.export": "a file",
    "account.leave_view": "begun again",
    "account.link_identity": "unlinked again",
    "account.confirm_by_provider": "a proof",
    "account.confirm_options": "a question to a key",
    "account.passkey_options": "a question to a key",
    "auth.factor_options": "a question to a key",
    "auth.passkey_options": "a question to a key",
    "auth.passkey_login": "a log-in",
    "auth.oidc_begin": "a log-in",
    "auth.logout": "logged in again",
    "billing.pay_again": "leads to the payment",
    "billing.pay_test": "a payment, with its page",
}
# What asks: address by address, the word on the button. ("vms.bring_back", "vms.leave_rescue" and "vms.password" ask
# only after a rebuild, in rescue and where an agent answers: vms/test_rebuild.py, vms/test_rescue.py and
# vms/test_password.py see them.)
ASKS = {
    "vms.force_off": "Force off",
    "vms.reset": "Reset",
    "vms.rescue": "Rescue",
    "projects.revoke_invitation": "Revoke",
    "projects.leave": "Leave",
    "projects.remove_member": "Remove",
    "projects.withdraw_ownership": "Withdraw",
    "account.end_token": "End it",
    "account.remove_ssh_key": "Remove",
    "account.end_session": "End it",
    "account.end_other_sessions": "End them",
    "account.remove_factor": "Remove",
    "account.new_codes": "Make new ones",
    "account.unlink_identity": "Unlink",
    "billing.remove_method": "Remove",
    "admin.disable_user": "Disable",
    "admin.password_link": "Make the link",
    "admin.end_user_sessions": "End them",
    "admin.end_user_session": "End it",
    "admin.remove_note": "Delete the note",
    "admin.revoke_invitation": "Revoke",
    "admin.refuse": "Take it back",
    "admin.offer_size": "Withdraw",
    "admin.offer_image": "Withdraw",
    "admin.end_version": "Withdraw",
    "admin.end_announcement": "End it",
    "admin.reset_setting": "Reset to default",
    "admin.discard_prices": "Throw it away",
    "admin.remove_stray": "Remove",
    "admin.remove_tax": "Remove",
}
BUTTON = re.compile(
    r"(?:post_button|menu_post)\((?:[^()]|\([^()]*\))*?url_for\('([a-z_.]+)'[^()]*\)(?:[^()]|\([^()]*\))*\)"
)
FORM = re.compile(r"<form [^>]*url_for\('([a-z_.]+)'")
PUTS_BACK = re.compile(r"'active': 'y'")  # of admin.offer_size and admin.offer_image


def test_every_post_without_a_page_says_why_one_click_is_enough():
    lone = {endpoint for endpoint, (kind, methods) in RULES.items() if methods == "POST"} - {
        endpoint for endpoint, (kind, _) in RULES.items() if kind in (SIGNED, PROGRAM, PROCESS)
    }
    assert lone == set(ONE_CLICK)
    assert all("GET" in RULES[endpoint][1].split() for endpoint in ASKS)


def test_no_page_has_a_button_that_does_it_at_once():
    found, seen = [], set()
    for path in sorted(TEMPLATES.rglob("*.html")):
        text = path.read_text()
        for match in [*BUTTON.finditer(text), *FORM.finditer(text)]:
            seen.add(match[1])
            if match[1] in ASKS and not PUTS_BACK.search(match[0]):
                found.append((path.name, match[1]))
    assert found == []
    assert {"vms.protect", "admin.enable_user", "vms.create"} <= seen  # it does find buttons and forms


@pytest.fixture
def estate(cloud, alice, admin, project, machine):
    return Estate(cloud, alice, admin, project, machine)


@pytest.fixture
def browsers(web, estate, cloud, container, admin, bob):
    """Alice's, with her second factor; an admin's; and that of Bob, a member who is offered the project."""
    join(container, estate.project, bob, "member")
    container.get_project_service().ownership.offer(estate.project.id, bob.id, actor=acting(estate.alice))
    as_alice = Browser(web)
    as_alice.post("/login", {"email": estate.alice.email, "password": PASSWORD})
    cloud.clock.advance(60)
    assert as_alice.post("/login/factor", {"code": estate.app.code()}).status_code == 303
    return as_alice, Browser(web).log_in(admin), Browser(web).log_in(bob)


@pytest.mark.parametrize("htmx", [False, True])
def test_each_asks_before_it_does_it(web, estate, browsers, bob, htmx):
    """A short question with one form, and nothing is done by opening it."""
    as_alice, as_admin, as_bob = browsers
    rules = {rule.endpoint: rule for rule in web.url_map.iter_rules() if rule.endpoint in ASKS}
    before = estate.state()
    for endpoint, word in ASKS.items():
        other = {"user_id": bob.id} if endpoint == "projects.remove_member" else {}
        other |= {"setting_key": "grace_days"} if endpoint == "admin.reset_setting" else {}
        url = estate.address(web, rules[endpoint], **other)
        browser = as_admin if endpoint.startswith("admin.") else as_bob if endpoint == "projects.leave" else as_alice
        answer = browser.get(url, htmx=htmx)
        assert answer.status_code == 200, (endpoint, answer.status_code)
        form = Page(answer.text, fragment=htmx).one("//form[contains(@class, 'z-dialog-main')]")
        assert (form.get("method"), form.get("action")) == ("post", url), endpoint
        (button,) = form.findall(".//button[@type='submit']")
        assert "".join(button.itertext()).strip() == word, endpoint
        assert "btn-danger" in button.get("class"), endpoint
        assert len("".join(form.find("p").itertext())) > 20, endpoint
    assert estate.state() == before
