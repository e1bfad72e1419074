"""Names, e-mail addresses, passwords and time zones: what is taken, what is refused."""

import threading
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zentry_web.domain.email import wire_address
from zentry_web.domain.text import clean_line, clean_name, folded, without_addresses
from zentry_web.domain.user import parse_time_zone, time_zone_names
from zentry_web.services.auth.passwords import Passwords, parse_password
from zentry_web.services.errors import RateLimitedError, ValidationError
from zentry_web.services.shared.fields import Fields, email_key, parse_email, parse_local_email

pytestmark = pytest.mark.unit

cheap = {"memory_kib": 64, "time_cost": 1}


@pytest.mark.asvs("1.1.1")
@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("  Ana   María ", "Ana María"),
        ("Ame\u0301lie", "Amélie"),
        ("ＺＥＮ", "ZEN"),
        ("李雷", "李雷"),
        ("👩\u200d💻 team", "👩\u200d💻 team"),
        ("<b>& 'x'", "<b>& 'x'"),
        ("\U0001fa77 web", "\U0001fa77 web"),  # an emoji of Unicode 15, which Python 3.11 does not know
        ("\U0001fa77", "\U0001fa77"),
        ("👨\U0001f3fd\u200d💻", "👨\U0001f3fd\u200d💻"),
        ("❤\ufe0f\u200d🔥", "❤\ufe0f\u200d🔥"),
        ("می\u200cخواهم", "می\u200cخواهم"),  # Persian
        ("क्\u200dष", "क्\u200dष"),
    ],
)
def test_a_name_is_made_uniform(typed, kept):
    assert clean_name(typed, longest=40) == kept


@pytest.mark.asvs("1.3.3")
@pytest.mark.error
@pytest.mark.parametrize(
    "typed",
    [
        "",
        "   ",
        None,
        7,
        "a\nb",
        "a\x00b",
        "tab\there",
        "x\u202egnp",
        "\u200d",
        "\u2028",
        "\ud800",
        "a" * 41,
        "ﷺ" * 3,
        "web\u200b1",
        "\u200bweb",
        "web\ufeff",
        "we\u2060b",
        "we\u00adb",
        "web\u200d",
        "we\u200db",
        "we\u200cb",
        "\u3164",
        "web\U000e0041",
        "\u2800",
        "a\ufffe",
        "a\ufdd0",
    ],
)
def test_a_name_that_hides_or_overflows_is_refused(typed):
    with pytest.raises(ValueError):
        clean_name(typed, longest=40)


@given(st.text(max_size=60))
def test_a_taken_name_stays_as_it_is_when_taken_again(text):
    try:
        name = clean_name(text, longest=40)
    except ValueError:
        return
    assert 1 <= len(name) <= 40
    assert clean_name(name, longest=40) == name
    assert not any(unicodedata.category(c) == "Cc" for c in name)


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("ana@faß.de", "ana@fass.de", False),
        ("ana@bücher.example", "ana@xn--bcher-kva.example", True),
        ("Ana@BÜCHER.example", "ana@bücher.example", True),
        ("straße@x.de", "strasse@x.de", False),
        ("ana+tag@x.de", "ana@x.de", False),
        (" ana@x.de ", "ANA@X.DE", True),
        ("no address", "NO ADDRESS", True),
    ],
)
def test_addresses_are_the_same_when_their_domains_are_and_case_is_all_that_differs(first, second, same):
    assert (email_key(first) == email_key(second)) is same


@given(st.text(max_size=300))
def test_any_text_has_a_key_and_a_form_for_the_wire(text):
    assert email_key(email_key(text)) == email_key(text)
    assert wire_address(text).count("@") == text.count("@")


@pytest.mark.asvs("1.3.3")
@pytest.mark.parametrize(
    ("words", "left"),
    [
        ("Ana María", "Ana María"), ("Dr. Ana", "Dr. Ana"), ("web 2", "web 2"), ("J.R.R. Ana", "… Ana"),
        ("Pay at evil.example/now", "Pay at …"), ("https://evil.example", "…"), ("see www.evil", "see …"),
        ("mail ana@evil.example please", "mail … please"), ("evil。example", "…"), ("ftp://1.2.3.4/x y", "… y"),
        ("evil\u2024example", "…"), ("evil\ufe52example", "…"), ("mailto:ana", "…"),
    ],
)  # fmt: skip
def test_nothing_in_somebody_elses_words_becomes_a_link(words, left):
    assert without_addresses(words) == left


