"""/admin/settings, and what people see of them."""

import pytest

from tests.page import Page
from tests.services.people import acting
from zentry_web.domain.money import MICRO
from zentry_web.domain.setting import SettingKey

pytestmark = pytest.mark.integration

SIGNUP = {"name": "Ann", "email": "ann@example.com", "password": "correct horse battery"}


@pytest.fixture
def settings(container):
    return container.get_billing_service().settings


def version(page):
    return page.find("//input[@name='version']")[0].get("value")


def test_every_setting_has_a_page(as_admin):
    page = as_admin.page("/admin/settings")
    for key in SettingKey:
        assert page.find(f"//a[@href='/admin/settings/{key}']")
        assert "Never changed" in as_admin.page(f"/admin/settings/{key}").text()


@pytest.mark.parametrize(
    ("key", "typed", "shown"),
    [
        ("starting_credits", "2,5", "2.50"), ("grace_days", "7", "7"), ("signup", "invited", "By invitation"),
        ("signup_domains", "example.org\r\n.example.com", ".example.com, example.org"),
        ("quota_user_vms", "12", "12"), ("quota_user_memory_mib", "64 GiB", "64 GiB"),
        ("quota_user_vcpus", "none", "no limit"),
    ],
)  # fmt: skip
def test_a_setting_is_changed_seen_in_the_history_and_reset(as_admin, settings, key, typed, shown):
    url = f"/admin/settings/{key}"
    seen = version(as_admin.page(url))
    assert as_admin.post(url, {"value": typed, "version": seen}).status_code == 303
    assert shown in as_admin.page("/admin/settings").text()
    page = as_admin.page(url)
    (row,) = page.find("//section[@id='history']//tbody/tr")
    assert shown in "".join(row.itertext())
    assert "Admin" in "".join(row.itertext())
    assert as_admin.post(url, {"value": typed, "version": seen}).status_code == 409
    assert as_admin.post(f"{url}/reset", {"version": seen}).status_code == 409
    assert as_admin.post(f"{url}/reset", {"version": version(page)}).status_code == 303
    assert settings.get_setting(key).is_default
    assert "Changed the setting" in as_admin.page("/admin/audit?action=setting.").text()


@pytest.mark.error
@pytest.mark.parametrize(
    ("key", "typed"),
    [
        ("starting_credits", ""), ("starting_credits", "much"), ("starting_credits", "-1"), ("grace_days", "0"),
        ("grace_days", "x"), ("grace_days", "9" * 30), ("signup", "maybe"), ("signup_domains", "what?"),
        ("signup_domains", "x" * 30_001), ("quota_user_vms", ""), ("quota_user_vms", "-1"),
        ("quota_project_vms", "some"), ("quota_user_memory_mib", "64"),
    ],
)  # fmt: skip
def test_a_bad_form_says_so_and_keeps_what_was_typed(as_admin, settings, key, typed):
    answer = as_admin.post(f"/admin/settings/{key}", {"value": typed, "version": "0"})
    assert answer.status_code == 400
    page = Page(answer.text)
    assert set(page.errors()) == {"value"}
    if key != "signup":
        (field,) = page.find("//*[@name='value']")
        assert (field.get("value", "") if field.tag == "input" else field.text.strip()) == typed
    assert settings.get_setting(key).is_default


@pytest.mark.error
def test_there_is_no_such_setting(as_admin):
    assert as_admin.get("/admin/settings/none").status_code == 404
    assert as_admin.post("/admin/settings/none", {"value": "1"}).status_code == 404
    assert as_admin.post("/admin/settings/none/reset").status_code == 404


@pytest.mark.error
def test_money_asks_who_it_is_again(as_admin, settings, clock):
    clock.advance(400)
    answer = as_admin.post("/admin/settings/starting_credits", {"value": "1", "version": "0"})
    assert answer.status_code == 303
    assert answer.headers["Location"].startswith("/account/confirm")
    assert settings.get_setting("starting_credits").is_default
    assert as_admin.post("/admin/settings/grace_days", {"value": "7", "version": "0"}).status_code == 303
    assert settings.number(SettingKey.GRACE_DAYS) == 7


def test_what_new_accounts_get_is_said(visitor, settings):
    settings.change("starting_credits", 3 * MICRO, 0)
    assert "3.00 credits" in visitor.page("/signup").text()
    assert "3.00 credits" in visitor.page("/").text()


def test_a_domain_is_refused_on_its_field(visitor, settings):
    settings.change("signup_domains", ".example.org", 0)
    answer = visitor.post("/signup", SIGNUP)
    assert answer.status_code == 400
    page = Page(answer.text)
    assert "….example.org" in page.errors()["email"]
    assert page.one("//input[@name='email']").get("value") == SIGNUP["email"]


def test_nobody_signs_up_where_it_is_closed(visitor, settings):
    settings.change("signup", "closed", 0)
    page = visitor.page("/signup")
    assert "Nobody can sign up here" in page.text()
    assert page.find("//input[@name='email']") == []
    answer = visitor.post("/signup", SIGNUP)
    assert answer.status_code == 409
    assert "Nobody can sign up here" in Page(answer.text).text()


def test_who_is_invited_signs_up_by_the_link(visitor, container, settings, alice, project):
    invitations = container.get_project_service().invitations
    settings.change("signup", "invited", 0)
    assert "by invitation" in visitor.page("/signup").text()
    made = invitations.invite(project.id, {"email": "ann@example.com", "role": "viewer"}, actor=acting(alice))
    visitor.page(f"/invitations/{made.secret}")
    assert visitor.page("/signup").find("//input[@name='email']")
    answer = visitor.post("/signup", SIGNUP)
    assert (answer.status_code, answer.headers["Location"]) == (303, f"/invitations/{made.secret}")
