"""The one table from what services raise to what a person, htmx or a program gets to see.

A browser gets a page, htmx a toast, a program application/problem+json (RFC 9457).
"""

from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import structlog
from flask import Flask, Response, current_app, jsonify, make_response, request, url_for
from flask_wtf.csrf import CSRFError
from werkzeug.exceptions import HTTPException, SecurityError

from zentry_web.domain.language import _, lazy
from zentry_web.services.errors import ServiceError
from zentry_web.services.shared.storage import outage
from zentry_web.web.output.context import bare_context, page_context
from zentry_web.web.output.htmx import is_for_programs, is_htmx, wants_json
from zentry_web.web.output.regions import credits_text
from zentry_web.web.own_address import ForeignForm
from zentry_web.web.request_id import request_id
from zentry_web.web.session.actor import is_public, signed_in_user
from zentry_web.web.session.proof import keep_form, page_of_request

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Answer:
    """How one kind of error is answered: its status, the toast's kind and the page's heading."""

    status: int
    kind: str
    title: str


ERRORS: dict[str, Answer] = {
    "VALIDATION_ERROR": Answer(400, "error", lazy("Something in this is not right")),
    "NOT_FOUND": Answer(404, "error", lazy("There is nothing here")),
    "INSUFFICIENT_CREDITS": Answer(400, "warning", lazy("Not enough credits")),
    "AUTHENTICATION_REQUIRED": Answer(401, "warning", lazy("Please log in")),
    "PERMISSION_DENIED": Answer(403, "error", lazy("You may not do this")),
    "PROOF_REQUIRED": Answer(403, "warning", lazy("Please confirm that it is you")),
    "CONFLICT": Answer(409, "warning", lazy("That does not fit the present state")),
    "PRICE_CHANGED": Answer(409, "warning", lazy("The price is another one")),
    "PLAN_CHANGED": Answer(409, "warning", lazy("The plan is another one")),
    "BUDGET_EXCEEDED": Answer(409, "warning", lazy("Over the project's budget")),
    "ACCOUNT_LEAVING": Answer(409, "warning", lazy("This account is about to be deleted")),
    "QUOTA_EXCEEDED": Answer(409, "warning", lazy("Over the quota")),
    "RATE_LIMITED": Answer(429, "warning", lazy("Too many attempts")),
    "PROVIDER_UNAVAILABLE": Answer(503, "warning", lazy("Something Zentry needs does not answer")),
    "STORAGE_UNAVAILABLE": Answer(503, "warning", lazy("Nothing can be saved just now")),
    "SERVICE_ERROR": Answer(500, "error", lazy("Something went wrong")),
}
# What Flask itself refuses. Each of these has a page of its own, templates/errors/<status>.html.
HTTP_ERRORS: dict[int, tuple[str, str]] = {
    400: (lazy("That request could not be read"), lazy("Go back, reload the page and try again.")),
    404: (lazy("There is nothing here"), lazy("The page does not exist, was deleted, or belongs to somebody else.")),
    405: (lazy("That does not work here"), lazy("The page exists, but not for this kind of request.")),
    413: (lazy("That is too large"), lazy("What was sent is larger than Zentry accepts.")),
}


