"""The overview: what there is, what it costs, what needs attention."""

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue

from zentry_web.web.output.activity import activity_lines
from zentry_web.web.output.context import use_balance
from zentry_web.web.services import services
from zentry_web.web.session.actor import current_actor, here, me

blueprint = Blueprint("dashboard", __name__)


@blueprint.get("/overview")
def overview() -> ResponseReturnValue:
    """The page, or for htmx its moving part."""
    user = me()
    dashboard = services().users.get_dashboard(user.id, actor=current_actor())
    use_balance(dashboard.balance)
    steps = services().users.get_first_steps(user, dashboard, has_factor=here().has_factor, actor=current_actor())
    lines = activity_lines(
        dashboard.recent,
        reader_id=user.id,
        rights=dashboard.rights_there,
        now=services().clock.now(),
    )
    return render_template("dashboard/overview.html", user=user, dashboard=dashboard, lines=lines, steps=steps)
