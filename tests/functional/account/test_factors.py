"""/account/factors and /account/confirm: setting factors up, taking them away, and proving who it is before."""

import re

import pytest

from tests.conftest import PASSWORD, make_config
from tests.functional.conftest import Browser
from tests.page import Page
from tests.services.people import acting
from tests.services.second_factors import App, set_up_app
from zentry_web.composition import build_container
from zentry_web.web.services import EXTENSION

pytestmark = pytest.mark.integration
NEEDED = "/account/factors/needed"


def begin(browser, clock):
    """The setup page: its hidden secret, and the app that scanned the picture."""
    page = browser.page("/account/factors/app")
    assert page.one("//img[@class='z-qr']").get("src").startswith("data:image/svg+xml")
    key = re.search(r'data-copy="([A-Z2-7]{32})"', page.html)[1]
    return page.one("//input[@name='sealed']").get("value"), App(key, clock)


def codes_in(text):
    return re.findall(r"[A-Z2-9]{4}(?:-[A-Z2-9]{4}){3}", text)


def kept_them(answer):
    """Where it goes on from the recovery codes."""
    return Page(answer.text).one("//a[contains(., 'I have kept them')]").get("href")


@pytest.mark.parametrize("htmx", [False, True])
def test_an_app_is_set_up_and_the_codes_are_shown_once(as_alice, clock, htmx):
    assert "Only your password" in as_alice.get("/account/security").text
    sealed, app = begin(as_alice, clock)
    answer = as_alice.post("/account/factors/app", {"sealed": sealed, "code": app.code()})
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    assert len(set(codes_in(answer.text))) == 10
    page = as_alice.page("/account/security")
    assert "Authenticator app" in page.text()
    assert "10 left" in page.text()
    assert codes_in(page.html) == []
    again = as_alice.post("/account/factors/codes", htmx=htmx)
    assert len(set(codes_in(again.text))) == 10


def test_a_wrong_code_keeps_the_same_picture(as_alice, clock):
    sealed, app = begin(as_alice, clock)
    answer = as_alice.post("/account/factors/app", {"sealed": sealed, "code": "000000"})
    assert answer.status_code == 400
    page = Page(answer.text)
    assert set(page.errors()) == {"code"}
    kept = page.one("//input[@name='sealed']").get("value")
    assert as_alice.post("/account/factors/app", {"sealed": kept, "code": app.code()}).status_code == 200


def test_a_factor_is_removed_by_its_owner_only(as_alice, as_charlie, container, alice, clock):
    set_up_app(container.get_auth_service(), alice, clock)
    again(as_alice, container)
    (link,) = as_alice.page("/account/security").find("//a[contains(@href, '/remove')]")
    assert as_charlie.post(link.get("href")).status_code == 404
    assert as_alice.post(link.get("href")).headers["Location"] == "/account/security"
    assert "Only your password" in as_alice.get("/account/security").text


def again(browser, container):
    """The person whose session ended with the first factor, signed in with a recovery code."""
    codes = container.get_auth_service().factors.new_codes(browser.user.id, actor=acting(browser.user))
    browser.post("/login", {"email": browser.user.email, "password": PASSWORD})
    browser.post("/login/factor", {"code": codes[0]})
    return browser


# -- proving it ---------------------------------------------------------------------------------


def test_after_five_minutes_the_password_is_asked_for_and_leads_back(as_alice, clock):
    clock.advance(minutes=6)
    answer = as_alice.get("/account/factors/app")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/account/confirm?next=/account/factors/app")
    page = as_alice.page(answer.headers["Location"])
    assert page.one("//input[@name='next']").get("value") == "/account/factors/app"
    wrong = as_alice.post("/account/confirm", {"password": "wrong", "next": "/account/factors/app"})
    assert (wrong.status_code, set(Page(wrong.text).errors())) == (400, {"password"})
    done = as_alice.post("/account/confirm", {"password": PASSWORD, "next": "/account/factors/app"})
    assert done.headers["Location"] == "/account/factors/app"
    assert as_alice.get("/account/factors/app").status_code == 200


@pytest.mark.asvs("3.7.2")
@pytest.mark.parametrize("target", ["https://evil.example/", "//evil.example"])
def test_a_proof_leads_to_no_other_site(as_alice, target):
    done = as_alice.post("/account/confirm", {"password": PASSWORD, "next": target})
    assert done.headers["Location"] == "/account/security"


def test_a_form_that_was_sent_too_late_is_not_lost(as_admin, alice, clock):
    clock.advance(minutes=6)
    path = f"/admin/users/{alice.id}/password-link"
    answer = as_admin.post(path, headers={"Referer": f"http://localhost/admin/users/{alice.id}"})
    assert answer.headers["Location"] == f"/account/confirm?next=/admin/users/{alice.id}"
    page = Page(as_admin.post("/account/confirm", {"password": PASSWORD, "next": f"/admin/users/{alice.id}"}).text)
    assert page.one("//main//form").get("action") == path
    assert "Shown once" in as_admin.post(path).text
    done = as_admin.post("/account/confirm", {"password": PASSWORD, "next": "/overview"})
    assert done.headers["Location"] == "/overview", "the form was kept for once only"


