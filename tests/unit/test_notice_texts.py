"""Notices say what stands in one table: each is brought its words, all of them and no others."""

import ast
import re

import pytest

from tests.source import modules, named, tree
from zentry_web.domain.credits.landing import LandingStep
from zentry_web.domain.notice_texts import LINES, NOTICES, say, say_line
from zentry_web.domain.vms.fleet import ORDERS

pytestmark = pytest.mark.unit

WORD = re.compile(r"\$\{?([a-z_]+)")
TEXTS = {name: f"{title} {body}" for name, (title, body) in NOTICES.items()} | LINES
# Names that are made at run time, and by what.
MADE = {
    "ordered_{kind}": [f"ordered_{kind}" for kind in ORDERS],
    "ordered_{kind}_many": [f"ordered_{kind}_many" for kind in ORDERS],
    "landing_{line.step}": [f"landing_{step}" for step in LandingStep],
    "payment_{move.key}": ["payment_refunded", "payment_refund_failed", "payment_disputed", "payment_undisputed"],
    "kind": ["clock", "disk_full"],
    "notice": ["payment_received", "payment_received_automatic"],
}


def words_of(text):
    return set(WORD.findall(text))


def names_of(node):
    """The texts that a first argument may name."""
    if isinstance(node, ast.Constant):
        return [node.value]
    if isinstance(node, ast.IfExp):
        return [*names_of(node.body), *names_of(node.orelse)]
    return MADE[ast.unparse(node).removeprefix("f").strip("'\"")]


def said():
    """(place, name, words) of every text that the product says."""
    for path in modules():
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("say", "say_line"):
                brought = {each.arg for each in node.keywords}
                for name in names_of(node.args[0]):
                    yield f"{named(path)}:{node.lineno}", name, brought


def test_every_text_is_said_and_brought_its_words():
    found = list(said())
    assert {name for _, name, _ in found} == set(TEXTS)
    lacking = [(place, name, words_of(TEXTS[name]) - brought) for place, name, brought in found]
    assert [each for each in lacking if each[2]] == []
    moves = ("payment_refunded", "payment_refund_failed", "payment_disputed", "payment_undisputed")  # one call
    several = {*moves, *MADE["landing_{line.step}"]}
    useless = [(place, name, brought - words_of(TEXTS[name])) for place, name, brought in found if name not in several]
    assert [each for each in useless if each[2]] == []


def test_a_text_is_filled_in_and_what_was_brought_is_not_read_again():
    title, body = say("member_role", project="$role", role="viewer", before="admin")
    assert (title, body) == ("Your role in $role is now “viewer”", "It was “admin” before.")
    assert say_line("about_person", person="ana@example.com", why="Late") == "For ana@example.com: Late"
    with pytest.raises(KeyError):
        say("member_role", project="x")


def test_titles_are_one_line():
    for name, (title, body) in NOTICES.items():
        assert "\n" not in title, name
        assert title.strip() == title, name
        assert body.strip() == body, name
