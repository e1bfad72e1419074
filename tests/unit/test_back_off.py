"""Waiting longer after each attempt that failed, up to a bound."""

from datetime import timedelta

import pytest

from zentry_web.domain.back_off import back_off

pytestmark = pytest.mark.unit


def test_it_doubles_up_to_the_longest():
    first, longest = timedelta(seconds=1), timedelta(seconds=60)
    waits = [back_off(attempts, first, longest).total_seconds() for attempts in range(1, 9)]
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]
    assert back_off(10**6, first, longest) == longest
