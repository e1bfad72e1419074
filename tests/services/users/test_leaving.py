"""All of one's data, and the end of an account."""

import io
import json
import zipfile

import pytest
from sqlalchemy import select

from tests.conftest import PASSWORD
from tests.services.people import acting, events_of, join, visitor
from zentry_web.domain.credits.voucher import VoucherDraft
from zentry_web.domain.people.token import TokenScope
from zentry_web.models import DbUser
from zentry_web.services.errors import (
    AccountLeavingError,
    AuthenticationRequiredError,
    ConflictError,
    NotFoundError,
    RateLimitedError,
    ValidationError,
)

pytestmark = pytest.mark.integration


@pytest.fixture
def users(container):
    return container.get_user_service()


def take(users, user):
    """The files of an export by name, parsed."""
    file = io.BytesIO()
    users.export.write(user.id, file, actor=acting(user))
    with zipfile.ZipFile(file) as archive:
        assert archive.testzip() is None
        return {
            name.removesuffix(".json"): json.loads(archive.read(name))
            for name in archive.namelist()
            if name.endswith(".json")
        }


@pytest.mark.asvs("14.2.4")
def test_the_export_has_all_that_is_mine_and_nothing_of_others(users, cloud, container, alice, bob, admin):
    project = cloud.project(alice, "Website")
    cloud.launch(alice, project, "web-1")
    cloud.launch(bob, cloud.project(bob, "Secret plans"), "bobs")
    container.get_auth_service().login({"email": alice.email, "password": PASSWORD}, actor=visitor())
    users.set_disabled(alice.id, True, actor=acting(admin, "192.0.2.99"))
    users.set_disabled(alice.id, False, actor=acting(admin, "192.0.2.99"))
    billing = container.get_billing_service()
    billing.budgets.set_budget(project.id, 7_000_000, (80,), hard_cap=False)
    (voucher,) = billing.vouchers.create(VoucherDraft(1_000_000, uses=2))
    for user in (alice, bob):
        billing.vouchers.redeem(user.id, voucher.code)
    data = take(users, alice)
    assert [row["amount"] for row in data["budgets"]] == [7_000_000]
    assert [row["voucher_id"] for row in data["vouchers"]] == [voucher.id]
    assert [row["email"] for row in data["account"]] == [alice.email]
    assert [row["name"] for row in data["machines"]] == ["web-1"]
    assert [row["name"] for row in data["projects"]] == ["Website"]
    assert {row["owner_id"] for row in data["transfers"]} == {alice.id}
    assert sum(row["amount"] for row in data["entries"]) == 6_000_000
    assert data["sessions"]
    text = json.dumps(data)
    for foreign in (bob.id, "bobs", "Secret plans", "192.0.2.99", "$argon2", "_hash"):
        assert foreign not in text.replace("personal_hash", ""), foreign
    assert json.dumps(take(users, bob)).count(alice.id) == 0


@pytest.mark.asvs("15.2.2")
@pytest.mark.error
def test_an_export_is_ones_own_and_not_for_every_minute(users, alice, bob):
    with pytest.raises(NotFoundError):
        users.export.write(alice.id, io.BytesIO(), actor=acting(bob))
    for _ in range(5):
        take(users, alice)
    with pytest.raises(RateLimitedError):
        take(users, alice)


