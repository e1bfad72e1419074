"""A small run of what being let in costs: every figure comes, each with the load it was measured under."""

import pytest

from bench import rights
from bench.sizes import Sizes
from bench.stores import Store
from zentry_web.composition import build_container

pytestmark = pytest.mark.integration


def test_a_small_run_gives_every_figure(tmp_path):
    store = Store("sqlite", tmp_path)
    figures = list(rights.measure(store, Sizes(holding=3, crowd=2, in_process=2, checks=2)))
    assert tuple(figure.name for figure in figures) == rights.NAMES
    assert all(figure.value > 0 and figure.baseline > 0 for figure in figures)
    assert {figure.more["database"] for figure in figures} == {"sqlite"}
    assert figures[1].more["vms"] == 3
    assert [figure.goal for figure in figures] == [100, 100, None, 400]
    container = build_container(store._config("rights"))
    assert [check for check in container.get_billing_service().verify() if not check.ok] == []
    container.close()
