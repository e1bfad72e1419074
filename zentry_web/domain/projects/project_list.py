"""A person's list of projects: which fit a search, and in which order."""

import unicodedata
from collections.abc import Callable, Sequence
from typing import Any

from zentry_web.domain.list_keys import amount_bounds, count_bounds
from zentry_web.domain.projects.project import Project, ProjectSummary
from zentry_web.domain.query_language import ListSearch, Term
from zentry_web.domain.text import folded

# What each order compares, and whether the largest comes first.
ORDERS: dict[str, tuple[Callable[[ProjectSummary], Any], bool]] = {
    "name": (lambda each: folded(each.project.name), False),
    "name-down": (lambda each: folded(each.project.name), True),
    "fewest": (lambda each: each.vm_count, False),
    "most": (lambda each: each.vm_count, True),
    "cheapest": (lambda each: each.rate_micro_per_hour, False),
    "dearest": (lambda each: each.rate_micro_per_hour, True),
    "least": (lambda each: each.month_micro, False),
    "spent": (lambda each: each.month_micro, True),
    "oldest": (lambda each: each.project.created_at, False),
    "newest": (lambda each: each.project.created_at, True),
}


def projects_found(summaries: Sequence[ProjectSummary], search: ListSearch, sort: str = "name") -> list[ProjectSummary]:
    """Those that fit, in that order; the name decides between equals."""
    fitting = [each for each in summaries if all(_fits(each, term) != term.negated for term in search.terms)]
    fitting.sort(key=ORDERS["name"][0])
    key, largest_first = ORDERS[sort]
    return sorted(fitting, key=key, reverse=largest_first)


def _fits(summary: ProjectSummary, term: Term) -> bool:
    project, value = summary.project, term.value
    if term.key == "role":
        return project.role == value
    if term.key == "machines":
        return _within(summary.vm_count, count_bounds(value))
    if term.key == "cost":
        return _within(summary.month_micro, amount_bounds(value))
    if term.key == "label":
        return _has_label(project, value)
    if term.key == "owner":
        return folded(value) in folded(project.owner_name)
    return folded(value) in folded(project.name) or (not term.key and value == project.id)


def _within(number: int, bounds: tuple[int | None, int | None]) -> bool:
    least, most = bounds
    return (least is None or number >= least) and (most is None or number <= most)


def _has_label(project: Project, text: str) -> bool:
    key, has_value, value = (part.strip() for part in unicodedata.normalize("NFKC", text).partition("="))
    return any(label.key == key and (not has_value or label.value == value) for label in project.labels)
