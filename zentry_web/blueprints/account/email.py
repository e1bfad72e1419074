"""Another e-mail address for the account, once both have agreed."""

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from zentry_web.blueprints.account.forms import EmailForm
from zentry_web.blueprints.account.routes import blueprint
from zentry_web.domain.language import _
from zentry_web.services.errors import NotFoundError
from zentry_web.web.output.flash import success
from zentry_web.web.output.htmx import go_to
from zentry_web.web.services import services
from zentry_web.web.session.actor import current_actor, me


@blueprint.route("/email", methods=["GET", "POST"])
def email() -> ResponseReturnValue:
    """The change that waits, or the form that asks for one."""
    user, actor, form = me(), current_actor(), EmailForm()
    changes = services().auth.email_change
    if not changes.enabled:
        raise NotFoundError(_("This Zentry sends no mail. Ask its administrator to change your address."))
    if request.method == "POST" and form.submit(lambda: changes.request(user.id, form.text("email"), actor=actor)):
        success(_("If that address can be used, both addresses get a mail. Open the link in each."))
        return go_to(url_for("account.email"))
    waiting = changes.find_open(user.id, actor=actor)
    return render_template("account/email.html", form=form, user=user, waiting=waiting), form.status


@blueprint.post("/email/cancel")
def cancel_email() -> ResponseReturnValue:
    """Keep the address after all."""
    services().auth.email_change.cancel(me().id, actor=current_actor())
    success(_("Your address stays as it is."))
    return redirect(url_for("account.email"), 303)
