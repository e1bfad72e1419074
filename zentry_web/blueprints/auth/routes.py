"""Sign up, log in, log out, and the one-time links that admins make."""

from collections.abc import Callable
from typing import Any

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from zentry_web.blueprints.auth.forms import LoginForm, SignupForm, SignupWithPasswordForm, WelcomeForm
from zentry_web.domain.language import _
from zentry_web.domain.setting import SettingKey
from zentry_web.services.errors import ConflictError, NotFoundError
from zentry_web.web.output.flash import success
from zentry_web.web.output.headers import secret_page
from zentry_web.web.output.htmx import go_to
from zentry_web.web.services import services
from zentry_web.web.session import human
from zentry_web.web.session.actor import current_actor, end_session, public, session_token, signed_in_user
from zentry_web.web.session.captcha import captcha_answer, with_widget
from zentry_web.web.session.come_back import invitation, where_to
from zentry_web.web.session.entering import enter
from zentry_web.web.session.safe_next import safe_next

blueprint = Blueprint("auth", __name__)


@blueprint.route("/signup", methods=["GET", "POST"])
@public
def signup() -> ResponseReturnValue:
    """Make an account and sign it in; where mail is sent, mail the link that does so."""
    if signed_in_user() is not None:
        return redirect(url_for("dashboard.overview"), 303)
    auth, actor = services().auth, current_actor()
    by_mail = auth.verification.enabled
    form = SignupForm() if by_mail else SignupWithPasswordForm()
    if request.method == "POST":
        data = {name: form.text(name) for name in ("email", "name", "password") if name in form}
        data["invitation"] = invitation()
        if why := human.refusal(form.text("website"), form.text("stamp")):
            form.validate()
            form.take(ConflictError(why))
        elif by_mail:
            if form.submit(lambda: ask_first(lambda: auth.verification.request_signup(data, actor=actor))):
                return go_to(url_for("auth.check_mail"))
        elif form.submit(lambda: ask_first(lambda: auth.signup(data, actor=actor))):
            answer = enter(auth.login(data, actor=actor), where_to(url_for("dashboard.overview")))
            success(_("Welcome to Zentry. Your account is ready."))
            return answer
    form.stamp.data = form.stamp.data or human.stamp()
    starting = services().billing.settings.number(SettingKey.STARTING_CREDITS)
    shown = {"starting": starting, "by_mail": by_mail, "why_not": auth.rules.why_not(invitation())}
    shown |= {"provider": auth.oidc.provider_name, "widget": auth.captcha.widget, "not_before": human.least_seconds()}
    return with_widget(render_template("auth/signup.html", form=form, **shown), form.status, auth.captcha.widget)


def ask_first(action: Callable[[], Any]) -> Any:
    """Sign up once it is said that this is no program."""
    services().auth.captcha.check_signup(captcha_answer(), current_actor())
    return action()


@blueprint.route("/login", methods=["GET", "POST"])
@public
def login() -> ResponseReturnValue:
    """Sign in, then go where the person wanted to go."""
    target = safe_next(request.values.get("next", ""), url_for("dashboard.overview"))
    if request.method == "GET" and signed_in_user() is not None:
        return redirect(target, 303)
    form, auth = LoginForm(), services().auth
    if request.method == "POST":
        credentials = {"email": form.email.data, "password": form.password.data, "captcha": captcha_answer()}
        replaces = session_token()
        if form.submit(lambda: auth.login(credentials, actor=current_actor(), replaces=replaces)):
            return enter(form.result, target)
    shown = {
        "next": request.values.get("next", ""),
        "passkeys": auth.passkeys.possible,
        "provider": auth.oidc.provider_name,
    }
    widget = auth.captcha.widget if auth.captcha.is_asked(form.text("email"), current_actor()) else None
    return with_widget(render_template("auth/login.html", form=form, widget=widget, **shown), form.status, widget)


@blueprint.post("/logout")
def logout() -> ResponseReturnValue:
    """End this session."""
    end_session()
    success(_("You are logged out."), _("Log in again"), url_for("auth.login"))
    return go_to(url_for("public.landing"))


@blueprint.route("/welcome/<token>", methods=["GET", "POST"])
@public
def welcome(token: str) -> ResponseReturnValue:
    """The one-time link: choose a password, and be signed in."""
    auth = services().auth
    user = auth.peek_link(token)
    if user is None:
        raise NotFoundError(_("This link has been used or is too old. Ask an administrator for a new one."))
    email = "" if user.email.endswith("@localhost") else user.email
    form = WelcomeForm(data={"email": email, "name": user.name})
    if request.method == "POST":
        chosen = {"name": form.name.data, "email": form.email.data}
        if form.submit(lambda: auth.redeem_link(token, form.text("password"), actor=current_actor(), **chosen)):
            answer = enter(form.result, url_for("dashboard.overview"))
            success(_("Welcome. You are an admin.") if user.is_admin else _("Welcome back. Your password is set."))
            return answer
    return secret_page(render_template("auth/welcome.html", form=form, user=user), form.status)
