"""The links by which an account's old and new address agree to a change. Opening one does nothing: a button does."""

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from zentry_web.blueprints.auth.routes import blueprint
from zentry_web.domain.language import _, lazy
from zentry_web.services.errors import NotFoundError
from zentry_web.web.output.flash import success
from zentry_web.web.output.headers import secret_page
from zentry_web.web.services import services
from zentry_web.web.session.actor import current_actor, public, session_token, signed_in_user

GONE = lazy("This link has been used, is too old, or the change was called off.")


@blueprint.route("/email/<token>", methods=["GET", "POST"])
@public
def email_link(token: str) -> ResponseReturnValue:
    """What is to be agreed to; a POST agrees. Mail programs open links by themselves, so looking does nothing."""
    changes = services().auth.email_change
    if request.method == "POST":
        user = changes.confirm(token, actor=current_actor(), session_token=session_token())
        if user is None:
            success(_("Thank you. The address changes when the other mailbox has agreed too."))
        else:
            success(_("The address is changed. Log in with the new one from now on; all other sessions have ended."))
        return _on()
    link = changes.peek(token)
    if link is None:
        raise NotFoundError(str(GONE))
    return secret_page(render_template("auth/email.html", link=link, token=token))


@blueprint.post("/email/<token>/cancel")
@public
def refuse_email(token: str) -> ResponseReturnValue:
    """This address does not agree: nothing changes."""
    services().auth.email_change.refuse(token, actor=current_actor())
    success(_("The change is called off. The address stays as it was."))
    return _on()


def _on() -> ResponseReturnValue:
    return redirect(url_for("account.profile" if signed_in_user() else "auth.login"), 303)
