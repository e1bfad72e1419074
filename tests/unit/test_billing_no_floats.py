"""L5: no float on a money path. Looks at the source: literals, true division, float functions."""

import ast
from pathlib import Path

import pytest

import zentry_web

pytestmark = pytest.mark.unit

ROOT = Path(zentry_web.__file__).parent
MODULES = (
    "domain/money.py",
    "domain/usage.py",
    "domain/billing.py",
    "domain/bills.py",
    "domain/bill_csv.py",
    "domain/forecast.py",
    "domain/budget.py",
    "domain/statement.py",
    "domain/voucher.py",
    "models/billing.py",
    "services/billing_service.py",
    "services/billing_runs.py",
    "services/bills.py",
    "services/spending.py",
    "services/price_switch.py",
    "services/budgets.py",
    "services/statements.py",
    "services/vouchers.py",
    "services/ledger.py",
    "services/ledger_checks.py",
    "services/settlement.py",
    "services/holds.py",
    "services/usage.py",
    "services/usage_reports.py",
    "services/usage_sets.py",
    "services/prices.py",
)
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
@pytest.mark.parametrize("module", MODULES)
def test_money_modules_use_no_float(module):
    assert floats_in((ROOT / module).read_text()) == []


def test_every_module_that_billing_imports_is_looked_at():
    wanted = set()
    for module in MODULES:
        for node in ast.walk(ast.parse((ROOT / module).read_text())):
            if isinstance(node, ast.ImportFrom) and node.module == "zentry_web.services":
                wanted |= {f"services/{alias.name}.py" for alias in node.names}
    assert wanted <= set(MODULES)


@pytest.mark.parametrize("bad", ["x = 1.5", "x = a / b", "x /= 2", "x = float(3)", "import math", "t.timestamp()"])
def test_the_scan_finds_what_it_looks_for(bad):
    assert floats_in(bad)