def test_folding_ignores_case_and_width():
    assert folded("STRASSE") == folded("straße")
    assert folded("Ａlice") == folded("aLICE")
    assert folded("alice") != folded("a1ice")


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        (" Ana@Example.COM ", "Ana@example.com"),
        ("ana+vm@example.com", "ana+vm@example.com"),
        ("bob@corp.internal", "bob@corp.internal"),
    ],
)
def test_an_address_keeps_its_spelling(typed, kept):
    assert parse_email(typed) == kept


@pytest.mark.error
@pytest.mark.parametrize(
    "typed",
    [
        "", None, 3, "ana", "ana@", "@example.com", "a b@example.com", "ana@localhost",
        "ana@example.com\nBcc: x@example.com",
        "ana@[127.0.0.1]", "a" * 250 + "@example.com", "ana@example..com",
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused(typed):
    with pytest.raises(ValueError):
        parse_email(typed)


def test_an_admin_may_have_an_address_on_this_machine():
    assert parse_local_email("Admin@localhost") == "admin@localhost"
    assert parse_local_email("ana@example.com") == "ana@example.com"


def test_case_does_not_make_another_account_but_a_tag_does():
    assert email_key("ANA@example.com") == email_key("ana@EXAMPLE.com")
    assert email_key("ana+vm@example.com") != email_key("ana@example.com")


def test_time_zones_are_those_that_exist():
    assert parse_time_zone("Europe/Zurich") == "Europe/Zurich"
    assert "UTC" in time_zone_names()
    for wrong in ("", "Mars/Base", None, "../../etc/passwd", "localtime"):
        with pytest.raises(ValueError):
            parse_time_zone(wrong)


@pytest.mark.asvs("2.2.1")
def test_all_wrong_fields_are_told_at_once():
    fields = Fields({"email": "x"})
    fields.take("email", parse_email, "")
    fields.take("password", parse_password, "")
    with pytest.raises(ValidationError) as caught:
        fields.check()
    assert set(caught.value.details) == {"email", "password"}


@pytest.mark.asvs("6.2.1", "6.2.5", "6.2.9")
def test_a_password_has_8_to_128_characters_of_any_kind():
    for good in ("12345678", "пароль-ok", " " * 8, "x" * 128):
        assert parse_password(good) == good
    for bad in ("", None, "1234567", "x" * 129, "x" * 100_000):
        with pytest.raises(ValueError):
            parse_password(bad)


@pytest.mark.asvs("6.2.8")
def test_passwords_verify_whatever_the_keyboard_composes():
    passwords = Passwords(**cheap)
    stored = passwords.hash("cafe\u0301 noir")
    assert stored.startswith("$argon2id$")
    assert passwords.verify(stored, "café noir")
    assert not passwords.verify(stored, "cafe noir")
    assert not passwords.verify(None, "café noir")
    assert not passwords.verify("not a hash", "café noir")


@pytest.mark.asvs("11.4.2")
def test_raised_parameters_ask_for_a_new_hash():
    old = Passwords(**cheap).hash("correct horse")
    assert not Passwords(**cheap).needs_rehash(old)
    assert Passwords(memory_kib=128, time_cost=1).needs_rehash(old)


@pytest.mark.asvs("15.2.2")
def test_no_more_hashes_run_at_once_than_there_are_slots():
    passwords = Passwords(**cheap, parallel=2, patience_seconds=20)
    running, most, lock = 0, 0, threading.Lock()
    full = threading.Barrier(2)

    def work(*_):
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        full.wait(10)
        with lock:
            running -= 1
        return "hash"

    threads = [threading.Thread(target=passwords._slotted, args=(work,)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert most == 2


@pytest.mark.error
def test_who_waits_too_long_for_a_slot_is_told_to_come_back():
    passwords = Passwords(**cheap, parallel=1, patience_seconds=0.01)
    with pytest.raises(RateLimitedError) as caught:
        passwords._slotted(lambda: passwords.hash("another one"))
    assert caught.value.details["retry_after"] > 0
    assert passwords.hash("and later it works")


def test_a_line_is_one_line():
    assert clean_line(" why\u0301  not ", longest=20) == "wh\u00fd not"
    assert clean_line("", longest=20) == ""
    for wrong in ("a\nb", "a\r\nb", "a\x00b", "a\x1bb", "a\u202eb", "a\u2028b", "x" * 21):
        with pytest.raises(ValueError):
            clean_line(wrong, longest=20)
