"""Paths of Unix sockets, which may be 107 bytes long, however deep the folder lies."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def opened_folder(folder: Path) -> Iterator[int]:
    """A descriptor of the folder, for ``short_path``."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def short_path(folder: int, name: str) -> str:
    """The path of a socket in an opened folder."""
    return f"/proc/self/fd/{folder}/{name}"
