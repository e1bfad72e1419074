"""A screen that exists only in the simulator: the server's side of RFB 3.8 (RFC 6143), as far as noVNC goes."""

import struct
from collections.abc import Callable

WIDTH, HEIGHT = 640, 360
CELL, CELLS = 20, 24  # a key that is pressed lights the next cell of the bottom row
_BACK, _INK, _LIGHT = (20, 25, 36), (213, 220, 234), (76, 154, 255)
_RRE = 2
_SIZES = {0: 20, 3: 10, 4: 8, 5: 6}  # of the client's messages, by type; 2 and 6 say their own
_FORMAT = struct.pack(">BBBBHHHBBBxxx", 32, 24, 0, 1, 255, 255, 255, 0, 8, 16)
# Seven rows of five dots; only the letters that are needed.
_GLYPHS = {
    "S": "01111 10000 10000 01110 00001 00001 11110", "I": "11111 00100 00100 00100 00100 00100 11111",
    "M": "10001 11011 10101 10001 10001 10001 10001", "U": "10001 10001 10001 10001 10001 10001 01110",
    "L": "10000 10000 10000 10000 10000 10000 11111", "A": "01110 10001 10001 11111 10001 10001 10001",
    "T": "11111 00100 00100 00100 00100 00100 00100", "E": "11111 10000 10000 11110 10000 10000 11111",
    "D": "11110 10001 10001 10001 10001 10001 11110",
}  # fmt: skip
_Stage = Callable[[], bytes | None]
_Rectangle = tuple[int, int, int, int, tuple[int, int, int]]


class SimulatedScreen:
    """Says 'SIMULATED', and lights a cell for each key. The picture is made of rectangles, so RRE is its encoding."""

    def __init__(self, name: str) -> None:
        self._name = name.encode()
        self._read = b""
        self._stage: _Stage = self._version
        self._keys = 0
        self._asked = False  # for the next change
        self._shown = -1  # how many keys the picture that was sent last had

    def begin(self) -> bytes:
        """See Guest."""
        return b"RFB 003.008\n"

    def idle(self) -> bytes:
        """See Guest."""
        return b""

    def answer(self, data: bytes) -> bytes:
        """See Guest."""
        self._read += data
        said = b""
        while (more := self._stage()) is not None:
            said += more
        return said

    # Each stage takes its message from what was read and answers it, or returns None while it is not whole.

    def _version(self) -> bytes | None:
        return self._take(12, self._security, b"\x01\x01")  # one way in: none

    def _security(self) -> bytes | None:
        return self._take(1, self._init, bytes(4))

    def _init(self) -> bytes | None:
        head = struct.pack(">HH", WIDTH, HEIGHT) + _FORMAT + struct.pack(">I", len(self._name))
        return self._take(1, self._message, head + self._name)

    def _take(self, size: int, then: _Stage, answer: bytes) -> bytes | None:
        if len(self._read) < size:
            return None
        self._read = self._read[size:]
        self._stage = then
        return answer

    def _message(self) -> bytes | None:
        size = self._size()
        if size is None or len(self._read) < size:
            return None
        message, self._read = self._read[:size], self._read[size:]
        if message[0] == 3:
            self._asked = True
            self._shown = self._shown if message[1] else -1  # all of it is wanted, not only what changed
        if message[0] == 4 and message[1]:
            self._keys += 1
        if self._asked and self._shown != self._keys:
            self._asked, self._shown = False, self._keys
            return self._picture()
        return b""

    def _size(self) -> int | None:
        """How long the message is that begins here, as far as can be told."""
        kind = self._read[0] if self._read else None
        if kind == 2 and len(self._read) >= 4:
            return 4 + 4 * int(struct.unpack_from(">H", self._read, 2)[0])
        if kind == 6 and len(self._read) >= 8:
            return 8 + abs(int(struct.unpack_from(">i", self._read, 4)[0]))
        if kind is not None and kind not in (*_SIZES, 2, 6):
            raise ConnectionAbortedError(f"RFB message {kind} is not known here")
        return _SIZES.get(kind) if kind is not None else None

    def _picture(self) -> bytes:
        parts = [*_word("SIMULATED", 60, 120, 8), *self._cells()]
        rectangles = b"".join(_pixel(ink) + struct.pack(">HHHH", *where) for *where, ink in parts)
        head = struct.pack(">BxHHHHHi", 0, 1, 0, 0, WIDTH, HEIGHT, _RRE)
        return head + struct.pack(">I", len(parts)) + _pixel(_BACK) + rectangles

    def _cells(self) -> list[_Rectangle]:
        lit = (self._keys - 1) % CELLS + 1 if self._keys else 0
        return [(60 + number * (CELL + 1), 260, CELL, CELL, _LIGHT) for number in range(lit)]


def _pixel(colour: tuple[int, int, int]) -> bytes:
    return bytes([*colour, 0])


def _word(word: str, left: int, top: int, dot: int) -> list[_Rectangle]:
    return [
        (left + (6 * place + column) * dot, top + row * dot, dot, dot, _INK)
        for place, letter in enumerate(word)
        for row, line in enumerate(_GLYPHS[letter].split())
        for column, lit in enumerate(line)
        if lit == "1"
    ]
