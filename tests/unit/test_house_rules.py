"""Rules of this code base that no linter knows."""

import ast
import inspect
import re
from functools import cache
from pathlib import Path

import pytest

from zentry_web.services import errors
from zentry_web.services.auth_service import AuthService
from zentry_web.services.billing_service import BillingService
from zentry_web.services.monitoring_service import MonitoringService
from zentry_web.services.project_service import ProjectService
from zentry_web.services.user_service import UserService
from zentry_web.services.vm_service import VMService
from zentry_web.web.activity import ACTIONS
from zentry_web.web.errors import ERRORS

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "zentry_web"
MODULES = sorted(PACKAGE.rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
SERVICES = (AuthService, BillingService, MonitoringService, ProjectService, UserService, VMService)
LONGEST_MODULE = 400
LONGEST_FUNCTION = 50
LONGEST_ROUTE = 30


@cache
def tree(path):
    return ast.parse(path.read_text(), str(path))


def named(path):
    return str(path.relative_to(ROOT))


def functions(paths):
    for path in paths:
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield path, node


def length(node):
    """Lines of a function without its decorators and docstring."""
    body = node.body
    if isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant) and len(body) > 1:
        doc = body[0].end_lineno - body[0].lineno + 1
    else:
        doc = 0
    return node.end_lineno - node.lineno + 1 - doc


def calls(paths):
    for path in paths:
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Call):
                yield path, node


def test_only_the_transaction_commits():
    found = {
        named(path)
        for path, node in calls(MODULES)
        if isinstance(node.func, ast.Attribute) and node.func.attr == "commit"
    }
    assert found <= {"zentry_web/services/base_service.py", "zentry_web/adapters/compute/simulator_store.py"}


def test_no_module_is_too_long():
    sizes = {named(path): len(path.read_text().splitlines()) for path in MODULES}
    assert {name: size for name, size in sizes.items() if size > LONGEST_MODULE} == {}


def test_no_function_is_too_long():
    long = {f"{named(path)}:{node.name}": length(node) for path, node in functions(MODULES)}
    assert {name: lines for name, lines in long.items() if lines > LONGEST_FUNCTION} == {}


def test_no_route_is_too_long():
    long = {
        f"{named(path)}:{node.name}": length(node)
        for path, node in functions((PACKAGE / "blueprints").rglob("*.py"))
        if node.decorator_list
    }
    assert {name: lines for name, lines in long.items() if lines > LONGEST_ROUTE} == {}


def test_every_public_service_method_says_what_it_promises():
    silent = [
        f"{kind.__name__}.{name}"
        for kind in SERVICES
        for name, method in inspect.getmembers(kind, inspect.isfunction)
        if not name.startswith("_") and name != "now" and not method.__doc__
    ]
    assert silent == []


def test_no_work_is_left_for_later():
    later = re.compile(r"\b(TODO|FIXME|XXX|NotImplementedError)\b")
    assert [named(path) for path in MODULES if later.search(path.read_text())] == []


def test_no_test_is_skipped_or_expected_to_fail():
    dodges = {"skip", "skipif", "xfail", "importorskip"}
    found = [
        f"{named(path)}:{node.lineno}"
        for path in TESTS
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Attribute) and node.attr in dodges
    ]
    assert found == []


def test_money_meets_no_float():
    paths = [PACKAGE / "domain" / "money.py", PACKAGE / "domain" / "billing.py", PACKAGE / "domain" / "usage.py"]
    names = ("billing_service", "ledger", "ledger_checks", "holds", "settlement", "usage", "usage_reports", "prices")
    paths += [PACKAGE / "services" / f"{name}.py" for name in names]
    floats = [
        f"{named(path)}:{node.lineno}"
        for path in paths
        if path.exists()
        for node in ast.walk(tree(path))
        if (isinstance(node, ast.Constant) and isinstance(node.value, float))
        or (isinstance(node, ast.Name) and node.id == "float")
        or (isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div))
        or (isinstance(node, ast.Attribute) and node.attr == "total_seconds")
    ]
    assert floats == []


