"""Paging by key and addresses that keep the filters of the page."""

from collections.abc import Mapping
from typing import Any

from flask import request, url_for

from zentry_web.domain.text import whole_number

PAGE_SIZE = 50
MOST_ROWS = 200  # that one page shows, after as many presses on More as that takes (lists.js)
# Columns that are sorted from the largest down at first.
FALLING_FIRST = frozenset({"created", "rate", "spend", "at", "deleted"})


def here(**changes: Any) -> str:
    """This page's address with some query arguments changed; None and '' leave one out."""
    arguments = request.args.to_dict() | (request.view_args or {}) | changes
    kept = {name: value for name, value in arguments.items() if value not in (None, "")}
    return url_for(request.endpoint or "public.landing", **kept)


def text_argument(name: str, limit: int = 100) -> str:
    """A query argument, trimmed and cut to a sane length; '' when absent. Without NUL: PostgreSQL takes none."""
    return request.args.get(name, "").replace("\x00", "").strip()[:limit]


def number_argument(name: str) -> int | None:
    """A query argument that is the number of a row; None when absent or none that a row could have."""
    number = whole_number(request.args.get(name, ""))
    return number if number is not None and number > 0 else None


def rows_asked(size: int = PAGE_SIZE) -> int:
    """How many rows are shown: ``size``, or as many as the address says were shown with *More* (``rows``)."""
    return max(size, min(number_argument("rows") or 0, MOST_ROWS))


def pages(next_before: object) -> dict[str, str | None]:
    """Addresses for shared/_pages.html. ``next_before``: the key of this page's last row if more follow, or None."""
    return {
        "first_url": here(before=None, ticked=None, rows=None) if request.args.get("before") else None,
        "next_url": here(before=next_before, ticked=None, rows=None) if next_before else None,
    }


def ticking() -> dict[str, Any]:
    """For lists whose rows can be selected: which are ticked (``1`` all shown, ``all`` all that fit, ``''`` none),
    and the addresses at which they are."""
    ticked = request.args.get("ticked", "")
    kind = ticked if ticked in ("", "all") else "1"
    return {"ticked": kind, "ticked_url": here(ticked=1), "all_url": here(ticked="all", before=None)}


def sort_heads(sorts: Mapping[str, tuple[str, str]], current: str) -> dict[str, dict[str, str]]:
    """For the heads of a table's columns: how each is sorted now, and where it leads. ``sorts``: for each column the
    orders from the smallest up and from the largest down, the latter named first where that is asked for first."""
    heads = {}
    for name, (first, second) in sorts.items():
        rising, falling = (second, first) if name in FALLING_FIRST else (first, second)
        found = {"sort": here(sort=second if current == first else first, before=None, ticked=None, rows=None)}
        if current in (rising, falling):
            found["sorted"] = "asc" if current == rising else "desc"
        heads[name] = found
    return heads


def last_key(rows: list[Any], key: str, limit: int = 0) -> Any:
    """The key of the last row when the page is full (there may be more), else None. ``limit``: how many rows were asked
    for; 0: as many as the address asks for."""
    return getattr(rows[-1], key) if len(rows) >= (limit or rows_asked()) else None