@pytest.mark.asvs("7.4.2")
def test_an_account_is_deleted_after_seven_days_with_all_that_is_in_it(
    users, cloud, container, clock, alice, bob, core
):
    cloud.launch(alice, cloud.project(alice, "Website"), "web-1")
    left = users.closure.preview(alice.id, actor=acting(alice))
    assert (left.at, left.vms, left.projects) == (None, 1, 1)
    at = users.closure.request(alice.id, PASSWORD, actor=acting(alice))
    assert users.closure.request(alice.id, PASSWORD, actor=acting(alice)) == at, "asking twice is asking once"
    (told,) = container.get_billing_service().notices.list_notices(alice.id)
    assert "deleted" in told.title
    clock.advance(days=6, hours=23)
    assert users.closure.list_due() == []
    clock.advance(hours=1)
    assert users.closure.list_due() == [alice.id]
    users.close_account(alice.id)
    with pytest.raises(AuthenticationRequiredError):
        container.get_auth_service().login({"email": alice.email, "password": PASSWORD}, actor=visitor())
    assert users.closure.list_due() == [alice.id], "its machine is being deleted"
    users.close_account(alice.id)
    cloud.worker.work()
    users.close_account(alice.id)
    assert users.closure.list_due() == []
    with core.database.reading() as session:
        row = session.scalars(select(DbUser).where(DbUser.id == alice.id)).one()
        assert (row.name, row.password_hash, row.deletion_at) == ("Erased account", None, None)
    assert container.get_vm_service().list_vms(alice.id).total == 0
    assert container.get_project_service().list_projects(alice.id) == []
    assert len(events_of(core, "user.erased")) == 1
    assert [check for check in container.get_billing_service().verify() if not check.ok] == []
    assert users.get_user(bob.id).name == "Bob"


def test_it_can_be_called_off(users, clock, alice):
    users.closure.request(alice.id, PASSWORD, actor=acting(alice))
    users.closure.call_off(alice.id, actor=acting(alice))
    users.closure.call_off(alice.id, actor=acting(alice))
    clock.advance(days=8)
    assert users.closure.list_due() == []


def test_nothing_new_begins_meanwhile_and_other_sessions_and_tokens_end(users, cloud, container, alice, bob):
    auth, projects = container.get_auth_service(), container.get_project_service()
    project = cloud.project(alice, "Website")
    machine = cloud.launch(alice, project, "web-1")
    join(container, project, bob, "member")
    here, there = (auth.login({"email": alice.email, "password": PASSWORD}).session_token for _ in range(2))
    token = auth.tokens.create_personal(alice.id, "Backup", [TokenScope.VMS_READ.value], 30, actor=acting(alice))
    pair = auth.tokens.issue({"email": alice.email, "password": PASSWORD})
    users.closure.request(alice.id, PASSWORD, actor=acting(alice), session_token=here)
    assert auth.get_session(here) is not None
    assert auth.get_session(there) is None
    assert [auth.tokens.find_user(secret) for secret in (token, pair.access_token)] == [None, None]
    with pytest.raises(AuthenticationRequiredError):
        auth.tokens.refresh(pair.refresh_token)
    with pytest.raises(AccountLeavingError) as caught:
        projects.create_project({"name": "More"}, alice, actor=acting(alice))
    assert caught.value.details == {"own": True}
    for who in (alice, bob):
        with pytest.raises(AccountLeavingError) as caught:
            cloud.ask(who, project, "web-2")
        assert caught.value.details == {"own": who is alice}
    assert cloud.vm(machine).is_on, "what there is goes on"
    cloud.launch(bob, cloud.project(bob, "His own"), "his")
    users.closure.call_off(alice.id, actor=acting(alice))
    assert projects.create_project({"name": "More"}, alice, actor=acting(alice)).name == "More"
    assert cloud.ask(alice, project, "web-2").name == "web-2"


@pytest.mark.asvs("7.5.3")
@pytest.mark.error
def test_it_takes_the_password_ones_own_account_and_another_admin(users, alice, bob, admin):
    with pytest.raises(ValidationError) as caught:
        users.closure.request(alice.id, "wrong", actor=acting(alice))
    assert set(caught.value.details) == {"password"}
    for call in (users.closure.preview, users.closure.call_off):
        with pytest.raises(NotFoundError):
            call(alice.id, actor=acting(bob))
    with pytest.raises(NotFoundError):
        users.closure.request(alice.id, PASSWORD, actor=acting(bob))
    with pytest.raises(ConflictError):
        users.closure.request(admin.id, PASSWORD, actor=acting(admin))
