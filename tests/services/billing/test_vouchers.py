"""Vouchers on both databases: as often as they may, once per person, and what refuses them."""

import csv
import io
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DatabaseError

from tests.conftest import PASSWORD
from tests.services.people import ALWAYS, acting, events_of
from zentry_web.adapters.letters import Letters, MailSettings
from zentry_web.domain.credits.billing import TransferKind
from zentry_web.domain.credits.voucher import VoucherDraft, VoucherFilter, VoucherState
from zentry_web.domain.user import Actor, Role
from zentry_web.domain.vms.state import VMState
from zentry_web.models import DbVoucher, DbVoucherRedemption
from zentry_web.services.base_service import Core
from zentry_web.services.billing.payments.vouchers import Vouchers
from zentry_web.services.errors import (
    ConflictError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitedError,
    ValidationError,
)
from zentry_web.services.shared.notices import Notices
from zentry_web.web.output.targets import path_of

pytestmark = pytest.mark.integration

ADMIN = Actor("root", Role.ADMIN, proved_at=ALWAYS)
ALL = VoucherFilter()


@pytest.fixture
def vouchers(container):
    return container.get_billing_service().vouchers


def make(vouchers, value=2_000_000, **draft):
    return vouchers.create(VoucherDraft(value, **draft), actor=ADMIN)


def wallet(container, user):
    return container.get_billing_service().get_user_credits(user.id)


def refusal(vouchers, user, code):
    with pytest.raises(ValidationError) as refused:
        vouchers.redeem(user.id, code, actor=acting(user))
    return refused.value.details["code"]


def test_a_voucher_adds_its_value_and_says_so(container, core, vouchers, alice):
    (voucher,) = make(vouchers, note=" For  Ada ")
    assert voucher.note == "For Ada"
    got = vouchers.redeem(alice.id, f" {voucher.shown_code.lower()} ", actor=acting(alice))
    assert wallet(container, alice) == 7_000_000
    newest = container.get_billing_service().list_transactions(alice.id, actor=acting(alice))[0]
    assert (newest.id, newest.kind, newest.amount_micro) == (got.transfer_id, TransferKind.VOUCHER, 2_000_000)
    assert voucher.shown_code in newest.reason
    notice = container.get_billing_service().notices.list_notices(alice.id)[0]
    assert (notice.kind, notice.title) == ("voucher", "Voucher redeemed: 2.00 credits")
    assert got.transfer_id in notice.body
    (event,) = events_of(core, "voucher.redeem")
    assert (event.actor_id, event.owner_id, event.details["amount"]) == (alice.id, alice.id, 2_000_000)
    assert voucher.code not in str(event.details)
    assert vouchers.get_voucher(voucher.id).state(core.clock.now()) == VoucherState.USED_UP
    assert not [check for check in container.get_billing_service().verify() if not check.ok]


def test_a_receipt_is_mailed(container, alice):
    core = container.parts.core
    notices = Notices(replace(core, mail=MailSettings(True, Letters("https://cloud.example.com", path_of))))
    vouchers = Vouchers(core, notices)
    (voucher,) = make(vouchers)
    vouchers.redeem(alice.id, voucher.code, actor=acting(alice))
    mail = notices.claim_mail()
    assert mail.to_address == alice.email
    assert "2.00 credits" in mail.subject
    assert "https://cloud.example.com/credits" in mail.body


def test_the_same_form_twice_is_one_effect_and_the_same_answer(container, vouchers, alice):
    (voucher,) = make(vouchers, uses=5)
    first, second = (
        vouchers.redeem(alice.id, voucher.code, actor=acting(alice), request_key="form-1") for _ in range(2)
    )
    assert first == second
    assert wallet(container, alice) == 7_000_000
    assert vouchers.get_voucher(voucher.id).used == 1
    assert "already" in refusal(vouchers, alice, voucher.code)


