"""Takes browsers' connections from the web process, holds their consoles, and ends those that may not stay."""

import asyncio
import contextlib
import json
import socket
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import structlog
from prometheus_client import Gauge

from zentry_web.adapters.compute.base import ComputeDriver, ComputeError, ComputeRefused, MachineMissing
from zentry_web.adapters.console_door import DoorClosed, UnixConsoleDoor, take
from zentry_web.consoles.browser import CHUNK, Browser
from zentry_web.consoles.line import SerialLine, View
from zentry_web.consoles.path_test import look_along, look_at_host, look_at_screen
from zentry_web.domain.language import find, speaking
from zentry_web.domain.vms.console import ConsoleEnd, ConsoleKind
from zentry_web.services.vm_service import VMService

log = structlog.get_logger(__name__)

T = TypeVar("T")

MOST = 300  # consoles at once
LOOK_SECONDS = 2.0  # how often it asks who may stay
BLIND_SECONDS = 10.0  # without an answer to that, nobody may
STOP_LOOK_SECONDS = 0.2
LOG_BYTES = 4096
_held = Gauge("zentry_consoles", "Open consoles", multiprocess_mode="livesum")


@dataclass
class Held:
    """One console that is open here."""

    id: str
    vm_id: str
    kind: ConsoleKind
    language: str
    why: ConsoleEnd = ConsoleEnd.LEFT
    task: asyncio.Task[None] | None = None

    def end(self, why: ConsoleEnd) -> None:
        """Hang up from this side."""
        if self.task is not None and not self.task.done():
            self.why = why
            self.task.cancel()


