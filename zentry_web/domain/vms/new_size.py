"""A size of machines as an admin makes one: what its name and what it takes may be. Pure rules, no I/O."""

import re

from zentry_web.domain.language import _
from zentry_web.domain.projects.quota import format_memory, parse_memory
from zentry_web.domain.text import whole_number

LONGEST_NAME = 30
MAX_VCPUS = 256
MIN_MEMORY_MIB = 64
MAX_MEMORY_MIB = 4 * 1024 * 1024
MAX_DISK_GIB = 1000  # at MAX_DISK_RATE it costs MAX_RATE (domain/money.py)
_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,28}[a-z0-9])?")


def parse_name(value: object) -> str:
    """A name that can be looked for as ``size:NAME``. Raises ValueError with a sentence for the admin."""
    text = value.strip() if isinstance(value, str) else ""
    if not _NAME.fullmatch(text):
        raise ValueError(
            _(
                "Use 1 to %(most)s small letters, digits, points and hyphens, beginning and ending with a letter "
                "or digit.",
                most=LONGEST_NAME,
            )
        )
    return text


def parse_vcpus(value: object) -> int:
    """How many vCPUs. Raises ValueError."""
    return _whole(value, MAX_VCPUS)


def parse_disk(value: object) -> int:
    """The disk in GiB. Raises ValueError."""
    return _whole(value, MAX_DISK_GIB)


def parse_size_memory(value: object) -> int:
    """Memory as typed with its unit, in MiB. Raises ValueError."""
    found = parse_memory(value)
    if found is None:
        raise ValueError(_("Say how much with its unit, such as 16 GiB or 512 MiB."))
    if not MIN_MEMORY_MIB <= found <= MAX_MEMORY_MIB:
        raise ValueError(
            _(
                "Between %(least)s and %(most)s are possible.",
                least=format_memory(MIN_MEMORY_MIB),
                most=format_memory(MAX_MEMORY_MIB),
            )
        )
    return found


def _whole(value: object, most: int) -> int:
    number = whole_number(value) if isinstance(value, str) else value
    if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= most:
        raise ValueError(_("Enter a whole number from 1 to %(most)s.", most=f"{most:,}"))
    return number
