"""Which tests of a run may be side by side: nothing that could be in another's way."""

import pytest

from tests.conftest import BESIDE_OTHERS, LONGEST, ROOT, go_together

pytestmark = pytest.mark.unit


def test_what_needs_the_host_goes_one_at_a_time() -> None:
    guests = {path for path in (ROOT / "tests").rglob("test_*.py") if "libvirt_fixture" in path.read_text()}
    groups = {go_together(f"{path.relative_to(ROOT)}::test_it[a/b::c]") for path in guests}
    assert len(guests) > 10
    assert groups - {"test_side_by_side"} == {"host"}
    assert go_together("tests/real/test_new.py::test_it") == "host", "whoever knows nothing of a file is careful"


def test_all_else_stays_with_its_file() -> None:
    names = {path.stem for path in (ROOT / "tests" / "real").glob("test_*.py")}
    assert names >= BESIDE_OTHERS
    assert {go_together(f"tests/real/{name}.py::test_it") for name in BESIDE_OTHERS} == BESIDE_OTHERS
    assert go_together("tests/browser/test_teams.py::test_it") == "test_teams"
    assert go_together("tests/browser/test_credit_end.py::test_it") == go_together(
        "tests/browser/test_pages.py::test_it"
    )


def test_what_begins_first_is_there() -> None:
    files = {go_together(str(path.relative_to(ROOT))) for path in (ROOT / "tests").rglob("test_*.py")}
    assert set(LONGEST) <= files
