"""/admin/approvals, /admin/refund and /admin/intervals."""

import pytest

from tests.conftest import PASSWORD
from tests.functional.conftest import Browser
from tests.page import Page

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
    billing.settle(clock.now())
    (row,) = [each for each in billing.list_transactions(alice.id) if each.kind == "usage"]
    opened = billing.bills.get_transfer(alice.id, row.id)
    return opened.charges[0].of.interval.id, row.id


@pytest.mark.parametrize("what", ["interval", "transfer"])
@pytest.mark.parametrize("htmx", [False, True])
def test_a_charge_is_given_back(as_admin, as_alice, usage, what, htmx):
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
    assert "0.004 credits were given back" in as_alice.page("/account/notices").text()


@pytest.mark.parametrize(
    ("changes", "field"),
    [({"amount": "1"}, "amount"), ({"amount": "much"}, "amount"), ({"description": ""}, "description")],
)
def test_a_refund_that_cannot_be_is_said_beside_the_field(as_admin, usage, changes, field):
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
