"""Which notices also come by mail."""

from flask import render_template, request, url_for
from flask.typing import ResponseReturnValue

from zentry_web.blueprints.account.forms import NotificationsForm
from zentry_web.blueprints.account.routes import blueprint
from zentry_web.domain.language import _
from zentry_web.web.output.flash import success
from zentry_web.web.output.htmx import go_to
from zentry_web.web.services import services
from zentry_web.web.session.actor import current_actor, me


@blueprint.route("/notifications", methods=["GET", "POST"])
def notifications() -> ResponseReturnValue:
    """Every topic with its choice; a POST has the mails of those that are ticked."""
    user, actor, notices = me(), current_actor(), services().billing.notices
    choices = notices.choices.list_choices(user.id, actor=actor)
    form = NotificationsForm(data={"mail": [choice.rule.topic for choice in choices if choice.mail]})
    if request.method == "POST" and form.submit(
        lambda: notices.choices.choose(user.id, form.mail.data or (), actor=actor)
    ):
        success(_("Your choice is saved."))
        return go_to(url_for("account.notifications"))
    shown = {"choices": choices, "sends_mail": notices.sends_mail, "user": user}
    return render_template("account/notifications.html", form=form, **shown), form.status
