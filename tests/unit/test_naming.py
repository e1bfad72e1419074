"""The name that the launch form suggests."""

import pytest

from zentry_web.domain.vms.naming import LONGEST, names_from, next_name, parse_count

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("newest", "taken", "name"),
    [
        ("", [], "web-1"),
        ("web-2", ["web-1", "web-2"], "web-3"),
        ("web-2", ["web-2", "web-10", "db-30"], "web-11"),
        ("shop", ["shop"], "shop-1"),
        ("db2", ["db2"], "db-1"),
        ("7", ["7"], "web-1"),
        ("x" * 63, ["x" * 63], "x" * 56 + "-1"),
    ],
)
def test_it_goes_on_from_the_newest_and_is_free(newest, taken, name):
    assert next_name(newest, taken) == name
    assert name not in taken
    assert len(name) <= LONGEST


@pytest.mark.parametrize(
    ("name", "count", "names"),
    [
        ("web", 1, ("web",)),
        ("web", 3, ("web-1", "web-2", "web-3")),
        ("web-3", 2, ("web-3", "web-4")),
        ("web-09", 3, ("web-09", "web-10", "web-11")),
        ("db9", 2, ("db9", "db10")),
        ("7", 2, ("7", "8")),
    ],
)
def test_several_go_on_from_the_first(name, count, names):
    assert names_from(name, count) == names


@pytest.mark.parametrize(
    ("value", "count"), [(None, 1), ("", 1), ("3", 3), (10, 10), ("0", None), (11, None), ("x", None), ("1.5", None)]
)
def test_one_launch_has_ten_machines_at_most(value, count):
    assert parse_count(value) == count
