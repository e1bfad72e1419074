"""Who may hold a live stream: limits over all processes."""

import os

import pytest

from zentry_web.services.errors import RateLimitedError
from zentry_web.web.stream_board import STREAMS_PER_PERSON, StreamBoard

pytestmark = pytest.mark.unit


def in_another_process(work):
    """Run ``work`` in a child that shares the board; whether it was refused."""
    child = os.fork()
    if child == 0:
        try:
            work()
        except RateLimitedError:
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1, child


@pytest.mark.asvs("15.2.2")
def test_one_person_s_streams_are_counted_in_all_processes():
    board = StreamBoard(processes=2, threads=100)
    rows = [board.take("usr_1", f"net{number}") for number in range(STREAMS_PER_PERSON)]
    assert in_another_process(lambda: board.take("usr_1", "elsewhere"))[0]
    assert not in_another_process(lambda: board.take("usr_2", "elsewhere"))[0]
    board.give_back(rows[0])
    assert not in_another_process(lambda: board.take("usr_1", "elsewhere"))[0]


@pytest.mark.asvs("15.2.2")
def test_a_network_has_a_quarter_of_the_streams_and_a_process_half_of_its_threads():
    board = StreamBoard(processes=2, threads=100)
    for number in range(25):
        board.take(f"usr_{number}", "one")
    with pytest.raises(RateLimitedError, match="network") as refused:
        board.take("usr_x", "one")
    assert refused.value.details == {"retry_after": 60}
    for number in range(25):
        board.take(f"usr_{number}", f"net{number}")
    with pytest.raises(RateLimitedError, match="server"):
        board.take("usr_x", "elsewhere")
    assert not in_another_process(lambda: board.take("usr_x", "elsewhere"))[0]


def test_the_streams_of_a_process_that_died_are_free_again():
    board = StreamBoard(processes=1, threads=2)
    _, child = in_another_process(lambda: board.take("usr_1", "one"))
    with pytest.raises(RateLimitedError):
        board.take("usr_2", "two")
    board.forget(child)
    board.take("usr_2", "two")
