"""Passwords that would be guessed are refused with a reason, in bounded time; good ones are taken as they are."""

import time

import pytest

from zentry_web.services.auth.password_strength import strong_password, weakness

pytestmark = pytest.mark.unit
PERSONAL = ("Alice Miller", "alice@example.com")


@pytest.mark.asvs("6.2.5")
@pytest.mark.parametrize(
    "password",
    ["correct horse battery", "another horse battery", "blue-river-lamp", "Tr0ub4dor&3", "ünd dann kam föhn"],
)
def test_good_ones_pass_unchanged(password):
    assert strong_password(*PERSONAL)(password) == password


@pytest.mark.asvs("6.2.4", "6.2.11", "6.2.12")
@pytest.mark.parametrize(
    ("password", "why"),
    [
        ("password1", "most common"),
        ("QWERTYUIOP", "most common"),
        ("alice12345", "your name or address"),
        ("alice@example.com", "your name or address"),
        ("zentry2026", "your name or address"),
        ("aaaaaaaaaaaaaaaa", "guessed quickly"),
        ("p4$$w0rd1", "guessed quickly"),
        ("short", "at least 8"),
        ("x" * 129, "at most 128"),
        ("", "Choose a password"),
    ],
)
def test_weak_ones_are_refused_with_a_reason(password, why):
    with pytest.raises(ValueError, match=why):
        strong_password(*PERSONAL)(password)


@pytest.mark.asvs("15.2.2")
def test_what_is_made_to_take_long_does_not():
    signs = "4@8({[<369&!1/|0$5+7%2"
    started = time.perf_counter()
    for nasty in (signs * 5, (signs[:16] * 8)[:128], "".join(f"{sign}a" for sign in signs) * 2):
        weakness(nasty[:128], PERSONAL)
    assert time.perf_counter() - started < 5


@pytest.mark.parametrize(
    "password",
    [
        "Zentry zentry",
        "zentryzentryzentry",
        "Zentry-Zentry-12",
        "Ada Lovelace ada",
        "lovelace.zentry!!",
        "ada@example.com",
        "Zentry ✨ lovelace ✨",
    ],
)
def test_the_product_s_and_the_person_s_own_words_make_none(password):
    assert "too close to your name" in weakness(password, ("Ada Lovelace", "ada@example.com"))


@pytest.mark.parametrize("password", ["zentry at brass umbrella", "ada likes 7 purple hills", "4f9zentry!Kq27wz"])
def test_beside_other_words_they_may_stand(password):
    assert weakness(password, ("Ada Lovelace", "ada@example.com")) == ""
