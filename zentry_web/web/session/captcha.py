"""The question that keeps programs out: its answer in a form, and the policy of the one page that shows it."""

from flask import Response, make_response, request

from zentry_web.domain.people.captcha import Widget
from zentry_web.web.output.headers import policy
from zentry_web.web.services import services


def captcha_answer() -> str:
    """What the provider's widget put into the form; '' when nothing is asked."""
    widget = services().auth.captcha.widget
    return request.form.get(widget.field, "") if widget else ""


def with_widget(page: str, status: int, widget: Widget | None) -> Response:
    """The page, allowed to load ``widget`` from its provider and nothing else from there."""
    response = make_response(page, status)
    if widget is not None:
        hosts = widget.hosts
        response.headers["Content-Security-Policy"] = policy(script=hosts, frame=hosts, connect=hosts, style=hosts)
    return response
