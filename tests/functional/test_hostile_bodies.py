"""Bodies made to keep a reader busy: refused, and at once."""

import time

import pytest
from wtforms.validators import NumberRange

from zentry_web.web.input.bodies import MOST_FIELDS
from zentry_web.web.input.forms import BaseForm, WholeNumberField

pytestmark = pytest.mark.integration

SOON = 0.05  # seconds; the best of some tries, since other programs run beside the test
DEEP = b"[" * 20_000
DEEP_OBJECT = b'{"a":' * 20_000
DIGITS = b'{"name": ' + b"9" * 5000 + b"}"
FLOOD = b"a=&" * (512 * 1024 // 3)


def best_of(tries, send):
    """The last answer, and the shortest time that one took."""
    times = []
    for _ in range(tries):
        started = time.perf_counter()
        answer = send()
        times.append(time.perf_counter() - started)
        answer.get_data()
    return answer, min(times)


@pytest.mark.asvs("15.2.2", "2.4.1")
@pytest.mark.parametrize("body", [DEEP, DEEP_OBJECT, DIGITS, b'{"email": "' + DEEP + b'"'])
@pytest.mark.parametrize("path", ["/api/v1/auth/token", "/api/v1/auth/refresh"])
def test_json_that_is_deep_or_long(visitor, path, body):
    answer, seconds = best_of(7, lambda: visitor.client.post(path, data=body, content_type="application/json"))
    assert answer.status_code == 400
    assert answer.json["detail"] == "The body is not JSON."
    assert seconds < SOON


@pytest.mark.asvs("15.2.2")
@pytest.mark.parametrize("path", ["/login", "/signup", "/payments/webhook/test", "/nowhere"])
def test_a_form_of_very_many_fields(visitor, path):
    kind = "application/x-www-form-urlencoded"
    answer, seconds = best_of(7, lambda: visitor.client.post(path, data=FLOOD, content_type=kind))
    assert answer.status_code in (400, 404, 413)
    assert seconds < SOON


def test_a_form_of_as_many_fields_as_a_page_may_have(as_alice):
    """Not refused for their number: what is missing then is the token."""
    answer = as_alice.client.post("/logout", data={f"field-{number}": "x" for number in range(MOST_FIELDS - 1)})
    assert answer.status_code == 400
    assert "at most" not in answer.text


@pytest.mark.asvs("15.2.2")
@pytest.mark.parametrize("body", [DEEP, DIGITS])
def test_an_answer_of_a_passkey_that_is_deep_or_long(visitor, body):
    answer = visitor.post("/login/passkey", {"credential": body[:19_000].decode()})
    assert answer.status_code == 401  # as any answer that is none


@pytest.mark.parametrize("typed", ["9" * 4000, "9" * 5000, "\uff11\uff12", "\u0663", "1_000", "1e3", "0x10", "--1"])
def test_a_whole_number_is_digits_and_not_thousands_of_them(web, typed):
    class Counted(BaseForm):
        count = WholeNumberField("How many", validators=[NumberRange(min=0)])

    with web.test_request_context("/", method="POST", data={"count": typed}):
        form = Counted(meta={"csrf": False})
        assert not form.validate()
        assert "Enter a whole number." in form.count.errors
    with web.test_request_context("/", method="POST", data={"count": " 12 "}):
        assert Counted(meta={"csrf": False}).count.data == 12
