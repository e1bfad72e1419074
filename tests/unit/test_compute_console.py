"""Serial console logs."""

from pathlib import Path

import pytest

from zentry_web.adapters.compute.base import ConsoleLog
from zentry_web.adapters.compute.libvirt.guests import console
from zentry_web.adapters.compute.libvirt.guests.console import (
    has_ready_line,
    mark_power_on,
    plain_text,
    read_log,
    trim,
)

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"one\r\ntwo\r\r\nthree\rfour", "one\ntwo\nthree\nfour"),
        (b"\x1bc\x1b[?7l\x1b[2J\x1b[0;31mred\x1b[0m", "red"),
        (b"\x1b]0;title\x07\x1b(Bx\ty\x07\x00\x7f", "x\ty"),
        ("ünïcode ✓".encode(), "ünïcode ✓"),
        ("ü".encode()[1:] + b"tail", "tail"),
        (b"\0\0\0after a hole", "after a hole"),
        (b"bad \xff byte", "bad \ufffd byte"),
    ],
)
def test_only_plain_text_is_left(raw: bytes, text: str) -> None:
    assert plain_text(raw) == text


def test_the_tail(tmp_path: Path) -> None:
    log = tmp_path / "console.log"
    assert read_log(log, 100) == ConsoleLog("", 0)
    log.write_bytes(b"a" * 1000 + b"the end")
    assert read_log(log, 7) == ConsoleLog("the end", 1007)


def test_an_old_ready_line_is_not_mistaken_for_a_new_one(tmp_path: Path) -> None:
    log = tmp_path / "console.log"
    assert not has_ready_line(log, "vm_1", 0)
    mark_power_on(log, 1000.0)
    with log.open("ab") as file:
        file.write(b"boot\r\nZENTRY-READY vm_1 3.14 at=1003\r\n")
    assert has_ready_line(log, "vm_1", 1000.2)
    assert not has_ready_line(log, "vm_2", 1000.2), "another machine's"
    assert not has_ready_line(log, "vm_1", 1010.0), "started by somebody else later, so without a mark"
    mark_power_on(log, 1003.2)
    assert not has_ready_line(log, "vm_1", 1003.4), "started again within the same second"
    with log.open("ab") as file:
        file.write(b"half a line ZENTRY-READY vm_1 3.14 at=1009\r\n")
    assert not has_ready_line(log, "vm_1", 1003.4), "somebody quotes it"
    with log.open("ab") as file:
        file.write(b"ZENTRY-READY vm_1 3.14 at=1009\n")
    assert has_ready_line(log, "vm_1", 1003.4)


def test_trimming_gives_room_back_and_disturbs_no_writer(tmp_path: Path) -> None:
    log = tmp_path / "console.log"
    with log.open("ab", buffering=0) as writer:
        line = b"x" * 99 + b"\n"
        writer.write(line * 30_000)
        before = log.stat()
        trim(log)
        writer.write(b"still here\n")
    after = log.stat()
    assert after.st_size == before.st_size + 11, "the count of bytes ever written is kept"
    assert after.st_blocks * 512 <= console.LIMIT_BYTES
    tail = read_log(log, 65536)
    assert tail.text.endswith("x\nstill here\n")
    assert tail.size == 3_000_011


def test_a_small_log_and_a_missing_one_are_left_alone(tmp_path: Path) -> None:
    log = tmp_path / "console.log"
    trim(log)
    log.write_bytes(b"small")
    trim(log)
    assert log.read_bytes() == b"small"
    mark_power_on(tmp_path / "missing" / "console.log", 0.0)


def test_what_was_put_aside_comes_before(tmp_path: Path) -> None:
    log = tmp_path / "console.log"
    (tmp_path / "console.log.0").write_bytes(b"old " * 10)
    log.write_bytes(b"new")
    assert read_log(log, 7) == ConsoleLog("old new", 43)
    assert read_log(log, 2) == ConsoleLog("ew", 43)
