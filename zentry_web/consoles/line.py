"""A machine's serial port, opened once and shared by all who look at it."""

import asyncio
import socket
from collections.abc import Callable

from zentry_web.consoles.browser import Browser

CHUNK = 16 * 1024
WINDOW = 256 * 1024  # bytes on their way to a browser that it has not shown yet
LATE = 4 * 1024  # of what does not fit, the end
RECENT = 8 * 1024  # of what was said last, for who comes later
FIRST_WORDS_SECONDS = 0.05


class View:
    """What one browser sees of a line. It says how much it has shown; what does not fit into its window is left out,
    and it is told how much: a guest that never stops talking costs neither side more than the window."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._under_way = 0
        self._skipped = 0
        self._late = bytearray()  # the end of what did not fit: where a flood ends, a prompt stands

    def offer(self, data: bytes) -> None:
        """Show it, if there is room."""
        if self._late or self._under_way + len(data) > WINDOW:
            self._late += data
            self._skipped += max(0, len(self._late) - LATE)
            del self._late[:-LATE]
            return
        self._under_way += len(data)
        self._browser.send(data)

    def confirm(self, count: int) -> None:
        """The browser has shown so many bytes more."""
        self._under_way -= max(0, min(count, self._under_way))
        if self._late and self._under_way < WINDOW // 2:
            late, skipped = bytes(self._late), self._skipped
            self._late.clear()
            self._skipped = 0
            if skipped:
                self._browser.say(skipped=skipped)
            self.offer(late)


class SerialLine:
    """``read_log`` gives the end of the machine's log: what a first viewer sees when the guest says nothing itself."""

    def __init__(self, stream: socket.socket, read_log: Callable[[], str]) -> None:
        self._stream = stream
        self._read_log = read_log
        self._views: set[View] = set()
        self._recent = bytearray()
        self._typing = asyncio.Lock()
        stream.setblocking(False)

    async def begin(self) -> None:
        """Take what the guest says at once, else the end of its log."""
        loop = asyncio.get_running_loop()
        try:
            self._keep(await asyncio.wait_for(loop.sock_recv(self._stream, CHUNK), FIRST_WORDS_SECONDS))
        except TimeoutError:
            self._keep((await asyncio.to_thread(self._read_log)).encode())

    async def run(self) -> None:
        """Show what the guest says to all who look, until the stream ends."""
        loop = asyncio.get_running_loop()
        try:
            while data := await loop.sock_recv(self._stream, CHUNK):
                self._keep(data)
                for view in self._views:
                    view.offer(data)
        except OSError:
            return
        finally:
            self._stream.close()

    def join(self, browser: Browser) -> View:
        """One more looks; it is shown what was said last."""
        view = View(browser)
        if self._recent:
            view.offer(bytes(self._recent))
        self._views.add(view)
        return view

    def leave(self, view: View) -> int:
        """One fewer; how many are left."""
        self._views.discard(view)
        return len(self._views)

    async def type(self, data: bytes) -> None:
        """Send it to the guest; waits while that takes nothing. Raises OSError when the stream has ended."""
        async with self._typing:
            await asyncio.get_running_loop().sock_sendall(self._stream, data)

    def _keep(self, data: bytes) -> None:
        self._recent += data
        del self._recent[:-RECENT]
