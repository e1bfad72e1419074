"""Interactive consoles: what a person types on and looks at, as a connected socket.

A socket is the plainest duplex stream with bounded buffers there is: the kernel holds so much and no more, and any
event loop can wait for it. A cloud whose consoles are WebSockets elsewhere (OpenStack) hands out one end of a pair and
pumps the other into its WebSocket.
"""

import socket
from typing import Protocol


class Consoles(Protocol):
    """Both raise MachineMissing, ComputeRefused (it is off, or has none), ComputeUnavailable, ComputeTimeout.

    The stream ends when the machine goes off or the host ends it; the caller closes it.
    """

    def open_text(self, vm_id: str) -> socket.socket:
        """Its serial port: bytes as the guest writes them, and what is sent is typed. Whoever opens it again takes it
        over: the stream before ends. Bytes that the caller leaves unread are lost, as on any serial line."""

    def open_screen(self, vm_id: str) -> socket.socket:
        """Its screen and keyboard, by the RFB protocol (VNC) without a password. May be open several times at once."""
