"""What forms say by themselves."""

import ast
import inspect

import pytest
from wtforms import validators
from wtforms.fields import choices, datetime, numeric

from zentry_web.web.input.form_words import OTHERWISE, WORDS, FormWords

pytestmark = pytest.mark.unit

SPEAKERS = (
    *(choices, datetime, numeric),
    *(validators.Length, validators.NumberRange, validators.InputRequired, validators.DataRequired, validators.AnyOf),
)
FOR_PROGRAMMERS = "Choices cannot be None."  # a TypeError: nobody gets to see it


def sentences(speaker):
    """Every text that a module or class of WTForms has translated."""
    for node in ast.walk(ast.parse(inspect.getsource(speaker))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            count = {"gettext": 1, "ngettext": 2}.get(node.func.attr, 0)
            yield from (ast.literal_eval(each) for each in node.args[:count])


@pytest.mark.parametrize("speaker", SPEAKERS, ids=lambda each: each.__name__)
def test_every_sentence_of_wtforms_has_one_of_ours(speaker):
    said = set(sentences(speaker)) - {FOR_PROGRAMMERS}
    assert said
    assert said <= set(WORDS)


def test_numbers_are_put_into_ours():
    words = FormWords()
    text = words.ngettext(
        "Field cannot be longer than %(max)d character.", "Field cannot be longer than %(max)d characters.", 9
    )
    assert text % {"min": 1, "max": 9} == "Use at most 9 characters."
    assert words.gettext("What a later WTForms may say: %(more)s") % {"more": 1} == OTHERWISE
