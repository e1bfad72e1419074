"""The region and the theme of an account, on its pages."""

import pytest

from tests.conftest import PASSWORD
from tests.functional.conftest import Browser
from tests.page import Page
from tests.services.people import acting, events_of
from zentry_web.services.errors import ValidationError

pytestmark = pytest.mark.integration
PROFILE = {"name": "Alice", "time_zone": "Europe/Berlin"}


def test_dates_and_credits_are_written_as_in_the_region(as_alice, cloud, alice):
    cloud.set_wallet(alice, 1_234_560_000)
    assert "1,234.5600" in as_alice.page("/account").text()
    assert as_alice.post("/account", PROFILE | {"region": "DE"}).status_code == 303
    page = as_alice.page("/account")
    assert "1.234,5600" in page.text()
    html = page.one("//html")
    assert (html.get("lang"), html.get("data-decimal"), html.get("data-group")) == ("en-DE", ",", ".")
    assert page.one("//select[@name='region']/option[@selected]").get("value") == "DE"
    as_alice.post("/account", PROFILE | {"region": "US"})
    assert "Nov 23, 2026, 11:00 AM CET" in as_alice.page("/account/data").text()


def test_files_and_the_api_stay_as_they_are(as_alice, cloud, alice, machine):
    before = as_alice.get("/credits/bill.csv").text
    as_alice.post("/account", PROFILE | {"region": "DE", "time_zone": "UTC"})
    assert as_alice.get("/credits/bill.csv").text == before


def test_somebody_else_s_pages_are_not_touched(as_alice, as_charlie):
    as_alice.post("/account", PROFILE | {"region": "DE"})
    assert as_charlie.page("/account").one("//html").get("lang") == "en"


@pytest.mark.error
@pytest.mark.parametrize(("field", "value"), [("region", "XX"), ("theme", "pink")])
def test_what_is_not_on_offer_is_refused(as_alice, container, alice, field, value):
    answer = as_alice.post("/account", PROFILE | {field: value})
    assert (answer.status_code, set(Page(answer.text).errors())) == (400, {field})
    with pytest.raises(ValidationError) as caught:
        container.get_auth_service().update_profile(alice.id, {field: value}, actor=acting(alice))
    assert set(caught.value.details) == {field}


@pytest.mark.error
def test_an_amount_that_may_mean_a_thousand_or_one_is_refused(as_alice):
    as_alice.post("/account", PROFILE | {"region": "DE"})
    answer = as_alice.post("/credits/plan", {"low": "1.000"})
    assert answer.status_code == 400
    assert "Write thousands without a point" in answer.text
    assert as_alice.post("/credits/plan", {"low": "1,5"}).status_code == 303


def theme(browser):
    return browser.page("/account").one("//html").get("data-bs-theme")


def test_the_theme_follows_its_owner_to_another_browser(as_alice, web, alice, core):
    other = Browser(web).log_in(alice, PASSWORD)
    assert theme(other) is None
    as_alice.post("/account/theme", {"theme": "dark"})
    assert (theme(as_alice), theme(other)) == ("dark", "dark")
    other.post("/account", PROFILE | {"theme": "light"})
    assert (theme(as_alice), theme(other)) == ("light", "light"), "the account's, whatever a cookie says"
    other.post("/account/theme", {"theme": "auto"})
    assert (theme(as_alice), theme(other)) == (None, None)
    assert next(event.details["changed"] for event in events_of(core, "profile.update")) == ["theme"]


def test_a_cookie_s_theme_is_no_choice_of_the_account(as_alice, container, alice):
    as_alice.client.set_cookie("zentry_theme", "dark")
    assert theme(as_alice) == "dark"
    as_alice.post("/account", PROFILE | {"theme": "dark"})
    assert container.get_user_service().get_user(alice.id).theme is None