@pytest.mark.error
def test_each_refusal_has_its_sentence(container, core, vouchers, alice, bob, clock):
    soon = clock.now() + timedelta(hours=1)
    (expiring,), (single,), (revoked,) = make(vouchers, expires_at=soon), make(vouchers), make(vouchers)
    vouchers.redeem(alice.id, single.code, actor=acting(alice))
    vouchers.revoke(revoked.id, actor=ADMIN)
    vouchers.revoke(revoked.id, actor=ADMIN)
    assert len(events_of(core, "voucher.revoke")) == 1
    clock.set(soon)
    assert "no longer valid" in refusal(vouchers, bob, revoked.code)
    assert "expired" in refusal(vouchers, bob, expiring.code)
    assert "used up" in refusal(vouchers, bob, single.code)
    assert "already" in refusal(vouchers, alice, single.code)
    assert "no voucher with this code" in refusal(vouchers, bob, "0000-0000-0000")
    for typed in ("", None, "ABCD", "ABCD-EFGH-JKM!", "U" * 12, "A" * 5000):
        assert "code" in refusal(vouchers, bob, typed)
    assert wallet(container, bob) == 5_000_000


def test_a_second_before_its_end_it_still_works(container, vouchers, alice, clock):
    (voucher,) = make(vouchers, expires_at=clock.now() + timedelta(hours=1))
    clock.advance(3599)
    vouchers.redeem(alice.id, voucher.code, actor=acting(alice))
    assert wallet(container, alice) == 7_000_000


@pytest.mark.error
def test_guessing_is_slowed_down_and_right_codes_are_not(vouchers, alice, bob, clock):
    for voucher in make(vouchers, count=25):
        vouchers.redeem(alice.id, voucher.code, actor=acting(alice))
    for number in range(20):
        refusal(vouchers, alice, f"0000-0000-{number:04}")
    (voucher,) = make(vouchers)
    with pytest.raises(RateLimitedError) as refused:
        vouchers.redeem(alice.id, voucher.code, actor=acting(alice))
    vouchers.redeem(bob.id, voucher.code, actor=acting(bob))
    clock.advance(refused.value.details["retry_after"])
    assert "used up" in refusal(vouchers, alice, voucher.code)


@pytest.mark.error
def test_somebody_else_cannot_redeem_for_a_person(vouchers, alice, bob):
    (voucher,) = make(vouchers)
    with pytest.raises(NotFoundError):
        vouchers.redeem(alice.id, voucher.code, actor=acting(bob))


# -- admins -------------------------------------------------------------------------------------


def test_a_batch_has_different_codes_and_is_made_once(core, vouchers):
    draft = VoucherDraft(1_000_000, count=1000, note="course")
    made = vouchers.create(draft, actor=ADMIN, idempotency_key="form")
    again = vouchers.create(draft, actor=ADMIN, idempotency_key="form")
    assert len({voucher.code for voucher in made}) == 1000
    assert made == again
    (event,) = events_of(core, "voucher.create")
    assert (event.details["count"], event.details["amount"]) == (1000, 1_000_000)
    with pytest.raises(ConflictError):
        vouchers.create(VoucherDraft(2_000_000, count=1000, note="course"), actor=ADMIN, idempotency_key="form")


@pytest.mark.asvs("2.2.3")
@pytest.mark.error
@pytest.mark.parametrize(
    ("draft", "field"),
    [
        ({"value": 0}, "value_micro"), ({"value": -1}, "value_micro"), ({"value": 1.5}, "value_micro"),
        ({"count": 0}, "count"), ({"count": 1001}, "count"), ({"uses": 0}, "uses"), ({"uses": 10**7}, "uses"),
        ({"note": "x" * 201}, "note"), ({"ago": 1}, "expires_at"), ({"ago": -200 * 365 * 86400}, "expires_at"),
    ],
)  # fmt: skip
def test_a_draft_that_makes_no_sense_is_refused(vouchers, clock, draft, field):
    if "ago" in draft:
        draft = {"expires_at": clock.now() - timedelta(seconds=draft["ago"])}
    with pytest.raises(ValidationError) as refused:
        make(vouchers, **draft)
    assert set(refused.value.details) == {field}


