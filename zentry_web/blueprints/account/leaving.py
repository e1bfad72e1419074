"""Taking one's data along, and leaving."""

import tempfile

from flask import redirect, render_template, request, send_file, url_for
from flask.typing import ResponseReturnValue

from zentry_web.blueprints.account.forms import LeaveForm, LeaveWithoutPasswordForm
from zentry_web.blueprints.account.routes import blueprint
from zentry_web.domain.language import _
from zentry_web.web.output.flash import success
from zentry_web.web.output.htmx import go_to
from zentry_web.web.services import services
from zentry_web.web.session.actor import current_actor, me, session_token


@blueprint.get("/data")
def data() -> ResponseReturnValue:
    """What can be done with all that Zentry keeps about this person."""
    return render_template("account/data.html", user=me())


@blueprint.post("/export")
def export() -> ResponseReturnValue:
    """Everything Zentry keeps about this person, as a zip of JSON files."""
    file = tempfile.TemporaryFile()  # noqa: SIM115 - the answer closes it when it is sent
    services().users.export.write(me().id, file, actor=current_actor())
    file.seek(0)
    return send_file(file, mimetype="application/zip", as_attachment=True, download_name="zentry-data.zip")


@blueprint.route("/leave", methods=["GET", "POST"])
def leave() -> ResponseReturnValue:
    """What goes with the account; a POST has it deleted in seven days."""
    user, actor, people = me(), current_actor(), services().users
    ways = services().auth.oidc.ways_in(user.id, actor=actor)
    form = LeaveForm() if ways.password else LeaveWithoutPasswordForm()
    password = form.text("password") if "password" in form else ""
    if request.method == "POST" and form.submit(
        lambda: people.closure.request(user.id, password, actor=actor, session_token=session_token())
    ):
        success(_("Your account will be deleted. You can call it off until then. Every other session has been ended."))
        return go_to(url_for("account.leave"))
    leaving = people.closure.preview(user.id, actor=actor)
    return render_template("account/leave.html", form=form, leaving=leaving), form.status


@blueprint.post("/stay")
def stay() -> ResponseReturnValue:
    """Keep the account after all."""
    services().users.closure.call_off(me().id, actor=current_actor())
    success(_("Your account stays."))
    return redirect(url_for("account.profile"), 303)
