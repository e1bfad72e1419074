"""What labels may be."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zentry_web.domain.label import MAX_LABEL, MAX_LABELS, Label, parse_labels, written

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("typed", "texts"),
    [
        ("", []), (None, []), (" \n,, ", []), ("web", ["web"]), ("env = prod", ["env=prod"]), ("key=", ["key"]),
        ("b=2, a=1\r\nweb", ["a=1", "b=2", "web"]), ("ｅｎｖ＝ｐｒｏｄ，web", ["env=prod", "web"]),
        ("rôle=dé", ["rôle=dé"]), ("ro\u0302le", ["rôle"]), ("k" * 63 + "=" + "v" * 63, ["k" * 63 + "=" + "v" * 63]),
    ],
)  # fmt: skip
def test_what_is_typed_is_read(typed, texts):
    assert [label.text for label in parse_labels(typed)] == texts


@pytest.mark.error
@pytest.mark.parametrize(
    "typed",
    [
        "=prod", "a b", "a=b c", "a=b=c", "a\tb", "a=\x00", "a\x00", "a=b\u202e", "a\u2028b", "k" * 64, "a=" + "v" * 64,
        "env=a, env=b", "Env, env=x", "\n".join(f"k{n}" for n in range(MAX_LABELS + 1)), "a," * 20_001, "a\rb", "＝x",
        "…" * 40,
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(typed):
    with pytest.raises(ValueError):
        parse_labels(typed)


@given(st.text(max_size=200))
def test_what_is_read_is_read_again_as_the_same(text):
    try:
        labels = parse_labels(text)
    except ValueError:
        return
    assert parse_labels(written(labels)) == labels == parse_labels(written(labels, ", "))
    assert len(labels) <= MAX_LABELS
    assert all(0 < len(each.key) <= MAX_LABEL and len(each.value) <= MAX_LABEL for each in labels)
    assert Label("a", "") == Label("a")
