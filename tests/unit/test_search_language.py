"""The language of search boxes: what it reads, what it refuses, how it is completed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zentry_web.domain.query_language import MAX_SEARCH, Term, parse_search, part_at, parts_of, with_part, written
from zentry_web.domain.vms.search import HINTS, KEYS, cost_of

pytestmark = pytest.mark.unit

ANYTHING = st.text(max_size=MAX_SEARCH)
WORDS = st.text(st.characters(exclude_characters='"', exclude_categories=["Cs"]), min_size=1, max_size=20).map(
    str.strip
)
TERMS = st.builds(Term, st.sampled_from(["", "name", "project", "size", "image"]), WORDS.filter(bool), st.booleans())
TYPED = st.lists(
    st.sampled_from(["state:running", "-", '"', "web", " ", "label:", "cost:>0.1", "name:", "x:y", "\u3000"])
).map("".join)


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("", ()),
        ("  web  db ", (Term("", "web"), Term("", "db"))),
        ('"two words" -not', (Term("", "two words"), Term("", "not", True))),
        ("state:Running -state:stopped", (Term("state", "running"), Term("state", "stopped", True))),
        ('label:env=prod project:"My shop"', (Term("label", "env=prod"), Term("project", "My shop"))),
        ("cost:>0.1 cost:<=2,5", (Term("cost", ">0.1"), Term("cost", "<=2,5"))),
        ('"state:running" "-x"', (Term("", "state:running"), Term("", "-x"))),
        ("10.77.0.3 2001:db8::1", (Term("", "10.77.0.3"), Term("", "2001:db8::1"))),
        ('- "" "', ()),
        ('name:"open', (Term("name", "open"),)),
        ("NAME:x", (Term("name", "x"),)),
    ],
)
def test_what_is_read(text, terms):
    assert parse_search(text, KEYS) == terms


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("colour:red", "“colour:” is not known here"),
        ("state:runing", "“runing” is no state. Use one of: creating"),
        ("state:deleted", "is no state"),
        ("state:", "after “state:”"),
        ('name:""', "after “name:”"),
        ("cost:cheap", "no price per hour"),
        ("cost:>>1", "no price per hour"),
        ("label:=x", "label:key=value"),
        ("x" * 301, "at most 300"),
        ("a " * 21, "at most 20"),
    ],
)
def test_what_makes_no_sense_is_said(text, words):
    with pytest.raises(ValueError, match=words):
        parse_search(text, KEYS)


@given(ANYTHING | TYPED)
def test_any_text_is_read_or_refused_in_words_and_reads_the_same_when_written(text):
    try:
        terms = parse_search(text, KEYS)
    except ValueError:
        return
    assert all(term.value and term.key in {"", *KEYS} for term in terms)
    again = written(terms)
    if len(again) <= MAX_SEARCH:
        assert parse_search(again, KEYS) == terms


@given(st.lists(TERMS, max_size=5))
def test_what_is_written_is_read_again(terms):
    assert parse_search(written(tuple(terms)), KEYS) == tuple(terms)


@given(TYPED, st.integers(-5, MAX_SEARCH + 5), TERMS)
def test_completing_changes_one_part_and_no_other(text, at, term):
    part = part_at(text, at)
    new, place = with_part(text, part, f"{term.text} ")
    assert 0 <= place <= len(new)
    before = [each.raw for each in parts_of(text[: part.start])]
    after = [each.raw for each in parts_of(text[part.end :])]
    assert [each.raw for each in parts_of(new)] == [*before, term.text, *after]


def test_costs_are_compared_in_micro_credits():
    assert cost_of(">=0.25") == (">=", 250_000)
    assert cost_of("1") == ("=", 1_000_000)
    assert set(HINTS) == set(KEYS)
