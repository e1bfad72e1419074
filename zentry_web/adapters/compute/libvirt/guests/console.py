"""A machine's serial console log: read its end, keep it small, find the ready line of the present run."""

import ctypes
import logging
import os
import re
from datetime import UTC, datetime
from pathlib import Path

from zentry_web.adapters.compute.base import ConsoleLog

logger = logging.getLogger(__name__)

KEEP_BYTES = 512 * 1024
LIMIT_BYTES = 1024 * 1024
# What a guest writes is bounded where it is read: no number is longer than an epoch second can be.
_READY = re.compile(rb"^ZENTRY-READY (\S{1,64}) ([0-9.]{1,20}) at=([0-9]{1,12})\r?$", re.MULTILINE)
_MARK = b"--- Zentry: power on "
_RESUMED = b"--- Zentry: resumed from saved memory "
# Cursor movements, colours, titles: what a terminal obeys and a page should not show.
_ESCAPES = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[()][A-Za-z0-9]|[A-Za-z0-9=>])")
_LINE_ENDS = re.compile(r"\r+\n?")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_FALLOC_FL_KEEP_SIZE = 1
_FALLOC_FL_PUNCH_HOLE = 2


def read_log(path: Path, max_bytes: int) -> ConsoleLog:
    """The last ``max_bytes`` as plain text. A missing file is an empty log. Raises PermissionError where virtlogd has
    begun a new file, which is root's alone."""
    raw, size = _tail(path, max_bytes)
    return ConsoleLog(plain_text(raw), size)


def _tail(path: Path, max_bytes: int) -> tuple[bytes, int]:
    """The last bytes, also of what virtlogd has put aside, and how many there are."""
    raw, size = b"", 0
    for part in (path, path.with_name(f"{path.name}.0")):
        try:
            with part.open("rb") as file:
                there = file.seek(0, os.SEEK_END)
                file.seek(max(0, there - (max_bytes - len(raw))))
                raw = file.read(max_bytes - len(raw)) + raw
        except FileNotFoundError:
            break
        size += there
    return raw, size


def plain_text(raw: bytes) -> str:
    """Valid text without control characters other than newline and tab."""
    # A tail may begin in the middle of a character, and in a hole made by trim().
    text = raw.lstrip(b"\0").decode("utf-8", errors="replace").lstrip("\ufffd")
    text = _LINE_ENDS.sub("\n", _ESCAPES.sub("", text))
    return _CONTROLS.sub("", text)


def mark_power_on(path: Path, now: float, *, resumes: bool = False) -> None:
    """Write a line that parts the coming run from those before; a ready line above it is an old one, unless it
    ``resumes`` what was saved."""
    moment = datetime.fromtimestamp(now, UTC)
    line = (_RESUMED if resumes else _MARK) + f"{moment:%Y-%m-%d %H:%M:%S} UTC ---\r\n".encode()
    try:
        with path.open("ab") as file:
            file.write((b"\r\n" if file.tell() else b"") + line)
    except OSError as error:
        # The log may belong to the hypervisor's user. The clock in the ready line still tells runs apart.
        logger.info("No mark in %s: %s", path, error)


def has_ready_line(path: Path, vm_id: str, run_started: float) -> bool:
    """Whether the guest has printed its ready line in the run that began at ``run_started`` (epoch seconds)."""
    try:
        raw, _ = _tail(path, LIMIT_BYTES)
    except OSError:
        return False
    this_run = raw[max(0, raw.rfind(_MARK)) :]
    return any(found[1] == vm_id.encode() and int(found[3]) >= int(run_started) for found in _READY.finditer(this_run))


def trim(path: Path) -> None:
    """Give back the room of the oldest part once the log is over 1 MiB.

    A hole is punched: the length stays, so a writer that appends is not disturbed and nothing is lost in between.
    """
    try:
        status = path.stat()
        if status.st_blocks * 512 <= LIMIT_BYTES:
            return
        hole = (status.st_size - KEEP_BYTES) // 4096 * 4096
        with path.open("r+b") as file:
            _punch_hole(file.fileno(), hole)
    except OSError as error:
        logger.info("Cannot trim %s: %s", path, error)


def _punch_hole(descriptor: int, length: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    mode = _FALLOC_FL_KEEP_SIZE | _FALLOC_FL_PUNCH_HOLE
    if libc.fallocate(descriptor, mode, ctypes.c_longlong(0), ctypes.c_longlong(length)) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