@pytest.mark.error
def test_only_admins(vouchers, alice):
    (voucher,) = make(vouchers)
    for call in (
        lambda: vouchers.create(VoucherDraft(1), actor=acting(alice)),
        lambda: vouchers.list_vouchers(ALL, actor=acting(alice)),
        lambda: vouchers.get_voucher(voucher.id, actor=acting(alice)),
        lambda: vouchers.revoke(voucher.id, actor=acting(alice)),
        lambda: vouchers.export_csv(ALL, actor=acting(alice)),
    ):
        with pytest.raises(PermissionDeniedError):
            call()
    for call in (vouchers.get_voucher, vouchers.revoke):
        with pytest.raises(NotFoundError):
            call("vch_none", actor=ADMIN)


def test_looking_for_vouchers(vouchers, alice, clock):
    (spring,) = make(vouchers, note="Spring 50%")
    (brief,) = make(vouchers, note="brief", expires_at=clock.now() + timedelta(hours=1))
    (gone,) = make(vouchers, note="gone")
    (used,) = make(vouchers, note="used")
    vouchers.revoke(gone.id, actor=ADMIN)
    vouchers.redeem(alice.id, used.code, actor=acting(alice))
    clock.advance(3600)
    states = {
        VoucherState.OPEN: spring, VoucherState.EXPIRED: brief, VoucherState.REVOKED: gone, VoucherState.USED_UP: used
    }  # fmt: skip
    for state, voucher in states.items():
        (found,) = vouchers.list_vouchers(VoucherFilter(state=state), actor=ADMIN)
        assert (found.id, found.state(clock.now())) == (voucher.id, state)
    for search in ("spring", "50%", spring.shown_code.lower(), spring.code[3:9], spring.id):
        assert [one.id for one in vouchers.list_vouchers(VoucherFilter(search), actor=ADMIN)] == [spring.id]
    assert vouchers.list_vouchers(VoucherFilter("a%b"), actor=ADMIN) == []
    assert [one.id for one in vouchers.list_vouchers(VoucherFilter(batch_id=brief.batch_id), actor=ADMIN)] == [brief.id]


def test_pages_by_key_show_each_voucher_once(vouchers):
    made = {voucher.id for voucher in make(vouchers, count=7)}
    seen, before = [], None
    while page := vouchers.list_vouchers(ALL, actor=ADMIN, before=before, limit=3):
        seen += [voucher.id for voucher in page]
        before = seen[-1]
    assert len(seen) == 7
    assert set(seen) == made


@pytest.mark.asvs("1.2.10")
def test_the_export_has_every_code_and_no_formula(core, vouchers, clock):
    make(vouchers, note="other")
    (voucher,) = make(vouchers, note='=HYPERLINK("http://x")', uses=3, expires_at=clock.now() + timedelta(days=1))
    rows = list(csv.DictReader(io.StringIO(vouchers.export_csv(VoucherFilter(batch_id=voucher.batch_id), actor=ADMIN))))
    assert [row["code"] for row in rows] == [voucher.shown_code]
    assert (rows[0]["value"], rows[0]["uses"], rows[0]["state"]) == ("2.00", "3", "open")
    assert rows[0]["expires"] == "2026-11-24T10:00:00Z"
    assert rows[0]["note"].startswith("'=")
    assert len(vouchers.export_csv(ALL, actor=ADMIN).splitlines()) == 3
    assert [event.details["count"] for event in events_of(core, "voucher.export")] == [1, 2]


# -- what else it does --------------------------------------------------------------------------


def test_a_voucher_starts_again_what_credits_had_stopped(cloud, alice):
    project = cloud.project(alice)
    cloud.set_wallet(alice, 210_000)
    vm = cloud.launch(alice, project, size="size_large")
    while cloud.vm(vm).state != VMState.STOPPED:
        cloud.round(cloud.stride(vm, 5))
        cloud.land()
    (voucher,) = make(cloud.billing.vouchers)
    cloud.land()
    assert cloud.vm(vm).state == VMState.STOPPED
    cloud.billing.vouchers.redeem(alice.id, voucher.code, actor=acting(alice))
    cloud.land()
    assert cloud.vm(vm).state == VMState.RUNNING
    assert cloud.row(vm).credit_stopped_at is None
    cloud.assert_sound()


