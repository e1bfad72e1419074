"""Top-up pages: choosing an amount, the test provider's buttons, the receipt, stored cards, webhooks."""

import json
from dataclasses import replace

import pytest

from tests.page import Page
from tests.services.payment_world import CREDIT, STARTING, Till
from tests.stripe_fixture import SECRET_KEY, provider_at
from zentry_web.domain.credits.payments import PaymentNews, PaymentState
from zentry_web.web.output.headers import POLICY

pytestmark = pytest.mark.integration


@pytest.fixture
def till(container, alice):
    return Till(container, alice)


def begin(browser, amount="10", **more):
    """Choose an amount; the address of the page to pay on."""
    answer = browser.post("/credits/top-up", {"amount": amount, **more})
    assert answer.status_code == 303, answer.text
    return answer.headers["Location"]


def press(browser, page, action="pay", card="4242"):
    answer = browser.post(page.removesuffix("/pay") + "/test", {"action": action, "card": card})
    assert answer.status_code == 303, answer.text
    return answer.headers["Location"]


def test_choosing_paying_and_the_receipt(as_alice, till):
    page = as_alice.page("/credits/top-up")
    assert "One credit is 1.00 EUR" in page.text()
    assert "No payments yet" in page.text()
    where = begin(as_alice)
    assert "No card is asked for and no money moves" in as_alice.page(where).text()
    receipt = press(as_alice, where)
    text = as_alice.page(receipt).text()
    assert "10.00 credits added" in text
    assert "You paid 10.00 EUR" in text
    assert "15.0000" in text
    assert till.wallet == STARTING + 10 * CREDIT
    assert "Paid" in as_alice.page("/credits/top-up").text()
    assert "Payment of 10.00 EUR" in as_alice.page("/credits").text()


def test_amounts_to_choose_from_say_what_they_mean(as_alice, till, cloud, project):
    assert "at today’s rate" not in as_alice.page("/credits/top-up").text()
    cloud.launch(till.user, project, "web-1")
    page = as_alice.page("/credits/top-up")
    options = page.find("//input[@name='preset']")
    assert [option.get("value") for option in options] == ["10", "20", "50", "100", ""]
    assert "20.00 EUR" in page.text()
    assert "5 months at today’s rate" in page.text()
    answer = as_alice.post("/credits/top-up", {"preset": "50", "amount": "20"})
    press(as_alice, answer.headers["Location"])
    (payment,) = till.payments.list_payments(till.user.id)
    assert payment.amount_micro == 50 * CREDIT


@pytest.mark.parametrize("preset", ["", "7", "50000", "x"])
def test_without_one_of_them_what_is_typed_counts(as_alice, till, preset):
    begin(as_alice, "3", preset=preset)
    (payment,) = till.payments.list_payments(till.user.id)
    assert payment.amount_micro == 3 * CREDIT


def test_the_steps_say_where_one_is(as_alice, till):
    def step(address):
        return as_alice.page(address).one("//ol[@aria-label='Steps of a top-up']/li[@aria-current]/span[2]").text

    where = begin(as_alice)
    assert (step("/credits/top-up"), step(where)) == ("Amount", "Payment")
    assert step(press(as_alice, where)) == "Done"


def test_a_decline_says_so_and_leads_back(as_alice, till):
    where = begin(as_alice)
    text = as_alice.page(press(as_alice, where, "decline")).text()
    assert "declined" in text
    assert "Try again" in text
    answer = as_alice.post(where.removesuffix("/pay") + "/again")
    assert (answer.status_code, answer.headers["Location"]) == (303, where)
    assert "Waiting for the payment" in as_alice.page(where.removesuffix("/pay")).text()
    press(as_alice, where)
    assert till.wallet == STARTING + 10 * CREDIT


def test_coming_back_to_a_payment_that_is_over_shows_its_receipt(as_alice, till):
    where = begin(as_alice)
    receipt = press(as_alice, where)
    again = [as_alice.get(where), as_alice.post(receipt + "/again")]
    again += [as_alice.post(receipt + "/test", {"action": action, "card": "4242"}) for action in ("pay", "decline")]
    assert [(each.status_code, each.headers["Location"]) for each in again] == [(303, receipt)] * 4
    assert till.wallet == STARTING + 10 * CREDIT
    unknown = as_alice.post(begin(as_alice).removesuffix("/pay") + "/test", {"action": "give", "card": "4242"})
    assert unknown.status_code == 409


@pytest.mark.parametrize("second", ["pay", "decline", "later"])
def test_who_presses_a_moment_later_sees_what_the_first_press_did(as_alice, till, second):
    """Both have the page open; the provider has taken the first, and its webhook has not arrived yet."""
    where = begin(as_alice)
    (payment,) = till.payments.list_payments(till.user.id)
    till.provider.act(payment.provider_ref, "pay")
    receipt = where.removesuffix("/pay")
    assert press(as_alice, where, second) == receipt
    assert "declined" not in as_alice.page(receipt).text()
    assert till.wallet == STARTING + 10 * CREDIT


