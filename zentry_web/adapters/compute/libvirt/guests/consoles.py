"""Serial port and screen of libvirt's guests. The screen listens nowhere: QEMU is handed the other end of a socket."""

import contextlib
import logging
import socket
from collections.abc import Callable
from typing import Any

import libvirt

from zentry_web.adapters.compute.base import ComputeRefused
from zentry_web.adapters.compute.libvirt.connection import LibvirtConnection
from zentry_web.adapters.compute.words import NO_SCREEN_YET, OFF_NO_CONSOLE

logger = logging.getLogger(__name__)

CHUNK = 16 * 1024
OPEN_SECONDS = 10.0
_READ, _WRITE = libvirt.VIR_STREAM_EVENT_READABLE, libvirt.VIR_STREAM_EVENT_WRITABLE
_OVER = libvirt.VIR_STREAM_EVENT_ERROR | libvirt.VIR_STREAM_EVENT_HANGUP
_FROM_CALLER, _CALLER_GONE = libvirt.VIR_EVENT_HANDLE_READABLE, libvirt.VIR_EVENT_HANDLE_HANGUP


class LibvirtConsoles:
    """See Consoles. ``need`` gives a machine's domain on a connection."""

    def __init__(self, connection: LibvirtConnection, need: Callable[[Any, str], Any]) -> None:
        self._connection = connection
        self._need = need

    def open_text(self, vm_id: str) -> socket.socket:
        def begin(connection: Any) -> socket.socket:
            domain = self._running(connection, vm_id)
            # A stream that blocks would hold up every other call on this connection for seconds.
            stream = connection.newStream(libvirt.VIR_STREAM_NONBLOCK)
            domain.openConsole(None, stream, libvirt.VIR_DOMAIN_CONSOLE_FORCE)
            ours, theirs = socket.socketpair()
            _SerialPump(stream, ours)
            return theirs

        return self._connection.call(begin, OPEN_SECONDS, about=f"console of {vm_id}")

    def open_screen(self, vm_id: str) -> socket.socket:
        def begin(connection: Any) -> socket.socket:
            domain = self._running(connection, vm_id)
            if "<graphics type='vnc'" not in domain.XMLDesc():
                raise ComputeRefused(NO_SCREEN_YET)
            return socket.socket(fileno=domain.openGraphicsFD(0, libvirt.VIR_DOMAIN_OPEN_GRAPHICS_SKIPAUTH))

        return self._connection.call(begin, OPEN_SECONDS, about=f"console of {vm_id}")

    def _running(self, connection: Any, vm_id: str) -> Any:
        domain = self._need(connection, vm_id)
        if not domain.isActive():
            raise ComputeRefused(OFF_NO_CONSOLE)
        return domain


class _SerialPump:
    """Carries bytes between a libvirt stream and a socket, all in libvirt's event loop, which nothing here may block.

    The stream is always read: what is left in it piles up in libvirt's client without any bound. So what the caller
    leaves unread is dropped once the socket's own buffer is full.
    """

    def __init__(self, stream: Any, ours: socket.socket) -> None:
        self._stream = stream
        self._ours = ours
        ours.setblocking(False)
        self._typed = b""  # taken from the caller, not yet by libvirt
        self._is_open = True
        stream.eventAddCallback(_READ | _OVER, self._on_stream, None)
        self._handle = libvirt.virEventAddHandle(ours.fileno(), _FROM_CALLER | _CALLER_GONE, self._on_caller, None)

    def _on_stream(self, _stream: Any, events: int, _opaque: Any) -> None:
        try:
            if events & _READ:
                self._read_stream()
            if events & _WRITE and self._is_open:
                self._type()
        except (libvirt.libvirtError, OSError) as error:
            self._end(f"{error}")
            return
        if events & _OVER:
            self._end("hung up")

    def _read_stream(self) -> None:
        data = self._stream.recv(CHUNK)
        if data == -2:  # nothing there after all
            return
        if not data:
            self._end("its end")
            return
        with contextlib.suppress(BlockingIOError):
            self._ours.send(data)

    def _on_caller(self, _watch: int, _descriptor: int, _events: int, _opaque: Any) -> None:
        if not self._is_open:
            return
        try:
            self._typed = self._ours.recv(CHUNK)
            if not self._typed:
                self._end("closed by us")
                return
            self._type()
        except BlockingIOError:
            return
        except (libvirt.libvirtError, OSError) as error:
            self._end(f"{error}")

    def _type(self) -> None:
        """Hand on what was typed; while libvirt takes no more, nothing more is taken from the caller."""
        while self._typed:
            taken = self._stream.send(self._typed)
            if taken < 0:
                break
            self._typed = self._typed[taken:]
        waits = bool(self._typed)
        self._stream.eventUpdateCallback(_READ | _OVER | (_WRITE if waits else 0))
        libvirt.virEventUpdateHandle(self._handle, _CALLER_GONE if waits else _FROM_CALLER | _CALLER_GONE)

    def _end(self, why: str) -> None:
        if not self._is_open:
            return
        self._is_open = False
        logger.debug("A serial console ends: %s", why)
        libvirt.virEventRemoveHandle(self._handle)
        for action in (self._stream.eventRemoveCallback, self._stream.abort):
            with contextlib.suppress(libvirt.libvirtError):
                action()
        self._ours.close()