def test_a_statement_counts_it_as_a_top_up(container, vouchers, alice, clock):
    (voucher,) = make(vouchers)
    vouchers.redeem(alice.id, voucher.code, actor=acting(alice))
    clock.advance(days=10)
    statement = container.get_billing_service().statements.close_month(alice.id)
    assert [credit.amount_micro for credit in statement.top_ups] == [2_000_000]
    assert (statement.closing_micro, statement.adds_up) == (7_000_000, True)


@pytest.mark.error
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE voucher SET value = value + 1", "UPDATE voucher SET uses = uses + 1", "UPDATE voucher SET code = 'X'",
        "DELETE FROM voucher", "UPDATE voucher_redemption SET at = at + 1", "DELETE FROM voucher_redemption",
    ],
)  # fmt: skip
def test_the_database_refuses_changes_to_what_was_promised(container, vouchers, alice, statement):
    (voucher,) = make(vouchers, uses=2)
    vouchers.redeem(alice.id, voucher.code, actor=acting(alice))
    with pytest.raises(DatabaseError, match="append-only"), container.database.engine.begin() as connection:
        connection.execute(text(statement))


@pytest.mark.error
def test_the_database_refuses_more_uses_than_there_are(container, vouchers):
    make(vouchers)
    with pytest.raises(DatabaseError, match="used_within_uses"), container.database.engine.begin() as connection:
        connection.execute(text("UPDATE voucher SET used = 2"))


@pytest.mark.asvs("2.3.3", "16.5.3")
def test_a_crash_before_the_commit_leaves_nothing(container, alice):
    class Crash(BaseException):
        pass

    def stumble(name):
        if name == "redeem.written":
            raise Crash

    core = container.parts.core
    vouchers = Vouchers(Core(core.database, core.clock, stumble), Notices(core))
    (voucher,) = make(vouchers)
    with pytest.raises(Crash):
        vouchers.redeem(alice.id, voucher.code, actor=acting(alice))
    assert wallet(container, alice) == 5_000_000
    with core.database.reading() as session:
        assert session.scalars(select(DbVoucherRedemption)).all() == []
        assert session.scalars(select(DbVoucher.used)).one() == 0


@pytest.mark.asvs("2.3.5")
def test_vouchers_are_no_way_around_the_second_admin(container, clock, alice, bob):
    vouchers = container.get_billing_service().vouchers
    thousand = 1_000_000_000  # what an admin may give one person in a day without another
    small = make(vouchers, 1, uses=2)[0]
    clock.advance(24 * 3600 + 1)
    (large,) = make(vouchers, thousand)
    clock.advance(24 * 3600 + 1)
    (third,) = make(vouchers, thousand)
    vouchers.redeem(alice.id, small.code, actor=acting(alice))
    assert "24 hours" in refusal(vouchers, alice, large.code), "split below it"
    vouchers.redeem(bob.id, small.code, actor=acting(bob))
    clock.advance(24 * 3600 + 1)
    vouchers.redeem(alice.id, large.code, actor=acting(alice))
    assert "24 hours" in refusal(vouchers, alice, third.code)
    (own,) = vouchers.create(VoucherDraft(value_micro=2 * thousand))  # the command line, and Zentry itself
    vouchers.redeem(alice.id, own.code, actor=acting(alice))


@pytest.mark.asvs("2.3.5")
def test_nobody_redeems_a_voucher_that_they_made_unless_they_are_the_only_admin(container, alice, bob):
    auth, vouchers = container.get_auth_service(), container.get_billing_service().vouchers
    root = auth.redeem_link(auth.create_admin("root@example.com", "Root"), PASSWORD).user
    maker = Actor(root.id, Role.ADMIN, proved_at=ALWAYS)
    first, second = vouchers.create(VoucherDraft(2_000_000, count=2), actor=maker)
    vouchers.redeem(root.id, first.code, actor=maker)
    auth.create_admin("second@example.com", "Second")
    before = wallet(container, root)
    assert "You made this voucher yourself" in refusal(vouchers, root, second.code)
    assert wallet(container, root) == before
    vouchers.redeem(alice.id, second.code, actor=acting(alice))
