"""What the consoles of every compute driver must do."""

import contextlib
import socket
import time

import pytest

from tests.compute_contract.rig import ComputeRig, wait_for
from zentry_web.adapters.compute.base import ComputeRefused, MachineMissing

READ_SECONDS = 20


def read_until(stream: socket.socket, words: bytes, seconds: float = READ_SECONDS) -> bytes:
    """What comes until ``words`` are in it."""
    found, deadline = b"", time.monotonic() + seconds
    while words not in found:
        stream.settimeout(max(0.01, deadline - time.monotonic()))
        try:
            data = stream.recv(4096)
        except TimeoutError:
            pytest.fail(f"waited {seconds:g} s in vain for {words!r}; there was {found[-500:]!r}")
        assert data, f"the stream ended after {found[-500:]!r}"
        found += data
    return found


def type_until_read(stream: socket.socket, words: bytes) -> None:
    """Type, and read it back. What is typed just before a guest asks who logs in is thrown away there: then again."""
    found, deadline = b"", time.monotonic() + READ_SECONDS
    while words not in found:
        assert time.monotonic() < deadline, f"{words!r} did not come back; there was {found[-500:]!r}"
        stream.sendall(words)
        stream.settimeout(3)
        with contextlib.suppress(TimeoutError):
            while words not in found:
                data = stream.recv(4096)
                assert data, f"the stream ended after {found[-500:]!r}"
                found += data


def has_ended(stream: socket.socket) -> bool:
    """Whether the other side has hung up; what it said before is thrown away."""
    stream.settimeout(0.05)
    with contextlib.suppress(TimeoutError):
        while stream.recv(4096):
            continue
        return True
    return False


class ConsoleContract:
    """Part of the contract; see ComputeContract. The tests share one guest, which the last but one switches off."""

    @pytest.fixture(scope="class")
    @classmethod
    def guest(cls, rig: ComputeRig) -> str:
        return rig.booted()

    def test_the_serial_port_is_typed_on_and_read(self, rig: ComputeRig, guest: str) -> None:
        with rig.driver.consoles.open_text(guest) as line:
            line.sendall(b"\r")
            type_until_read(line, b"xyzzy")
            with rig.driver.consoles.open_text(guest) as taken_over:
                wait_for(lambda: has_ended(line), 10, "the first stream to end")
                type_until_read(taken_over, b"plugh")

    def test_nobody_has_to_read_it(self, rig: ComputeRig, guest: str) -> None:
        """A stream that is left unread holds up neither the driver nor a later one."""
        with rig.driver.consoles.open_text(guest) as line:
            line.sendall(b"\r" * 200)
            began = time.monotonic()
            for _ in range(20):
                rig.get(guest)
            assert time.monotonic() - began < 5

    def test_two_see_the_screen_at_once(self, rig: ComputeRig, guest: str) -> None:
        with rig.driver.consoles.open_screen(guest) as one, rig.driver.consoles.open_screen(guest) as other:
            for screen in (one, other):
                assert read_until(screen, b"\n").startswith(b"RFB 003.")
            for screen in (one, other):
                screen.sendall(b"RFB 003.008\n")
                assert b"\x01" in read_until(screen, b"\x01")[1:]  # no password is asked for
                screen.sendall(b"\x01")
                read_until(screen, bytes(4))
                screen.sendall(b"\x01")
                width, height = divmod(int.from_bytes(read_exactly(screen, 24)[:4]), 65536)
                assert width >= 320
                assert height >= 200

    def test_both_end_when_the_machine_goes_off(self, rig: ComputeRig, guest: str) -> None:
        with rig.driver.consoles.open_text(guest) as line, rig.driver.consoles.open_screen(guest) as screen:
            rig.driver.force_off(guest)
            for stream in (line, screen):
                wait_for(lambda stream=stream: has_ended(stream), 10, "the stream to end")

    def test_a_machine_that_is_off_has_none(self, rig: ComputeRig) -> None:
        vm_id = rig.created()
        for look in (rig.driver.consoles.open_text, rig.driver.consoles.open_screen):
            with pytest.raises(ComputeRefused, match="off"):
                look(vm_id)
            with pytest.raises(MachineMissing):
                look("vm_NONE")


def read_exactly(stream: socket.socket, size: int) -> bytes:
    stream.settimeout(READ_SECONDS)
    found = b""
    while len(found) < size:
        data = stream.recv(size - len(found))
        assert data, "the stream ended"
        found += data
    return found
