"""Rules of this code base that no linter knows."""

import ast
import configparser
import inspect
import re

import pytest

from tests.source import PACKAGE, ROOT, modules, named, tree
from zentry_web.services import errors
from zentry_web.web.errors import ERRORS
from zentry_web.web.output.activity import ACTIONS

pytestmark = pytest.mark.unit

MODULES = modules()
SERVICES = modules("services")
TESTS = sorted((ROOT / "tests").rglob("*.py"))
LONGEST_MODULE = 400
LONGEST_FUNCTION = 50
LONGEST_ROUTE = 30


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


def public_methods(paths):
    """(path, class, method) of all public classes: of the services, and of every part that they are made of."""
    for path in paths:
        for kind in tree(path).body:
            if isinstance(kind, ast.ClassDef) and not kind.name.startswith("_"):
                for method in kind.body:
                    if isinstance(method, ast.FunctionDef) and not method.name.startswith("_"):
                        yield path, kind, method


def may_leave_out_the_actor(method):
    """Whether ``actor`` has a value of its own: a call without it works, and means the system."""
    names = [each.arg for each in method.args.kwonlyargs]
    return "actor" in names and method.args.kw_defaults[names.index("actor")] is not None


def of_services(path, receiver):
    """Whether an expression begins with ``services()`` or with a name that was taken from there."""
    if "services()" in ast.unparse(receiver):
        return True
    taken = {
        name.id
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Assign) and "services()" in ast.unparse(node.value)
        for name in ast.walk(node.targets[0])
        if isinstance(name, ast.Name)
    }
    return any(isinstance(node, ast.Name) and node.id in taken for node in ast.walk(receiver))


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
    assert found <= {"zentry_web/services/base_service.py", "zentry_web/adapters/compute/simulator/store.py"}


def test_no_module_is_too_long():
    sizes = {named(path): len(path.read_text().splitlines()) for path in MODULES}
    assert {name: size for name, size in sizes.items() if size > LONGEST_MODULE} == {}


def test_no_function_is_too_long():
    long = {f"{named(path)}:{node.name}": length(node) for path, node in functions(MODULES)}
    assert {name: lines for name, lines in long.items() if lines > LONGEST_FUNCTION} == {}


def test_one_word_stands_for_one_thing():
    """No two public classes or named types have one name."""
    places = {}
    for path in MODULES:
        for node in tree(path).body:
            if isinstance(node, ast.ClassDef):
                places.setdefault(node.name, []).append(named(path))
            elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Subscript):
                for target in node.targets:
                    if isinstance(target, ast.Name) and any(letter.islower() for letter in target.id):
                        places.setdefault(target.id, []).append(named(path))
    assert len(places) > 500
    assert {name: where for name, where in places.items() if len(where) > 1} == {}


def test_no_route_is_too_long():
    long = {
        f"{named(path)}:{node.name}": length(node)
        for path, node in functions(modules("blueprints"))
        if node.decorator_list
    }
    assert {name: lines for name, lines in long.items() if lines > LONGEST_ROUTE} == {}


def test_every_public_service_method_says_what_it_promises():
    methods = list(public_methods(SERVICES))
    assert len(methods) > 600, "faces and parts"
    silent = [
        f"{named(path)}: {kind.name}.{method.name}"
        for path, kind, method in methods
        if ast.get_docstring(method) is None
        and method.name != "now"
        and not any(isinstance(each, ast.Name) and each.id == "property" for each in method.decorator_list)
    ]
    assert silent == []


def test_a_package_of_services_is_a_docstring_and_has_a_face():
    packages = [path for path in SERVICES if path.name == "__init__.py"]
    bodies = {named(path): tree(path).body for path in packages}
    assert len(packages) > 10
    assert [name for name, body in bodies.items() if len(body) != 1 or not ast.get_docstring(tree(ROOT / name))] == []
    contracts = configparser.ConfigParser()
    contracts.read(ROOT / "setup.cfg")
    protected = {
        contracts[each]["protected_modules"].strip()
        for each in contracts.sections()
        if contracts[each].get("type") == "protected"
    }
    own = {path.parent.name for path in packages if path.parent.parent == PACKAGE / "services"} - {"shared"}
    assert protected == {f"zentry_web.services.{name}" for name in own}


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


