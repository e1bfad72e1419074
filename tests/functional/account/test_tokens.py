"""/account/tokens."""

import pytest

from tests.page import Page

pytestmark = pytest.mark.integration
GOOD = {"name": "backup", "scopes": "vms:read", "days": "30"}


@pytest.mark.asvs("10.4.9")
def test_a_token_is_shown_once_works_and_is_ended(as_alice, web, machine):
    answer = as_alice.post("/account/tokens", GOOD)
    assert answer.status_code == 200
    secret = answer.text.partition('data-copy="')[2].partition('"')[0]
    assert secret.startswith("ztp_")
    program, bearer = web.test_client(use_cookies=False), {"Authorization": f"Bearer {secret}"}
    assert [vm["name"] for vm in program.get("/api/v1/vms", headers=bearer).json["items"]] == ["web-1"]
    page = as_alice.page("/account/tokens")
    assert secret not in page.html
    assert "backup" in page.text()
    (link,) = page.find("//a[contains(@href, '/end')]")
    assert as_alice.post(link.get("href")).headers["Location"] == "/account/tokens"
    assert program.get("/api/v1/vms", headers=bearer).status_code == 401


@pytest.mark.error
@pytest.mark.parametrize(
    ("field", "value"), [("name", ""), ("scopes", ""), ("scopes", "everything"), ("days", "0"), ("days", "x")]
)
def test_what_is_wrong_is_told_and_the_name_is_kept(as_alice, field, value):
    answer = as_alice.post("/account/tokens", GOOD | {field: value})
    assert answer.status_code == 400
    assert "ztp_" not in answer.text
    if value == "x":
        assert Page(answer.text).errors() == {"days": "Enter a whole number."}
    if field != "name":
        assert Page(answer.text).one("//input[@id='name']").get("value") == "backup"
