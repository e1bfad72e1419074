"""Every limit stands in the one table, and the table has no rule that nothing asks for."""

import re
from pathlib import Path

import pytest

from zentry_web.services.shared.rate_rules import DAY, RULES

pytestmark = pytest.mark.unit

SERVICES = Path(__file__).parents[2] / "zentry_web" / "services"
SOURCES = {path: path.read_text() for path in SERVICES.rglob("*.py") if not path.name.startswith("rate_")}


def test_no_service_has_limits_of_its_own():
    assert [path.name for path, text in SOURCES.items() if re.search(r"\bLimit\(", text)] == []


def test_every_rule_is_asked_for_and_every_question_has_a_rule():
    asked = set()
    for text in SOURCES.values():
        asked |= set(re.findall(r'(?:limit_of|check_actor)\(f?"([a-z_{}]+)"', text))
    mailed = {name.replace("{purpose}", purpose) for name in asked for purpose in ("signup", "reset")}
    assert mailed == set(RULES)


def test_counters_are_kept_longer_than_any_window():
    assert all(rule.seconds <= DAY and rule.count > 0 for rule in RULES.values())


@pytest.mark.parametrize("name", ["login", "login_network", "password", "proof", "factor", "voucher"])
def test_guessing_is_never_lifted(name):
    assert not RULES[name].costly
