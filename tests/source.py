"""The product's source, for tests that guard it: always the whole tree, never names that a move leaves behind."""

import ast
import pkgutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import zentry_web

PACKAGE = Path(zentry_web.__file__).parent
ROOT = PACKAGE.parent


@cache
def modules(folder: str = "") -> tuple[Path, ...]:
    """Every Python file of the package, or of a folder in it (``services``): as many as Python's own walk finds."""
    found = tuple(sorted((PACKAGE / folder).rglob("*.py")))
    prefix = ".".join(("zentry_web", *Path(folder).parts)) + "."
    walked = [
        each for each in pkgutil.walk_packages(zentry_web.__path__, "zentry_web.") if each.name.startswith(prefix)
    ]
    assert len(found) == len(walked) + 1 > 1, (
        f"{len(found)} files, {len(walked)} modules below {prefix}"
    )  # and __init__.py
    return found


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def named(path: Path) -> str:
    """As people write it: from the project's root."""
    return str(path.relative_to(ROOT))


def imported(path: Path) -> Iterator[Path]:
    """Modules of the package that a module imports, at its top or anywhere in it."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.ImportFrom):
            parents = path.relative_to(ROOT).with_suffix("").parts[: -node.level] if node.level else ()
            start = ".".join((*parents, *([node.module] if node.module else [])))
            names = [start, *(f"{start}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        yield from filter(None, map(_file_of, names))


def _file_of(name: str) -> Path | None:
    path = ROOT / Path(*name.split("."))
    found = (each for each in (path.with_suffix(".py"), path / "__init__.py") if each.is_file())
    return next((each for each in found if name.startswith("zentry_web")), None)


def closure(start: Path) -> list[Path]:
    """A module and all that it imports of the package, directly or not."""
    seen = [start]
    for path in seen:  # grows meanwhile
        seen += [each for each in dict.fromkeys(imported(path)) if each not in seen]
    return sorted(seen)