def test_a_payment_under_way_is_looked_at_again(as_alice):
    receipt = press(as_alice, begin(as_alice), "later")
    assert as_alice.page(receipt, htmx=True).one("//*[@id='payment']").get("hx-trigger") == "every 3s"
    assert "Waiting for the payment" in as_alice.page(receipt).text()


def test_htmx_is_led_on_too(as_alice):
    answer = as_alice.post("/credits/top-up", {"amount": "10"}, htmx=True)
    assert answer.status_code == 204
    assert answer.headers["HX-Redirect"].endswith("/pay")


@pytest.mark.error
@pytest.mark.parametrize("amount", ["", "0.5", "20000", "much", "1.001"])
def test_an_amount_that_cannot_be_paid_stays_in_the_form(as_alice, till, amount):
    answer = as_alice.post("/credits/top-up", {"amount": amount, "keep": "y"})
    assert answer.status_code == 400
    assert f'value="{amount}"' in answer.text or not amount
    assert till.payments.list_payments(till.user.id) == []


def test_the_same_form_sent_twice_is_one_payment(as_alice):
    first, again = (begin(as_alice, idempotency_key="k") for _ in range(2))
    assert first == again


def test_a_kept_card_is_listed_and_removed(as_alice, till):
    press(as_alice, begin(as_alice, "1", keep="y"))
    assert "Test card •••• 4242" in as_alice.page("/credits/top-up").text()
    (method,) = till.payments.list_methods(till.user.id)
    assert as_alice.post(f"/credits/methods/{method.id}/remove").status_code == 303
    assert till.payments.list_methods(till.user.id) == []


@pytest.mark.error
def test_strangers_find_nothing(as_alice, as_charlie, till):
    where = begin(as_alice)
    for url in (where, where.removesuffix("/pay")):
        assert as_charlie.get(url).status_code == 404
    assert as_charlie.post(where.removesuffix("/pay") + "/test", {"action": "pay"}).status_code == 404
    method = till.kept()
    assert as_charlie.post(f"/credits/methods/{method.id}/remove").status_code == 404


def test_without_a_provider_the_page_says_so(as_alice, till):
    till.payments.provider = None
    assert "not set up" in as_alice.page("/credits/top-up").text()
    assert as_alice.post("/credits/top-up", {"amount": "10"}).status_code == 409


# -- automatic top-up ---------------------------------------------------------------------------


def settings(method_id, **more):
    chosen = {"enabled": "y", "threshold": "5", "hours": "24", "sum": "20", "ceiling": "100", "method": method_id}
    return chosen | more


def typed_in(answer, name):
    return Page(answer.text).one(f"//input[@name='{name}']").get("value") or ""


def test_automatic_top_up_needs_a_card_and_is_switched_on_and_off(as_alice, till):
    assert "Keep a card first" in as_alice.page("/credits/top-up").text()
    assert as_alice.post("/credits/top-up/automatic", settings("")).status_code == 400
    method = till.kept()
    answer = as_alice.post("/credits/top-up/automatic", settings(method.id))
    assert (answer.status_code, answer.headers["Location"]) == (303, "/credits/top-up#automatic")
    now = till.billing.auto_top_ups.get_settings(till.user.id)
    assert now.enabled
    assert (now.threshold_micro, now.runway_hours, now.ceiling_micro) == (5 * CREDIT, 24, 100 * CREDIT)
    page = as_alice.page("/credits/top-up")
    assert page.one("//input[@name='enabled']").get("checked") is not None
    assert page.one("//input[@name='ceiling']").get("value") == "100.00"
    answer = as_alice.post("/credits/top-up/automatic", settings(method.id) | {"enabled": ""}, htmx=True)
    assert answer.headers["HX-Redirect"] == "/credits/top-up#automatic"
    assert not till.billing.auto_top_ups.get_settings(till.user.id).enabled


@pytest.mark.error
@pytest.mark.parametrize(
    "wrong", [{"sum": "0.2"}, {"ceiling": "10"}, {"threshold": "x"}, {"hours": "-1"}, {"hours": "9999"}, {"sum": ""}]
)
def test_settings_that_make_no_sense_stay_in_the_form(as_alice, till, wrong):
    method = till.kept()
    answer = as_alice.post("/credits/top-up/automatic", settings(method.id, **wrong))
    assert answer.status_code == 400
    ((name, typed),) = wrong.items()
    assert typed_in(answer, name) == typed
    assert "z-error" in answer.text
    assert not till.billing.auto_top_ups.get_settings(till.user.id).enabled


