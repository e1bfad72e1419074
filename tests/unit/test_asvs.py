"""The list of security items, the markers on tests and docs/security.md say the same."""

import re

import pytest

from tests.asvs import DOC, DOCUMENT, ITEMS, ROOT, all_marks, document, marks, read_items, with_tests

pytestmark = pytest.mark.unit


@pytest.fixture(scope="module")
def chapters():
    return read_items(ITEMS.read_text())


@pytest.fixture(scope="module")
def unknown(chapters):
    """Ids on tests that no item has; ``chapters`` has its tests from then on."""
    return with_tests(chapters, all_marks())


def test_every_marker_names_an_item(unknown):
    assert unknown == []


def test_every_item_has_a_test_or_says_why_not(chapters, unknown):
    bare = [item.id for items in chapters.values() for item in items if item.needs_a_test and not item.tests]
    assert bare == []


def test_the_document_is_up_to_date(chapters, unknown):
    assert DOCUMENT.read_text() == document(chapters), "run: python -m tests.asvs"


def test_documents_that_answer_an_item_are_there(chapters):
    for item in (item for items in chapters.values() for item in items if item.kind == DOC):
        path, _, heading = item.note.partition("#")
        headings = re.findall(r"^#+ (.+)$", (ROOT / path).read_text(), re.MULTILINE)
        assert not heading or heading in {each.lower().replace(" ", "-") for each in headings}, item.note


def test_levels_one_and_two_are_complete(chapters):
    """As many items as the standard has: 253, and eight of level 3."""
    levels = [item.level for items in chapters.values() for item in items]
    assert (sum(level < 3 for level in levels), levels.count(3)) == (253, 8)


@pytest.mark.parametrize(
    "line",
    ["6.2.1 | no level", "6.2.1 1 |  | none: nothing", "6.2.1 1 | words | maybe: so", "6.2.1 1 | a\n6.2.1 1 | b"],
)
def test_a_line_that_is_no_item_is_an_error(line):
    with pytest.raises(ValueError, match="not an item"):
        read_items(f"## 6\n{line}\n")


def test_markers_are_found():
    source = '@pytest.mark.asvs("1.2.3", "4.5.6")\ndef test_it():\n    pass\n'
    assert list(marks(source)) == [("test_it", "1.2.3"), ("test_it", "4.5.6")]


def test_a_marker_of_no_item_is_told():
    chapters = read_items("## 1\n1.1.1 1 | words\n")
    assert with_tests(chapters, [("a::test_b", "1.1.1"), ("a::test_b", "9.9.9")]) == ["9.9.9"]
    assert chapters["1"][0].tests == ["a::test_b"]