def test_services_know_no_address_of_the_site():
    """They lead to a ``Target``; web/output/targets.py has the paths, templates/mails the letters."""
    path_or_url = re.compile(r"(^|\s)/[a-z]|https?://")
    found = []
    for path in SERVICES:
        told = {
            id(node.body[0].value)
            for node in ast.walk(tree(path))
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None
        }
        for node in ast.walk(tree(path)):
            is_text = isinstance(node, ast.Constant) and isinstance(node.value, str)
            if is_text and id(node) not in told and path_or_url.search(node.value):
                found.append(f"{named(path)}:{node.lineno} {node.value}")
    assert len(SERVICES) > 120
    assert found == []


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
    blocks = 0
    for path in SERVICES:
        for block in ast.walk(tree(path)):
            opened = [ast.unparse(item.context_expr) for item in block.items] if isinstance(block, ast.With) else []
            if not any(each.endswith(".transaction()") for each in opened):
                continue
            blocks += 1
            for node in ast.walk(block):
                if isinstance(node, ast.ExceptHandler) and node.type is not None:
                    caught = {each.id for each in ast.walk(node.type) if isinstance(each, ast.Name)}
                    found += [f"{named(path)}:{node.lineno}"] if caught & (kinds | {"Exception"}) else []
    assert blocks > 200
    assert found == []


@pytest.mark.asvs("8.3.1")
def test_blueprints_and_web_say_who_is_acting():
    """Services take SYSTEM for the actor when none is given: right for the worker, a hole in a page."""
    wanting = {method.name for _, _, method in public_methods(SERVICES) if may_leave_out_the_actor(method)}
    assert len(wanting) > 100, "of faces and of parts"
    # Methods of other things that are called the same.
    common, own = {name for kind in (dict, set, list, str) for name in vars(kind)}, {"form", "self", "subscriber"}
    paths = [*modules("blueprints"), *modules("web")]
    found = [
        f"{named(path)}:{node.lineno} {node.func.attr}()"
        for path, node in calls(paths)
        if isinstance(node.func, ast.Attribute) and node.func.attr in wanting
        if not any(keyword.arg == "actor" for keyword in node.keywords)
        if of_services(path, node.func.value)
        or not (node.func.attr in common or ast.unparse(node.func.value).partition(".")[0] in own)
    ]
    assert found == []


def test_every_event_has_words_for_people():
    pattern = re.compile(r"^(auth|user|profile|project|credits|vm|size|image|price|compute|voucher)\.[a-z_]+$")
    actions = {
        node.value
        for path in [*SERVICES, *modules("worker")]
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and pattern.match(node.value)
    }
    assert actions - set(ACTIONS) == set()


@pytest.mark.asvs("16.2.5")
def test_events_details_hold_nothing_personal():
    """The log is for ever; what can be erased lies in its side table (argument ``personal``)."""
    found = []
    logged = 0
    for path, node in calls(SERVICES):
        if not (isinstance(node.func, ast.Attribute) and node.func.attr in ("audit", "log_audit_event", "_log", "log")):
            continue
        logged += 1
        details = [*node.args[2:], *(each.value for each in node.keywords if each.arg == "details")]
        for argument in details:
            if isinstance(argument, ast.Dict):
                keys = {key.value for key in argument.keys if isinstance(key, ast.Constant)}
                bad = keys & {"email", "address", "user_agent", "person", "password"}
                found += [f"{named(path)}:{node.lineno} {bad}"] if bad else []
    assert logged > 80
    assert found == []


def test_what_notices_say_stands_in_one_table():
    """``tell`` gets ``*say(…)``: title and body are texts of domain/notice_texts.py."""
    telling = [
        (path, node)
        for path, node in calls(SERVICES)
        if isinstance(node.func, ast.Attribute) and node.func.attr == "tell" and len(node.args) > 3
    ]
    assert len(telling) > 25
    own = [f"{named(path)}:{node.lineno}" for path, node in telling if not isinstance(node.args[3], ast.Starred)]
    assert own == []


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
