"""/welcome/<token>: the one-time link of the first admin."""

import pytest

from tests.conftest import PASSWORD
from tests.page import Page

pytestmark = pytest.mark.integration

CHOSEN = {"email": "chief@example.com", "name": "Chief", "password": PASSWORD}


@pytest.fixture
def link(container):
    return f"/welcome/{container.get_auth_service().ensure_first_admin_link()}"


@pytest.mark.asvs("6.3.2")
def test_the_link_makes_an_admin_once(visitor, link):
    visitor.page(link)
    answer = visitor.post(link, CHOSEN)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/overview")
    assert "Chief" in visitor.page("/admin").text()
    assert visitor.get(link).status_code == 404


def test_a_wrong_field_does_not_use_the_link_up(visitor, link):
    answer = visitor.post(link, CHOSEN | {"password": "short"})
    assert answer.status_code == 400
    assert set(Page(answer.text).errors()) == {"password"}
    assert visitor.post(link, CHOSEN).status_code == 303


@pytest.mark.asvs("6.6.3")
def test_an_unknown_link_is_not_there(visitor):
    assert visitor.get("/welcome/guess").status_code == 404
    assert visitor.post("/welcome/guess", CHOSEN).status_code == 404


@pytest.mark.asvs("3.4.5", "14.2.1")
def test_the_secret_in_the_address_is_not_passed_on(visitor, link):
    assert visitor.get(link).headers["Referrer-Policy"] == "origin"
