"""Keys without Ctrl: what they are, where they lead, and whether somebody wants them."""

import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration
SCRIPT = Path(__file__).resolve().parents[3] / "zentry_web" / "static" / "js" / "keys.js"


def test_the_keys_are_told_on_a_page(as_alice):
    assert "Previous row" in as_alice.page("/keys").text()
    assert "can be switched off" in as_alice.page("/keys", htmx=True).text()


def test_what_follows_g_exists(as_alice):
    places = re.findall(r'\b\w: "(/[^"]+)"', SCRIPT.read_text())
    assert len(places) == 6
    for place in places:
        assert as_alice.get(place).status_code == 200, place


def test_they_can_be_switched_off(as_alice):
    profile = {"name": "Alice", "time_zone": "UTC"}
    assert "js/keys.js" in as_alice.get("/overview").text
    assert as_alice.post("/account", profile | {"shortcuts": "off"}).status_code == 303
    assert "js/keys.js" not in as_alice.get("/overview").text
    assert as_alice.post("/account", profile).status_code == 303  # a form without the field leaves it
    page = as_alice.page("/account")
    assert page.one("//select[@name='shortcuts']/option[@selected]").get("value") == "off"
    assert as_alice.post("/account", profile | {"shortcuts": "maybe"}).status_code == 400
    as_alice.post("/account", profile | {"shortcuts": "on"})
    assert "js/keys.js" in as_alice.get("/overview").text
