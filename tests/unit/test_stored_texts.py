"""What the books keep in English is read in the reader's language; the patterns fit what is really written."""

import ast
import re
from datetime import timedelta

import pytest

from tests.conftest import ROOT
from tests.source import modules, tree
from zentry_web.domain.language import find, speaking
from zentry_web.domain.stored_texts import TEXTS, said
from zentry_web.services.monitoring_service import leap_text

pytestmark = pytest.mark.unit
INTERNAL = re.compile("is not an? (id|name) that|^the guest's process")  # nobody is shown these


@pytest.mark.parametrize(
    ("stored", "german"),
    [
        ("Usage until 2026-11-23 10:00:00 UTC", "Verbrauch bis 2026-11-23 10:00:00 UTC"),
        ("Payment of 11.90 EUR (pay_1)", "Zahlung von 11.90 EUR (pay_1)"),
        ("Held for 60 minutes of running", "Für 60 Minuten Laufzeit reserviert"),
        ("Promotional credit expired: Voucher ABCD-…", "Aktionsguthaben abgelaufen: Gutschein ABCD-…"),
        ("Promotional credit expired: A course in autumn", "Aktionsguthaben abgelaufen: A course in autumn"),
        ("Hold released", "Reservierung aufgehoben"),
        ("A course in autumn (100 %)", "A course in autumn (100 %)"),
        ("%(moment)s", "%(moment)s"),
        ("", ""),
    ],
)
def test_stored_texts_are_read_in_german(stored, german):
    with speaking("de"):
        assert said(stored) == german
    assert said(stored) == stored


@pytest.mark.parametrize(
    ("ahead", "german"),
    [
        (timedelta(hours=3), "3.0 Stunden voraus"), (timedelta(hours=-3), "3.0 Stunden nach"),
        (timedelta(days=30), "30.0 Tage voraus"), (timedelta(days=-3), "3.0 Tage nach"),
    ],
)  # fmt: skip
def test_a_clock_that_leapt_is_told_of_in_german(ahead, german):
    with speaking("de"):
        assert german in said(leap_text(ahead))


def test_of_no_text_nothing_is_said():
    """What a catalogue says of itself stands at the empty text."""
    with speaking("de"):
        assert find("") == ""


@pytest.mark.parametrize("text", TEXTS)
def test_each_is_written_somewhere(text):
    """So that no other words are stored than those that are looked for: the longest piece between its places."""
    piece = max(re.split(r"%\(\w+\)s", text), key=len).strip(" (:)")
    code = "\n".join(
        path.read_text() for path in ROOT.joinpath("zentry_web").rglob("*.py") if path.name != "stored_texts.py"
    )
    assert piece[:60] in re.sub(r'"\n\s*f?"', "", code), piece


def _sentence(node):
    """A literal's text, with each value in it as a place."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    parts = node.values if isinstance(node, ast.JoinedStr) else ()
    return "".join(part.value if isinstance(part, ast.Constant) else "42" for part in parts)


def _refusals():
    """What drivers and the worker raise because a host could or would not."""
    for path in (*modules("adapters/compute"), *modules("worker")):
        for call in (each for each in ast.walk(tree(path)) if isinstance(each, ast.Call)):
            name = call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")
            if re.match("Compute(Refused|Unavailable|Timeout)$", name) and call.args:
                text = _sentence(call.args[0])
                if text and not INTERNAL.search(text):
                    yield text


def test_what_a_driver_refuses_with_is_read_in_german():
    found = list(_refusals())
    assert len(found) > 40
    with speaking("de"):
        assert [text for text in found if said(text) == text] == []
