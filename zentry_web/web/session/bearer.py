"""Who a program is: the token in the Authorization header. Cookies count for nothing here, so no CSRF either."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from flask import g, request

from zentry_web.domain.language import _
from zentry_web.domain.people.token import TokenScope
from zentry_web.domain.user import Actor, Role, User
from zentry_web.services.errors import AuthenticationRequiredError, PermissionDeniedError
from zentry_web.web.request_id import request_id
from zentry_web.web.services import services
from zentry_web.web.session.actor import ANONYMOUS, public

LONGEST_TOKEN = 200


def token_actor(user: User | None = None) -> Actor:
    """Who services should take a program's request to come from: its owner, but never as an admin."""
    return Actor(
        id=user.id if user else ANONYMOUS,
        role=Role.USER,
        address=request.remote_addr,
        user_agent=str(request.user_agent)[:300],
        request_id=request_id(),
    )


def token_user() -> User:
    """Whose token a view behind ``needs`` was called with."""
    found: User = g.token_user
    return found


def needs(scope: TokenScope) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Let only programs in whose token has ``scope``: 401 without a token that works, 403 without the scope."""

    def mark(view: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(view)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            user, scopes = _find()
            if scope not in scopes:
                raise PermissionDeniedError(_("This token may not do that: it lacks %(scope)s.", scope=scope.value))
            g.token_user = user
            return view(*args, **kwargs)

        return public(guarded)

    return mark


def _find() -> tuple[User, frozenset[TokenScope]]:
    kind, _space, token = request.headers.get("Authorization", "").partition(" ")
    token = token.strip()
    usable = kind.lower() == "bearer" and 0 < len(token) <= LONGEST_TOKEN
    found = services().auth.tokens.find_user(token) if usable else None
    if found is None:
        raise AuthenticationRequiredError(_("Send a token that works: Authorization: Bearer …"))
    return found
