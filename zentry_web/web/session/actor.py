"""Who is acting: Flask-Login's user around a domain User, and the Actor that services are handed.

The signed session cookie carries the session token that AuthService gave out; every request asks
AuthService whose it is (one query), so ending a session works at once and on all processes.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar, cast

from flask import Flask, Response, current_app, g, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_login import LoginManager, UserMixin, current_user, login_user, logout_user

from zentry_web.domain.language import _
from zentry_web.domain.user import AccountView, Actor, CurrentSession, Role, SignedIn, User
from zentry_web.services.errors import AuthenticationRequiredError, NotFoundError, PermissionDeniedError
from zentry_web.web.output.htmx import go_to, is_htmx, wants_json
from zentry_web.web.request_id import request_id
from zentry_web.web.services import services
from zentry_web.web.session.proof import page_of_request

ANONYMOUS = "anonymous"
LOGIN = "_user_id"  # where Flask-Login keeps what get_id gave it
VIEW = "view"  # in the cookie: which look at somebody's pages is under way
View = TypeVar("View", bound=Callable[..., Any])


class WebUser(UserMixin):
    """What templates see as ``current_actor``: the account behind this request."""

    def __init__(self, found: CurrentSession, session_token: str, view: AccountView | None = None) -> None:
        self.account = found.user  # whose session it is
        self.view = view  # an admin's look at another account: then that is what pages are about
        self.user = view.user if view else found.user
        self.session_token = session_token
        self.proved_at = None if view else found.proved_at
        self.has_factor = found.has_factor
        self.is_due = found.is_due  # for another secret
        self.newest_event = found.newest_event  # whatever comes later is not on the page: its stream begins there

    def get_id(self) -> str:
        """What Flask-Login keeps in the cookie: the session's secret, never the user's id."""
        return self.session_token

    @property
    def id(self) -> str:
        return self.user.id

    @property
    def name(self) -> str:
        return self.user.name

    @property
    def email(self) -> str:
        return self.user.email

    @property
    def is_admin(self) -> bool:
        return self.user.is_admin

    @property
    def shortcuts(self) -> bool:
        return self.account.shortcuts

    @property
    def lacks_factor(self) -> bool:
        """An admin who has to set a second factor up before they may act as one."""
        return self.is_admin and not self.has_factor and services().auth.factors.admins_must

    @property
    def time_zone(self) -> str:
        return self.user.time_zone


def load_user(session_token: str) -> WebUser | None:
    """The signed-in user behind a cookie's token, or None when the session has ended."""
    found = services().auth.get_session(session_token)
    if found is None:
        return None
    user = WebUser(found, session_token)
    if VIEW in session and user.is_admin and not user.lacks_factor:
        view = services().users.views.find(str(session[VIEW]), session_token, found.user.id)
        user = WebUser(found, session_token, view)
    return user


def signed_in_user() -> WebUser | None:
    """The user of this request, or None."""
    if (found := known_user()) is not None:  # templates ask dozens of times: the proxy takes its time for each
        return found if found.is_authenticated else None
    return cast(WebUser, current_user) if current_user.is_authenticated else None


def session_token() -> str | None:
    """The secret of this browser's session; None when nobody is signed in."""
    found = signed_in_user()
    return found.session_token if found else None


def known_user() -> WebUser | None:
    """The user if this request has already looked: never asks the database (answers on their way out use this)."""
    found = g.get("_login_user")
    return found if isinstance(found, WebUser) else None


def here() -> WebUser:
    """The signed-in user with the session. Raises AuthenticationRequiredError."""
    found = signed_in_user()
    if found is None:
        raise AuthenticationRequiredError(_("Please log in."))
    return found


def me() -> User:
    """The signed-in account. Raises AuthenticationRequiredError."""
    return here().user


def current_actor() -> Actor:
    """Who services should take this request to come from; visitors act as 'anonymous'.

    An admin who lacks the second factor that admins must have acts as an ordinary person.
    """
    found = signed_in_user()
    return Actor(
        id=found.id if found else ANONYMOUS,
        role=found.user.role if found and not found.lacks_factor else Role.USER,
        address=request.remote_addr,
        user_agent=str(request.user_agent)[:300],
        request_id=request_id(),
        proved_at=found.proved_at if found else None,
        viewer_id=found.account.id if found and found.view else None,
    )


def looking_admin(user: WebUser) -> Actor:
    """The admin whose session it is, for what is recorded about a look. Nothing else is done as this actor."""
    return replace(current_actor(), id=user.account.id, role=user.account.role, viewer_id=None)


def begin_session(signed_in: SignedIn) -> None:
    """Sign this browser in. Nothing of the session before survives (no session fixation)."""
    session.clear()
    session.permanent = True
    login_user(WebUser(CurrentSession(signed_in.user, None, False), signed_in.session_token))


def end_session() -> None:
    """Sign this browser out, here and in the database."""
    found = signed_in_user()
    if found is not None:
        services().auth.logout(found.session_token, actor=current_actor())
    logout_user()
    session.clear()


def public(view: View) -> View:
    """Mark a view that visitors may call. Every other view needs a log-in."""
    view.is_public = True  # type: ignore[attr-defined]
    return view


def is_public(endpoint: str | None) -> bool:
    """Whether visitors may call it; so it is with what does not exist."""
    view = current_app.view_functions.get(endpoint or "")
    return view is None or getattr(view, "is_public", False) or endpoint == "static"


def require_login() -> None:
    """Before every request: refuse visitors unless the view is public."""
    if "\x00" in request.path:  # no id has one, and PostgreSQL would not even look for it
        raise NotFoundError(_("There is nothing here."))
    if not is_public(request.endpoint) and signed_in_user() is None:
        raise AuthenticationRequiredError(_("Please log in."))


def require_admin_page() -> ResponseReturnValue | None:
    """Before every request of the admin pages: admins only, and where they must have a second factor, with one."""
    found = here()
    if not found.is_admin:
        services().users.access.note_refused_page(str(request.endpoint), actor=current_actor())
        raise PermissionDeniedError(_("This page is for admins."))
    if found.lacks_factor:
        if wants_json():
            raise PermissionDeniedError(_("Admins need a second factor. Set one up on the security page."))
        return go_to(url_for("account.factor_needed", next=page_of_request("admin.overview")))
    return None


def renew_session(response: Response) -> Response:
    """Twice a day, put another secret into the cookie, with a page that is opened; not while somebody only looks."""
    user = known_user()
    is_page = request.method == "GET" and response.status_code == 200 and response.mimetype == "text/html"
    if user is None or not user.is_due or not is_page or is_htmx() or VIEW in session:
        return response
    fresh = services().auth.renew_session(user.session_token)
    if fresh is not None and session.get(LOGIN) == user.session_token:
        session[LOGIN] = fresh
    return response


def init_login(app: Flask) -> None:
    """Set up Flask-Login: the cookie's own signature and the token in it are the protection."""
    manager = LoginManager(app)
    manager.session_protection = None  # a phone changes its address; the token is what counts
    manager.user_loader(load_user)
    app.before_request(require_login)
    app.after_request(renew_session)
