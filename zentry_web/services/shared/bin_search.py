"""What a search of the recycle bin asks of the database; its keys: ``domain/list_keys.py``."""

from typing import Any

from sqlalchemy import ColumnElement, func

from zentry_web.domain.list_keys import date_bounds
from zentry_web.domain.query_language import ListSearch, Term
from zentry_web.domain.text import folded
from zentry_web.models import DbProject
from zentry_web.services.shared.comparing import conditions_of, within
from zentry_web.services.shared.fields import storable


def binned_conditions(search: ListSearch, table: Any) -> list[ColumnElement[bool]]:
    """For DbProject, or for DbVM joined with it."""
    return conditions_of(search, lambda term: _condition(term, search, table))


def _condition(term: Term, search: ListSearch, table: Any) -> ColumnElement[bool]:
    value = storable(term.value)
    if term.key == "deleted":
        return within(table.deleted_at, *date_bounds(value, search.zone))
    if term.key == "project":
        return DbProject.name_key.contains(folded(value), autoescape=True)
    if table is DbProject:
        return DbProject.name_key.contains(folded(value), autoescape=True)
    return func.lower(table.name).contains(value.lower(), autoescape=True)