# What Flask-WTF says of a form's token, and what that means to a person.
CSRF_REASONS = {
    "session token is missing": lazy(
        "No cookie came with this form: the browser keeps none for this address, or you have logged out since the page "
        "was opened."
    ),
    "token is missing": lazy("This form came without the token that its page has."),
    "": lazy("This page was open for too long or belongs to an earlier log-in."),
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One error, ready to be shown in any shape."""

    status: int
    kind: str
    title: str
    text: str
    code: str
    details: dict[str, Any] = field(default_factory=dict)

    own_page: bool = False  # a page of its own says it better than the text: errors/<status>.html

    @property
    def link(self) -> tuple[str, str] | None:
        """(text, address) of the way out, where there is a better one than going back."""
        if self.code == "INSUFFICIENT_CREDITS" and "payer" not in self.details:
            return _("See your credits"), url_for("billing.index")
        if self.code == "ACCOUNT_LEAVING" and self.details.get("own"):
            return _("Keep my account"), url_for("account.leave")
        if self.code == "BUDGET_EXCEEDED" and self.details.get("may_change"):
            return _("Change the budget"), url_for("projects.budget", project_id=self.details["project_id"])
        return None


def find_answer(error: ServiceError) -> Answer:
    """The row of the table for an error; an unknown code counts as a fault of ours."""
    return ERRORS.get(error.error_code, ERRORS["SERVICE_ERROR"])


def error_text(error: ServiceError) -> str:
    """The sentence for a person, with the amount that is missing or when to try again."""
    details = error.details
    if error.error_code == "INSUFFICIENT_CREDITS" and "needed" in details:
        needed, available = details["needed"], details.get("available", 0)
        values = {
            "why": error.message,
            "needed": credits_text(needed),
            "available": credits_text(available),
            "missing": credits_text(max(0, needed - available)),
        }
        if "payer" not in details:
            return _(
                "%(why)s This needs %(needed)s credits and you have %(available)s: %(missing)s more are needed.",
                **values,
            )
        return _(
            "%(why)s This needs %(needed)s credits and %(who)s has %(available)s: %(missing)s more are needed.",
            who=details["payer"],
            **values,
        )
    if error.error_code == "PRICE_CHANGED":
        now, shown = (_rates_text(*details[name]) for name in ("now", "shown"))
        return _("%(why)s Now: %(now)s. Shown before: %(shown)s.", why=error.message, now=now, shown=shown)
    return error.message


def _rates_text(running: int, stopped: int) -> str:
    """Such as ``0.005 credits per hour running, 0.0001 stopped``; of what is off, what its disk costs."""
    if not running:
        return _("%(price)s credits per hour", price=credits_text(stopped))
    return _(
        "%(running)s credits per hour running, %(stopped)s stopped",
        running=credits_text(running),
        stopped=credits_text(stopped),
    )


def problem_of(error: ServiceError) -> Problem:
    """A service's refusal as a Problem."""
    answer = find_answer(error)
    return Problem(answer.status, answer.kind, answer.title, error_text(error), error.error_code, error.details)


def respond(problem: Problem) -> Response:
    """The problem in the shape that was asked for."""
    if wants_json():
        response = jsonify(_as_json(problem))
        response.mimetype = "application/problem+json"
    elif is_htmx():
        response = make_response(_toast(problem))
        response.headers["HX-Retarget"] = "#toasts"
        response.headers["HX-Reswap"] = "beforeend"
    else:
        response = make_response(_page(problem))
    response.status_code = problem.status
    if problem.status == 401 and is_for_programs():
        response.headers["WWW-Authenticate"] = "Bearer"
    if problem.details.get("retry_after"):
        response.headers["Retry-After"] = str(int(problem.details["retry_after"]))
    return response


def _as_json(problem: Problem) -> dict[str, Any]:
    return {
        "type": "about:blank",
        "title": problem.title,
        "status": problem.status,
        "detail": problem.text,
        "code": problem.code,
        "request_id": request_id(),
        "details": problem.details,
    }


def _render(name: str, **values: Any) -> str:
    """Render without the usual context: an error page must not need the database."""
    return current_app.jinja_env.get_template(name).render(request_id=request_id(), **values, **bare_context())


def _page(problem: Problem) -> str:
    name = f"errors/{problem.status}.html" if problem.own_page else "errors/refused.html"
    values = {"problem": problem, "back": _back_url()}
    if problem.status < 500:  # else the database may be what failed
        with suppress(Exception):
            if signed_in_user() is not None:
                template = current_app.jinja_env.get_template(name)
                return template.render(request_id=request_id(), **values, **page_context())
    return _render(name, **values)


def _toast(problem: Problem) -> str:
    text, href = problem.link or ("", "")
    message = f"{problem.text} Request {request_id()}" if problem.status >= 500 else problem.text
    return _render(
        "errors/_alert.html",
        category=problem.kind,
        title=problem.title,
        message=message,
        action_url=href,
        action_text=text,
    )


def _back_url() -> str:
    """The page the person came from, if it is one of ours; else ''."""
    source = urlsplit(request.referrer or "")
    if source.netloc == request.host and source.path != request.path:
        return source.path + (f"?{source.query}" if source.query else "")
    return ""


def login_needed() -> Response:
    """Send a visitor to the log-in and back: 303, HX-Redirect or JSON 401. A stream cannot show the log-in: 401."""
    if request.accept_mimetypes.best == "text/event-stream":
        return Response(status=401, mimetype="text/plain")
    if wants_json():
        answer = ERRORS["AUTHENTICATION_REQUIRED"]
        return respond(Problem(401, answer.kind, answer.title, _("Please log in."), "AUTHENTICATION_REQUIRED"))
    if is_htmx():
        here = urlsplit(request.headers.get("HX-Current-URL", ""))
        page = here.path + (f"?{here.query}" if here.query else "")
        return Response(status=204, headers={"HX-Redirect": url_for("auth.login", next=page or None)})
    next_url = request.full_path.rstrip("?") if request.method in ("GET", "HEAD") else _back_url() or None
    return Response(status=303, headers={"Location": url_for("auth.login", next=next_url)})


def proof_needed(error: ServiceError) -> Response:
    """Let the person prove who it is, then go on: 303, HX-Redirect or JSON 403."""
    if wants_json():
        return respond(problem_of(error))
    keep_form()
    target = url_for("account.confirm", next=page_of_request())
    if is_htmx():
        return Response(status=204, headers={"HX-Redirect": target})
    return Response(status=303, headers={"Location": target})


def on_service_error(error: ServiceError) -> Response:
    """Answer a refusal by a service."""
    if error.error_code == "AUTHENTICATION_REQUIRED" and not is_for_programs():
        return login_needed()
    if error.error_code == "PROOF_REQUIRED":
        return proof_needed(error)
    problem = problem_of(error)
    if problem.status >= 500:
        log.error("service_error", code=error.error_code, request_id=request_id(), exc_info=error)
    return respond(problem)


def on_csrf_error(error: CSRFError) -> Response:
    """A form without its token, with an old one, or from another address: the true reason."""
    reason = error.description or ""
    if isinstance(error, ForeignForm):
        return respond(Problem(400, "warning", _("This form came from another address"), reason, "CSRF"))
    if signed_in_user() is None and not is_public(request.endpoint):  # logged out elsewhere: on from the page it was
        return login_needed()
    text = next((words for mark, words in CSRF_REASONS.items() if mark in reason), CSRF_REASONS[""])
    return respond(
        Problem(
            400,
            "warning",
            _("Please try again"),
            _("%(reason)s Go back, reload it and try again.", reason=text),
            "CSRF",
        )
    )


def on_http_error(error: HTTPException) -> Response:
    """Answer what Flask itself raises: unknown address, wrong method, too large."""
    status = error.code or 500
    if status < 400:
        return Response(error.get_body(), status, error.get_headers())
    if isinstance(error, SecurityError):  # nothing can be linked to under a host that is not ours
        return Response("This address is not served here.\n", 400, mimetype="text/plain")
    title, text = HTTP_ERRORS.get(status, (_("Something went wrong"), error.description or ""))
    response = respond(Problem(status, "error", title, text, error.name, own_page=status in HTTP_ERRORS))
    if isinstance(allowed := getattr(error, "valid_methods", None), list):
        response.headers["Allow"] = ", ".join(sorted(allowed))
    return response


def on_any_error(error: Exception) -> Response:
    """Anything nobody expected: logged in full, shown with the request id only. A full disk is told as one."""
    if (trouble := outage(error)) is not None:
        return on_service_error(trouble)
    log.error("unexpected_error", request_id=request_id(), endpoint=request.endpoint, exc_info=error)
    text = _("The fault is ours and has been written down. If it stays, tell the operator the request id below.")
    return respond(Problem(500, "error", _("Something went wrong"), text, "INTERNAL_ERROR", own_page=True))


def init_errors(app: Flask) -> None:
    """Register the handlers."""
    app.register_error_handler(ServiceError, on_service_error)
    app.register_error_handler(CSRFError, on_csrf_error)
    app.register_error_handler(HTTPException, on_http_error)
    app.register_error_handler(Exception, on_any_error)
