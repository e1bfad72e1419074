"""What a search for charges asks of the database; its keys: ``domain/list_keys.py``."""

from sqlalchemy import ColumnElement, func, or_

from zentry_web.domain.query_language import ListSearch, Term
from zentry_web.models import DbProject, DbSize, DbVM
from zentry_web.services.billing.usage.settlement import INTERVAL
from zentry_web.services.shared.comparing import conditions_of
from zentry_web.services.shared.fields import storable


def charge_conditions(search: ListSearch) -> list[ColumnElement[bool]]:
    """For intervals joined with their machines, projects and sizes. Plain words are looked for in their names; ``vm``,
    which nobody types, is a machine's id."""
    return conditions_of(search, _condition)


def _condition(term: Term) -> ColumnElement[bool]:
    value = storable(term.value)
    names = {"machine": DbVM.name, "project": DbProject.name, "size": DbSize.name}
    if term.key == "vm":
        return INTERVAL.c.vm_id == value
    if term.key == "state":
        return INTERVAL.c.state == value
    wanted = [names[term.key]] if term.key in names else list(names.values())
    return or_(*(func.lower(name).contains(value.lower(), autoescape=True) for name in wanted))
