"""Where a request ends, however its bytes arrive."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zentry_web.request_bytes import MOST_BODY, MOST_HEAD, RequestBytes, Stage

pytestmark = pytest.mark.unit

GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\n\r\na=b&c"
CHUNKED_HEAD = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
CHUNKED = CHUNKED_HEAD + b"3;x=y\r\na=b\r\nA\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n"
EMPTY = CHUNKED_HEAD + b"0\r\n\r\n"


def fed(*pieces):
    gathered = RequestBytes()
    for piece in pieces:
        gathered.add(piece)
    return gathered, gathered.stage()


@pytest.mark.parametrize("request_", [GET, POST, CHUNKED, EMPTY])
def test_a_request_is_whole_with_its_last_byte_and_not_before(request_):
    gathered = RequestBytes()
    for number in range(len(request_)):
        assert gathered.stage() in (Stage.HEAD, Stage.BODY)
        gathered.add(request_[number : number + 1])
    assert gathered.stage() is Stage.WHOLE
    assert gathered.take() == request_
    assert len(gathered) == 0


@given(st.lists(st.sampled_from([GET, POST, CHUNKED, EMPTY]), min_size=1, max_size=4), st.integers(1, 90))
def test_requests_sent_at_once_come_out_one_by_one(requests, size):
    sent, gathered, found = b"".join(requests), RequestBytes(), []
    for start in range(0, len(sent), size):
        gathered.add(sent[start : start + size])
        while gathered.stage() is Stage.WHOLE:
            found.append(gathered.take())
    assert found == requests


def test_a_body_larger_than_any_form_is_not_waited_for():
    gathered, stage = fed(b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\nxx" % (MOST_BODY + 1))
    assert stage is Stage.WHOLE
    assert gathered.is_cut
    assert fed(b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\nxx" % MOST_BODY)[1] is Stage.BODY


@pytest.mark.parametrize(
    ("sent", "stage"),
    [
        (b"GET / HTTP/1.1\r\nX: " + b"a" * MOST_HEAD, Stage.HEAD_TOO_LONG),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * MOST_HEAD + b"\r\n\r\n", Stage.HEAD_TOO_LONG),
        (CHUNKED_HEAD + b"not hex\r\n", Stage.BROKEN),
        (CHUNKED_HEAD + b"1" * 2000, Stage.BROKEN),
        (CHUNKED_HEAD + b"FFFFFFFF\r\nabc", Stage.BODY_TOO_LONG),
        (CHUNKED_HEAD + b"1\r\na\r\n" * (MOST_BODY // 6 + 1),
         Stage.BODY_TOO_LONG),
    ],
)  # fmt: skip
def test_what_can_never_be_whole_is_refused(sent, stage):
    assert fed(sent)[1] is stage


def test_who_waits_to_be_asked_for_the_body_is_known():
    gathered, stage = fed(b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
    assert stage is Stage.BODY
    assert gathered.asks_first
