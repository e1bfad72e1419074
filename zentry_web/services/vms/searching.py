"""What a search for machines asks of the database; the words are those of ``domain/vms/search.py``."""

import operator
from collections.abc import Callable
from typing import Any

from sqlalchemy import ColumnElement, and_, case, func, not_, or_

from zentry_web.domain.query_language import Term
from zentry_web.domain.text import folded
from zentry_web.domain.vms.search import cost_of
from zentry_web.domain.vms.state import CHANGING, RUNS, VMState
from zentry_web.models import DbImage, DbProject, DbSize, DbUser, DbVM
from zentry_web.services.shared.fields import email_part, storable
from zentry_web.services.shared.labels import labelled

_SIGNS: dict[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq, ">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le,
}  # fmt: skip
_CHANGED_ON = and_(DbVM.state.in_(CHANGING), DbVM.started_at.is_not(None), DbVM.stopped_at.is_(None))
_OFF = (VMState.STOPPED, VMState.STARTING, *CHANGING)
# As VM.rate_micro_per_hour says it.
RATE_NOW: ColumnElement[int] = case(
    (or_(DbVM.state.in_(RUNS), _CHANGED_ON), DbVM.running_micro_per_hour),
    (DbVM.state.in_(_OFF), DbVM.stopped_micro_per_hour),
    else_=0,
)


def term_condition(term: Term) -> ColumnElement[bool]:
    """What one term asks for; ``image``, ``owner``, ``project`` and ``size`` look into the tables of those."""
    found = _CONDITIONS[term.key](storable(term.value))
    return not_(found) if term.negated else found


def _word(value: str) -> ColumnElement[bool]:
    text = value.lower()
    return or_(DbVM.name.contains(text, autoescape=True), DbVM.address == text, DbVM.id == text)


def _project(value: str) -> ColumnElement[bool]:
    return or_(DbProject.name_key.contains(folded(value), autoescape=True), DbProject.id == value)


def _owner(value: str) -> ColumnElement[bool]:
    return or_(DbUser.email_key.contains(email_part(value), autoescape=True), DbUser.id == value)


def _cost(value: str) -> ColumnElement[bool]:
    sign, micro = cost_of(value)
    found: ColumnElement[bool] = _SIGNS[sign](RATE_NOW, micro)
    return found


_CONDITIONS: dict[str, Callable[[str], ColumnElement[bool]]] = {
    "": _word,
    "name": lambda value: DbVM.name.contains(value.lower(), autoescape=True),
    "state": lambda value: DbVM.state == value,
    "label": lambda value: and_(*labelled(value)),
    "project": _project,
    "size": lambda value: or_(func.lower(DbSize.name) == value.lower(), DbSize.id == value),
    "image": lambda value: func.lower(DbImage.name).contains(value.lower(), autoescape=True),
    "address": lambda value: DbVM.address.startswith(value, autoescape=True),
    "cost": _cost,
    "owner": _owner,
}
