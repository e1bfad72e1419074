"""The overview: what there is, what it costs, what needs attention."""

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue

from zentry_web.web.activity import activity_lines
from zentry_web.web.actor import current_actor, me
from zentry_web.web.context import use_balance
from zentry_web.web.htmx import is_htmx
from zentry_web.web.services import services

blueprint = Blueprint("dashboard", __name__)


@blueprint.get("/overview")
def overview() -> ResponseReturnValue:
    """The page, or for htmx its moving part."""
    user = me()
    dashboard = services().get_user_service().get_dashboard(user.id, actor=current_actor())
    use_balance(dashboard.balance)
    lines = activity_lines(dashboard.recent, viewer_id=user.id)
    template = "dashboard/_overview.html" if is_htmx() else "dashboard/overview.html"
    return render_template(template, dashboard=dashboard, lines=lines)
