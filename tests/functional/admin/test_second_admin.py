"""Every route by which an admin could create or move credits or money, found by walking all of them.

A new route fails here until it is listed; so does a new place in the services that posts to the ledger.
"""

import ast

import pytest
from sqlalchemy import func, select

from tests.conftest import PASSWORD, ROOT
from tests.functional.conftest import Browser
from tests.functional.estate import Estate
from tests.functional.test_route_matrix import RULES
from tests.services.payment_world import Till
from zentry_web.domain.credits.billing import TransferKind
from zentry_web.domain.setting import DEFINITIONS
from zentry_web.models import DbApproval, DbPaymentRefund, DbSetting, DbTransfer, DbVoucher
from zentry_web.services.billing.ledger import posting as ledger

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

LARGE = "5000"  # credits: more than one admin may move alone
BY_HAND = (
    TransferKind.GRANT,
    TransferKind.PROMOTION,
    TransferKind.DEDUCTION,
    TransferKind.REFUND,
    TransferKind.VOUCHER,
)
# endpoint: the form that moves a large amount by it
MOVING = {
    "admin.user": {"direction": "add", "amount": LARGE, "description": "x", "idempotency_key": "walk"},
    "admin.run_bulk": {"action": "grant", "amount": LARGE, "description": "x", "key": "k" * 20},
    "admin.refund": {"amount": "0.001", "description": "x", "idempotency_key": "walk"},
    "admin.make_vouchers": {"value": "1", "count": "500", "uses": "1000", "idempotency_key": "k"},
    "admin.payment": {"amount": LARGE, "reason": "x", "idempotency_key": "k"},
    "admin.setting": {"value": LARGE, "version": "0"},
    "admin.reset_setting": {"version": "1"},
}
# These do what was asked for, or take it back: tests/functional/admin/test_approvals.py.
DECIDING = {"admin.approve", "admin.refuse"}
# All others that change something. Nothing is given or taken by them, whatever is sent along.
OTHERS = {
    "admin.disable_user", "admin.enable_user", "admin.password_link", "admin.view_as", "admin.bulk", "admin.add_note",
    "admin.remove_note", "admin.change_role", "admin.reset_password", "admin.end_user_sessions",
    "admin.end_user_session", "admin.revoke_invitation", "admin.order_vms", "admin.offer_size", "admin.price",
    "admin.storage_price",
    "admin.new_prices", "admin.price_change", "admin.publish_prices", "admin.discard_prices",
    "admin.withdraw_prices", "admin.offer_image", "admin.new_size", "admin.new_image", "admin.edit_image",
    "admin.build_image", "admin.end_version", "admin.renew_version",
    "admin.revoke_voucher", "admin.new_announcement", "admin.announcement", "admin.end_announcement", "admin.quotas",
    "admin.remove_stray", "admin.adopt_stray", "admin.add_tax", "admin.remove_tax", "admin.test_mail",
}  # fmt: skip
ANYTHING = {
    "amount": LARGE, "value": LARGE, "minor": "500000", "count": "9", "uses": "9", "direction": "add", "reason": "x",
    "description": "x", "action": "grant", "role": "user", "key": "k" * 20, "version": "0", "title": "x", "text": "x",
    "body": "x", "running": "1", "disk": "1", "confirm": "yes", "idempotency_key": "other",
}  # fmt: skip
# Where the ledger is posted to, and what posts by hand: by whose word.
POSTING = {
    "services/billing/ledger/by_hand.py ByHandPosting.post": "its callers, below",
    "services/billing/usage/holds.py": "Zentry, for machines",
    "services/billing/usage/settlement.py": "Zentry, for usage",
    "services/billing/usage/expiries.py Promotions._expire": "Zentry, by the clock",
    "services/billing/payments/book.py PaymentBook._post": "the payment provider",
    "services/billing/payments/vouchers.py Vouchers._post": "whoever redeems",
    "services/billing_service.py BillingService.grant_starting_credits": "the setting",
    "services/billing/books/refunds.py Refunds.post": "approvals",
    "services/billing/books/approvals.py Approvals._post": "the second admin's rule",
    "demo/funds.py": "the command line",
}


@pytest.fixture
def estate(cloud, alice, admin, project, machine):
    return Estate(cloud, alice, admin, project, machine)


@pytest.fixture
def as_boss(web, container, estate, admin):
    """One of two admins, logged in just now."""
    auth = container.get_auth_service()
    auth.redeem_link(auth.create_admin("second@example.com", "Second"), PASSWORD)
    return Browser(web).log_in(admin)


def moved(container):
    """What must not grow by one admin's word."""
    with container.database.reading() as session:
        by_hand = DbTransfer.kind.in_(BY_HAND)
        return {
            "transfers": session.scalars(select(DbTransfer.id).where(by_hand)).all(),
            "vouchers": session.scalar(select(func.count()).select_from(DbVoucher)),
            "refunds": session.scalars(select(DbPaymentRefund.id)).all(),
            "settings": session.scalars(select(DbSetting.version).order_by(DbSetting.key)).all(),
        }


def waiting(container):
    with container.database.reading() as session:
        return set(session.scalars(select(DbApproval.id)))


def rule_of(web, endpoint):
    return next(rule for rule in web.url_map.iter_rules() if rule.endpoint == endpoint)


