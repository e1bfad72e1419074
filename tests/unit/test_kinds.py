"""What each kind of operation allows: no kind and no step without its line (domain/vms/kinds.py)."""

import pytest

from zentry_web.domain.vms.kinds import KINDS, STEP_WORDS
from zentry_web.domain.vms.operation import OperationKind
from zentry_web.worker.operations.kinds import DO, NEVER_GIVEN_UP

pytestmark = pytest.mark.unit


def test_every_kind_has_its_rules():
    assert set(KINDS) == set(OperationKind) == set(DO)


@pytest.mark.parametrize("kind", list(OperationKind))
def test_its_steps_have_words_and_it_can_be_aborted_at_some_of_them(kind):
    rules = KINDS[kind]
    assert rules.steps[0] == "queued"
    assert set(rules.steps) <= set(STEP_WORDS)
    assert rules.abort_at <= set(rules.steps)
    assert bool(rules.abort_at) == (kind not in NEVER_GIVEN_UP)
    assert rules.again is None or kind not in NEVER_GIVEN_UP
