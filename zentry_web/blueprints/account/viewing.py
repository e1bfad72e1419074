"""Leaving the look at somebody else's account."""

from flask import redirect, session, url_for
from flask.typing import ResponseReturnValue

from zentry_web.blueprints.account.routes import blueprint
from zentry_web.domain.language import _
from zentry_web.web.output.flash import success
from zentry_web.web.services import services
from zentry_web.web.session.actor import VIEW, here, looking_admin
from zentry_web.web.session.viewing import forget_view


@blueprint.post("/view/leave")
def leave_view() -> ResponseReturnValue:
    """Be oneself again. Whoever is that already is led to the overview."""
    user = here()
    if user.view is None:
        return redirect(url_for("dashboard.overview"), 303)
    services().users.views.end(str(session[VIEW]), user.session_token, actor=looking_admin(user))
    forget_view()
    success(_("You left the account of %(name)s.", name=user.name))
    return redirect(url_for("admin.user", user_id=user.id), 303)