@pytest.mark.error
def test_somebody_elses_card_is_never_taken_over(as_alice, as_charlie, till):
    method = till.kept()
    assert as_charlie.post("/credits/top-up/automatic", settings(method.id)).status_code == 400
    charlie = as_charlie.user.id
    for card in (method.id, "pm_none"):
        answer = as_charlie.post("/credits/top-up/automatic", settings(card, enabled=""))
        assert answer.status_code == 303, "switching off needs no card, and tells nothing about others'"
        assert till.billing.auto_top_ups.get_settings(charlie).method_id == ""


def test_why_it_was_switched_off(as_alice, till):
    method = till.kept("0341")
    as_alice.post("/credits/top-up/automatic", settings(method.id, threshold="50"))
    till.billing.auto_top_ups.attempt(till.user.id)
    assert "The card was declined." in as_alice.page("/credits/top-up").text()
    (payment,) = [each for each in till.payments.list_payments(till.user.id) if each.is_automatic]
    assert "automatic top-up" in as_alice.page(f"/credits/top-up/{payment.id}").text()


# -- Stripe's pay page --------------------------------------------------------------------------


@pytest.fixture
def at_stripe(till, monkeypatch):
    """Stripe is set up; what it would answer is made up here."""
    provider = provider_at("")

    def told(*_given):
        return PaymentNews("pi_1", "", 1000, "eur", PaymentState.PENDING, secret="pi_1_secret_2")

    monkeypatch.setattr(provider, "read_intent", told)
    monkeypatch.setattr(provider, "create_intent", lambda order: replace(told(), payment_id=order.payment_id))
    till.payments.provider = provider
    return provider


def directives(answer):
    return dict(each.split(" ", 1) for each in answer.headers["Content-Security-Policy"].split("; "))


def test_only_the_pay_page_may_load_stripes_script(as_alice, at_stripe):
    where = begin(as_alice)
    answer = as_alice.get(where)
    found, strict = directives(answer), dict(each.split(" ", 1) for each in POLICY.split("; "))
    assert found.pop("script-src") == "'self' https://js.stripe.com"
    assert found.pop("frame-src") == "https://js.stripe.com https://hooks.stripe.com"
    assert found.pop("connect-src") == "'self' https://api.stripe.com"
    assert found == {name: strict[name] for name in strict if name not in ("script-src", "connect-src")}
    page = Page(answer.text)
    assert page.one("//script[contains(@src, 'stripe')]").get("src") == "https://js.stripe.com/v3/"
    assert page.one("//form[@id='pay-card']").get("data-secret") == "pi_1_secret_2"
    assert SECRET_KEY not in answer.text
    for url in ("/credits/top-up", where.removesuffix("/pay"), "/credits", "/overview"):
        answer = as_alice.get(url)
        assert answer.headers["Content-Security-Policy"] == POLICY
        assert "stripe.com" not in answer.text
    assert as_alice.post(where.removesuffix("/pay") + "/test", {"action": "pay"}).status_code == 404


def test_without_stripe_no_page_may_load_its_script(as_alice):
    assert as_alice.get(begin(as_alice)).headers["Content-Security-Policy"] == POLICY


# -- webhooks -----------------------------------------------------------------------------------


def deliver(visitor, event, name="test"):
    return visitor.client.post(f"/payments/webhook/{name}", data=event.payload, headers=dict(event.headers))


def test_a_signed_webhook_needs_no_session_and_no_token(visitor, till):
    event = till.provider.act(till.start(10).provider_ref, "pay")
    for _ in range(2):
        answer = deliver(visitor, event)
        assert (answer.status_code, answer.json) == (200, {"received": True})
        assert "Set-Cookie" not in answer.headers
    assert till.wallet == STARTING + 10 * CREDIT


@pytest.mark.error
def test_a_webhook_that_nobody_signed_has_no_effect(visitor, as_alice, till):
    payment = till.start(10)
    event = till.provider.act(payment.provider_ref, "pay")
    forged = json.dumps(json.loads(event.payload) | {"id": "tevt_forged"}).encode()
    for body, headers in ((forged, dict(event.headers)), (event.payload, {}), (b"", {}), (b"\xff", {})):
        answer = visitor.client.post("/payments/webhook/test", data=body, headers=headers)
        assert answer.status_code == 400
    assert as_alice.post("/payments/webhook/test", {"action": "pay"}).status_code == 400
    assert (till.wallet, till.effects) == (STARTING, [])


@pytest.mark.error
def test_webhooks_of_others_too_large_ones_and_unknown_kinds(visitor, till):
    event = till.provider.event("invoice.created", till.start(10).provider_ref)
    assert deliver(visitor, event).status_code == 200
    assert deliver(visitor, event, "stripe").status_code == 404
    answer = visitor.client.post("/payments/webhook/test", data=b"x" * 65537, headers=dict(event.headers))
    assert answer.status_code == 413
