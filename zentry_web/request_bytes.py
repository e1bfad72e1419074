"""Where a request ends: bytes are gathered until one is whole. No I/O; the front door (front_door.py) feeds it."""

import re
from enum import Enum

MOST_HEAD = 64 * 1024
MOST_BODY = 512 * 1024  # of a form, a JSON body, a webhook
_LONGEST_CHUNK_LINE = 1024
_LENGTH = re.compile(rb"(?im)^content-length:[ \t]*(\d{1,18})[ \t]*\r$")
_CHUNKED = re.compile(rb"(?im)^transfer-encoding:")
_ASKS_FIRST = re.compile(rb"(?im)^expect:[ \t]*100-continue[ \t]*\r$")
_CHUNK_SIZE = re.compile(rb"[0-9A-Fa-f]{1,8}")


class Stage(Enum):
    """How far a request has come. The last two are refused; their values are the answers."""

    HEAD = "its head is not all here"
    BODY = "its body is not all here"
    WHOLE = "all of it is here"
    HEAD_TOO_LONG = "431 Request Header Fields Too Large"
    BODY_TOO_LONG = "413 Content Too Large"
    BROKEN = "400 Bad Request"


class RequestBytes:
    """The bytes of one connection, from the start of the request that comes next.

    What is given out of them is a head and as much body as that head announces, so the parser behind never waits for
    more. It decides whether the head is valid; where it sees another end than this, the connection is closed.
    """

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._begin()

    def _begin(self) -> None:
        self._searched = 0
        self._body_at = 0
        self._end = 0
        self._chunk_at: int | None = None
        self.is_cut = False  # the body is larger than anything here takes: only the head is given out
        self.asks_first = False  # the sender waits for "100 Continue" before it sends the body

    def __len__(self) -> int:
        return len(self._bytes)

    def add(self, data: bytes) -> None:
        """Append what arrived."""
        self._bytes += data

    def take(self) -> bytes:
        """The whole request; what was sent behind it stays for the next one."""
        found = bytes(self._bytes[: self._end])
        del self._bytes[: self._end]
        self._begin()
        return found

    def stage(self) -> Stage:
        """How far the request has come with what was added so far."""
        if not self._body_at:
            found = self._bytes.find(b"\r\n\r\n", max(0, self._searched - 3))
            self._searched = len(self._bytes)
            if max(found, 0 if found >= 0 else len(self._bytes)) > MOST_HEAD:
                return Stage.HEAD_TOO_LONG
            if found < 0:
                return Stage.HEAD
            self._body_at = found + 4
            self._read_head(bytes(self._bytes[: found + 2]))
        if self._chunk_at is not None:
            return self._follow_chunks(self._chunk_at)
        return Stage.WHOLE if len(self._bytes) >= self._end else Stage.BODY

    def _read_head(self, head: bytes) -> None:
        self.asks_first = _ASKS_FIRST.search(head) is not None
        if _CHUNKED.search(head):
            self._chunk_at = self._body_at
            return
        length = _LENGTH.search(head)
        size = int(length[1]) if length else 0
        self.is_cut = size > MOST_BODY
        self._end = self._body_at + (0 if self.is_cut else size)

    def _follow_chunks(self, at: int) -> Stage:
        if len(self._bytes) - self._body_at > MOST_BODY:
            return Stage.BODY_TOO_LONG
        while True:
            self._chunk_at = at
            line_end = self._bytes.find(b"\r\n", at, at + _LONGEST_CHUNK_LINE)
            if line_end < 0:
                return Stage.BODY if len(self._bytes) - at < _LONGEST_CHUNK_LINE else Stage.BROKEN
            size = _CHUNK_SIZE.match(self._bytes[at:line_end])
            if size is None:
                return Stage.BROKEN
            if int(size[0], 16) == 0:
                end = self._bytes.find(b"\r\n\r\n", line_end)
                self._end = end + 4
                return Stage.WHOLE if end >= 0 else Stage.BODY
            at = line_end + 2 + int(size[0], 16) + 2
            if at > len(self._bytes):
                return Stage.BODY if at - self._body_at <= MOST_BODY else Stage.BODY_TOO_LONG