def test_a_fragment_is_led_to_the_question_and_a_program_refused(as_alice, clock):
    clock.advance(minutes=6)
    fragment = as_alice.post("/account/factors/codes", htmx=True)
    assert (fragment.status_code, fragment.text) == (204, "")
    assert fragment.headers["HX-Redirect"].startswith("/account/confirm")
    program = as_alice.post("/account/factors/codes", headers={"Accept": "application/json"})
    assert (program.status_code, program.json["code"]) == (403, "PROOF_REQUIRED")


# -- admins must have one -----------------------------------------------------------------------


@pytest.fixture
def strict(config, clock):
    """A Zentry whose admins must have a second factor."""
    built = build_container(make_config(config.data, admin_factor="required"), clock=clock)
    yield built
    built.close()


@pytest.fixture
def strict_admin(strict, web):
    web.extensions[EXTENSION] = strict
    auth = strict.get_auth_service()
    user = auth.redeem_link(auth.create_admin("admin@example.com", "Admin"), PASSWORD).user
    return Browser(web).log_in(user)


@pytest.mark.asvs("6.3.3")
def test_an_admin_without_a_factor_is_led_to_the_setup(strict_admin, alice, machine, clock):
    for path in ("/admin", "/admin/users", f"/admin/users/{alice.id}"):
        assert strict_admin.get(path).headers["Location"] == f"{NEEDED}?next={path}"
    assert strict_admin.post(f"/admin/users/{alice.id}/disable").headers["Location"] == f"{NEEDED}?next=/admin"
    assert strict_admin.get("/admin/users", htmx=True).headers["HX-Redirect"] == f"{NEEDED}?next=/admin"
    assert strict_admin.get("/admin", headers={"Accept": "application/json"}).status_code == 403
    assert strict_admin.get(f"/vms/{machine.id}").status_code == 404, "acts like anybody else until then"
    assert "second factor" in strict_admin.page(NEEDED).text()
    sealed, app = begin(strict_admin, clock)
    assert strict_admin.post("/account/factors/app", {"sealed": sealed, "code": app.code()}).status_code == 200
    assert strict_admin.get(NEEDED).headers["Location"] == "/admin"
    assert strict_admin.get("/admin").status_code == 200
    assert strict_admin.get(f"/vms/{machine.id}").status_code == 200
    (link,) = strict_admin.page("/account/security").find("//a[contains(@href, '/remove')]")
    assert strict_admin.post(link.get("href")).status_code == 409


def test_the_first_admin_sets_one_up_right_after_the_welcome_link(strict, web, visitor):
    web.extensions[EXTENSION] = strict
    link = f"/welcome/{strict.get_auth_service().ensure_first_admin_link()}"
    answer = visitor.post(link, {"email": "chief@example.com", "name": "Chief", "password": PASSWORD})
    assert answer.headers["Location"] == f"{NEEDED}?next=/overview"


def test_an_admins_log_in_leads_to_the_setup_and_from_there_where_they_wanted(strict_admin, clock):
    email = strict_admin.user.email
    strict_admin.post("/logout")
    answer = strict_admin.post("/login", {"email": email, "password": PASSWORD, "next": "/admin/users?state=disabled"})
    led = answer.headers["Location"]
    assert led.startswith(f"{NEEDED}?next=/admin/users")
    strict_admin.page(led)
    sealed, app = begin(strict_admin, clock)
    codes = strict_admin.post("/account/factors/app", {"sealed": sealed, "code": app.code()})
    on = kept_them(codes)
    assert on == "/admin/users?state=disabled"
    assert strict_admin.get(on).status_code == 200
    clock.advance(60)
    strict_admin.post("/logout")
    strict_admin.post("/login", {"email": email, "password": PASSWORD, "next": on})
    assert strict_admin.post("/login/factor", {"code": app.code()}).headers["Location"] == on


def test_the_setup_leads_to_no_other_site(strict_admin, clock):
    strict_admin.page(f"{NEEDED}?next=https://evil.example/")
    sealed, app = begin(strict_admin, clock)
    codes = strict_admin.post("/account/factors/app", {"sealed": sealed, "code": app.code()})
    assert kept_them(codes) == "/account/security"


@pytest.mark.asvs("6.3.3")
@pytest.mark.parametrize(
    ("settings", "needed"),
    [
        ({"environment": "production", "compute": "libvirt"}, True),
        ({"environment": "production", "compute": "simulator"}, False),
        ({"environment": "development", "compute": "libvirt"}, True),
        ({"environment": "development", "compute": "simulator"}, False),
        ({"environment": "development", "compute": "libvirt", "admin_factor": "optional"}, False),
        ({"environment": "test", "compute": "libvirt"}, False),
        ({"environment": "test"}, False),
        ({"environment": "production", "compute": "libvirt", "admin_factor": "optional"}, False),
        ({"environment": "test", "admin_factor": "required"}, True),
    ],
)
def test_where_admins_must_have_one(tmp_path, settings, needed):
    assert make_config(tmp_path, **settings).admins_need_factor is needed
