"""Redeeming a voucher: on the credits page and on the page of its own."""

import pytest

from tests.page import Page
from tests.services.people import ALWAYS
from zentry_web.domain.credits.voucher import VoucherDraft
from zentry_web.domain.user import Actor, Role

pytestmark = pytest.mark.integration


@pytest.fixture
def voucher(cloud):
    admin = Actor("root", Role.ADMIN, proved_at=ALWAYS)
    return cloud.billing.vouchers.create(VoucherDraft(2_500_000, uses=3), actor=admin)[0]


@pytest.mark.parametrize("path", ["/credits", "/credits/redeem"])
@pytest.mark.parametrize("htmx", [False, True])
def test_the_form_is_there(as_alice, path, htmx):
    page = as_alice.page(path, htmx=htmx)
    form = page.one("//form[@action='/credits/redeem']")
    assert form.get("hx-post") == "/credits/redeem"
    assert page.one("//input[@name='request_key']").get("value")


@pytest.mark.parametrize("htmx", [False, True])
def test_a_code_tops_up_and_a_double_click_does_it_once(as_alice, cloud, alice, voucher, htmx):
    data = {"code": voucher.shown_code.lower(), "request_key": "one"}
    for _ in range(2):
        answer = as_alice.post("/credits/redeem", data, htmx=htmx)
        assert answer.status_code == (204 if htmx else 303)
        assert answer.headers["HX-Redirect" if htmx else "Location"] == "/credits"
    text = as_alice.page("/credits").text()
    for words in ("7.5000", "2.50 credits added", "Voucher", voucher.shown_code):
        assert words in text
    assert cloud.wallet(alice) == 7_500_000
    assert "Voucher redeemed" in as_alice.page("/account/notices").text()


@pytest.mark.error
@pytest.mark.parametrize("htmx", [False, True])
@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("", "Enter the code"), ("hello", "no voucher code"), ("0000-0000-0000", "no voucher with this code"),
        ("<b>x</b>", "no voucher code"), ("A" * 3000, "no voucher code"), ("\x00", "Enter the code"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_beside_the_field_and_the_code_is_kept(as_alice, typed, words, htmx):
    answer = as_alice.post("/credits/redeem", {"code": typed, "request_key": "k"}, htmx=htmx)
    assert answer.status_code == 400
    page = Page(answer.text, fragment=htmx)
    assert words in page.errors()["code"]
    assert (page.one("//input[@name='code']").get("value") or "") == typed.replace("\x00", "")
    assert page.one("//input[@name='request_key']").get("value") == "k"


@pytest.mark.error
def test_too_many_wrong_codes(as_alice, voucher):
    for number in range(20):
        as_alice.post("/credits/redeem", {"code": f"0000-0000-{number:04}"})
    answer = as_alice.post("/credits/redeem", {"code": voucher.code})
    assert answer.status_code == 429
    assert int(answer.headers["Retry-After"]) > 0
    page = Page(answer.text)
    assert "Too many attempts" in page.text()
    assert page.one("//input[@name='code']").get("value") == voucher.code


def test_a_link_may_bring_the_code(as_alice, cloud, alice, voucher):
    page = as_alice.page(f"/credits/redeem?code={voucher.shown_code}")
    assert page.one("//input[@name='code']").get("value") == voucher.shown_code
    assert cloud.wallet(alice) == 5_000_000
