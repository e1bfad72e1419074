"""How well a text fits a few letters."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zentry_web.domain.search import MOST_WORDS, fit, words_of

pytestmark = pytest.mark.unit


def best(typed: str, *texts: str) -> list[str]:
    found = {text: near for text in texts if (near := fit(words_of(typed), text)) is not None}
    return sorted(found, key=lambda text: found[text])


def test_the_best_comes_first() -> None:
    texts = ("my-web", "cobweb", "web", "web-1", "w-eb")
    assert best("web", *texts) == ["web", "web-1", "my-web", "cobweb", "w-eb"]


@pytest.mark.parametrize(
    ("typed", "text"),
    [
        ("wb1", "web-1"),
        ("WEB", "web-1"),
        ("1", "web-1"),
        ("sto web", "Stop web-1"),
        ("la shop", "Launch in Shop"),
        ("ﬁle", "File store"),
        ("straße", "STRASSE 1"),
    ],
)
def test_words_and_letters_in_their_order_are_found(typed: str, text: str) -> None:
    assert fit(words_of(typed), text) is not None


@pytest.mark.parametrize(("typed", "text"), [("ew", "web-1"), ("eb1x", "web-1"), ("web zzz", "web-1"), ("b1", "web-1")])
def test_what_does_not_fit_is_not_found(typed: str, text: str) -> None:
    assert fit(words_of(typed), text) is None


def test_keywords_count_from_their_beginning_and_less_than_what_is_shown() -> None:
    assert fit(words_of("inv"), "Statements", "bills invoices") is not None
    assert fit(words_of("voices"), "Statements", "bills invoices") is None
    shown, keyword = fit(words_of("bill"), "Billing"), fit(words_of("bill"), "Statements", "bills")
    assert shown is not None
    assert keyword is not None
    assert shown < keyword


@given(st.text(max_size=200), st.text(max_size=80), st.text(max_size=80))
def test_whatever_is_typed_is_answered(typed: str, text: str, more: str) -> None:
    words = words_of(typed)
    assert len(words) <= MOST_WORDS
    near = fit(words, text, more)
    assert near is None or near >= 0


@given(st.text(alphabet=st.characters(categories=["L", "N"]), min_size=1, max_size=40))
def test_a_text_fits_itself_and_its_beginnings(text: str) -> None:
    words = words_of(text)
    if len(words) == 1 and len(words[0]) < 60:
        assert fit(words, text) is not None
        assert fit([words[0][: 1 + len(words[0]) // 2]], text) is not None
