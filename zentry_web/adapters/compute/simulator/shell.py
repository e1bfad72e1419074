"""A shell that exists only in the simulator: it echoes, and knows a few words."""

_HELP = b"Words that do something here: help, yes (until Ctrl-C), clear. Everything else comes back.\r\n"


class SimulatedShell:
    """What answers on the serial port of a simulated machine."""

    def __init__(self, name: str) -> None:
        self._prompt = f"{name} (simulated) # ".encode()
        self._line = b""
        self._says_yes = False

    def begin(self) -> bytes:
        """See Guest."""
        return b"\r\nThis machine is simulated: no real guest listens here. Type help.\r\n" + self._prompt

    def idle(self) -> bytes:
        """See Guest."""
        return b"y\r\n" * 500 if self._says_yes else b""

    def answer(self, data: bytes) -> bytes:
        """See Guest."""
        said = bytearray()
        for byte in data:
            said += self._key(bytes([byte]))
        return bytes(said)

    def _key(self, key: bytes) -> bytes:
        if key == b"\x03":
            self._says_yes, self._line = False, b""
            return b"^C\r\n" + self._prompt
        if self._says_yes:
            return b""
        if key in (b"\r", b"\n"):
            line, self._line = self._line.strip(), b""
            return b"\r\n" + self._do(line)
        if key in (b"\x7f", b"\b"):
            there, self._line = bool(self._line), self._line[:-1]
            return b"\b \b" if there else b""
        if key < b" " or len(self._line) >= 1000:
            return b""
        self._line += key
        return key

    def _do(self, line: bytes) -> bytes:
        if line == b"yes":
            self._says_yes = True
            return b""
        answers = {b"": b"", b"help": _HELP, b"clear": b"\x1b[2J\x1b[H"}
        return answers.get(line, line + b": there is no such program, this machine is simulated\r\n") + self._prompt
