"""Which test shows which item of OWASP ASVS 5.0: ``python -m tests.asvs`` writes docs/security.md.

``items.txt`` has the items of levels 1 and 2 and a few of level 3; a test that shows one is marked with
``@pytest.mark.asvs("6.2.1")``. tests/unit/test_asvs.py keeps the three in step.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
ITEMS = Path(__file__).with_name("items.txt")
DOCUMENT = ROOT / "docs" / "security.md"
_LINE = re.compile(r"(?P<id>\d+\.\d+\.\d+) (?P<level>[123]) \| (?P<text>[^|]+?)(?: \| (?P<kind>\w+): (?P<note>.+))?")
DOC, PART, OPEN, NONE = "doc", "part", "open", "none"
WORDS = {"": "shown", DOC: "written down", PART: "in part", OPEN: "not met", NONE: "does not apply"}
HEAD = """# Security, item by item

Written by `python -m tests.asvs` from the markers on the tests; do not edit. What Zentry does and why stands in
[protection.md](protection.md).

The items are those of the OWASP Application Security Verification Standard 5.0 (https://github.com/OWASP/ASVS) of
levels 1 and 2, and those of level 3 that matter most here, in our words: read the standard for what exactly is asked.
It is our own judgement; nobody else has verified it.

"""


@dataclass
class Item:
    """One item, and the tests that show it as 'tests/path.py::name'."""

    id: str
    level: int
    text: str
    kind: str
    note: str
    tests: list[str] = field(default_factory=list)

    @property
    def needs_a_test(self) -> bool:
        return self.kind in ("", PART)


def read_items(text: str) -> dict[str, list[Item]]:
    """Chapters with their items. Raises ValueError for a line that is none, or an id that comes twice."""
    chapters: dict[str, list[Item]] = {}
    seen: set[str] = set()
    for line in text.splitlines():
        if line.startswith("## "):
            chapters[line.removeprefix("## ")] = items = []
        elif line and not line.startswith("# "):
            found = _LINE.fullmatch(line)
            if found is None or found["id"] in seen or found["kind"] not in (None, DOC, PART, OPEN, NONE):
                raise ValueError(f"not an item: {line}")
            seen.add(found["id"])
            items.append(
                Item(found["id"], int(found["level"]), found["text"], found["kind"] or "", found["note"] or "")
            )
    return chapters


def marks(source: str) -> Iterator[tuple[str, str]]:
    """(name of the test, id) of every ``@pytest.mark.asvs(…)`` in a module."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.FunctionDef):
            continue
        for mark in node.decorator_list:
            if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.asvs":
                for each in mark.args:
                    yield node.name, ast.literal_eval(each)


def with_tests(chapters: dict[str, list[Item]], found: list[tuple[str, str]]) -> list[str]:
    """Put tests ('path::name', id) onto their items; the ids that no item has are returned."""
    by_id = {item.id: item for items in chapters.values() for item in items}
    for test, item_id in found:
        if item_id in by_id:
            by_id[item_id].tests.append(test)
    return sorted({item_id for _, item_id in found} - set(by_id))


def all_marks() -> list[tuple[str, str]]:
    """The markers of all tests, by path."""
    paths = sorted((ROOT / "tests").rglob("test_*.py"))
    return [(f"{path.relative_to(ROOT)}::{name}", item) for path in paths for name, item in marks(path.read_text())]


def document(chapters: dict[str, list[Item]]) -> str:
    """docs/security.md."""
    every = [item for items in chapters.values() for item in items]
    counts = [f"{sum(item.kind == kind for item in every)} {words}" for kind, words in WORDS.items()]
    parts = [HEAD, f"{len(every)} items: {', '.join(counts)}.\n"]
    for name, items in chapters.items():
        parts.append(f"\n## {name}\n\n| item | level | what | state | shown by |\n|---|---|---|---|---|\n")
        parts += [_row(item) for item in items]
    return "".join(parts)


def _row(item: Item) -> str:
    shown = [_link(test) for test in item.tests]
    if item.kind == DOC:
        shown.insert(0, f"[{item.note.removeprefix('docs/')}]({item.note.removeprefix('docs/')})")
    elif item.note:
        shown.insert(0, item.note + ("." if shown else ""))
    return f"| {item.id} | {item.level} | {item.text} | {WORDS[item.kind]} | {' '.join(shown)} |\n"


def _link(test: str) -> str:
    path, name = test.split("::")
    return f"[{name.removeprefix('test_').replace('_', ' ')}](../{path})"
