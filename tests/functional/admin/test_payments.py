"""The admin's payments: the list, one with its webhooks, refunds with a reason."""

import pytest

from tests.services.payment_world import CREDIT, STARTING, Till

pytestmark = pytest.mark.integration


@pytest.fixture
def till(container, alice):
    return Till(container, alice)


def test_the_list_and_its_filters(as_admin, till):
    assert "No payments match" in as_admin.page("/admin/payments").text()
    paid, waiting = till.pay(10), till.start(7)
    text = as_admin.page("/admin/payments").text()
    assert "10.00 EUR" in text
    assert "7.00 EUR" in text
    for query, found in (("state=pending", waiting), (f"q={paid.provider_ref}", paid), ("state=pending&q=x", None)):
        rows = as_admin.page(f"/admin/payments?{query}", htmx=True).find("//tbody//a[contains(@href, '/payments/')]")
        assert [row.get("href") for row in rows] == ([f"/admin/payments/{found.id}"] if found else [])
    assert as_admin.get("/admin/payments?state=nonsense&special=nonsense").status_code == 200


def test_a_refund_with_its_reason(as_admin, till):
    payment = till.pay(10)
    url = f"/admin/payments/{payment.id}"
    page = as_admin.page(url)
    assert "payment.succeeded" in page.text()
    assert page.one("//input[@name='amount']").get("value") == "10.00"
    assert as_admin.post(url, {"amount": "4,50", "reason": "Machine was broken"}).status_code == 303
    text = as_admin.page(url).text()
    assert "Machine was broken" in text
    assert "partly refunded" in text
    assert till.wallet == STARTING + 5_500_000
    answer = as_admin.post(url, {"amount": "5.50", "reason": "The rest"}, htmx=True)
    assert (answer.status_code, answer.headers["HX-Redirect"]) == (204, url)
    assert not as_admin.page(url).find("//input[@name='amount']")
    assert till.wallet == STARTING
    assert "Refunded a payment" in as_admin.page("/admin/audit?action=payment.refund").text()


@pytest.mark.error
@pytest.mark.parametrize(
    "form",
    [{"amount": "10.01"}, {"amount": "0"}, {"amount": "1.005"}, {"amount": "much"}, {"reason": ""}, {"amount": ""}],
)
def test_a_refund_that_cannot_be_stays_in_the_form(as_admin, till, form):
    payment = till.pay(10)
    sent = {"amount": "1", "reason": "Why not"} | form
    answer = as_admin.post(f"/admin/payments/{payment.id}", sent)
    assert answer.status_code == 400
    assert all(f'value="{typed}"' in answer.text for typed in sent.values() if typed)
    assert till.wallet == STARTING + 10 * CREDIT


@pytest.mark.error
def test_who_may_not(as_alice, as_admin, till):
    payment = till.pay(10)
    for url in ("/admin/payments", f"/admin/payments/{payment.id}"):
        assert as_alice.get(url).status_code == 403
    assert as_alice.post(f"/admin/payments/{payment.id}", {"amount": "1", "reason": "x"}).status_code == 403
    assert as_admin.get("/admin/payments/pay_none").status_code == 404
    assert as_admin.post(f"/admin/payments/{payment.id}", {"amount": "1", "reason": "x"}, csrf=False).status_code == 400
    assert till.get(payment).refunded_minor == 0


def test_a_refund_form_sent_twice_gives_the_money_back_once(as_admin, till):
    payment = till.pay(10)
    url = f"/admin/payments/{payment.id}"
    key = as_admin.page(url).one("//input[@name='idempotency_key']").get("value")
    sent = {"amount": "4", "reason": "Clicked twice", "idempotency_key": key}
    assert [as_admin.post(url, sent).status_code for _ in range(2)] == [303, 303]
    assert (till.get(payment).refunded_minor, till.wallet) == (400, STARTING + 6 * CREDIT)
    assert as_admin.post(url, sent | {"amount": "5"}).status_code == 409
    fresh = as_admin.page(url).one("//input[@name='idempotency_key']").get("value")
    assert as_admin.post(url, sent | {"idempotency_key": fresh}).status_code == 303  # meant twice
    assert till.get(payment).refundable_minor == 2 * 100
