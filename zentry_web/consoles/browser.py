"""A browser's WebSocket, which the web process has opened and handed over."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator

from websockets.frames import Frame, Opcode
from websockets.protocol import SERVER, Protocol, State

from zentry_web.adapters.console_door import CLOSED

MOST_MESSAGE = 64 * 1024  # of what a browser sends at once
CHUNK = 16 * 1024
PING_SECONDS = 25.0  # proxies end what is silent for a minute
SILENT_PINGS = 3  # unanswered: it is gone
CLOSE_SECONDS = 2.0
MOST_UNREAD = 1024 * 1024  # bytes that wait for it here; what is shown keeps far below that, so it reads nothing at all


class Browser:
    """Bytes are what is typed and shown; text is a message between page and process, as JSON."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._protocol = Protocol(SERVER, state=State.OPEN, max_size=MOST_MESSAGE)

    @classmethod
    async def on(cls, connection: socket.socket) -> "Browser":
        """On a connection whose handshake is done."""
        connection.setblocking(False)
        with contextlib.suppress(OSError):  # a key is sent as it is pressed
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return cls(*await asyncio.open_connection(sock=connection, limit=MOST_MESSAGE))

    def send(self, data: bytes) -> None:
        """Show these bytes. Does not wait: whoever sends much waits in ``drain``, or counts."""
        self._protocol.send_binary(data)
        self._flush()

    def say(self, **message: object) -> None:
        """Tell the page something."""
        self._protocol.send_text(json.dumps(message).encode())
        self._flush()

    async def drain(self) -> None:
        """Wait until the browser has read most of what was sent. Raises ConnectionError when it is gone."""
        await self._writer.drain()

    async def messages(self) -> AsyncIterator[bytes | str]:
        """What comes from it, until it leaves. Raises ConnectionError when it is silent for too long."""
        text = False
        silent = 0
        while self._protocol.state is State.OPEN:
            try:
                async with asyncio.timeout(PING_SECONDS):  # ``wait_for`` may swallow that it is cancelled
                    data = await self._reader.read(CHUNK)
            except TimeoutError:
                silent += 1
                if silent > SILENT_PINGS:
                    raise ConnectionError("the browser is silent") from None
                self._protocol.send_ping(b"")
                self._flush()
                continue
            silent = 0
            if not data:
                return
            self._protocol.receive_data(data)
            frames = self._protocol.events_received()
            self._flush()  # answers to its pings, and to its close
            for frame in frames:
                if not isinstance(frame, Frame) or frame.opcode not in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
                    continue
                text = frame.opcode is Opcode.TEXT or (frame.opcode is Opcode.CONT and text)
                yield bytes(frame.data).decode(errors="replace") if text else bytes(frame.data)

    async def close(self, reason: str) -> None:
        """Say why, and hang up."""
        if self._protocol.state is State.OPEN:
            self._protocol.send_close(CLOSED, reason)
            with contextlib.suppress(ConnectionError):
                self._flush()
        self._writer.close()
        try:
            await asyncio.wait_for(self._writer.wait_closed(), CLOSE_SECONDS)
        except (TimeoutError, OSError):
            self._writer.transport.abort()

    def _flush(self) -> None:
        """Hangs up when too much waits for it: one that asks and asks, and never reads."""
        for data in self._protocol.data_to_send():
            if data and not self._writer.is_closing():
                self._writer.write(data)
        if self._writer.transport.get_write_buffer_size() > MOST_UNREAD:
            self._writer.transport.abort()