def test_every_route_of_admins_that_changes_something_is_known():
    found = {name for name, (_, methods) in RULES.items() if name.startswith("admin.") and "POST" in methods}
    assert found == set(MOVING) | DECIDING | OTHERS, "does it give or take credits or money? then to MOVING"


def addresses(web, container, estate, endpoint):
    """The address of a route as often as it does something of its own, with what has to be there before."""
    billing = container.get_billing_service()
    if endpoint == "admin.payment":
        return [estate.address(web, rule_of(web, endpoint), payment_id=Till(container, estate.alice).pay(9000).id)]
    if endpoint in ("admin.setting", "admin.reset_setting"):
        money = [key for key, definition in DEFINITIONS.items() if definition.is_money]
        assert len(money) == 3
        if endpoint == "admin.reset_setting":
            for key in money:
                billing.settings.change(key, 1, 0)
        return [estate.address(web, rule_of(web, endpoint), setting_key=key) for key in money]
    if endpoint == "admin.refund":
        billing.settings.change("approval_credits", 0, 0)
    return [estate.address(web, rule_of(web, endpoint))]


@pytest.mark.asvs("2.3.5")
@pytest.mark.parametrize("endpoint", MOVING)
def test_a_large_amount_waits_by_whatever_route(web, container, estate, as_boss, endpoint):
    for url in addresses(web, container, estate, endpoint):
        before, asked = moved(container), waiting(container)
        data = MOVING[endpoint] | ({"id": estate.alice.id} if endpoint == "admin.run_bulk" else {})
        if "signups_per_hour" in url:
            data |= {"value": "500"}
        answer = as_boss.post(url, data)
        assert answer.status_code in (200, 303), (url, answer.text[:300])
        assert "/account/confirm" not in answer.headers.get("Location", "")
        assert moved(container) == before, url
        assert len(waiting(container) - asked) == 1, url


@pytest.mark.asvs("2.3.5")
def test_a_large_promotion_waits_as_a_grant_does(web, container, estate, as_boss):
    before, asked = moved(container), waiting(container)
    (url,) = addresses(web, container, estate, "admin.user")
    as_boss.post(url, MOVING["admin.user"] | {"direction": "promote", "last_day": "2027-06-30"})
    assert (moved(container), len(waiting(container) - asked)) == (before, 1)


@pytest.mark.asvs("7.5.3")
@pytest.mark.parametrize("endpoint", MOVING)
def test_without_a_fresh_proof_nothing_is_moved_nor_asked_for(web, container, clock, estate, as_boss, endpoint):
    urls = addresses(web, container, estate, endpoint)
    clock.advance(minutes=6)
    for url in urls:
        before, asked = moved(container), waiting(container)
        data = MOVING[endpoint] | ({"id": estate.alice.id} if endpoint == "admin.run_bulk" else {})
        for amount in (data, {name: "1" if value == LARGE else value for name, value in data.items()}):
            answer = as_boss.post(url, amount)
            assert answer.status_code == 303, url
            assert answer.headers["Location"].startswith("/account/confirm"), url
        assert (moved(container), waiting(container)) == (before, asked), url


@pytest.mark.asvs("2.3.5")
def test_by_no_other_route_of_anybody_is_anything_given_or_taken(web, container, estate, as_boss, monkeypatch):
    posted, post = [], ledger.post

    def spy(session, drafts, now):
        drafts = list(drafts)
        posted.extend(draft for draft in drafts if draft.kind in BY_HAND)
        return post(session, drafts, now)

    monkeypatch.setattr(ledger, "post", spy)
    before, tried = moved(container), 0
    leaving = {"auth.logout", "account.leave", "admin.view_as"}  # after these the session is another one
    for endpoint, (_, methods) in RULES.items():
        if "POST" not in methods or endpoint in {*MOVING, *DECIDING, *leaving} or endpoint.startswith("auth."):
            continue
        try:
            url = estate.address(web, rule_of(web, endpoint))
        except KeyError:
            continue  # a provider's webhook and the like: no admin's
        with as_boss.post(url, ANYTHING) as answer:  # some answer with a file
            assert answer.status_code < 500, url
        tried += 1
    assert tried > 90
    assert [(draft.kind, draft.reason) for draft in posted] == []
    assert moved(container) == before


def places():
    """Every place in the sources that posts to the ledger, or by hand."""
    found = set()
    for path in sorted((ROOT / "zentry_web").rglob("*.py")):
        tree, name = ast.parse(path.read_text()), path.relative_to(ROOT / "zentry_web").as_posix()
        owners = {}
        for parent in ast.walk(tree):
            if isinstance(parent, ast.ClassDef):
                for method in (node for node in parent.body if isinstance(node, ast.FunctionDef)):
                    owners |= {id(node): f"{parent.name}.{method.name}" for node in ast.walk(method)}
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func)
            if called == "post" or (
                called.endswith(".post") and not called.endswith(("blueprint.post", "requests.post"))
            ):
                owner = owners.get(id(node), "")
                found.add(f"{name} {owner}" if owner and not name.endswith(("holds.py", "demo/funds.py")) else name)
    return found


def test_every_place_that_posts_is_known_and_answers_to_the_rule():
    assert places() == set(POSTING)
