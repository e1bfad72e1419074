"""The question for programs on the pages of signing up and in."""

import pytest

from tests.conftest import PASSWORD, make_config
from tests.page import Page
from tests.services.auth.test_captcha import settings_for, siteverify
from zentry_web.composition import build_container

pytestmark = pytest.mark.integration
DORA = {"email": "dora@example.com", "name": "Dora", "password": PASSWORD}


@pytest.fixture
def service():
    with siteverify() as running:
        yield running


@pytest.fixture
def container(config, clock, service):
    built = build_container(make_config(config.data, **settings_for(service)), clock=clock)
    yield built
    built.close()


@pytest.mark.asvs("3.4.3")
def test_only_the_page_that_shows_it_may_load_it(visitor, service):
    answer = visitor.get("/signup")
    page = Page(answer.text)
    assert page.one("//div[@class='h-captcha']").get("data-sitekey") == "site-key"
    assert f"script-src 'self' {service.url};" in answer.headers["Content-Security-Policy"]
    for path in ("/login", "/forgot"):
        answer = visitor.get(path)
        assert service.url not in answer.headers["Content-Security-Policy"]
        assert "h-captcha" not in answer.text


@pytest.mark.error
def test_a_program_does_not_sign_up_and_a_person_does(visitor, service):
    for answer in ({}, {"h-captcha-response": "program"}):
        refused = visitor.post("/signup", DORA | answer)
        assert refused.status_code == 400
        assert "you are no program" in refused.text
        assert Page(refused.text).one("//input[@id='email']").get("value") == DORA["email"]
    service.reply = (500, {})
    assert visitor.post("/signup", DORA | {"h-captcha-response": "person"}).status_code == 503
    service.reply = None
    done = visitor.post("/signup", DORA | {"h-captcha-response": "person"})
    assert done.headers["Location"] == "/overview"


def test_it_is_asked_at_log_in_once_guesses_were_made(visitor, service, alice):
    wrong = {"email": alice.email, "password": "wrong wrong wrong"}
    for _ in range(2):
        assert "h-captcha" not in visitor.post("/login", wrong).text
    answer = visitor.post("/login", wrong)
    assert answer.status_code == 401
    assert Page(answer.text).find("//div[@class='h-captcha']")
    assert service.url in answer.headers["Content-Security-Policy"]
    right = {"email": alice.email, "password": PASSWORD}
    answer = visitor.post("/login", right)
    assert answer.status_code == 400
    assert "you are no program" in answer.text
    assert visitor.post("/login", right | {"h-captcha-response": "person"}).headers["Location"] == "/overview"
