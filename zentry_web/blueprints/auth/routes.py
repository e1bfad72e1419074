"""Sign up, log in, log out, and the one-time link of the first admin."""

from flask import Blueprint, current_app, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from zentry_web.blueprints.auth.forms import LoginForm, SignupForm, WelcomeForm
from zentry_web.services.errors import NotFoundError
from zentry_web.web.actor import begin_session, current_actor, end_session, public, signed_in_user
from zentry_web.web.flash import success
from zentry_web.web.htmx import go_to
from zentry_web.web.safe_next import safe_next
from zentry_web.web.services import services

blueprint = Blueprint("auth", __name__)


@blueprint.route("/signup", methods=["GET", "POST"])
@public
def signup() -> ResponseReturnValue:
    """Make an account and sign it in."""
    if signed_in_user() is not None:
        return redirect(url_for("dashboard.overview"), 303)
    form = SignupForm()
    if request.method == "POST":
        auth, actor = services().get_auth_service(), current_actor()
        data = {"email": form.email.data, "name": form.name.data, "password": form.password.data}
        if form.submit(lambda: auth.signup(data, actor=actor)):
            begin_session(auth.login({"email": data["email"], "password": data["password"]}, actor=actor))
            success("Welcome to Zentry. Your account is ready.")
            return go_to(url_for("dashboard.overview"))
    starting = current_app.config["ZENTRY_STARTING_MICRO"]
    return render_template("auth/signup.html", form=form, starting=starting), form.status


@blueprint.route("/login", methods=["GET", "POST"])
@public
def login() -> ResponseReturnValue:
    """Sign in, then go where the person wanted to go."""
    target = safe_next(request.values.get("next", ""), url_for("dashboard.overview"))
    if request.method == "GET" and signed_in_user() is not None:
        return redirect(target, 303)
    form = LoginForm()
    if request.method == "POST":
        auth, old = services().get_auth_service(), signed_in_user()
        credentials = {"email": form.email.data, "password": form.password.data}
        replaces = old.session_token if old else None
        if form.submit(lambda: auth.login(credentials, actor=current_actor(), replaces=replaces)):
            begin_session(form.result)
            return go_to(target)
    return render_template("auth/login.html", form=form, next=request.values.get("next", "")), form.status


@blueprint.post("/logout")
def logout() -> ResponseReturnValue:
    """End this session."""
    end_session()
    success("You are logged out.")
    return go_to(url_for("public.landing"))


@blueprint.route("/welcome/<token>", methods=["GET", "POST"])
@public
def welcome(token: str) -> ResponseReturnValue:
    """The one-time link: choose a password, and be signed in."""
    auth = services().get_auth_service()
    user = auth.peek_link(token)
    if user is None:
        raise NotFoundError("This link has been used or is too old. Ask for a new one with: zentry create-admin")
    email = "" if user.email.endswith("@localhost") else user.email
    form = WelcomeForm(data={"email": email, "name": user.name})
    if request.method == "POST":
        chosen = {"name": form.name.data, "email": form.email.data}
        if form.submit(lambda: auth.redeem_link(token, form.text("password"), actor=current_actor(), **chosen)):
            begin_session(form.result)
            success("Welcome. You are signed in as an admin.")
            return go_to(url_for("dashboard.overview"))
    answer = current_app.make_response((render_template("auth/welcome.html", form=form), form.status))
    answer.headers["Referrer-Policy"] = "origin"  # the address is a secret
    return answer