def test_every_error_has_a_row_in_the_one_table():
    kinds = [errors.ServiceError]
    for kind in kinds:
        kinds += kind.__subclasses__()
    assert {kind.default_code for kind in kinds} <= set(ERRORS)
    raised = {
        node.args[1].value
        for _, node in calls(MODULES)
        if isinstance(node.func, ast.Name) and node.func.id == "ServiceError" and len(node.args) > 1
        if isinstance(node.args[1], ast.Constant)
    }
    assert raised <= set(ERRORS)


@pytest.mark.asvs("16.5.3")
def test_service_errors_are_not_caught_inside_transactions():
    """A transaction that goes on after a refusal would commit half of something."""
    kinds = {
        name for name, kind in vars(errors).items() if inspect.isclass(kind) and issubclass(kind, errors.ServiceError)
    }
    found = []
    for path in (PACKAGE / "services").glob("*.py"):
        for block in ast.walk(tree(path)):
            if not isinstance(block, ast.With) or "self.transaction()" not in ast.unparse(block.items[0]):
                continue
            for node in ast.walk(block):
                if isinstance(node, ast.ExceptHandler) and node.type is not None:
                    caught = {each.id for each in ast.walk(node.type) if isinstance(each, ast.Name)}
                    found += [f"{named(path)}:{node.lineno}"] if caught & (kinds | {"Exception"}) else []
    assert found == []


@pytest.mark.asvs("8.3.1")
def test_blueprints_and_web_say_who_is_acting():
    """Services take SYSTEM for the actor when none is given: right for the worker, a hole in a page."""
    wanting = {
        name
        for kind in SERVICES
        for name, method in inspect.getmembers(kind, inspect.isfunction)
        if not name.startswith("_") and "actor" in inspect.signature(method).parameters
    }
    paths = [*(PACKAGE / "blueprints").rglob("*.py"), *(PACKAGE / "web").rglob("*.py")]
    found = [
        f"{named(path)}:{node.lineno} {node.func.attr}()"
        for path, node in calls(paths)
        if isinstance(node.func, ast.Attribute) and node.func.attr in wanting
        if not any(keyword.arg == "actor" for keyword in node.keywords)
    ]
    assert found == []


def test_every_event_has_words_for_people():
    pattern = re.compile(r"^(auth|user|profile|project|credits|vm|size|image|price|compute|voucher)\.[a-z_]+$")
    actions = {
        node.value
        for path in [*(PACKAGE / "services").glob("*.py"), *(PACKAGE / "worker").glob("*.py")]
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and pattern.match(node.value)
    }
    assert actions - set(ACTIONS) == set()


@pytest.mark.asvs("16.2.5")
def test_events_details_hold_nothing_personal():
    """The log is for ever; what can be erased lies in its side table (argument ``personal``)."""
    found = []
    for path, node in calls((PACKAGE / "services").glob("*.py")):
        if not (isinstance(node.func, ast.Attribute) and node.func.attr in ("log_audit_event", "_log", "log")):
            continue
        details = [*node.args[3:], *(each.value for each in node.keywords if each.arg == "details")]
        for argument in details:
            if isinstance(argument, ast.Dict):
                keys = {key.value for key in argument.keys if isinstance(key, ast.Constant)}
                bad = keys & {"email", "address", "user_agent", "person", "password"}
                found += [f"{named(path)}:{node.lineno} {bad}"] if bad else []
    assert found == []


def test_nothing_at_run_time_reaches_outside_the_clone():
    outside = re.compile(r"/work/|\.\./shared")
    suffixes = {".py", ".html", ".js", ".css", ".cfg", ".toml", ".md", ".txt", ".sh", ""}
    folders = [PACKAGE, ROOT / "scripts", ROOT / "migrations", ROOT / "docs", ROOT / ".ci"]
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file() and path.suffix in suffixes]
    files += [
        ROOT / name for name in ("setup.cfg", "pyproject.toml", "Makefile", "README.md") if (ROOT / name).exists()
    ]
    readable = [path for path in files if "vendor" not in path.parts and "__pycache__" not in path.parts]
    assert [named(path) for path in readable if outside.search(path.read_text(errors="ignore"))] == []


def test_decisions_have_numbers_of_their_own():
    numbers = [path.name[:4] for path in sorted((ROOT / "docs" / "adr").glob("*.md"))]
    assert len(numbers) == len(set(numbers))
    for path in (ROOT / "docs" / "adr").glob("*.md"):
        assert path.read_text().startswith(f"# {path.name[:4]} · "), path.name
