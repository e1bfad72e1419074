"""/admin/approvals, /admin/refund and /admin/intervals."""

import pytest

from tests.conftest import PASSWORD
from tests.functional.conftest import Browser
from tests.page import Page
from tests.services.payment_world import Till
from zentry_web.domain.setting import SettingKey

pytestmark = pytest.mark.integration

LARGE = {"direction": "add", "amount": "1500", "description": "Course week 3", "idempotency_key": "k1"}


@pytest.fixture
def as_second(web, container):
    """Another admin's browser."""
    auth = container.get_auth_service()
    return Browser(web).log_in(auth.redeem_link(auth.create_admin("second@example.com", "Second"), PASSWORD).user)


@pytest.fixture
def asked(as_second, as_admin, container, alice):
    """A large grant that the first admin asked for."""
    assert as_admin.post(f"/admin/users/{alice.id}", LARGE).status_code == 303
    (found,) = container.get_billing_service().books.approvals.list_approvals()
    return found


@pytest.mark.parametrize("htmx", [False, True])
def test_a_large_grant_is_asked_for_once(as_admin, as_second, container, alice, htmx):
    for _ in range(2):
        answer = as_admin.post(f"/admin/users/{alice.id}", LARGE, htmx=htmx)
        assert answer.headers["HX-Redirect" if htmx else "Location"] == "/admin/approvals"
    page = as_admin.page("/admin/approvals")
    assert "waits for a second admin" in page.text()
    assert "Take back" in page.text()
    assert not page.find("//button[contains(., 'Approve')]")
    assert "1,500.00" in as_second.page("/account/notices").text()
    nav = as_second.page("/overview").one("//nav[@aria-label='Main']//a[@href='/admin/approvals']")
    assert "1 waiting" in " ".join("".join(nav.itertext()).split())
    assert container.get_billing_service().get_balance(alice.id).wallet_micro == 5_000_000


@pytest.mark.parametrize("htmx", [False, True])
def test_credits_for_oneself_wait_for_another_admin(as_admin, admin, as_second, container, htmx):
    small = LARGE | {"amount": "1"}
    answer = as_admin.post(f"/admin/users/{admin.id}", small, htmx=htmx)
    assert answer.headers["HX-Redirect" if htmx else "Location"] == "/admin/approvals"
    assert "These credits would be yours: it waits for another admin" in as_admin.page("/admin/approvals").text()
    assert container.get_billing_service().get_balance(admin.id).wallet_micro == 5_000_000
    (asked,) = container.get_billing_service().books.approvals.list_approvals()
    assert as_second.post(f"/admin/approvals/{asked.id}/approve").status_code == 303
    assert container.get_billing_service().get_balance(admin.id).wallet_micro == 6_000_000


def test_a_single_admin_books_their_own(as_admin, admin, container):
    assert as_admin.post(f"/admin/users/{admin.id}", LARGE | {"amount": "1"}).status_code == 303
    assert container.get_billing_service().get_balance(admin.id).wallet_micro == 6_000_000


def test_another_admin_approves_and_it_is_booked(as_admin, as_second, as_alice, alice, asked):
    assert as_admin.post(f"/admin/approvals/{asked.id}/approve").status_code == 409
    for _ in range(2):
        assert as_second.post(f"/admin/approvals/{asked.id}/approve").status_code == 303
    text = as_admin.page("/admin/approvals").text()
    assert "Approved" in text
    assert "Nothing waits" in text
    assert "1,505.0000" in as_alice.page("/overview").text()
    assert "1,505.0000" in as_admin.page(f"/admin/users/{alice.id}").text()
    assert "Approved another admin's request" in as_admin.page("/admin/audit?action=approval.").text()


def test_a_refused_one_is_kept(as_admin, as_second, as_alice, asked):
    assert as_second.post(f"/admin/approvals/{asked.id}/refuse").status_code == 303
    assert "Refused" in as_admin.page("/admin/approvals").text()
    assert "5.0000" in as_alice.page("/overview").text()
    assert as_second.post(f"/admin/approvals/{asked.id}/approve").status_code == 409
    assert as_second.post("/admin/approvals/apr_unknown/approve").status_code == 404
    assert as_second.post(f"/admin/approvals/{asked.id}/approve", csrf=False).status_code == 400


@pytest.fixture
def usage(cloud, container, alice, machine, clock):
    """A charge of Alice's machine: (interval, transfer)."""
    clock.advance(hours=2)
    billing = container.get_billing_service()
    billing.runs.settle(clock.now())
    (row,) = [each for each in billing.list_transactions(alice.id) if each.kind == "usage"]
    opened = billing.bills.get_transfer(alice.id, row.id)
    return opened.charges[0].of.interval.id, row.id


