"""Every event that is logged has words: what a person reads in an activity list is never a program's name for it."""

import ast
import re

import pytest

from tests.source import modules, named, tree
from zentry_web.domain.vms.operation import OperationKind
from zentry_web.web.output.activity import ACTIONS, FAILED, PENDING

pytestmark = pytest.mark.unit

ACTION = re.compile(r"[a-z]+\.[a-z_]+")


def names_in(path):
    """Texts that look like an action's name, but for those of checkpoints and of the database's columns."""
    calls = [
        node for node in ast.walk(tree(path)) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    ]
    skipped = {
        id(argument)
        for call in calls
        if call.func.attr in ("checkpoint", "ForeignKey", "get_logger")
        for argument in call.args
    }
    for node in ast.walk(tree(path)):
        is_text = isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in skipped
        if is_text and ACTION.fullmatch(node.value):
            yield node.value


def logged():
    """What services may log, and where."""
    found = {f"vm.{kind}": "OperationKind" for kind in OperationKind}
    for path in modules("services"):
        found |= dict.fromkeys(names_in(path), named(path))
    return found


def test_every_event_has_words():
    found = logged()
    assert len(found) > 100
    silent = {name: where for name, where in found.items() if name not in ACTIONS}
    assert not silent, f"web/output/activity.py has no words for {silent}"


def test_words_for_what_is_under_way_or_failed_are_of_events_with_words():
    assert set(PENDING) | set(FAILED) <= set(ACTIONS)


def test_every_operation_has_words_while_it_is_under_way_and_when_it_failed():
    for kind in OperationKind:
        assert f"vm.{kind}" in PENDING
        assert f"vm.{kind}" in FAILED