class ConsoleHub:
    """Runs until ``stop`` is set. Calls of the hypervisor and of the database have threads of their own."""

    def __init__(self, driver: ComputeDriver, vms: VMService, door: UnixConsoleDoor, stop: threading.Event) -> None:
        self._driver, self._consoles, self._door, self._stop = driver, vms.consoles, door, stop
        self._open: dict[str, Held] = {}
        self._lines: dict[str, asyncio.Task[tuple[SerialLine, asyncio.Task[None]]]] = {}  # by machine
        self._calls = ThreadPoolExecutor(32, thread_name_prefix="console-call")
        self._records = ThreadPoolExecutor(2, thread_name_prefix="console-record")

    def run(self) -> None:
        """Open the door and hold what comes in."""
        asyncio.run(self._run())
        for pool in (self._calls, self._records):
            pool.shutdown(wait=False, cancel_futures=True)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        listening = self._door.listen()
        threading.Thread(target=self._accept, args=(listening, loop), name="console-door", daemon=True).start()
        seen = loop.time()
        while not self._stop.is_set():
            seen = await self._look(seen)
            due = loop.time() + LOOK_SECONDS
            while loop.time() < due and not self._stop.is_set():
                await asyncio.sleep(STOP_LOOK_SECONDS)
        with contextlib.suppress(OSError):
            listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        await self._end_all(ConsoleEnd.STOPPED)

    def _accept(self, listening: socket.socket, loop: asyncio.AbstractEventLoop) -> None:
        while not self._stop.is_set():
            try:
                visitor, _ = listening.accept()
            except OSError:
                return
            with visitor:
                try:
                    message, connection = take(visitor)
                except DoorClosed as error:
                    log.warning("console_refused", error=str(error))
                    continue
            loop.call_soon_threadsafe(self._begin, message, connection)

    def _begin(self, message: dict[str, str], connection: socket.socket) -> None:
        held = Held(message["id"], message["vm"], ConsoleKind(message["kind"]), message.get("language", ""))
        self._open[held.id] = held
        _held.inc()
        held.task = asyncio.create_task(self._hold(held, connection))

    async def _look(self, seen: float) -> float:
        """End the consoles that may not stay. Returns when that was known last."""
        now = asyncio.get_running_loop().time()
        ids = list(self._open)
        if not ids:
            return now
        try:
            ended = await self._in(self._records, lambda: self._consoles.find_ended(ids))
        except Exception:  # whatever is wrong: as long as nobody can say who may stay, it must not last
            log.warning("consoles_not_checked", exc_info=True)
            if now - seen > BLIND_SECONDS:
                await self._end_all(ConsoleEnd.DATABASE)
            return seen
        for console_id in ended:
            if console_id in self._open:
                self._open[console_id].end(ConsoleEnd.ACCESS)
        return now

    async def _end_all(self, why: ConsoleEnd) -> None:
        held = list(self._open.values())
        for each in held:
            each.end(why)
        await asyncio.gather(*(each.task for each in held if each.task), return_exceptions=True)

    # -- one console ------------------------------------------------------------------------------

    async def _hold(self, held: Held, connection: socket.socket) -> None:
        browser = await Browser.on(connection)
        try:
            held.why = await self._talk(held, browser)
        except (ComputeRefused, MachineMissing) as error:
            held.why = ConsoleEnd.REFUSED
            self._tell(held, browser, str(error))
        except ComputeError as error:
            held.why = ConsoleEnd.HOST
            self._tell(held, browser, str(error))
        except (OSError, asyncio.CancelledError):  # it left; or ``end`` was called, which has said why
            pass
        except Exception:
            log.exception("console_failed", console=held.id)
            held.why = ConsoleEnd.HOST
        finally:
            self._open.pop(held.id, None)
            _held.dec()
        await browser.close(held.why.value)
        try:
            await self._in(self._records, lambda: self._consoles.end(held.id, held.why))
        except Exception:  # the database is away; ``end_lost`` does it later
            log.warning("console_end_not_recorded", console=held.id, exc_info=True)

    def _tell(self, held: Held, browser: Browser, text: str) -> None:
        with speaking(held.language), contextlib.suppress(OSError):
            browser.say(say=find(text))

    async def _talk(self, held: Held, browser: Browser) -> ConsoleEnd:
        if len(self._open) > MOST:
            return ConsoleEnd.FULL
        if held.kind is ConsoleKind.TEST:
            return await self._test_path(held, browser)
        if held.kind is ConsoleKind.SCREEN:
            return await self._show_screen(held, browser)
        return await self._show_text(held, browser)

    async def _test_path(self, held: Held, browser: Browser) -> ConsoleEnd:
        driver, vm_id = self._driver, held.vm_id

        async def open_text() -> None:
            line, running = await self._line_of(vm_id)
            self._leave(vm_id, line, line.join(browser), running)

        hops = (
            ("host", lambda: self._in(self._calls, lambda: look_at_host(driver, vm_id))),
            ("text", open_text),
            ("screen", lambda: self._in(self._calls, lambda: look_at_screen(driver, vm_id))),
        )
        with speaking(held.language):
            await look_along(browser, hops)
        return ConsoleEnd.LEFT

    async def _show_text(self, held: Held, browser: Browser) -> ConsoleEnd:
        line, running = await self._line_of(held.vm_id)
        browser.say(open=True)
        view = line.join(browser)

        async def listen() -> None:
            async for message in browser.messages():
                if isinstance(message, bytes):
                    await line.type(message)
                else:
                    view.confirm(_shown(message))

        try:
            return await _first(asyncio.create_task(listen()), running)
        finally:
            self._leave(held.vm_id, line, view, running)

    def _leave(self, vm_id: str, line: SerialLine, view: View, running: asyncio.Task[None]) -> None:
        """The last one who leaves closes the serial port."""
        if not line.leave(view):
            self._forget(vm_id, self._lines.get(vm_id))
            running.cancel()

    async def _line_of(self, vm_id: str) -> tuple[SerialLine, asyncio.Task[None]]:
        if vm_id not in self._lines:
            self._lines[vm_id] = asyncio.create_task(self._open_line(vm_id))
        opening = self._lines[vm_id]
        try:
            return await asyncio.shield(opening)
        except ComputeError:
            self._forget(vm_id, opening)
            raise

    async def _open_line(self, vm_id: str) -> tuple[SerialLine, asyncio.Task[None]]:
        stream = await self._in(self._calls, lambda: self._driver.consoles.open_text(vm_id))
        line = SerialLine(stream, lambda: self._read_log(vm_id))
        await line.begin()
        running = asyncio.create_task(line.run())
        running.add_done_callback(lambda _: self._forget(vm_id, self._lines.get(vm_id)))
        return line, running

    def _forget(self, vm_id: str, opening: object) -> None:
        if opening is not None and self._lines.get(vm_id) is opening:
            del self._lines[vm_id]

    def _read_log(self, vm_id: str) -> str:
        try:
            return self._driver.console_log(vm_id, LOG_BYTES).text.replace("\n", "\r\n")
        except ComputeError:
            return ""

    async def _show_screen(self, held: Held, browser: Browser) -> ConsoleEnd:
        stream = await self._in(self._calls, lambda: self._driver.consoles.open_screen(held.vm_id))
        stream.setblocking(False)
        loop = asyncio.get_running_loop()

        async def listen() -> None:
            async for message in browser.messages():
                if isinstance(message, bytes):
                    await loop.sock_sendall(stream, message)

        async def show() -> None:
            while data := await loop.sock_recv(stream, CHUNK * 4):
                browser.send(data)
                await browser.drain()

        showing = asyncio.create_task(show())
        try:
            return await _first(asyncio.create_task(listen()), showing)
        finally:
            showing.cancel()
            stream.close()

    def _in(self, pool: ThreadPoolExecutor, work: Callable[[], T]) -> Awaitable[T]:
        return asyncio.get_running_loop().run_in_executor(pool, work)


async def _first(listening: asyncio.Task[None], running: asyncio.Task[None]) -> ConsoleEnd:
    """Wait for whichever ends first: the browser, or the machine's stream."""
    try:
        done, _ = await asyncio.wait({listening, running}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        listening.cancel()
    if running in done:
        return ConsoleEnd.OFF
    with contextlib.suppress(OSError):
        listening.result()
    return ConsoleEnd.LEFT


def _shown(message: str) -> int:
    """How many bytes more a page says it has shown."""
    try:
        found: Any = json.loads(message)
        return int(found["shown"])
    except (ValueError, TypeError, KeyError):
        return 0