@pytest.mark.parametrize("what", ["interval", "transfer"])
@pytest.mark.parametrize("htmx", [False, True])
def test_a_charge_is_given_back(usage, as_admin, as_alice, what, htmx):
    interval, transfer = usage
    shown = f"/admin/intervals/{interval}" if what == "interval" else f"/admin/ledger/{transfer}"
    path = as_admin.page(shown).one("//a[contains(@href, '/admin/refund/')]").get("href")
    assert "At most 0.01 credits" in as_admin.page(path).text()
    data = {"amount": "0.004", "description": "Host was down", "idempotency_key": "r1"}
    for _ in range(2):
        answer = as_admin.post(path, data, htmx=htmx)
        assert answer.status_code < 400, Page(answer.text, fragment=htmx).errors()
        assert answer.headers["HX-Redirect" if htmx else "Location"].startswith("/admin/ledger/tr_")
    assert "At most 0.006 credits" in as_admin.page(path).text()
    text = as_alice.page("/credits").text()
    assert "Refund" in text
    assert "Host was down" in text
    assert "0.004 credits were refunded to you" in as_alice.page("/account/notices").text()


@pytest.mark.parametrize(
    ("changes", "field"),
    [({"amount": "1"}, "amount"), ({"amount": "much"}, "amount"), ({"description": ""}, "description")],
)
def test_a_refund_that_cannot_be_is_said_beside_the_field(usage, as_admin, changes, field):
    data = {"amount": "0.001", "description": "Host was down"} | changes
    answer = as_admin.post(f"/admin/refund/transfer:{usage[1]}", data)
    page = Page(answer.text)
    assert answer.status_code == 400
    assert set(page.errors()) == {field}
    assert page.one("//input[@name='amount']").get("value") == data["amount"]


def test_what_was_never_charged_is_not_there(as_admin, alice):
    for path in ("/admin/refund/transfer:tr_none", "/admin/refund/nonsense", "/admin/intervals/use_none"):
        assert as_admin.get(path).status_code == 404


def test_whose_wallet_gains_is_not_offered_to_approve(as_admin, as_second, container):
    (second,) = [row.user for row in container.get_user_service().list_users() if row.user.name == "Second"]
    assert as_admin.post(f"/admin/users/{second.id}", LARGE).status_code == 303
    (found,) = container.get_billing_service().books.approvals.list_approvals()
    page = as_second.page("/admin/approvals")
    assert "another admin decides" in page.text()
    assert not page.find(f"//form[@action='/admin/approvals/{found.id}/approve']")
    assert as_second.post(f"/admin/approvals/{found.id}/approve").status_code == 409
    assert as_second.post(f"/admin/approvals/{found.id}/refuse").status_code == 303


@pytest.fixture
def of_each_kind(container, as_admin, as_second, alice):
    """Requests that are no grants: vouchers, a payment given back, a setting."""
    payment = Till(container, alice).pay(2000)
    many = {"value": "2", "count": "500", "uses": "1000", "note": "Autumn fair", "idempotency_key": "k"}
    for path, data in (
        ("/admin/vouchers/new", many),
        (f"/admin/payments/{payment.id}", {"amount": "1500", "reason": "Wrong account", "idempotency_key": "k"}),
        ("/admin/settings/starting_credits", {"value": "5000000", "version": "0"}),
    ):
        answer = as_admin.post(path, data)
        assert answer.headers["Location"] == "/admin/approvals", answer.text
    return container.get_billing_service().books.approvals.list_approvals()


def test_the_page_says_what_each_kind_of_request_would_do(as_admin, as_second, of_each_kind):
    page = as_second.page("/admin/approvals")
    for words in (
        "500 × a voucher of 2.00 credits with 1,000 uses each: Autumn fair",
        "A refund of 1,500.00 EUR of a payment: Wrong account",
        "“Starting credits” to be 5,000,000.00 instead of 5.00: Sign-ups from one network address could then get",
        "everybody",
    ):
        assert words in page.text()
    assert page.one("//a[.='the payment']").get("href").startswith("/admin/payments/pay_")
    assert page.one("//a[.='the setting']").get("href") == "/admin/settings/starting_credits"
    text = as_admin.page("/admin/approvals").text()
    assert "it waits for a second admin, who has been told" in text


def test_each_kind_is_done_once_another_admin_agrees(as_admin, as_second, container, of_each_kind):
    for request in of_each_kind:
        assert as_admin.post(f"/admin/approvals/{request.id}/approve").status_code == 409
        assert as_second.post(f"/admin/approvals/{request.id}/approve").status_code == 303
    text = as_second.page("/admin/approvals").text()
    for words in ("the vouchers are made", "the money goes back", "the setting is changed", "Nothing waits"):
        assert words in text
    billing = container.get_billing_service()
    assert billing.settings.number(SettingKey.STARTING_CREDITS) == 5_000_000_000_000
    assert len(billing.payment_desk.list_open()) == 1
    link = as_second.page("/admin/approvals").one("//a[.='vouchers']").get("href")
    assert "Autumn fair" in as_second.page(link).text()
