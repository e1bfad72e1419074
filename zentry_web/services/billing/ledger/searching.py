"""What a search for transactions asks of the database; its keys: ``domain/list_keys.py``."""

from typing import Any

from sqlalchemy import ColumnElement, func, or_

from zentry_web.domain.list_keys import amount_bounds, date_bounds
from zentry_web.domain.query_language import ListSearch, Term
from zentry_web.models import DbTransfer, DbVM
from zentry_web.services.shared.comparing import conditions_of, inclusive, within
from zentry_web.services.shared.fields import storable


def transaction_conditions(search: ListSearch, amount: Any) -> list[ColumnElement[bool]]:
    """For transfers joined with their machines; ``amount``: what each moved."""
    return conditions_of(search, lambda term: _condition(term, search, amount))


def _condition(term: Term, search: ListSearch, amount: Any) -> ColumnElement[bool]:
    value = storable(term.value)
    machine = func.coalesce(DbVM.name, "").contains(value.lower(), autoescape=True)
    if term.key == "kind":
        return DbTransfer.kind == value
    if term.key == "amount":
        return within(func.abs(amount), *inclusive(amount_bounds(value)))
    if term.key == "date":
        return within(DbTransfer.at, *date_bounds(value, search.zone))
    if term.key == "machine":
        return machine
    reason = func.lower(DbTransfer.reason).contains(value.lower(), autoescape=True)
    return or_(reason, machine, DbTransfer.id == value)
