"""Leaving the look at somebody else's account."""

from flask import redirect, session, url_for
from flask.typing import ResponseReturnValue

from zentry_web.blueprints.account.routes import blueprint
from zentry_web.web.actor import VIEW, here, looking_admin
from zentry_web.web.flash import success
from zentry_web.web.services import services
from zentry_web.web.viewing import forget_view


@blueprint.post("/view/leave")
def leave_view() -> ResponseReturnValue:
    """Be oneself again. Whoever is that already is led to the overview."""
    user = here()
    if user.view is None:
        return redirect(url_for("dashboard.overview"), 303)
    services().get_user_service().views.end(str(session[VIEW]), user.session_token, actor=looking_admin(user))
    forget_view()
    success(f"You left the account of {user.name}.")
    return redirect(url_for("admin.user", user_id=user.id), 303)
