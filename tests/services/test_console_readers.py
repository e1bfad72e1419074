"""Browsers that stop reading a console: what waits for them is bounded, others go on, they hear what they missed."""

import asyncio
import json
import socket
import struct

import pytest
from websockets.frames import Frame, Opcode
from websockets.protocol import CLIENT, Protocol, State

from zentry_web.consoles import browser as module
from zentry_web.consoles.browser import Browser
from zentry_web.consoles.line import RECENT, WINDOW, SerialLine

pytestmark = pytest.mark.unit

SECONDS = 20
LITTLE = 64 * 1024
FLOOD = 3 * 1024 * 1024
LINE = b"y\r\n" * 1000


class Reader:
    """The other end of a browser's WebSocket."""

    def __init__(self, connection):
        self.connection = connection
        connection.setblocking(False)
        self.protocol = Protocol(CLIENT, state=State.OPEN, max_size=None)

    async def read(self):
        """The frames of what comes next."""
        loop = asyncio.get_running_loop()
        self.protocol.receive_data(await asyncio.wait_for(loop.sock_recv(self.connection, 2**16), SECONDS))
        return [frame for frame in self.protocol.events_received() if isinstance(frame, Frame)]

    async def say(self, **message):
        self.protocol.send_text(json.dumps(message).encode())
        await self.flush()

    async def flush(self):
        for data in self.protocol.data_to_send():
            await asyncio.wait_for(asyncio.get_running_loop().sock_sendall(self.connection, data), SECONDS)


async def browser_and_reader():
    ours, theirs = socket.socketpair()
    return await Browser.on(ours), Reader(theirs)


def waiting(browser):
    return browser._writer.transport.get_write_buffer_size()


async def flood(guest, size):
    """What a guest says that never stops talking."""
    loop = asyncio.get_running_loop()
    for _ in range(size // len(LINE)):
        await asyncio.wait_for(loop.sock_sendall(guest, LINE), SECONDS)


async def listen(browser, view):
    async for message in browser.messages():
        view.confirm(json.loads(message)["shown"])


async def one_reads_and_one_does_not():
    guest, stream = socket.socketpair()
    guest.setblocking(False)
    line = SerialLine(stream, lambda: "")
    running = asyncio.create_task(line.run())
    (stuck, silent), (browser, reader) = await browser_and_reader(), await browser_and_reader()
    views = [line.join(stuck), line.join(browser)]
    listening = [asyncio.create_task(listen(*each)) for each in zip((stuck, browser), views, strict=True)]
    seen = 0

    async def keep_up():
        nonlocal seen
        while True:
            for frame in await reader.read():
                if frame.opcode is Opcode.BINARY:
                    seen += len(frame.data)
                    await reader.say(shown=len(frame.data))

    reading = asyncio.create_task(keep_up())
    await flood(guest, FLOOD)
    assert waiting(stuck) <= WINDOW * 1.1
    assert len(line._recent) <= RECENT
    assert seen > WINDOW * 4, "the other one goes on reading"

    shown, skipped, text = 0, 0, b""  # and then it wakes up
    await asyncio.wait_for(asyncio.get_running_loop().sock_sendall(guest, b"the last words"), SECONDS)
    while b"the last words" not in text[-100:]:
        for frame in await silent.read():
            if frame.opcode is Opcode.BINARY:
                shown, text = shown + len(frame.data), (text + frame.data)[-1000:]
                await silent.say(shown=len(frame.data))
            else:
                skipped += json.loads(frame.data)["skipped"]
    assert shown + skipped == FLOOD // len(LINE) * len(LINE) + len(b"the last words"), "it is told how much it missed"
    for task in (reading, running, *listening):
        task.cancel()
    await asyncio.gather(reading, running, *listening, return_exceptions=True)
    for each in (guest, silent.connection, reader.connection):
        each.close()
    for each in (stuck, browser):
        await each.close("left")


def test_one_that_stops_reading_holds_up_nobody_and_costs_a_window():
    asyncio.run(one_reads_and_one_does_not())


async def asks_and_never_reads():
    browser, reader = await browser_and_reader()
    most = 0

    async def hear():
        async for _ in browser.messages():
            continue

    async def ask():
        while True:
            for _ in range(50):
                reader.protocol.send_ping(struct.pack("125x"))
            await reader.flush()

    hearing, asking = asyncio.create_task(hear()), asyncio.create_task(ask())
    while not hearing.done():
        most = max(most, waiting(browser))
        await asyncio.sleep(0)
    await asyncio.gather(hearing, return_exceptions=True)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    await browser.close("left")
    reader.connection.close()
    assert 0 < most <= 2 * LITTLE


def test_one_that_asks_and_never_reads_the_answers_is_cut_off(monkeypatch):
    monkeypatch.setattr(module, "MOST_UNREAD", LITTLE)
    asyncio.run(asyncio.wait_for(asks_and_never_reads(), 60))
