"""What the books keep in English is read in the reader's language; the patterns fit what is really written."""

import re
from datetime import timedelta

import pytest

from tests.conftest import ROOT
from zentry_web.domain.language import find, speaking
from zentry_web.domain.stored_texts import TEXTS, said
from zentry_web.services.monitoring_service import leap_text

pytestmark = pytest.mark.unit


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
    assert piece[:60] in code, piece
