"""Pages travel compressed, and nothing secret in them is the same twice."""

import gzip
import re

import pytest

from zentry_web.web.input.form_tokens import mask, unmask

pytestmark = pytest.mark.integration

GZIP = {"Accept-Encoding": "gzip, deflate, br"}
TOKEN = r'(?:name="csrf-token" content|name="csrf_token"[^>]* value)="([^"]+)"'


@pytest.mark.parametrize("path", ["/vms", "/projects", "/credits", "/credits/spend.json", "/api/v1/openapi.json"])
def test_pages_and_json_are_compressed_for_who_takes_it(as_alice, machine, path):
    plain = as_alice.client.get(path)
    small = as_alice.client.get(path, headers=GZIP)
    assert "Content-Encoding" not in plain.headers
    for answer in (plain, small):
        assert "Accept-Encoding" in answer.headers["Vary"]
    if len(plain.data) < 1024:
        assert "Content-Encoding" not in small.headers
        return
    assert small.headers["Content-Encoding"] == "gzip"
    assert small.headers["Content-Length"] == str(len(small.data))
    assert len(small.data) < len(plain.data) / 2
    assert gzip.decompress(small.data)[:100] == plain.data[:100]


def test_who_refuses_gzip_gets_none_and_streams_stay_as_they_are(as_alice):
    assert "Content-Encoding" not in as_alice.client.get("/vms", headers={"Accept-Encoding": "gzip;q=0"}).headers
    stream = as_alice.client.get("/events", headers=GZIP, buffered=False)
    assert "Content-Encoding" not in stream.headers
    stream.close()


@pytest.mark.asvs("3.5.1")
def test_no_answer_has_the_tokens_of_another_and_all_of_them_work(as_alice):
    """BREACH guesses what is the same in many answers."""
    pages = [as_alice.client.get("/account").text for _ in range(2)]
    first, second = (set(re.findall(TOKEN, page)) for page in pages)
    assert len(first) == len(second) == 1
    assert not first & second
    bare, other = unmask(*first), unmask(*second)
    assert bare.split(".")[0] == other.split(".")[0]  # the same session's
    for page in pages:
        assert bare.split(".")[0] not in page
    for token in (*first, *second):
        answer = as_alice.client.post("/account/theme", data={"theme": "dark", "csrf_token": token})
        assert answer.status_code == 303
        assert (
            as_alice.client.post("/account/theme", data={"theme": "dark"}, headers={"X-CSRFToken": token}).status_code
            == 303
        )
    for wrong in ("m.", "m.AAAA", f"{first.pop()[:-8]}AAAAAAAA", "m.\u00e9"):
        assert as_alice.client.post("/account/theme", data={"theme": "dark", "csrf_token": wrong}).status_code == 400


def test_masking_can_be_undone():
    assert unmask(mask("a.b-c_d")) == "a.b-c_d"
    assert unmask("a.b") == "a.b"
    assert unmask(None) is None
