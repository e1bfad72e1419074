"""Every text of the code has a German one that fits, and no catalogue has more."""

import re

import pytest

from tests import texts
from zentry_web.adapters.letters import FOLDER as LETTERS
from zentry_web.domain.language import (
    ENGLISH,
    FOLDER,
    _,
    find_language,
    languages,
    lazy,
    ngettext,
    script_words,
    speaking,
)

pytestmark = pytest.mark.unit
OTHERS = [code for code in languages() if code != ENGLISH]


def test_german_is_there():
    assert languages()["de"] == "Deutsch"


@pytest.mark.parametrize("code", OTHERS)
def test_every_text_is_translated(code):
    assert [f"{text.places[0]}: {text.key[1]!r}" for text in texts.missing(code)] == []


@pytest.mark.parametrize("code", OTHERS)
def test_nothing_is_left_over(code):
    assert texts.left_over(code) == []


@pytest.mark.parametrize("code", OTHERS)
def test_no_text_is_translated_in_two_ways(code):
    assert texts.contradictions(code) == []


@pytest.mark.parametrize("code", OTHERS)
def test_translations_have_the_placeholders_and_tags_of_their_texts(code):
    assert texts.misfits(code) == []


@pytest.mark.parametrize("code", OTHERS)
def test_what_scripts_say_is_in_their_own_catalogue(code):
    said = {key[1] for key, text in texts.in_code().items() if any(".js:" in place for place in text.places)}
    assert said == set(script_words(code)) != set()


@pytest.mark.parametrize("code", OTHERS)
def test_every_mail_is_translated(code):
    own = FOLDER / code / "mails"
    assert {path.name for path in own.iterdir()} == {path.name for path in LETTERS.iterdir()}
    for path in own.iterdir():
        text, english = path.read_text(), (LETTERS / path.name).read_text()
        assert set(re.findall(r"\$\w+", text)) == set(re.findall(r"\$\w+", english)), path.name
        assert "\n\n" in text


def test_a_language_that_is_not_there_is_english():
    assert find_language("tlh") == find_language(ENGLISH)


def test_texts_are_said_in_the_language_spoken():
    late = lazy("Machines")
    assert _("Machines") == late == "Machines"
    with speaking("de"):
        assert _("Machines") == str(late) == f"{late}" == "Maschinen"
        assert late == "Machines"  # to programs
    assert f"{late}" == "Machines"


def test_values_and_percent_signs_are_filled_in():
    assert _("%(name)s has 5 %%", name="web-1") == "web-1 has 5 %"
    assert _("5 %%") == "5 %"
    assert [ngettext("%(num)s machine", "%(num)s machines", count) for count in (1, 2)] == ["1 machine", "2 machines"]
