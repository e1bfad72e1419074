"""Links that arrive by mail: finishing a sign-up, and choosing a new password."""

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from zentry_web.blueprints.auth.forms import ForgotForm, NewPasswordForm
from zentry_web.blueprints.auth.routes import blueprint
from zentry_web.domain.language import _
from zentry_web.services.errors import NotFoundError
from zentry_web.web.output.flash import success
from zentry_web.web.output.headers import secret_page
from zentry_web.web.output.htmx import go_to
from zentry_web.web.services import services
from zentry_web.web.session.actor import begin_session, current_actor, public
from zentry_web.web.session.come_back import where_to


@blueprint.get("/check-mail")
@public
def check_mail() -> ResponseReturnValue:
    """The same for everybody who asked for a mail, whether or not there is an account."""
    return render_template("auth/check_mail.html")


@blueprint.route("/signup/<token>", methods=["GET", "POST"])
@public
def finish_signup(token: str) -> ResponseReturnValue:
    """The link of a sign-up: choose a password, and the account is made."""
    verification = services().auth.verification
    waiting = verification.peek_signup(token)
    if waiting is None:
        raise NotFoundError(_("This link has been used or is too old. Sign up again to get a new one."))
    form = NewPasswordForm()
    if request.method == "POST" and form.submit(
        lambda: verification.finish_signup(token, form.text("password"), actor=current_actor())
    ):
        target = where_to(url_for("dashboard.overview"))
        begin_session(form.result)
        success(_("Welcome to Zentry. Your account is ready."))
        return go_to(target)
    return secret_page(render_template("auth/finish_signup.html", form=form, waiting=waiting), form.status)


@blueprint.route("/forgot", methods=["GET", "POST"])
@public
def forgot() -> ResponseReturnValue:
    """Ask for a link to choose a new password."""
    verification, form = services().auth.verification, ForgotForm()
    if request.method == "POST":
        if not verification.enabled:
            raise NotFoundError(_("This Zentry sends no mail. Ask its administrator for a link."))
        if form.submit(lambda: verification.request_reset(form.text("email"), actor=current_actor())):
            return go_to(url_for("auth.check_mail"))
    return render_template("auth/forgot.html", form=form, sends_mail=verification.enabled), form.status


@blueprint.route("/reset/<token>", methods=["GET", "POST"])
@public
def reset_password(token: str) -> ResponseReturnValue:
    """The link of a forgotten password: choose a new one, then log in with it."""
    verification = services().auth.verification
    user = verification.peek_reset(token)
    if user is None:
        raise NotFoundError(_("This link has been used or is too old. Ask for a new one."))
    form = NewPasswordForm()
    if request.method == "POST" and form.submit(
        lambda: verification.reset_password(token, form.text("password"), actor=current_actor())
    ):
        success(_("Your password is changed. Log in with it."))
        return redirect(url_for("auth.login"), 303)
    return secret_page(render_template("auth/reset.html", form=form, email=user.email), form.status)
