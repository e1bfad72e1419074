"""A free name for the next machine."""

import re
from collections.abc import Collection

from zentry_web.domain.text import whole_number

FIRST, LONGEST = "web", 63
MOST_AT_ONCE = 10  # machines of one launch
_NUMBERED, _NUMBER = re.compile(r"^(.*?)-?(\d{1,6})$"), re.compile(r"\d{1,6}")
_COUNTED = re.compile(r"^(.*?)(\d{1,6})$")


def base_of(name: str) -> str:
    """The name without the number at its end: ``web`` of ``web-12``."""
    found = _NUMBERED.match(name)
    return (found[1] if found else name) or FIRST


def next_name(newest: str, taken: Collection[str]) -> str:
    """The first of base-1, base-2, … after the highest in use, which goes on from ``newest`` ('': there is none)."""
    base = base_of(newest or FIRST)[: LONGEST - 7].rstrip("-")
    ends = [name.removeprefix(f"{base}-") for name in taken if name.startswith(f"{base}-")]
    numbers = [int(end) for end in ends if _NUMBER.fullmatch(end)]
    return f"{base}-{max(numbers, default=0) + 1}"


def parse_count(value: object) -> int | None:
    """How many machines at once; one where nothing is said, None for what is no such number."""
    count = value if isinstance(value, int) else 1 if value in (None, "") else whole_number(str(value))
    return count if count is not None and 1 <= count <= MOST_AT_ONCE else None


def names_from(name: str, count: int) -> tuple[str, ...]:
    """The names of ``count`` machines launched together: they go on from a number at the end of ``name`` (web-3,
    web-4); a name without one is numbered from 1. One machine is called as it is."""
    if count == 1:
        return (name,)
    found = _COUNTED.match(name)
    stem, first = (found[1], found[2]) if found else (f"{name}-", "1")
    return tuple(f"{stem}{int(first) + place:0{len(first)}d}" for place in range(count))
