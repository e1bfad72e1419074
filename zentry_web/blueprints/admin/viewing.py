"""For admins: seeing a person's pages as they do, to help. Nothing can be changed meanwhile."""

from flask import render_template, request, url_for
from flask.typing import ResponseReturnValue

from zentry_web.blueprints.admin.forms import ViewForm
from zentry_web.blueprints.admin.routes import blueprint
from zentry_web.web.output.htmx import go_to
from zentry_web.web.services import services
from zentry_web.web.session.actor import current_actor, here
from zentry_web.web.session.viewing import begin_view


@blueprint.route("/users/<user_id>/view", methods=["GET", "POST"])
def view_as(user_id: str) -> ResponseReturnValue:
    """Ask why, then show this browser the person's pages."""
    people, actor, form = services().users, current_actor(), ViewForm()
    person = people.get_user(user_id, actor=actor)
    token = here().session_token
    if request.method == "POST" and form.submit(
        lambda: people.views.begin(user_id, form.text("reason"), token, actor=actor)
    ):
        begin_view(form.result.id)
        return go_to(url_for("dashboard.overview"))
    return render_template("admin/view.html", form=form, person=person), form.status
