"""L5: no float on a money path. Looks at the source: literals, true division, float functions."""

import ast

import pytest

from tests.source import PACKAGE, closure, named

pytestmark = pytest.mark.unit

# What the faces of money are made of, all the way down to the rules; and the tables.
MODULES = [
    path
    for path in closure(PACKAGE / "services" / "billing_service.py")
    if path.relative_to(PACKAGE).parts[0] in ("services", "domain") or path == PACKAGE / "models" / "billing.py"
]
# Floats that are no credits, each with what it is.
HARMLESS = {
    "zentry_web/domain/credits/landing.py": {"1.5"},  # how far a runway must grow before it is told again
    "zentry_web/domain/monitoring.py": {"float"},  # readings
    "zentry_web/domain/credits/prices.py": {"timestamp"},  # in a checksum
    "zentry_web/domain/projects/project.py": {"float"},  # a machine's use of its processor
    "zentry_web/services/billing/payments/automatic.py": {"timestamp"},  # in a key
    "zentry_web/services/base_service.py": {"float", "0.0", "0.1", "0.005", "0.01", "0.03", "0.025", "0.05", "0.25"},
    "zentry_web/services/shared/rate_limits.py": {"fromtimestamp", "timestamp"},
    "zentry_web/services/shared/rounds.py": {"float"},  # seconds of a round
}
FLOAT_METHODS = {"timestamp", "total_seconds", "fromtimestamp", "utcfromtimestamp"}
FLOAT_NAMES = {"float", "Float", "Double", "Numeric", "math", "statistics"}


def floats_in(source):
    """Every place where a float could come in, as 'line: what'."""
    found = []
    for node in ast.walk(ast.parse(source)):
        what = None
        if isinstance(node, ast.Constant) and isinstance(node.value, float | complex):
            what = repr(node.value)
        elif isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div):
            what = "true division"
        elif isinstance(node, ast.Name) and node.id in FLOAT_NAMES:
            what = node.id
        elif isinstance(node, ast.alias) and node.name in FLOAT_NAMES:
            what = node.name
        elif isinstance(node, ast.Attribute) and node.attr in FLOAT_METHODS:
            what = node.attr
        if what:
            found.append(f"{node.lineno if hasattr(node, 'lineno') else '?'}: {what}")
    return found


@pytest.mark.asvs("15.3.5")
def test_money_modules_use_no_float():
    found = {named(path): floats_in(path.read_text()) for path in MODULES}
    assert len(found) > 80
    bad = {
        name: [each for each in floats if each.partition(": ")[2] not in HARMLESS.get(name, ())]
        for name, floats in found.items()
    }
    assert {name: floats for name, floats in bad.items() if floats} == {}
    assert set(HARMLESS) == {name for name, floats in found.items() if floats}, "no exception is left over"


@pytest.mark.parametrize("bad", ["x = 1.5", "x = a / b", "x /= 2", "x = float(3)", "import math", "t.timestamp()"])
def test_the_scan_finds_what_it_looks_for(bad):
    assert floats_in(bad)
