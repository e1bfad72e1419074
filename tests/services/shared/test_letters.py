"""What is written in mails: one file each, all of them used, and nothing but text."""

import ast
import re

import pytest

from tests.source import modules, tree
from zentry_web.adapters.letters import FOLDER, Letters
from zentry_web.domain.target import Place, Target
from zentry_web.web.output.targets import path_of

pytestmark = pytest.mark.unit
FILES = sorted(path.stem for path in FOLDER.iterdir())


def written():
    """The letters that services write, with the words that they give."""
    for path in modules("services"):
        for node in ast.walk(tree(path)):
            called = isinstance(node, ast.Call) and ast.unparse(node.func)
            if called and (called == "write" or called.endswith(".letters.write")):
                yield node.args[0].value, {word.arg for word in node.keywords}


def test_each_letter_is_written_with_just_the_words_in_it():
    wanted = {name: set(re.findall(r"\$(\w+)", (FOLDER / f"{name}.txt").read_text())) for name in FILES}
    assert len(FILES) == 10
    assert dict(written()) == wanted


@pytest.mark.parametrize("name", FILES)
def test_a_letter_is_a_line_an_empty_line_and_text(name):
    subject, _, body = (FOLDER / f"{name}.txt").read_text().partition("\n\n")
    assert subject == subject.strip() != ""
    assert "\n" not in subject
    assert "$" not in subject
    assert body.endswith("\n")
    assert body.strip() == body.removesuffix("\n")


def test_words_are_taken_as_they_are_and_targets_become_addresses():
    letters = Letters("https://cloud.example.com", path_of)
    name = "$link ${name} $$\n\n%s {0} <b>"
    subject, body = letters.write("reset", name=name, link=Target(Place.RESET_LINK, "s3cret"))
    assert subject == "Choose a new Zentry password"
    assert body.startswith(f"Hello {name},\n\nopen this link")
    assert "\n\nhttps://cloud.example.com/reset/s3cret\n\n" in body
    assert body.endswith("as it is.")


@pytest.mark.error
def test_a_letter_lacks_no_word():
    with pytest.raises(KeyError, match="link"):
        Letters().write("reset", name="Alice")
