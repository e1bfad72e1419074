"""Paging by key and addresses that keep the filters of the page."""

from typing import Any

from flask import request, url_for

PAGE_SIZE = 50
_LARGEST_KEY = 2**63 - 1  # what a database's integer holds


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
    number = request.args.get(name, type=int)
    return number if number is not None and 0 < number <= _LARGEST_KEY else None


def pages(next_before: object) -> dict[str, str | None]:
    """Addresses for shared/_pages.html. ``next_before``: the key of this page's last row if more follow, or None."""
    return {
        "first_url": here(before=None, ticked=None) if request.args.get("before") else None,
        "next_url": here(before=next_before, ticked=None) if next_before else None,
    }


def ticking() -> dict[str, Any]:
    """For lists whose rows can be chosen: whether all are ticked, and the address at which they are."""
    return {"ticked": bool(request.args.get("ticked")), "ticked_url": here(ticked=1)}


def last_key(rows: list[Any], key: str, limit: int = PAGE_SIZE) -> Any:
    """The key of the last row when the page is full (there may be more), else None."""
    return getattr(rows[-1], key) if len(rows) >= limit else None
