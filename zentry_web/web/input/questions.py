"""A short question before something that is not undone, or that costs another price than was shown.

Asked in the dialog by script, on a page of its own without; its button is the only one that does it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from flask import Response, make_response, render_template, request

from zentry_web.domain.language import _
from zentry_web.services.errors import NotFoundError
from zentry_web.web.output.htmx import is_htmx

Thing = TypeVar("Thing")


@dataclass(frozen=True, slots=True)
class Question:
    """``text`` says what happens, ``button`` what is done; it is sent to the address that asked, with ``fields``."""

    title: str
    text: str
    button: str
    back: str  # where *Cancel* leads
    nav: str  # which entry of the navigation is lit
    fields: Mapping[str, str] = field(default_factory=dict)
    is_dangerous: bool = True
    icon: str = ""


def ask(question: Question, status: int = 200) -> Response:
    """The question, in the shape that was asked for."""
    response = make_response(render_template("shared/question.html", question=question, action=request.path), status)
    if is_htmx():  # whatever the button that led here would have changed
        response.headers["HX-Retarget"] = "#z-dialog-body"
        response.headers["HX-Reswap"] = "innerHTML"
    return response


def one_of(things: Iterable[Thing], value: str, key: str = "id") -> Thing:
    """The one that the question is about, of those that the person has. Raises NotFoundError."""
    for each in things:
        if getattr(each, key) == value:
            return each
    raise NotFoundError(_("There is nothing here: it may be gone already."))
